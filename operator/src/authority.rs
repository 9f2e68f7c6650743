//! The certificate authority of a BigchainCluster, in its Secret `<cluster>-ca`.
//!
//! The Secret holds what must never be lost: the authority's key, what it has revoked, and the number of its last
//! revocation list. It has no owner, so that nothing but the finalizer of the last node ever deletes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use pki::renewal::{self, Renewal};
use pki::revocation::Revoked;
use pki::supplied::{self, Fault};
use pki::{Authority, Certificate, PrivateKey, RevocationList, Serial, Validity, leaf};

/// The certificate.
pub const CERTIFICATE: &str = "ca.crt";
/// Its key.
pub const KEY: &str = "ca.key";
/// The revocation list that is in force.
pub const LIST: &str = "crl.pem";
/// The number of that list: it only grows.
const LIST_NUMBER: &str = "crl-number";

/// Data of a Secret.
pub type Data = BTreeMap<String, ByteString>;

/// An authority, and what it says of the certificates that it has revoked.
#[derive(Debug)]
pub struct Consortium {
    pub authority: Authority,
    /// `None`: it has not signed one yet.
    pub list: Option<RevocationList>,
    /// The user's own lists of it, which the operator's continue.
    supplied_lists: Vec<RevocationList>,
}

impl Consortium {
    /// What is revoked: whatever one of the lists names, so that nothing is ever good again.
    fn revoked(&self) -> Vec<Revoked> {
        let mut revoked: Vec<Revoked> = Vec::new();
        for one in self.list.iter().chain(&self.supplied_lists).flat_map(RevocationList::revoked) {
            if !revoked.iter().any(|known| known.serial == one.serial) {
                revoked.push(one.clone());
            }
        }
        revoked
    }

    /// The greatest number of a list that the user signed; one of more than 64 bits counts as the greatest of 64.
    fn supplied_number(&self) -> u64 {
        let numbers = self.supplied_lists.iter().filter_map(RevocationList::number);
        numbers.map(|number| u64::from_str_radix(&number.to_string(), 16).unwrap_or(u64::MAX)).max().unwrap_or(0)
    }
}

/// Why an authority cannot be used: a sentence for people.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error(
        "it has no `{0}`: put it back, or delete the Secret and the operator makes a new authority, which issues every certificate anew"
    )]
    Missing(&'static str),
    #[error("`{file}`: {source}")]
    Unusable {
        file: &'static str,
        #[source]
        source: pki::Error,
    },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Supplied(Vec<Fault>),
    #[error(
        "it has no `ca.key` (or `tls.key`), so that nothing can be signed: add it, or supply every certificate \
         (database.memberTlsSecretRef, database.tlsSecretRef, gateway.tlsSecretRef)"
    )]
    NoKey,
    #[error(
        "the certificate {subject} was signed by {issuer} and not by itself: MongoDB trusts only a chain that it can follow to a \
         self-signed certificate; supply the root authority and its key, or supply every certificate \
         (database.memberTlsSecretRef, database.tlsSecretRef, gateway.tlsSecretRef)"
    )]
    NotSelfSigned { subject: String, issuer: String },
    #[error(
        "`crl.pem`: the list of {issuer} was not signed by the authority {subject}: remove it, or supply that authority's"
    )]
    ForeignList { issuer: String, subject: String },
    #[error(transparent)]
    Signing(#[from] pki::Error),
}

/// Whether the operator's Secret, or what there is of it, lacks an authority altogether; half of one is not replaced.
pub fn is_to_be_made(own: &Data) -> bool {
    !own.contains_key(CERTIFICATE) && !own.contains_key(KEY)
}

/// A new authority in the operator's Secret, `own`, whose lists' numbers it continues.
pub fn create(own: &Data, organization: &str, common_name: &str, now: Timestamp) -> Result<Data, AuthorityError> {
    let validity = Validity::starting(now, leaf::AUTHORITY_LIFETIME)?;
    let authority =
        Authority::create(organization, common_name, PrivateKey::generate()?, &Serial::random()?, validity)?;
    let mut data = own.clone();
    data.insert(CERTIFICATE.to_owned(), bytes(&authority.certificate().pem()));
    data.insert(KEY.to_owned(), bytes(&authority.key().pem()));
    with_list(&data, &authority, &[], number(own), now)
}

