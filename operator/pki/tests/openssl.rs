//! What is made here, judged by the real `openssl`.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;
use std::path::Path;

use common::{authority, issue, leaf, leaves, list, now, openssl, openssl_prints, openssl_subject};
use pki::{Authority, Certificate, Error, PrivateKey, RevocationList, Role, Serial, Validity};

/// What `openssl verify` says of a leaf, as strictly as it can.
fn verify(directory: &Path, purpose: &str, more: &[&str]) -> Result<(), String> {
    let strict = ["verify", "-x509_strict", "-check_ss_sig", "-CAfile", "ca.pem", "-crl_check", "-CRLfile", "crl.pem"];
    let arguments = [&strict[..], &["-purpose", purpose], more, &["leaf.pem"]].concat();
    let output = openssl(directory, &arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said) }
}

fn write(directory: &Path, authority: &Authority, list: &RevocationList, leaf: &Certificate) {
    fs::write(directory.join("ca.pem"), authority.certificate().pem()).unwrap();
    fs::write(directory.join("crl.pem"), list.pem()).unwrap();
    fs::write(directory.join("leaf.pem"), leaf.pem()).unwrap();
}

#[test]
fn each_leaf_serves_its_purposes_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let authority = authority();
    let list = list(&authority, &[], 1);
    for leaf in leaves() {
        let (certificate, _) = issue(&authority, &leaf);
        write(directory.path(), &authority, &list, &certificate);
        for (purpose, allowed) in [
            ("sslserver", leaf.role.is_server()),
            ("sslclient", leaf.role.is_client()),
            ("crlsign", false),
            ("smimesign", false),
        ] {
            let verdict = verify(directory.path(), purpose, &[]);
            assert_eq!(verdict.is_ok(), allowed, "{:?} as {purpose}: {verdict:?}", leaf.role);
        }
        assert_eq!(certificate.names(), leaf.all_names(), "{:?}", leaf.role);
        assert_eq!(openssl_subject(directory.path(), &certificate), leaf.subject().unwrap());
        assert_eq!(certificate.subject(), leaf.subject().unwrap());
        let serial = openssl_prints(directory.path(), &["x509", "-in", "leaf.pem", "-noout", "-serial"]);
        assert_eq!(serial.trim_end(), format!("serial={}", certificate.serial()));
    }
}

#[test]
fn a_server_is_taken_under_its_names_only() {
    let directory = tempfile::tempdir().unwrap();
    let authority = authority();
    let (certificate, _) = issue(&authority, &leaves()[0]);
    write(directory.path(), &authority, &list(&authority, &[], 1), &certificate);
    for (option, name, taken) in [
        ("-verify_hostname", "localhost", true),
        ("-verify_hostname", "node-a-mdb.bigchain.svc", true),
        ("-verify_hostname", "node-a-mdb", false),
        ("-verify_hostname", "node-b-mdb.bigchain.svc", false),
        ("-verify_ip", "192.0.2.7", true),
        ("-verify_ip", "192.0.2.8", false),
    ] {
        let verdict = verify(directory.path(), "sslserver", &[option, name]);
        assert_eq!(verdict.is_ok(), taken, "{name}: {verdict:?}");
        assert_eq!(certificate.is_for_name(name), taken, "{name}");
    }
}

#[test]
fn revoked_is_refused_and_its_neighbour_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let authority = authority();
    let [first, second] = ["bdb-0", "bdb-1"].map(|name| issue(&authority, &leaf(Role::Client, name, &[])).0);
    let list = list(&authority, &[&first], 7);
    write(directory.path(), &authority, &list, &first);
    let verdict = verify(directory.path(), "sslclient", &[]).unwrap_err();
    assert!(verdict.contains("certificate revoked"), "{verdict}");
    write(directory.path(), &authority, &list, &second);
    assert_eq!(verify(directory.path(), "sslclient", &[]), Ok(()));
    assert_eq!((list.revokes(&first), list.revokes(&second)), (true, false));
    assert_eq!(list.number().unwrap().to_string(), "07");
    let number = openssl_prints(directory.path(), &["crl", "-in", "crl.pem", "-noout", "-crlnumber"]);
    assert_eq!(number.trim_end(), "crlNumber=0x07");
    let [read] = &RevocationList::from_pem(list.pem().as_bytes()).unwrap()[..] else { panic!("one list") };
    assert_eq!(*read, list);
}

