//! Certificates for tests, and the real `openssl`.
#![allow(dead_code)] // Each test program uses a part of it.

use std::path::Path;
use std::process::{Command, Output};

use jiff::Timestamp;
use pki::leaf::{AUTHORITY_LIFETIME, LEAF_LIFETIME, LIST_LIFETIME};
use pki::revocation::Revoked;
use pki::{Authority, Certificate, Leaf, PrivateKey, RevocationList, Role, Serial, Validity};

pub const ORGANIZATION: &str = "Consortium";

/// Now by the machine's clock: `openssl` and rustls read it, too.
pub fn now() -> Timestamp {
    Timestamp::now()
}

pub fn authority() -> Authority {
    let validity = Validity::starting(now(), AUTHORITY_LIFETIME).unwrap();
    let (key, serial) = (PrivateKey::generate().unwrap(), Serial::random().unwrap());
    Authority::create(ORGANIZATION, "Root", key, &serial, validity).unwrap()
}

pub fn leaf(role: Role, common_name: &str, names: &[&str]) -> Leaf {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Leaf { role, organization: ORGANIZATION.to_owned(), common_name: common_name.to_owned(), names }
}

pub fn issue(authority: &Authority, leaf: &Leaf) -> (Certificate, PrivateKey) {
    let validity = Validity::starting(now(), LEAF_LIFETIME).unwrap();
    let key = PrivateKey::generate().unwrap();
    let certificate = authority.issue(leaf, &key, &Serial::random().unwrap(), validity).unwrap();
    (certificate, key)
}

/// The three of a node.
pub fn leaves() -> [Leaf; 3] {
    [
        leaf(Role::Member, "node-a-mdb", &["node-a-mdb.bigchain.svc", "192.0.2.7"]),
        leaf(Role::Client, "node-a-bdb", &[]),
        leaf(Role::Gateway, "node-a-ngx", &["node-a.example.org", "::1"]),
    ]
}

pub fn list(authority: &Authority, revoked: &[&Certificate], number: u64) -> RevocationList {
    let at = now();
    let revoked: Vec<_> = revoked.iter().map(|one| Revoked { serial: one.serial().clone(), at }).collect();
    authority.revocation_list(&revoked, number, Validity::starting(at, LIST_LIFETIME).unwrap()).unwrap()
}

/// Runs `openssl` in a directory.
pub fn openssl(directory: &Path, arguments: &[&str]) -> Output {
    Command::new("openssl").args(arguments).current_dir(directory).output().expect("`openssl` runs")
}

/// Runs it, and is given what it prints.
pub fn openssl_prints(directory: &Path, arguments: &[&str]) -> String {
    let output = openssl(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The subject by `openssl`.
pub fn openssl_subject(directory: &Path, certificate: &Certificate) -> String {
    std::fs::write(directory.join("subject.pem"), certificate.pem()).unwrap();
    let arguments = ["x509", "-in", "subject.pem", "-inform", "PEM", "-noout", "-subject", "-nameopt", "RFC2253"];
    let printed = openssl_prints(directory, &arguments);
    printed.strip_suffix('\n').unwrap().strip_prefix("subject=").unwrap().to_owned()
}