/// Reads the Secret of an authority that the operator made.
pub fn open(own: &Data) -> Result<Consortium, AuthorityError> {
    let unusable = |file| move |source| AuthorityError::Unusable { file, source };
    let certificates = Certificate::from_pem(file(own, CERTIFICATE)?).map_err(unusable(CERTIFICATE))?;
    let certificate = certificates.into_iter().next().ok_or(AuthorityError::Missing(CERTIFICATE))?;
    let key = PrivateKey::from_pem(file(own, KEY)?).map_err(unusable(KEY))?;
    let authority = Authority::open(certificate, key).map_err(unusable(CERTIFICATE))?;
    Ok(Consortium { list: list_of(own, &authority)?, authority, supplied_lists: Vec::new() })
}

/// Reads an authority that the user gives; its revocation lists are in the operator's own Secret, `own`.
pub fn open_supplied(supplied: &Data, own: &Data) -> Result<Consortium, AuthorityError> {
    let files = supplied.iter().map(|(name, file)| (name.as_str(), file.0.as_slice())).collect();
    let read = supplied::read_authority(&files).map_err(AuthorityError::Supplied)?;
    let certificate = read.certificates.into_iter().next().ok_or(AuthorityError::Missing(CERTIFICATE))?;
    if !certificate.has_signed(&certificate) {
        let (subject, issuer) = (certificate.subject().to_owned(), certificate.issuer().to_owned());
        return Err(AuthorityError::NotSelfSigned { subject, issuer });
    }
    let authority = Authority::open(certificate, read.key.ok_or(AuthorityError::NoKey)?)?;
    if let Some(list) = read.lists.iter().find(|list| !list.is_signed_by(authority.certificate())) {
        let (issuer, subject) = (list.issuer().to_owned(), authority.certificate().subject().to_owned());
        return Err(AuthorityError::ForeignList { issuer, subject });
    }
    Ok(Consortium { list: list_of(own, &authority)?, authority, supplied_lists: read.lists })
}

fn list_of(own: &Data, authority: &Authority) -> Result<Option<RevocationList>, AuthorityError> {
    let Some(file) = own.get(LIST) else { return Ok(None) };
    let unusable = |source| AuthorityError::Unusable { file: LIST, source };
    let lists = RevocationList::from_pem(&file.0).map_err(unusable)?;
    Ok(lists.into_iter().find(|list| list.is_signed_by(authority.certificate())))
}

/// The operator's Secret with a new list, if there is none, it ends soon or the user has revoked more, and why: everybody
/// refuses everybody after its end.
pub fn renewed(own: &Data, consortium: &Consortium, now: Timestamp) -> Result<Option<(Data, String)>, AuthorityError> {
    let Consortium { authority, list, .. } = consortium;
    let revoked = consortium.revoked();
    let reason = match list {
        None => "there is none of this authority".to_owned(),
        Some(list) => match renewal::list(list, &revoked, authority.certificate(), now, leaf::LIST_RENEW_BEFORE) {
            Renewal::Keep => return Ok(None),
            Renewal::Renew(reason) => reason,
        },
    };
    let number = number(own).max(consortium.supplied_number());
    Ok(Some((with_list(own, authority, &revoked, number, now)?, reason)))
}

fn with_list(
    own: &Data,
    authority: &Authority,
    revoked: &[Revoked],
    last_number: u64,
    now: Timestamp,
) -> Result<Data, AuthorityError> {
    let number = last_number.saturating_add(1);
    let list = authority.revocation_list(revoked, number, Validity::starting(now, leaf::LIST_LIFETIME)?)?;
    let mut data = own.clone();
    data.insert(LIST.to_owned(), bytes(&list.pem()));
    data.insert(LIST_NUMBER.to_owned(), bytes(&number.to_string()));
    Ok(data)
}

