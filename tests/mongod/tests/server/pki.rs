//! Certificates made for a test.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams,
    SerialNumber, date_time_ymd,
};

/// Organizational unit of members.
pub const MEMBER: &str = "MongoDB-Instance";
/// Of the server's clients.
pub const CLIENT: &str = "BigchainDB-Instance";

const ORGANIZATION: &str = "Consortium";

/// Serial number of the first member's certificate.
pub const SERIAL: u64 = 7;

/// An authority, and the files that it made.
pub struct Pki {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// The subject of a certificate as RFC 2253 writes it.
pub fn subject(unit: &str, name: &str) -> String {
    format!("CN={name},OU={unit},O={ORGANIZATION}")
}

impl Pki {
    /// With a member's certificate and an empty list of revocations.
    pub fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = named("ROOT-CA", "Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pki = Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) };
        fs::write(pki.file("ca.pem"), certificate.pem()).unwrap();
        pki.member(SERIAL, 2200);
        pki.revoke(&[], 2200);
        pki
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes `member.pem`, which ends with a year.
    pub fn member(&self, serial: u64, end: i32) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = named(MEMBER, "node-mdb");
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(end, 1, 1));
        self.sign(params, "member.pem");
    }

    /// A client's certificate and key, in one file.
    pub fn client(&self, unit: &str, name: &str, serial: u64) -> PathBuf {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = named(unit, name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, &format!("{unit}-{name}.pem"))
    }

    /// Writes `crl.pem`, which ends with a year.
    pub fn revoke(&self, serials: &[u64], end: i32) {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(end, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        fs::write(self.file("crl.pem"), list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
    }

    fn sign(&self, mut params: CertificateParams, name: &str) -> PathBuf {
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = self.file(name);
        fs::write(&file, certificate.pem() + &key.serialize_pem()).unwrap();
        file
    }
}

fn named(unit: &str, name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, ORGANIZATION);
    subject.push(DnType::OrganizationalUnitName, unit);
    subject.push(DnType::CommonName, name);
    subject
}
