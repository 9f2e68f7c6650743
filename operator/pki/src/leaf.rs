//! Which certificates a node has, and what stands in each (manual of 1.0.1, lines 499 to 632).

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use rustls::pki_types::ServerName;
use time::OffsetDateTime;

use crate::certificate::{Certificate, Serial};
use crate::error::Error;

/// How long an authority is valid: ten years, Easy-RSA's own.
pub const AUTHORITY_LIFETIME: SignedDuration = days(3650);
/// How long before its end an authority is told to end: as long as a leaf lives, as leaves are shorter from then on.
pub const AUTHORITY_TOLD_BEFORE: SignedDuration = days(365);
/// How long a leaf is valid, unless the user says otherwise: a year, as the operator renews them by itself.
pub const LEAF_LIFETIME: SignedDuration = days(365);
/// How long a revocation list is valid: Easy-RSA's own. MongoDB refuses everybody after `nextUpdate`.
pub const LIST_LIFETIME: SignedDuration = days(180);
/// How long before `nextUpdate` a revocation list is signed anew.
pub const LIST_RENEW_BEFORE: SignedDuration = days(120);

/// Before now, for readers whose clocks are behind.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// The most characters of a name's attribute (X.520, `ub-common-name` and `ub-organization-name`).
const MAX_ATTRIBUTE: usize = 64;

const fn days(number: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * number)
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `mongod`: a server to everybody, a client to the other members.
    Member,
    /// BigchainDB Server, a client of MongoDB.
    Client,
    /// NGINX, a server to everybody.
    Gateway,
}

impl Role {
    /// The organizational unit, as the manual gives it (559, 616); it has none for the gateway. They differ because a
    /// client whose O, OU and DC are the members' is taken for a member.
    pub fn organizational_unit(self) -> &'static str {
        match self {
            Self::Member => "MongoDB-Instance",
            Self::Client => "BigchainDB-Instance",
            Self::Gateway => "BigchainDB-Gateway",
        }
    }

    /// Whether a server shows it.
    pub fn is_server(self) -> bool {
        matches!(self, Self::Member | Self::Gateway)
    }

    /// Whether a client shows it.
    pub fn is_client(self) -> bool {
        matches!(self, Self::Member | Self::Client)
    }
}

/// When something is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Validity {
    /// From an hour ago, for readers whose clocks are behind, until `lifetime` from now.
    pub fn starting(now: Timestamp, lifetime: SignedDuration) -> Result<Self, Error> {
        let out_of_range = |_| Error::Time(format!("{lifetime:#} from {now}"));
        let not_before = now.checked_sub(BACKDATED).map_err(out_of_range)?;
        let not_after = now.checked_add(lifetime).map_err(out_of_range)?;
        if not_after <= now {
            let (value, problem) = (format!("{lifetime:#}"), "not longer than nothing");
            return Err(Error::Value { what: "lifetime", value, problem });
        }
        Ok(Self { not_before, not_after })
    }
}

/// The content of a certificate for one of a node's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub role: Role,
    /// The same in the whole consortium: members recognise each other by it.
    pub organization: String,
    /// Unique among the certificates of the role and the authority.
    pub common_name: String,
    /// DNS names and IP addresses under which the server is dialled; a member has `localhost` besides. Empty for a
    /// client.
    pub names: Vec<String>,
}

