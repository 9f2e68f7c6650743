//! Who may connect, by certificate (MongoDB manual, "Configure mongod and mongos for TLS/SSL").

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::RwLock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
};

use crate::config::TlsSettings;
use crate::subject::Subject;

/// What new connections are made with.
#[derive(Clone)]
pub struct Loaded {
    pub config: Arc<ServerConfig>,
    /// Of the certificate shown to members.
    pub member: Subject,
}

/// The files, and what was read of them last.
pub struct Tls {
    pub settings: TlsSettings,
    loaded: RwLock<Loaded>,
}

impl Tls {
    pub fn open(settings: TlsSettings) -> Result<Self, String> {
        let loaded = load(&settings)?;
        Ok(Self { settings, loaded: RwLock::new(loaded) })
    }

    pub fn current(&self) -> Loaded {
        self.loaded.read().clone()
    }

    /// Reads all files anew, for connections from now on (manual, `rotateCertificates`). What does not read changes
    /// nothing.
    pub fn rotate(&self) -> Result<(), String> {
        let loaded = load(&self.settings)?;
        *self.loaded.write() = loaded;
        Ok(())
    }
}

fn load(settings: &TlsSettings) -> Result<Loaded, String> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&settings.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&settings.certificate)
        .map_err(|error| format!("cannot read PEM key file: {}: {error}", settings.certificate.display()))?;
    subject(&chain, &settings.certificate)?;
    let member = subject(&certificates(&settings.cluster_certificate)?, &settings.cluster_certificate)?;
    let mut versions: Vec<&'static SupportedProtocolVersion> = Vec::new();
    if !settings.without_tls13 {
        versions.push(&rustls::version::TLS13);
    }
    if !settings.without_tls12 {
        versions.push(&rustls::version::TLS12);
    }
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions);
    let builder = builder.map_err(|error| error.to_string())?.with_client_cert_verifier(verifier(settings, provider)?);
    let config =
        builder.with_single_cert(chain, key).map_err(|error| format!("{}: {error}", settings.certificate.display()))?;
    Ok(Loaded { config: Arc::new(config), member })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |reason: String| format!("cannot read certificate file: {}: {reason}", file.display());
    let read = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if read.is_empty() { Err(wrong("it holds none".to_owned())) } else { Ok(read) }
}

/// Of the first certificate, which must hold now.
fn subject(chain: &[CertificateDer<'_>], file: &Path) -> Result<Subject, String> {
    let first = chain.first().map(|certificate| certificate.as_ref()).unwrap_or_default();
    let subject = Subject::of(first).map_err(|error| format!("{}: {error}", file.display()))?;
    if !subject.holds_at(Timestamp::now().as_second()) {
        return Err(format!("The provided SSL certificate is expired or not yet valid: {}", file.display()));
    }
    Ok(subject)
}

/// The list of revocations counts for the certificate itself, must not have expired and must be there for its authority,
/// as OpenSSL does it for `mongod` (`X509_V_FLAG_CRL_CHECK`).
fn verifier(settings: &TlsSettings, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&settings.ca)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", settings.ca.display()))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(file) = &settings.crl {
        let wrong = |reason: String| format!("cannot read CRL file: {}: {reason}", file.display());
        let lists = CertificateRevocationListDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
        let lists: Vec<_> = lists.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
        if lists.is_empty() {
            return Err(wrong("it holds none".to_owned()));
        }
        builder = builder.with_crls(lists).only_check_end_entity_revocation().enforce_revocation_expiration();
    }
    if settings.may_lack_certificate || settings.may_be_invalid {
        builder = builder.allow_unauthenticated();
    }
    let strict = builder.build().map_err(|error| format!("{}: {error}", settings.ca.display()))?;
    Ok(if settings.may_be_invalid { Arc::new(Lenient { strict }) } else { strict })
}

/// `net.tls.allowInvalidCertificates`: any certificate will do, if its owner has the key.
#[derive(Debug)]
struct Lenient {
    strict: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for Lenient {
    fn client_auth_mandatory(&self) -> bool {
        self.strict.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &ring::default_provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &ring::default_provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}