#[test]
fn an_ended_list_and_another_authority_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let ours = authority();
    let (certificate, _) = issue(&ours, &leaves()[1]);
    let validity = Validity {
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2020-02-01T00:00:00Z".parse().unwrap(),
    };
    write(directory.path(), &ours, &ours.revocation_list(&[], 1, validity).unwrap(), &certificate);
    let verdict = verify(directory.path(), "sslclient", &[]).unwrap_err();
    assert!(verdict.contains("CRL has expired"), "{verdict}");
    let theirs = authority();
    write(directory.path(), &theirs, &list(&theirs, &[], 1), &certificate);
    assert!(verify(directory.path(), "sslclient", &[]).is_err());
    assert!(ours.certificate().has_signed(&certificate) && !theirs.certificate().has_signed(&certificate));
}

/// A consortium that has its authority from Easy-RSA keeps it.
#[test]
fn an_authority_of_openssl_signs_here() {
    let directory = tempfile::tempdir().unwrap();
    let subject =
        "/C=DE/ST=Berlin/L=Berlin/O=BigchainDB GmbH/OU=ROOT-CA/CN=Consortium CA/emailAddress=dev@bigchaindb.com";
    for key in [["-newkey", "rsa:2048"], ["-newkey", "ed25519"]] {
        let made = ["req", "-x509", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", subject];
        openssl_prints(directory.path(), &[&made[..], &key[..]].concat());
        let read = |file: &str| fs::read(directory.path().join(file)).unwrap();
        let certificate = Certificate::from_pem(&read("ca.pem")).unwrap().remove(0);
        assert_eq!(openssl_subject(directory.path(), &certificate), certificate.subject());
        let authority = Authority::open(certificate, PrivateKey::from_pem(&read("ca.key")).unwrap()).unwrap();
        let (certificate, _) = issue(&authority, &leaves()[0]);
        // It ends with its authority.
        assert_eq!(certificate.not_after(), authority.certificate().not_after());
        // `openssl req -x509` writes no key usage, so its authorities are not strict ones.
        write(directory.path(), &authority, &list(&authority, &[], 1), &certificate);
        let arguments = ["verify", "-CAfile", "ca.pem", "-crl_check", "-CRLfile", "crl.pem", "leaf.pem"];
        openssl_prints(directory.path(), &arguments);
    }
}

#[test]
fn what_cannot_be_a_certificate_is_refused_with_the_value() {
    let authority = authority();
    let key = PrivateKey::generate().unwrap();
    let validity = Validity::starting(now(), pki::leaf::LEAF_LIFETIME).unwrap();
    let issue = |leaf| authority.issue(&leaf, &key, &Serial::random().unwrap(), validity).unwrap_err().to_string();
    let too_long = "x".repeat(65);
    for (leaf, message) in [
        (leaf(Role::Client, "", &[]), "common name `` is empty".to_owned()),
        (leaf(Role::Client, "a\nb", &[]), "common name `a\\nb` is not printable".to_owned()),
        (
            leaf(Role::Client, &too_long, &[]),
            format!("common name `{too_long}` is longer than the 64 characters that X.520 allows"),
        ),
        (leaf(Role::Gateway, "ngx", &[]), "name `` is missing: a server needs one".to_owned()),
        (leaf(Role::Client, "bdb", &["a.b"]), "name `a.b` is not for a client, which is never dialled".to_owned()),
        (leaf(Role::Member, "mdb", &["a b"]), "name `a b` is neither a DNS name nor an IP address".to_owned()),
    ] {
        assert_eq!(issue(leaf), message);
    }
    let other = PrivateKey::generate().unwrap();
    let subject = authority.certificate().subject().to_owned();
    let opened = Authority::open(authority.certificate().clone(), other);
    assert_eq!(opened.unwrap_err(), Error::KeyMismatch { subject });
    let (leaf, key) = common::issue(&authority, &leaves()[1]);
    let subject = leaf.subject().to_owned();
    assert_eq!(Authority::open(leaf, key).unwrap_err(), Error::NoAuthority { subject });
}
