//! From PEM files to TLS: once for our own look at the servers, once for the driver.
//!
//! The driver takes the client's certificate and key from one file, the settings have two. They are joined in a private
//! temporary file (readable by this user only; the key stays encrypted), which lives until the driver has read it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mongodb::options::TlsOptions;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::{ClientCertificate, TlsFiles};
use crate::secret::Secret;
use crate::tls::{authorities, certificates};

mod words;

pub use words::problem;

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// TLS as it is spoken to the servers.
pub struct Tls {
    /// For our own look at the servers: with the revocation list.
    pub config: Arc<ClientConfig>,
    /// The authorities' file, for words.
    pub ca: Option<PathBuf>,
    /// The revocation list's file.
    pub crl: Option<PathBuf>,
    options: TlsOptions,
    // Removed when dropped.
    joined: Option<NamedTempFile>,
}

impl Tls {
    /// Reads the files. `said` is what a connection string says; the settings count more.
    pub fn read(files: &TlsFiles, said: TlsOptions) -> Result<Self, Failure> {
        if said.allow_invalid_certificates == Some(true) {
            return Err(refused(
                "database.url switches the check of certificates off (tlsInsecure or tlsAllowInvalidCertificates), which \
                 this node does not do; remove that, and name the authority's certificate in database.ca_cert",
            ));
        }
        let mut options = said;
        let ca = files.ca.clone().or_else(|| options.ca_file_path.clone());
        options.ca_file_path = ca.clone();
        // The same that the driver takes.
        let roots = authorities(ca.as_deref(), "database.ca_cert").map_err(|reason| refused(&reason))?;
        let verifier = match &files.crl {
            Some(path) => verifier(roots, path)?,
            None => WebPkiServerVerifier::builder_with_provider(roots.into(), ring::default_provider().into())
                .build()
                .map_err(|error| refused(&error.to_string()))?,
        };
        let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(&error.to_string()))?
            .with_webpki_verifier(verifier);
        let mut joined = None;
        let config = match Identity::read(files.client.as_ref(), &options)? {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (certificate, key) = (identity.certificate_path.display(), identity.key_path.display());
                let mismatch =
                    format!("the certificate in `{certificate}` and the key in `{key}` do not belong together");
                let chain = identity.chain()?;
                let key = identity.key()?;
                let file = identity.join().map_err(|error| {
                    refused(&format!("cannot write a temporary file with the client certificate: {error}"))
                })?;
                options.cert_key_file_path = Some(file.path().to_owned());
                options.tls_certificate_key_file_password =
                    identity.password().map(|secret| secret.reveal().as_bytes().to_vec());
                joined = Some(file);
                builder.with_client_auth_cert(chain, key).map_err(|error| refused(&format!("{mismatch}: {error}")))?
            }
        };
        Ok(Self { config: config.into(), ca, crl: files.crl.clone(), options, joined })
    }

    /// What the driver needs, and the file that must be there until it has its client.
    pub fn into_driver(self) -> (TlsOptions, Option<NamedTempFile>) {
        (self.options, self.joined)
    }
}

fn refused(reason: &str) -> Failure {
    Failure::Refused(reason.to_owned())
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = std::fs::read_to_string(path);
    text.map(Zeroizing::new).map_err(|error| refused(&format!("`{}` cannot be read: {error}", path.display())))
}

/// Only the server's own certificate is looked up in the list, as in 1.0.1 (OpenSSL's `VERIFY_CRL_CHECK_LEAF`); a list
/// that is missing for its authority or that has expired refuses it.
fn verifier(roots: RootCertStore, crl: &Path) -> Result<Arc<WebPkiServerVerifier>, Failure> {
    let name = crl.display();
    let text = read(crl)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(text.as_bytes()).collect();
    let lists = match lists {
        Ok(lists) if !lists.is_empty() => lists,
        _ => return Err(refused(&format!("`{name}` (database.crlfile) holds no revocation list in PEM form"))),
    };
    WebPkiServerVerifier::builder_with_provider(roots.into(), ring::default_provider().into())
        .with_crls(lists)
        .only_check_end_entity_revocation()
        .enforce_revocation_expiration()
        .build()
        .map_err(|error| {
            refused(&format!(
                "`{name}` (database.crlfile) holds a revocation list that does not read ({error}); it must be an X.509 \
                 CRL of version 2"
            ))
        })
}

