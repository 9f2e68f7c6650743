//! What can go wrong while certificates are made or read.

use jiff::Timestamp;
use thiserror::Error;

/// Why something could not be made or read. No variant carries anything of a private key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// With what is wrong and what to do.
    #[error("it is not PEM: {0}")]
    Pem(&'static str),
    #[error("it has no `-----BEGIN {0}-----` section")]
    NoSection(&'static str),
    #[error("it has {found} `-----BEGIN {section}-----` sections; one is expected")]
    ManySections { section: &'static str, found: usize },
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    #[error("the revocation list cannot be read: {0}")]
    RevocationList(String),
    #[error("the private key is encrypted; give it without a pass phrase (`openssl pkey -in KEY -out PLAIN`)")]
    EncryptedKey,
    #[error("the private key cannot be used: {0}; RSA of 2048 to 4096 bits, ECDSA P-256, P-384 and Ed25519 can")]
    Key(String),
    #[error("`{0}` is no serial number: hexadecimal digits are expected, as `openssl x509 -serial` prints them")]
    Serial(String),
    #[error("the private key does not belong to the certificate {subject}")]
    KeyMismatch { subject: String },
    #[error("the certificate {subject} is no certificate authority (basicConstraints CA:TRUE, keyCertSign, cRLSign)")]
    NoAuthority { subject: String },
    #[error(
        "certificates cannot be signed in the name of {subject}: it has two attributes of one type, or one in an \
         encoding other than UTF8String, PrintableString and IA5String; supply the certificates as well"
    )]
    AuthorityName { subject: String },
    #[error("the certificate authority {subject} ended at {not_after}; replace it")]
    AuthorityEnded { subject: String, not_after: Timestamp },
    #[error("{what} `{value}` is {problem}")]
    Value { what: &'static str, value: String, problem: &'static str },
    #[error("the time {0} is outside the years that a certificate can hold (1950 to 9999)")]
    Time(String),
    #[error("it cannot be signed: {0}")]
    Signing(String),
    #[error("the system gives no random numbers")]
    Random,
}
