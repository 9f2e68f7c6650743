//! TLS of the client.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Endpoint;

/// Speaks TLS on a connection.
pub async fn secured(endpoint: &Endpoint, stream: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities(endpoint)?)
        .with_no_client_auth();
    let host = endpoint.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).context("its host is no name that a certificate can have")?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.with_context(|| match endpoint.ca {
        Some(_) => "TLS".to_owned(),
        None => "TLS (BIGCHAINDB_URL_CA_CERT names a file with an authority of its own)".to_owned(),
    })
}

fn authorities(endpoint: &Endpoint) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(file) = &endpoint.ca else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    let unreadable = || format!("the authorities of `{}`", file.display());
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).with_context(unreadable)?.collect();
    let (good, _) = roots.add_parsable_certificates(certificates.with_context(unreadable)?);
    ensure!(good > 0, "`{}` holds no certificate of an authority", file.display());
    Ok(roots)
}