/// The number of the last list.
fn number(own: &Data) -> u64 {
    let number = own.get(LIST_NUMBER).and_then(|number| std::str::from_utf8(&number.0).ok()?.trim().parse().ok());
    number.unwrap_or(0)
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

fn file<'a>(data: &'a Data, name: &'static str) -> Result<&'a [u8], AuthorityError> {
    data.get(name).map(|file| file.0.as_slice()).ok_or(AuthorityError::Missing(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + day * 86_400).expect("a time")
    }

    #[test]
    fn a_list_is_signed_anew_long_before_its_end_with_a_greater_number() {
        let data = create(&Data::new(), "Example", "example", at(0)).expect("an authority");
        let consortium = open(&data).expect("it reads");
        assert!(renewed(&data, &consortium, at(1)).expect("no fault").is_none());
        let (data, reason) = renewed(&data, &consortium, at(61)).expect("no fault").expect("it is time");
        assert!(!reason.is_empty());
        let consortium = open(&data).expect("it reads");
        let number = consortium.list.as_ref().and_then(|list| list.number()).map(ToString::to_string);
        assert_eq!(number.as_deref(), Some("02"));
        assert!(renewed(&data, &consortium, at(62)).expect("no fault").is_none());
    }

    #[test]
    fn a_supplied_authority_gets_lists_in_the_operator_s_own_secret() {
        let supplied = create(&Data::new(), "Example", "example", at(0)).expect("an authority");
        let mut files = supplied.clone();
        files.remove(LIST);
        let consortium = open_supplied(&files, &Data::new()).expect("it reads");
        let (own, _) = renewed(&Data::new(), &consortium, at(0)).expect("no fault").expect("there is none");
        assert_eq!(own.keys().collect::<Vec<_>>(), [LIST_NUMBER, LIST]);
        assert!(open_supplied(&files, &own).expect("it reads").list.is_some());
        files.remove(KEY);
        assert!(matches!(open_supplied(&files, &own), Err(AuthorityError::NoKey)));
    }

    #[test]
    fn what_is_missing_or_damaged_is_named() {
        let good = create(&Data::new(), "Example", "example", at(0)).expect("an authority");
        for name in [CERTIFICATE, KEY] {
            let mut data = good.clone();
            data.remove(name);
            let error = open(&data).expect_err("it is missing").to_string();
            assert!(error.contains(name), "{error}");
            data.insert(name.to_owned(), ByteString(b"nothing".to_vec()));
            let error = open(&data).expect_err("it is damaged").to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    fn revoked_by(own: &Data, files: &Data) -> Vec<String> {
        let consortium = open_supplied(files, own).expect("it reads");
        consortium.list.iter().flat_map(RevocationList::revoked).map(|one| one.serial.to_string()).collect()
    }

    #[test]
    fn what_the_user_revoked_stays_revoked() {
        let mut files = create(&Data::new(), "Example", "example", at(0)).expect("an authority");
        let authority = open(&files).expect("it reads").authority;
        let validity = Validity::starting(at(0), leaf::LIST_LIFETIME).expect("times");
        let mut supply = |serials: &[&str], number| {
            let one = |serial: &&str| Revoked { serial: serial.parse().expect("a number"), at: at(-1) };
            let revoked: Vec<Revoked> = serials.iter().map(one).collect();
            let list = authority.revocation_list(&revoked, number, validity).expect("a list");
            files.insert(LIST.to_owned(), bytes(&list.pem()));
            files.clone()
        };
        let first = supply(&["0A"], 40);
        let consortium = open_supplied(&first, &Data::new()).expect("it reads");
        let (own, _) = renewed(&Data::new(), &consortium, at(0)).expect("no fault").expect("there is none");
        assert_eq!(revoked_by(&own, &first), ["0A"]);
        assert_eq!(own[LIST_NUMBER].0, b"41");
        assert!(renewed(&own, &open_supplied(&first, &own).expect("it reads"), at(1)).expect("no fault").is_none());
        // Revoked later: at once, and what an older list named stays.
        let second = supply(&["0B"], 7);
        let consortium = open_supplied(&second, &own).expect("it reads");
        let (own, reason) = renewed(&own, &consortium, at(1)).expect("no fault").expect("more is revoked");
        assert!(reason.contains("0B"), "{reason}");
        assert_eq!(revoked_by(&own, &second), ["0A", "0B"]);
        assert_eq!(own[LIST_NUMBER].0, b"42");

        let stranger = create(&Data::new(), "Example", "stranger", at(0)).expect("an authority");
        let foreign = Data::from([(LIST.to_owned(), stranger[LIST].clone())]);
        let files = second.into_iter().chain(foreign).collect();
        let error = open_supplied(&files, &own).expect_err("it is another's").to_string();
        assert!(error.contains("the list of CN=stranger") && error.contains("CN=example"), "{error}");
    }

    #[test]
    fn an_authority_that_another_one_signed_is_refused() {
        let root =
            open(&create(&Data::new(), "Example", "root", at(0)).expect("an authority")).expect("it reads").authority;
        let issuer = rcgen::Issuer::from_ca_cert_der(root.certificate().der(), root.key()).expect("an issuer");
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "middle");
        let key = PrivateKey::generate().expect("a key");
        let middle = parameters.signed_by(&key, &issuer).expect("a certificate");
        let middle = Certificate::from_der(middle.der().to_vec()).expect("it reads");
        let chain = format!("{}{}", middle.pem(), root.certificate().pem());
        let files = Data::from([("tls.crt".to_owned(), bytes(&chain)), ("tls.key".to_owned(), bytes(&key.pem()))]);
        let error = open_supplied(&files, &Data::new()).expect_err("it is not the root").to_string();
        assert!(error.contains("CN=middle") && error.contains("signed by CN=root"), "{error}");
        assert!(error.contains("supply the root authority"), "{error}");
    }
}
