//! The consortium's certificate authority.

use rcgen::{
    BasicConstraints, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};

use crate::certificate::{Certificate, Serial};
use crate::error::Error;
use crate::key::PrivateKey;
use crate::leaf::{Leaf, Validity, date, parameters};
use crate::revocation::{RevocationList, Revoked};

/// The organizational unit of the authority (manual of 1.0.1, line 499).
pub const ORGANIZATIONAL_UNIT: &str = "ROOT-CA";

/// A certificate authority and its key.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    key: PrivateKey,
}

impl Authority {
    /// A new authority that signs itself and no other authority.
    pub fn create(
        organization: &str,
        common_name: &str,
        key: PrivateKey,
        serial: &Serial,
        validity: Validity,
    ) -> Result<Self, Error> {
        let mut parameters = parameters(organization, ORGANIZATIONAL_UNIT, common_name, serial, validity)?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key).map_err(|error| Error::Signing(error.to_string()))?;
        Self::open(Certificate::from_der(certificate.der().to_vec())?, key)
    }

    /// An authority that exists: one of this operator's, or one that a user gives with its key.
    pub fn open(certificate: Certificate, key: PrivateKey) -> Result<Self, Error> {
        let subject = certificate.subject().to_owned();
        if !certificate.is_list_authority() {
            return Err(Error::NoAuthority { subject });
        }
        if certificate.public_key_info() != key.public_key_info() {
            return Err(Error::KeyMismatch { subject });
        }
        Ok(Self { certificate, key })
    }

    /// Its certificate, which everybody trusts.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its private key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Signs a leaf. It ends with the authority at the latest: nobody takes it afterwards.
    pub fn issue(
        &self,
        leaf: &Leaf,
        key: &PrivateKey,
        serial: &Serial,
        validity: Validity,
    ) -> Result<Certificate, Error> {
        let not_after = validity.not_after.min(self.certificate.not_after());
        if not_after <= validity.not_before {
            let subject = self.certificate.subject().to_owned();
            return Err(Error::AuthorityEnded { subject, not_after });
        }
        let parameters = leaf.parameters(serial, Validity { not_after, ..validity })?;
        let issued = parameters.signed_by(key, &self.issuer()?).map_err(|error| Error::Signing(error.to_string()))?;
        let certificate = Certificate::from_der(issued.der().to_vec())?;
        // rcgen keeps one attribute of each type and encodes anew.
        if certificate.issuer_der() != self.certificate.subject_der() {
            return Err(self.unusable_name());
        }
        Ok(certificate)
    }

    /// Signs the list of what it has revoked. `number` grows with each list.
    pub fn revocation_list(
        &self,
        revoked: &[Revoked],
        number: u64,
        validity: Validity,
    ) -> Result<RevocationList, Error> {
        let entry = |revoked: &Revoked| {
            Ok(RevokedCertParams {
                serial_number: revoked.serial.to_rcgen(),
                revocation_time: date(revoked.at)?,
                reason_code: None,
                invalidity_date: None,
            })
        };
        // OpenSSL looks for the authority by this identifier, whichever way it was derived.
        let key_identifier_method = match self.certificate.key_identifier() {
            Some(identifier) => KeyIdMethod::PreSpecified(identifier.to_vec()),
            None => KeyIdMethod::Sha256,
        };
        let parameters = CertificateRevocationListParams {
            this_update: date(validity.not_before)?,
            next_update: date(validity.not_after)?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect::<Result<_, Error>>()?,
            key_identifier_method,
        };
        let signed = parameters.signed_by(&self.issuer()?).map_err(|error| Error::Signing(error.to_string()))?;
        let list = RevocationList::from_der(signed.der().to_vec())?;
        if !list.is_signed_by(&self.certificate) {
            return Err(self.unusable_name());
        }
        Ok(list)
    }

    fn issuer(&self) -> Result<Issuer<'static, &PrivateKey>, Error> {
        Issuer::from_ca_cert_der(self.certificate.der(), &self.key).map_err(|_| self.unusable_name())
    }

    fn unusable_name(&self) -> Error {
        Error::AuthorityName { subject: self.certificate.subject().to_owned() }
    }
}