impl Leaf {
    /// All subject alternative names, in the order in which the certificate has them.
    pub fn all_names(&self) -> Vec<String> {
        let localhost = (self.role == Role::Member).then(|| "localhost".to_owned());
        let mut names: Vec<String> = Vec::new();
        for name in localhost.into_iter().chain(self.names.iter().cloned()) {
            // An IPv6 address has more than one spelling.
            let name = name.parse::<IpAddr>().map_or(name, |address| address.to_string());
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// What in a certificate is not as wanted here, as a sentence for people; `None` if everything is.
    pub fn difference(&self, certificate: &Certificate) -> Result<Option<String>, Error> {
        let subject = self.subject()?;
        if certificate.subject() != subject {
            return Ok(Some(format!("its subject is {}; {subject} is wanted", certificate.subject())));
        }
        let (found, wanted) = (certificate.names(), self.all_names());
        if found != wanted {
            let (found, wanted) = (found.join(", "), wanted.join(", "));
            return Ok(Some(format!("it names {found}; {wanted} is wanted")));
        }
        let usage = (certificate.is_for_servers(), certificate.is_for_clients());
        if usage != (self.role.is_server(), self.role.is_client()) {
            return Ok(Some("it has other usages than its role wants".to_owned()));
        }
        Ok(None)
    }

    /// The subject in RFC 2253, as the certificate will have it.
    pub fn subject(&self) -> Result<String, Error> {
        let mut subject = String::new();
        for (name, value) in [
            ("CN", checked("common name", &self.common_name)?),
            (",OU", self.role.organizational_unit()),
            (",O", checked("organization", &self.organization)?),
        ] {
            subject.push_str(name);
            subject.push('=');
            crate::subject::push_escaped(&mut subject, value.as_bytes());
        }
        Ok(subject)
    }

    pub(crate) fn parameters(&self, serial: &Serial, validity: Validity) -> Result<CertificateParams, Error> {
        let unit = self.role.organizational_unit();
        let mut parameters = parameters(&self.organization, unit, &self.common_name, serial, validity)?;
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if self.role.is_server() {
            parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if self.role.is_client() {
            parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        let names = self.all_names();
        if self.role.is_server() == names.is_empty() {
            let problem = if names.is_empty() {
                "missing: a server needs one"
            } else {
                "not for a client, which is never dialled"
            };
            return Err(Error::Value { what: "name", value: names.join(", "), problem });
        }
        for name in names {
            parameters.subject_alt_names.push(alternative_name(name)?);
        }
        Ok(parameters)
    }
}

/// What leaves and authorities have in common: O, OU and CN in this order, as Easy-RSA writes them.
pub(crate) fn parameters(
    organization: &str,
    unit: &str,
    common_name: &str,
    serial: &Serial,
    validity: Validity,
) -> Result<CertificateParams, Error> {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, checked("organization", organization)?);
    name.push(DnType::OrganizationalUnitName, unit);
    name.push(DnType::CommonName, checked("common name", common_name)?);
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.serial_number = Some(serial.to_rcgen());
    parameters.not_before = date(validity.not_before)?;
    parameters.not_after = date(validity.not_after)?;
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

/// Attributes that every reader takes: not empty, not over X.520's limit, no control characters.
fn checked<'a>(what: &'static str, value: &'a str) -> Result<&'a str, Error> {
    let problem = if value.trim().is_empty() {
        "empty"
    } else if value.chars().count() > MAX_ATTRIBUTE {
        "longer than the 64 characters that X.520 allows"
    } else if value.chars().any(char::is_control) {
        "not printable"
    } else {
        return Ok(value);
    };
    Err(Error::Value { what, value: value.escape_debug().to_string(), problem })
}

fn alternative_name(name: String) -> Result<SanType, Error> {
    let wildcard = name.strip_prefix("*.").unwrap_or(&name).to_owned();
    match ServerName::try_from(wildcard) {
        Ok(ServerName::IpAddress(address)) if !name.starts_with('*') => Ok(SanType::IpAddress(address.into())),
        Ok(ServerName::DnsName(_)) => {
            let text = Ia5String::try_from(name).map_err(|error| Error::Signing(error.to_string()))?;
            Ok(SanType::DnsName(text))
        }
        _ => Err(Error::Value { what: "name", value: name, problem: "neither a DNS name nor an IP address" }),
    }
}

/// For rcgen, in whole seconds.
pub(crate) fn date(time: Timestamp) -> Result<OffsetDateTime, Error> {
    let date = OffsetDateTime::from_unix_timestamp(time.as_second()).ok();
    date.filter(|date| (1950..=9999).contains(&date.year())).ok_or_else(|| Error::Time(time.to_string()))
}
