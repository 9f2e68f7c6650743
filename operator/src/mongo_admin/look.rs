//! One look at one server: is it there, which certificate does it show, and does each side take the other's.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongodb::bson::doc;
use pki::{Certificate, Serial};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::error::{AdminError, one_line};
use super::{Credentials, Target};

/// What the operator shows, and whom it trusts.
pub struct Identity {
    subject: String,
    verifier: Arc<WebPkiServerVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// What was found.
pub struct Look {
    /// Serial number of the certificate that the server shows, also of one that is not to be trusted.
    pub served: Option<Serial>,
    pub outcome: Result<(), AdminError>,
}

impl Identity {
    /// Reads and checks what the driver reads without a word about what is wrong.
    pub fn read(credentials: &Credentials) -> Result<Self, AdminError> {
        let refused = |what: &str, error: &dyn std::fmt::Display| AdminError::Material(format!("{what}: {error}"));
        let ca = "the authorities of the MongoDB member";
        let own = "the certificate of the MongoDB member";
        let authorities = Certificate::from_pem(credentials.ca_pem.as_bytes()).map_err(|error| refused(ca, &error))?;
        let pem = credentials.certificate_and_key_pem.as_bytes();
        let certificates = Certificate::from_pem(pem).map_err(|error| refused(own, &error))?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.der().clone()).map_err(|error| refused(ca, &error))?;
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| refused(ca, &error))?;
        let identity = Self {
            subject: certificates.first().map(|certificate| certificate.subject().to_owned()).unwrap_or_default(),
            verifier,
            chain: certificates.iter().map(|certificate| certificate.der().clone()).collect(),
            // What the library says of a key that does not read is not shown.
            key: PrivateKeyDer::from_pem_slice(pem).map_err(|_| refused(own, &"there is no private key that reads"))?,
        };
        identity.config(identity.verifier.clone()).map_err(|error| refused(own, &error))?;
        Ok(identity)
    }

    /// Subject of the certificate, as RFC 2253 writes it.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    fn config(&self, verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, rustls::Error> {
        // The recorder only passes on what the real verifier says.
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
    }
}

/// Looks once.
pub async fn at(target: &Target, identity: &Identity, limit: Duration) -> Look {
    let recorder = Arc::new(Recorder { verifier: identity.verifier.clone(), seen: Mutex::new(None) });
    let outcome = meet(target, identity, recorder.clone(), Instant::now() + limit).await;
    Look { served: recorder.serial(), outcome }
}

async fn meet(
    target: &Target,
    identity: &Identity,
    recorder: Arc<Recorder>,
    deadline: Instant,
) -> Result<(), AdminError> {
    let Target { host, port } = target;
    let place = format!("{host}:{port}");
    let refused = |reason: String| AdminError::Certificate { place: place.clone(), reason };
    let name = ServerName::try_from(host.clone())
        .map_err(|_| refused(format!("`{host}` is no name that a certificate could hold")))?;
    let config = identity.config(recorder).map_err(|error| refused(error.to_string()))?;
    let question = hello().map_err(&refused)?;
    let talk = async {
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        // In TLS 1.3 a server refuses the client's certificate only after the handshake, so it must be asked something. If
        // that cannot be sent, the reason is in what it sent.
        if stream.write_all(&question).await.is_ok() {
            let _ = stream.flush().await;
        }
        stream.read_u8().await
    };
    let away = |reason: String| AdminError::Away { place: place.clone(), reason };
    match timeout_at(deadline, talk).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(match cause(&error).and_then(distrust) {
            Some(reason) => refused(reason),
            None => away(one_line(&error.to_string())),
        }),
        Err(_) => Err(away("no answer in time".to_owned())),
    }
}

/// The first question to a server, as bytes (MongoDB manual, "OP_MSG" and "hello").
fn hello() -> Result<Vec<u8>, String> {
    const OP_MSG: i32 = 2013;
    let body = doc! { "hello": 1, "$db": "admin" }.to_vec().map_err(|error| error.to_string())?;
    // Four numbers of header, the flags, and the kind of the only section.
    let length = i32::try_from(16 + 4 + 1 + body.len()).map_err(|error| error.to_string())?;
    let mut message = Vec::new();
    for number in [length, 1, 0, OP_MSG, 0] {
        message.extend(number.to_le_bytes());
    }
    message.push(0);
    message.extend(body);
    Ok(message)
}

fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|cause| cause.downcast_ref())
}

/// Words for what one side has against the other's certificate; `None`: it is something else, which may pass.
fn distrust(error: &rustls::Error) -> Option<String> {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    Some(match error {
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "its certificate is not signed by an authority that the operator trusts".to_owned()
        }
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => "its certificate has expired".to_owned(),
        rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "its certificate is not valid yet; check the clocks".to_owned()
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "its certificate is not for this name".to_owned()
        }
        rustls::Error::InvalidCertificate(error) => {
            format!("its certificate is not acceptable: {}", one_line(&error.to_string()))
        }
        rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => format!(
            "it refuses the operator's certificate ({alert:?}): it trusts another authority, or the certificate has expired \
             or is revoked there"
        ),
        rustls::Error::InvalidMessage(_) => "what answers there speaks no TLS".to_owned(),
        _ => return None,
    })
}

fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            // Its signature does not verify: another authority of the same name.
            | AlertDescription::DecryptError
    )
}

/// Keeps the certificate that a server shows, also if the verifier then refuses it.
#[derive(Debug)]
struct Recorder {
    verifier: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<Vec<u8>>>,
}

impl Recorder {
    fn serial(&self) -> Option<Serial> {
        let der = self.seen.lock().ok()?.take()?;
        Certificate::from_der(der).ok().map(|certificate| certificate.serial().clone())
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(certificate.to_vec());
        }
        self.verifier.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
