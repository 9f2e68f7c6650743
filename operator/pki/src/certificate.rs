//! A certificate that was read: the facts that the operator judges it by.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::Timestamp;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::SectionKind;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use crate::armor;
use crate::error::Error;
use crate::key::PrivateKey;
use crate::subject;

/// O, OU and DC: what members of a MongoDB cluster recognise each other by.
const MEMBERSHIP: [&str; 3] = ["2.5.4.10", "2.5.4.11", "0.9.2342.19200300.100.1.25"];

/// A certificate and what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    subject: String,
    subject_der: Vec<u8>,
    issuer: String,
    issuer_der: Vec<u8>,
    serial: Serial,
    not_before: Timestamp,
    not_after: Timestamp,
    names: Vec<String>,
    membership: Vec<(String, Vec<u8>)>,
    authority: bool,
    list_authority: bool,
    server: bool,
    client: bool,
    public_key_info: Vec<u8>,
    key_identifier: Option<Vec<u8>>,
}

impl Certificate {
    /// Reads one certificate, and checks no more than that it is one.
    pub fn from_der(der: Vec<u8>) -> Result<Self, Error> {
        let unreadable = |error: &dyn fmt::Display| Error::Certificate(error.to_string());
        let (rest, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|error| unreadable(&error))?;
        if !rest.is_empty() {
            return Err(unreadable(&"there are bytes after its end"));
        }
        let key_usage = parsed.key_usage().map_err(|error| unreadable(&error))?;
        let extended = parsed.extended_key_usage().map_err(|error| unreadable(&error))?;
        let basic = parsed.basic_constraints().map_err(|error| unreadable(&error))?;
        let alternative = parsed.subject_alternative_name().map_err(|error| unreadable(&error))?;
        // An extension that is missing restricts nothing.
        let signs_certificates = key_usage.as_ref().is_none_or(|usage| usage.value.key_cert_sign());
        let signs_lists = key_usage.as_ref().is_none_or(|usage| usage.value.crl_sign());
        let authority = basic.is_some_and(|basic| basic.value.ca) && signs_certificates;
        let signs = key_usage.as_ref().is_none_or(|usage| usage.value.digital_signature());
        let may = |purpose: bool, any: bool| signs && (purpose || any);
        let (server, client) = match &extended {
            Some(usage) => {
                (may(usage.value.server_auth, usage.value.any), may(usage.value.client_auth, usage.value.any))
            }
            None => (signs, signs),
        };
        let key_identifier = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
            _ => None,
        });
        Ok(Self {
            subject: subject::rfc2253(parsed.subject()),
            subject_der: parsed.subject().as_raw().to_vec(),
            issuer: subject::rfc2253(parsed.issuer()),
            issuer_der: parsed.issuer().as_raw().to_vec(),
            serial: Serial::from_bytes(parsed.raw_serial()),
            not_before: timestamp(parsed.validity().not_before)?,
            not_after: timestamp(parsed.validity().not_after)?,
            names: alternative.map(|names| alternative_names(&names.value.general_names)).unwrap_or_default(),
            membership: membership(parsed.subject()),
            authority,
            list_authority: authority && signs_lists,
            server,
            client,
            public_key_info: parsed.public_key().raw.to_vec(),
            key_identifier,
            der: CertificateDer::from(der),
        })
    }

    /// All certificates of a PEM text, in their order; at least one. Keys beside them are skipped.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>, Error> {
        let mut certificates = Vec::new();
        for mut section in armor::sections(pem)? {
            if section.kind == SectionKind::Certificate {
                certificates.push(Self::from_der(std::mem::take(&mut *section.der))?);
            }
        }
        if certificates.is_empty() {
            return Err(Error::NoSection("CERTIFICATE"));
        }
        Ok(certificates)
    }

    /// PEM, ending with a newline.
    pub fn pem(&self) -> String {
        armor::encode("CERTIFICATE", &self.der).to_string()
    }

    /// DER, as rustls takes it.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The subject as `openssl x509 -subject -nameopt RFC2253` prints it: the name of a MongoDB user in `$external`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer, written the same way.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The serial number, which a revocation list names.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// From when on it is valid.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last moment at which it is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The subject alternative names that are DNS names or IP addresses.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// O, OU and DC of the subject with their object identifiers, sorted: members of a MongoDB cluster take a client
    /// in whom these are equal to theirs for one of them, with all rights.
    pub fn membership(&self) -> &[(String, Vec<u8>)] {
        &self.membership
    }

    /// Whether it may sign certificates (basicConstraints CA:TRUE, and keyCertSign or no such restriction).
    pub fn is_authority(&self) -> bool {
        self.authority
    }

    /// Whether it may sign revocation lists besides (cRLSign or no such restriction).
    pub fn is_list_authority(&self) -> bool {
        self.list_authority
    }

    /// Whether a server may show it (serverAuth and digitalSignature, or no such restriction).
    pub fn is_for_servers(&self) -> bool {
        self.server
    }

    /// Whether a client may show it (clientAuth and digitalSignature, or no such restriction).
    pub fn is_for_clients(&self) -> bool {
        self.client
    }

    /// Whether a client that dials this DNS name or IP address takes it, by RFC 6125: wildcards count, the common name
    /// does not.
    pub fn is_for_name(&self, name: &str) -> bool {
        let (Ok(name), Ok(parsed)) = (ServerName::try_from(name), ParsedCertificate::try_from(&self.der)) else {
            return false;
        };
        rustls::client::verify_server_name(&parsed, &name).is_ok()
    }

    /// Whether this authority's key signed that certificate, and its name stands there as the issuer.
    pub fn has_signed(&self, certificate: &Certificate) -> bool {
        let Ok((_, key)) = SubjectPublicKeyInfo::from_der(&self.public_key_info) else { return false };
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(&certificate.der) else { return false };
        self.subject_der == certificate.issuer_der && parsed.verify_signature(Some(&key)).is_ok()
    }

    /// The subject in DER.
    pub(crate) fn subject_der(&self) -> &[u8] {
        &self.subject_der
    }

    /// The issuer in DER.
    pub(crate) fn issuer_der(&self) -> &[u8] {
        &self.issuer_der
    }

    /// Whether this is the key that it was issued for.
    pub fn is_of(&self, key: &PrivateKey) -> bool {
        self.public_key_info() == key.public_key_info()
    }

    /// subjectPublicKeyInfo in DER.
    pub(crate) fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }

    /// The subject key identifier, if it has one.
    pub(crate) fn key_identifier(&self) -> Option<&[u8]> {
        self.key_identifier.as_deref()
    }
}

