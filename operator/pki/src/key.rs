//! Private keys.

use std::fmt;
use std::sync::Arc;

use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::SectionKind;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::{Zeroize as _, Zeroizing};

use crate::armor;
use crate::error::Error;

/// How a key signs, for rustls and for rcgen.
const SCHEMES: [(SignatureScheme, &SignatureAlgorithm); 4] = [
    (SignatureScheme::ECDSA_NISTP256_SHA256, &rcgen::PKCS_ECDSA_P256_SHA256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, &rcgen::PKCS_ECDSA_P384_SHA384),
    (SignatureScheme::ED25519, &rcgen::PKCS_ED25519),
    (SignatureScheme::RSA_PKCS1_SHA256, &rcgen::PKCS_RSA_SHA256),
];

/// A private key and how it signs. The DER is overwritten when it is dropped; what ring keeps for signing is not, as
/// ring has no way to ask for it. Never part of debug output.
pub struct PrivateKey {
    der: PrivateKeyDer<'static>,
    signer: Arc<dyn rustls::sign::SigningKey>,
    scheme: SignatureScheme,
    algorithm: &'static SignatureAlgorithm,
    /// subjectPublicKeyInfo, DER
    public_key_info: Vec<u8>,
    /// The bits of the public key inside it.
    public_key: Vec<u8>,
}

impl PrivateKey {
    /// A new key: ECDSA on P-256, whose signatures every OpenSSL that MongoDB is built with, PyMongo's and NGINX's
    /// check.
    ///
    /// The production guide of 1.0.1 has RSA keys of 4096 bits, which ring cannot generate. They would be neither
    /// stronger (P-256 has the strength of RSA 3072) nor needed: MongoDB takes any certificate that its TLS library
    /// takes. Ed25519 is no alternative, as the TLS libraries of the older drivers and of macOS do not know it.
    pub fn generate() -> Result<Self, Error> {
        let mut pair = KeyPair::generate().map_err(|_| Error::Random)?;
        let key = Self::from_der(PrivateKeyDer::Pkcs8(pair.serialized_der().to_vec().into()));
        pair.zeroize();
        key
    }

    /// The only private key among the sections of a PEM text (PKCS#8, PKCS#1 or SEC1). Certificates beside it are
    /// skipped.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        if contains(pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(pem, b"Proc-Type: 4,ENCRYPTED") {
            return Err(Error::EncryptedKey);
        }
        let mut keys = Vec::new();
        for mut section in armor::sections(pem)? {
            let der = std::mem::take(&mut *section.der);
            keys.push(match section.kind {
                SectionKind::PrivateKey => PrivateKeyDer::Pkcs8(der.into()),
                SectionKind::RsaPrivateKey => PrivateKeyDer::Pkcs1(der.into()),
                SectionKind::EcPrivateKey => PrivateKeyDer::Sec1(der.into()),
                _ => continue,
            });
        }
        let found = keys.len();
        match (keys.pop(), found) {
            (None, _) => Err(Error::NoSection("PRIVATE KEY")),
            (Some(key), 1) => Self::from_der(key),
            (Some(mut key), _) => {
                key.zeroize();
                keys.iter_mut().for_each(|key| key.zeroize());
                Err(Error::ManySections { section: "PRIVATE KEY", found })
            }
        }
    }

    fn from_der(mut der: PrivateKeyDer<'static>) -> Result<Self, Error> {
        match describe(&der) {
            Ok((signer, scheme, algorithm, public_key_info, public_key)) => {
                Ok(Self { der, signer, scheme, algorithm, public_key_info, public_key })
            }
            Err(error) => {
                der.zeroize();
                Err(error)
            }
        }
    }

    /// PEM, in the form that it was read in; PKCS#8 for a generated one.
    pub fn pem(&self) -> Zeroizing<String> {
        let label = match &self.der {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        armor::encode(label, self.der.secret_der())
    }

    /// subjectPublicKeyInfo of the public key, DER.
    pub(crate) fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }
}

type Description = (Arc<dyn rustls::sign::SigningKey>, SignatureScheme, &'static SignatureAlgorithm, Vec<u8>, Vec<u8>);

/// What a key can do, and its public half.
fn describe(der: &PrivateKeyDer<'static>) -> Result<Description, Error> {
    // The causes that the library gives say nothing of a key's content.
    let signer = any_supported_type(der).map_err(|error| Error::Key(error.to_string()))?;
    let (scheme, algorithm) = SCHEMES
        .into_iter()
        .find(|(scheme, _)| signer.choose_scheme(&[*scheme]).is_some())
        .ok_or_else(|| Error::Key("it signs in no known way".to_owned()))?;
    let no_public_key = || Error::Key("its public key cannot be told".to_owned());
    let public_key_info = signer.public_key().ok_or_else(no_public_key)?.as_ref().to_vec();
    let (_, parsed) = SubjectPublicKeyInfo::from_der(&public_key_info).map_err(|_| no_public_key())?;
    let public_key = parsed.subject_public_key.data.to_vec();
    Ok((signer, scheme, algorithm, public_key_info, public_key))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.der.zeroize();
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(...)")
    }
}

impl PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public_key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signer = self.signer.choose_scheme(&[self.scheme]).ok_or(rcgen::Error::RemoteKeyError)?;
        signer.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", PrivateKey::generate().unwrap()), "PrivateKey(...)");
    }

    #[test]
    fn what_was_written_is_read_back_and_two_keys_are_one_too_many() {
        let key = PrivateKey::generate().unwrap();
        let pem = key.pem();
        let read = PrivateKey::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(read.public_key_info(), key.public_key_info());
        let twice = format!("{}{}", *pem, *pem);
        let many = Error::ManySections { section: "PRIVATE KEY", found: 2 };
        assert_eq!(PrivateKey::from_pem(twice.as_bytes()).unwrap_err(), many);
        assert_eq!(PrivateKey::from_pem(b"").unwrap_err(), Error::NoSection("PRIVATE KEY"));
        assert!(matches!(PrivateKey::from_pem(b"-----BEGIN PRIVATE KEY-----\nAA==\n"), Err(Error::Pem(_))));
    }
}
