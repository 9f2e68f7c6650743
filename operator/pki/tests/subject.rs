//! Subjects in RFC 2253, letter for letter as `openssl x509 -subject -nameopt RFC2253` prints them.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::path::Path;

use common::{openssl_prints, openssl_subject};
use pki::Certificate;
use proptest::prelude::*;
use rcgen::string::{BmpString, TeletexString, UniversalString};
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

/// Attribute types that OpenSSL has a name for, and two that it has not.
const TYPES: [&[u64]; 12] = [
    &[2, 5, 4, 3],
    &[2, 5, 4, 4],
    &[2, 5, 4, 5],
    &[2, 5, 4, 7],
    &[2, 5, 4, 9],
    &[2, 5, 4, 10],
    &[2, 5, 4, 11],
    &[2, 5, 4, 42],
    &[0, 9, 2342, 19_200_300, 100, 1, 25],
    &[1, 2, 840, 113_549, 1, 9, 1],
    &[1, 3, 6, 1, 4, 1, 99_999, 1],
    &[2, 5, 4, 200],
];

fn certificate(attributes: Vec<(usize, DnValue)>) -> Certificate {
    let mut name = DistinguishedName::new();
    for (number, value) in attributes {
        name.push(DnType::CustomDnType(TYPES[number].to_vec()), value);
    }
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    let made = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Certificate::from_der(made.der().to_vec()).unwrap()
}

/// Characters that are special somewhere, and all others.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => proptest::sample::select(" #,+\"\\<>;=/'*\n\t\r\u{0}\u{7f}äß€𝄞".chars().collect::<Vec<_>>()),
        2 => proptest::char::range('a', 'z'),
        1 => any::<char>(),
    ];
    proptest::collection::vec(character, 0..12).prop_map(|characters| characters.into_iter().collect())
}

fn value() -> impl Strategy<Value = DnValue> {
    (text(), 0..6).prop_map(|(text, encoding)| {
        let latin: String = text.chars().filter(char::is_ascii).collect();
        match encoding {
            0 => BmpString::try_from(text.as_str()).map_or(DnValue::Utf8String(text), DnValue::BmpString),
            1 => UniversalString::try_from(text.as_str()).map_or(DnValue::Utf8String(text), DnValue::UniversalString),
            2 => TeletexString::try_from(latin.as_str()).map_or(DnValue::Utf8String(text), DnValue::TeletexString),
            3 => DnValue::Ia5String(latin.as_str().try_into().unwrap()),
            _ => DnValue::Utf8String(text),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_subject_is_printed_as_openssl_prints_it(
        attributes in proptest::collection::vec((0..TYPES.len(), value()), 1..6)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let certificate = certificate(attributes);
        prop_assert_eq!(certificate.subject(), openssl_subject(directory.path(), &certificate));
    }
}

/// A certificate that `openssl` makes itself.
fn made_by_openssl(directory: &Path, subject: &str) -> Certificate {
    let arguments = ["req", "-x509", "-nodes", "-newkey", "ed25519", "-keyout", "key", "-out", "made.pem", "-utf8"];
    openssl_prints(directory, &[&arguments[..], &["-subj", subject]].concat());
    Certificate::from_pem(&std::fs::read(directory.join("made.pem")).unwrap()).unwrap().remove(0)
}

#[test]
fn subjects_that_openssl_made() {
    let directory = tempfile::tempdir().unwrap();
    let manual = "/C=DE/ST=Berlin/L=Berlin/O=BigchainDB GmbH/OU=BigchainDB-Instance/CN=bdb-instance-0/emailAddress=dev@bigchaindb.com";
    let of_manual = made_by_openssl(directory.path(), manual);
    let expected = "emailAddress=dev@bigchaindb.com,CN=bdb-instance-0,OU=BigchainDB-Instance,O=BigchainDB GmbH,L=Berlin,ST=Berlin,C=DE";
    assert_eq!(of_manual.subject(), expected);
    for subject in [
        manual,
        "/DC=org/DC=example/O=Zwölf, \"Söhne\"+OU=x/CN=#1",
        "/CN=#",
        "/CN= ",
        "/CN=  a  ",
        "/O=a+CN=b+OU=c/L=d+ST=e",
        "/SN=s/GN=g/initials=i/title=t/street=s/description=d/serialNumber=1/UID=u/dnQualifier=q/pseudonym=p",
        "/name=n/mail=m@x/unstructuredName=u/unstructuredAddress=a/generationQualifier=g/postalCode=p",
        "/businessCategory=b/postalAddress=p/postOfficeBox=o/telephoneNumber=1/x500UniqueIdentifier=x/organizationIdentifier=o",
        "/jurisdictionL=l/jurisdictionST=s/jurisdictionC=DE",
        // Longer than what fits a length of one byte, in a dump.
        &format!("/1.2.3.4.5={}", "x".repeat(300)),
    ] {
        let certificate = made_by_openssl(directory.path(), subject);
        assert_eq!(certificate.subject(), openssl_subject(directory.path(), &certificate), "{subject}");
    }
}