/// Seconds are all that X.509 knows.
pub(crate) fn timestamp(time: ASN1Time) -> Result<Timestamp, Error> {
    let seconds = time.timestamp();
    Timestamp::from_second(seconds).map_err(|_| Error::Time(format!("{seconds} s after 1970")))
}

fn alternative_names(names: &[GeneralName<'_>]) -> Vec<String> {
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
        _ => None,
    };
    names.iter().filter_map(text).collect()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4().or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

fn membership(name: &X509Name<'_>) -> Vec<(String, Vec<u8>)> {
    let mut attributes: Vec<_> = name
        .iter_attributes()
        .map(|attribute| (attribute.attr_type().to_id_string(), attribute.attr_value()))
        .filter(|(identifier, _)| MEMBERSHIP.contains(&identifier.as_str()))
        // The encoding makes no difference to MongoDB.
        .map(|(identifier, value)| (identifier, subject::utf8(value).unwrap_or_else(|| value.data.to_vec())))
        .collect();
    attributes.sort();
    attributes
}

/// A serial number, unique among the certificates of one authority.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// 127 random bits: unguessable and, for all purposes, never drawn twice.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        default_provider().secure_random.fill(&mut bytes).map_err(|_| Error::Random)?;
        bytes[0] &= 0x7F;
        Ok(Self::from_bytes(&bytes))
    }

    /// A positive number, most significant byte first.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Self(bytes[zeros..].to_vec())
    }

    /// The same for rcgen, which writes an empty number wrongly.
    pub(crate) fn to_rcgen(&self) -> rcgen::SerialNumber {
        rcgen::SerialNumber::from(if self.0.is_empty() { vec![0] } else { self.0.clone() })
    }
}

impl fmt::Display for Serial {
    /// As `openssl x509 -serial` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("00");
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = Error;

    /// Hexadecimal digits, also with colons between pairs of them.
    fn from_str(text: &str) -> Result<Self, Error> {
        let unreadable = || Error::Serial(text.to_owned());
        let digits: String = text.trim().chars().filter(|character| *character != ':').collect();
        if digits.is_empty() || digits.len() > 40 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(unreadable());
        }
        let digits = format!("{digits:0>width$}", width = digits.len().next_multiple_of(2));
        let pairs = (0..digits.len()).step_by(2).map(|start| u8::from_str_radix(&digits[start..start + 2], 16));
        let bytes: Vec<u8> = pairs.collect::<Result<_, _>>().map_err(|_| unreadable())?;
        Ok(Self::from_bytes(&bytes))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_read_as_they_are_printed() {
        for (text, printed) in [("0", "00"), ("00:0a:ff", "0AFF"), ("AFF", "0AFF"), (" 7f\n", "7F")] {
            assert_eq!(text.parse::<Serial>().unwrap().to_string(), printed);
        }
        for text in ["", "xy", "-1", "0x10", &"1".repeat(41)] {
            assert_eq!(text.parse::<Serial>(), Err(Error::Serial(text.to_owned())));
        }
        assert_ne!(Serial::random().unwrap(), Serial::random().unwrap());
    }
}
