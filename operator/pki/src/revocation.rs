//! Certificate revocation lists.

use jiff::Timestamp;
use rustls::pki_types::pem::SectionKind;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::armor;
use crate::certificate::{Certificate, Serial, timestamp};
use crate::error::Error;
use crate::subject;

/// A revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revoked {
    pub serial: Serial,
    /// When it was revoked.
    pub at: Timestamp,
}

/// A list of revoked certificates, signed by their authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    der: Vec<u8>,
    issuer: String,
    issuer_der: Vec<u8>,
    number: Option<Serial>,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    revoked: Vec<Revoked>,
}

impl RevocationList {
    /// Reads one list, and checks no more than that it is one.
    pub fn from_der(der: Vec<u8>) -> Result<Self, Error> {
        let unreadable = |problem: String| Error::RevocationList(problem);
        let (rest, parsed) =
            CertificateRevocationList::from_der(&der).map_err(|error| unreadable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable("there are bytes after its end".to_owned()));
        }
        let mut revoked = Vec::new();
        for entry in parsed.iter_revoked_certificates() {
            let serial = Serial::from_bytes(entry.raw_serial());
            revoked.push(Revoked { serial, at: timestamp(entry.revocation_date)? });
        }
        Ok(Self {
            issuer: subject::rfc2253(parsed.issuer()),
            issuer_der: parsed.issuer().as_raw().to_vec(),
            number: parsed.crl_number().map(|number| Serial::from_bytes(&number.to_bytes_be())),
            this_update: timestamp(parsed.last_update())?,
            next_update: parsed.next_update().map(timestamp).transpose()?,
            revoked,
            der,
        })
    }

    /// All lists of a PEM text; at least one. Each trusted authority has its own.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>, Error> {
        let mut lists = Vec::new();
        for mut section in armor::sections(pem)? {
            if section.kind == SectionKind::Crl {
                lists.push(Self::from_der(std::mem::take(&mut *section.der))?);
            }
        }
        if lists.is_empty() {
            return Err(Error::NoSection("X509 CRL"));
        }
        Ok(lists)
    }

    /// PEM, ending with a newline.
    pub fn pem(&self) -> String {
        armor::encode("X509 CRL", &self.der).to_string()
    }

    /// The authority in RFC 2253.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The number of the list, which grows; lists of old authorities may have none.
    pub fn number(&self) -> Option<&Serial> {
        self.number.as_ref()
    }

    /// When it was signed.
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// When it ends: MongoDB refuses everybody afterwards.
    pub fn next_update(&self) -> Option<Timestamp> {
        self.next_update
    }

    /// What is revoked, in the list's order.
    pub fn revoked(&self) -> &[Revoked] {
        &self.revoked
    }

    /// Whether it names this certificate.
    pub fn revokes(&self, certificate: &Certificate) -> bool {
        let same_authority = self.issuer_der == certificate.issuer_der();
        same_authority && self.revoked.iter().any(|revoked| revoked.serial == *certificate.serial())
    }

    /// Whether this authority's key signed it, and its name stands there as the issuer.
    pub fn is_signed_by(&self, authority: &Certificate) -> bool {
        let Ok((_, key)) = SubjectPublicKeyInfo::from_der(authority.public_key_info()) else { return false };
        let Ok((_, parsed)) = CertificateRevocationList::from_der(&self.der) else { return false };
        self.issuer_der == authority.subject_der() && parsed.verify_signature(&key).is_ok()
    }
}
