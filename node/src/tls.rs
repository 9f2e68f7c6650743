//! By whom a server with TLS is judged.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The authorities of a PEM file, or without one those of browsers. The error says what is wrong with the file, and which
/// setting names it.
pub fn authorities(file: Option<&Path>, setting: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = file else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    let name = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("`{name}` ({setting}) cannot be read: {error}"))?;
    let found = certificates(&text).map_err(|reason| format!("`{name}` ({setting}) {reason}"))?;
    let (good, _) = roots.add_parsable_certificates(found);
    match good {
        0 => Err(format!("`{name}` ({setting}) holds no certificate that reads")),
        _ => Ok(roots),
    }
}

/// The certificates in a PEM text, of which there must be one. The error goes on after the name of a file.
pub fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("holds no certificate in PEM form".to_owned()),
        Err(error) => Err(format!("holds no certificate that reads: {error}")),
    }
}
