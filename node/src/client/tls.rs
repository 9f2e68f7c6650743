//! TLS of the client.

use std::sync::Arc;

use anyhow::Context as _;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Endpoint;
use crate::tls::authorities;

/// Names the file of authorities.
const CA_CERT: &str = "BIGCHAINDB_URL_CA_CERT";

/// Speaks TLS on a connection.
pub async fn secured(endpoint: &Endpoint, stream: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities(endpoint.ca.as_deref(), CA_CERT).map_err(anyhow::Error::msg)?)
        .with_no_client_auth();
    let host = endpoint.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).context("its host is no name that a certificate can have")?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.with_context(|| match endpoint.ca {
        Some(_) => "TLS".to_owned(),
        None => "TLS (BIGCHAINDB_URL_CA_CERT names a file with an authority of its own)".to_owned(),
    })
}
