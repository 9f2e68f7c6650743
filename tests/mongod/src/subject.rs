//! Names in certificates, as MongoDB uses them.

use std::ops::RangeInclusive;

use x509_parser::oid_registry::{OID_DOMAIN_COMPONENT, OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT, Oid};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

/// What one certificate says of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// RFC 2253, as the user is named in `$external` (manual, "Use x.509 Certificates to Authenticate Clients").
    pub name: String,
    /// O, OU and DC, sorted (manual, "Use x.509 Certificate for Membership Authentication": they must be equal in all
    /// members' certificates, in any order, and at least one must be there).
    membership: Vec<(&'static str, String)>,
    /// The certificate's life, in seconds since 1970.
    validity: RangeInclusive<i64>,
}

impl Subject {
    /// Reads a certificate.
    pub fn of(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let mut membership = Vec::new();
        let attributes =
            [("O", OID_X509_ORGANIZATION_NAME), ("OU", OID_X509_ORGANIZATIONAL_UNIT), ("DC", OID_DOMAIN_COMPONENT)];
        for attribute in certificate.subject().iter_attributes() {
            if let Some((name, _)) = attributes.iter().find(|(_, oid)| oid == attribute.attr_type()) {
                membership.push((*name, value(attribute)));
            }
        }
        membership.sort();
        let validity = certificate.validity();
        let validity = validity.not_before.timestamp()..=validity.not_after.timestamp();
        Ok(Self { name: rfc2253(certificate.subject()), membership, validity })
    }

    /// Whether the certificate is valid at this time, in seconds since 1970.
    pub fn holds_at(&self, time: i64) -> bool {
        self.validity.contains(&time)
    }

    /// Whether the owner of the other certificate is a member of the same set.
    pub fn is_fellow(&self, other: &Self) -> bool {
        !self.membership.is_empty() && self.membership == other.membership
    }

    /// The same of a user's name; `false` if it is not a subject.
    pub fn is_fellow_name(&self, name: &str) -> bool {
        let mut membership: Vec<(&str, String)> = Vec::new();
        for part in parts(name) {
            let Some((attribute, value)) = part.split_once('=') else { return false };
            if let Some(known) = ["O", "OU", "DC"].into_iter().find(|known| *known == attribute.trim()) {
                membership.push((known, value.replace('\\', "")));
            }
        }
        membership.sort();
        !membership.is_empty() && self.membership == membership
    }
}

fn rfc2253(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|set| {
            let attributes = set
                .iter()
                .map(|attribute| format!("{}={}", short_name(attribute.attr_type()), escaped(&value(attribute))));
            attributes.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

fn value(attribute: &x509_parser::x509::AttributeTypeAndValue<'_>) -> String {
    attribute.as_str().map_or_else(|_| String::from_utf8_lossy(attribute.as_slice()).into_owned(), str::to_owned)
}

/// Names of RFC 2253, section 2.3, and those that OpenSSL adds to them.
fn short_name(oid: &Oid<'_>) -> String {
    let dotted = oid.to_id_string();
    let known = match dotted.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "GN",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return dotted,
    };
    known.to_owned()
}

/// RFC 2253, section 2.4.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::new();
    for (at, character) in value.chars().enumerate() {
        let special = matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (at == 0 && matches!(character, ' ' | '#'))
            || (at == last && character == ' ');
        if special {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// A name's parts: commas with a backslash before them do not part.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = name.chars();
    while let Some(character) = characters.next() {
        match (character, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            ('\\', Some(part)) => {
                part.push('\\');
                part.extend(characters.next());
            }
            (character, Some(part)) => part.push(character),
            (_, None) => {}
        }
    }
    parts
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn subject(attributes: &[(DnType, &str)]) -> Subject {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind.clone(), *value);
        }
        Subject::of(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap()
    }

    #[test]
    fn a_subject_is_written_as_openssl_writes_it() {
        let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        let attributes = [
            (DnType::CountryName, "DE"),
            (DnType::StateOrProvinceName, "Berlin"),
            (DnType::LocalityName, "Berlin"),
            (DnType::OrganizationName, "Ledger, Inc. "),
            (DnType::OrganizationalUnitName, "#1 <MongoDB+Instance>"),
            (DnType::CommonName, "a\"b\\c"),
            (email, "a@example.com"),
        ];
        let expected = r#"emailAddress=a@example.com,CN=a\"b\\c,OU=\#1 \<MongoDB\+Instance\>,O=Ledger\, Inc.\ ,L=Berlin,ST=Berlin,C=DE"#;
        assert_eq!(subject(&attributes).name, expected);
    }

    #[test]
    fn organisation_and_unit_make_a_member_and_nothing_else_does() {
        let named = |unit, name| {
            let organisation = (DnType::OrganizationName, "Ledger, Inc.");
            subject(&[organisation, (DnType::OrganizationalUnitName, unit), (DnType::CommonName, name)])
        };
        let member = named("MongoDB-Instance", "mdb-0");
        assert!(member.is_fellow(&named("MongoDB-Instance", "mdb-1")));
        assert!(!member.is_fellow(&named("BigchainDB-Instance", "mdb-0")));
        assert!(member.is_fellow_name(&named("MongoDB-Instance", "mdb-1").name));
        assert!(!member.is_fellow_name("CN=mdb-0,OU=MongoDB-Instance") && !member.is_fellow_name("alice"));
        let nameless = subject(&[(DnType::CommonName, "mdb-0")]);
        assert!(!nameless.is_fellow(&nameless));
    }
}