/// A client certificate and its key, as they are in the files.
struct Identity {
    certificate_path: PathBuf,
    certificate: Zeroizing<String>,
    key_path: PathBuf,
    key: Zeroizing<String>,
    passphrase: Option<Secret>,
}

impl Identity {
    /// From the settings, or from the connection string, which has one file for both.
    fn read(files: Option<&ClientCertificate>, said: &TlsOptions) -> Result<Option<Self>, Failure> {
        let (certificate, key, passphrase) = match (files, &said.cert_key_file_path) {
            (Some(ClientCertificate { certificate, key, passphrase }), _) => {
                (certificate.clone(), key.clone(), passphrase.clone())
            }
            (None, Some(path)) => {
                let password = said.tls_certificate_key_file_password.as_deref().map(String::from_utf8_lossy);
                (path.clone(), path.clone(), password.map(|text| Secret::new(text.into_owned())))
            }
            (None, None) => return Ok(None),
        };
        let key_text = read(&key)?;
        Ok(Some(Self {
            certificate: read(&certificate)?,
            certificate_path: certificate,
            key: key_text,
            key_path: key,
            passphrase,
        }))
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, Failure> {
        let name = self.certificate_path.display();
        certificates(&self.certificate).map_err(|reason| refused(&format!("`{name}` {reason}")))
    }

    /// The passphrase, if the key is encrypted; of no use otherwise.
    fn password(&self) -> Option<&Secret> {
        self.passphrase.as_ref().filter(|_| self.key.contains(&format!("-----BEGIN {ENCRYPTED}-----")))
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, Failure> {
        let name = self.key_path.display();
        let Some(passphrase) = self.password() else {
            return PrivateKeyDer::from_pem_slice(self.key.as_bytes())
                .map_err(|_| refused(&format!("`{name}` holds no private key that reads and is not encrypted")));
        };
        let unread = || refused(&format!("`{name}` holds no encrypted private key that reads"));
        let sections = pem::parse_many(self.key.as_bytes()).map_err(|_| unread())?;
        let section = sections.into_iter().find(|section| section.tag() == ENCRYPTED).ok_or_else(unread)?;
        let encrypted = pkcs8::EncryptedPrivateKeyInfoRef::try_from(section.contents()).map_err(|_| unread())?;
        let key = encrypted.decrypt(passphrase.reveal()).map_err(|_| {
            refused(&format!(
                "the key in `{name}` cannot be decrypted: database.keyfile_passphrase is wrong, or the key is not \
                 encrypted by PBES2 (convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc`)"
            ))
        })?;
        Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
    }

    /// Both in one file, as the driver wants them, and nothing else that may be in theirs.
    fn join(&self) -> std::io::Result<NamedTempFile> {
        // Made with mode 0600.
        let mut file = tempfile::Builder::new().prefix("bigchaindb-").suffix(".pem").tempfile()?;
        file.write_all(sections(&self.certificate, |label| label == "CERTIFICATE").as_bytes())?;
        file.write_all(sections(&self.key, |label| label.ends_with("PRIVATE KEY")).as_bytes())?;
        file.flush()?;
        Ok(file)
    }
}

/// The sections of a PEM text that have a certain label, as they are.
fn sections(text: &str, wanted: fn(&str) -> bool) -> Zeroizing<String> {
    let mut kept = Zeroizing::new(String::with_capacity(text.len() + 1));
    let mut inside = false;
    for line in text.lines().map(str::trim_end) {
        let label = |mark| line.strip_prefix(mark).and_then(|rest: &str| rest.strip_suffix("-----"));
        inside |= label("-----BEGIN ").is_some_and(wanted);
        if inside {
            kept.push_str(line);
            kept.push('\n');
        }
        if label("-----END ").is_some() {
            inside = false;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_is_taken_out_of_a_file() {
        let text = "Bag Attributes\n-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\nnote\n\
                    -----BEGIN RSA PRIVATE KEY-----\r\nBB\r\n-----END RSA PRIVATE KEY-----";
        let kept = sections(text, |label| label == "CERTIFICATE");
        assert_eq!(kept.as_str(), "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n");
        let kept = sections(text, |label| label.ends_with("PRIVATE KEY"));
        assert_eq!(kept.as_str(), "-----BEGIN RSA PRIVATE KEY-----\nBB\n-----END RSA PRIVATE KEY-----\n");
    }
}
