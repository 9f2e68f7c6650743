//! TLS of the client.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::authorities;

/// Names the file of authorities.
const CA_CERT: &str = "BIGCHAINDB_URL_CA_CERT";

/// How a server is judged, for all connections to it.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// Goes before the reason if a connection is not made.
    failed: &'static str,
}

impl Tls {
    /// By the authorities of a file, or by those of browsers.
    pub fn new(ca: Option<&Path>) -> Result<Self, String> {
        let builder = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = builder.with_root_certificates(authorities(ca, CA_CERT)?).with_no_client_auth();
        let failed = match ca {
            Some(_) => "TLS",
            None => "TLS (BIGCHAINDB_URL_CA_CERT names a file with an authority of its own)",
        };
        Ok(Self { config: config.into(), failed })
    }

    /// Speaks TLS on a connection.
    pub async fn secured(&self, host: &str, stream: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).context("its host is no name that a certificate can have")?;
        TlsConnector::from(self.config.clone()).connect(name, stream).await.context(self.failed)
    }
}
