//! Certificates made for a test.

use std::path::{Path, PathBuf};

use bigchaindb::store::mongo::connect::{ClientCertificate, TlsFiles};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams,
    SerialNumber, date_time_ymd,
};

/// Subject of the client certificate, as the server names the user.
pub const CLIENT: &str = "CN=node-1";

/// Serial number of the server certificate.
pub const SERVER: u64 = 7;

/// An authority and the files it made.
pub struct Pki {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    made: std::cell::Cell<u32>,
}

impl Pki {
    pub fn new() -> Self {
        Self::named("test authority")
    }

    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { directory, issuer: Issuer::new(params, key), made: std::cell::Cell::new(0) }
    }

    pub fn file(&self, text: &str) -> PathBuf {
        let number = self.made.get();
        self.made.set(number + 1);
        let path = self.directory.path().join(format!("{number}.pem"));
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Trust in this authority only.
    pub fn files(&self) -> TlsFiles {
        TlsFiles { ca: Some(self.ca()), crl: None, client: None }
    }

    /// A server's certificate and key.
    pub fn server(&self, name: &str) -> (PathBuf, PathBuf) {
        self.signed(&server_params(name))
    }

    pub fn server_numbered(&self, name: &str, serial: u64) -> (PathBuf, PathBuf) {
        let mut params = server_params(name);
        params.serial_number = Some(SerialNumber::from(serial));
        self.signed(&params)
    }

    pub fn expired_server(&self, name: &str) -> (PathBuf, PathBuf) {
        let mut params = server_params(name);
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 2, 3));
        self.signed(&params)
    }

    /// A node's certificate.
    pub fn client(&self, name: &str) -> ClientCertificate {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (certificate, key) = self.signed(&params);
        ClientCertificate { certificate, key, passphrase: None }
    }

    /// A list that revokes the server's certificate or another one.
    pub fn revocation_list(&self, server: bool, expires: i32) -> PathBuf {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(expires, 1, 2),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(if server { SERVER } else { SERVER + 1 }),
                revocation_time: date_time_ymd(2020, 1, 1),
                reason_code: Some(RevocationReason::KeyCompromise),
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        self.file(&list.signed_by(&self.issuer).unwrap().pem().unwrap())
    }

    fn signed(&self, params: &CertificateParams) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.clone().signed_by(&key, &self.issuer).unwrap();
        (self.file(&certificate.pem()), self.file(&key.serialize_pem()))
    }
}

/// Encrypts a PEM key as `openssl pkcs8 -topk8` does.
pub fn encrypt(key: &Path, passphrase: &str) -> String {
    let key = KeyPair::from_pem(&std::fs::read_to_string(key).unwrap()).unwrap();
    let parameters = pkcs8::pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(2048, &[7; 16], [9; 16]);
    let der = key.serialize_der();
    let key = pkcs8::PrivateKeyInfoRef::try_from(der.as_slice()).unwrap();
    let encrypted = key.encrypt_with_params(parameters.unwrap(), passphrase).unwrap();
    pem::encode(&pem::Pem::new("ENCRYPTED PRIVATE KEY", encrypted.as_bytes()))
}

fn server_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = named("database");
    params.serial_number = Some(SerialNumber::from(SERVER));
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
