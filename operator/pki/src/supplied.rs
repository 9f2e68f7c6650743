//! Material that a user made: what is in a Secret, in the layout that operators of 1.0.1 hold (manual, lines 580 to 640)
//! or in cert-manager's.
//!
//! | | 1.0.1 | cert-manager |
//! |---|---|---|
//! | member | `mdb-instance.pem` (certificate, then key), `ca.pem`, `mdb-crl.pem` | `tls.crt`, `tls.key`, `ca.crt`, `crl.pem` |
//! | client | `bdb-instance.pem`, `bdb-instance.key`, `ca.pem`, `crlfile` | the same |
//! | gateway | `cert.pem`, `cert.key` | `tls.crt`, `tls.key` |
//! | authority | `ca.pem` or `ca.crt`, `ca.key`, `crl.pem` | `tls.crt`, `tls.key` |
//!
//! Intermediate certificates follow the first one in its file. White space around PEM, which `echo … | base64` adds, is
//! of no meaning. cert-manager writes no revocation list, so `crl.pem` beside it is a user's own.

use std::collections::BTreeMap;
use std::fmt;

use crate::certificate::Certificate;
use crate::error::Error;
use crate::key::PrivateKey;
use crate::leaf::Role;
use crate::revocation::RevocationList;

/// The data of a Secret.
pub type Files<'a> = BTreeMap<&'a str, &'a [u8]>;

/// What is wrong with supplied material, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key in the Secret's data; empty if it concerns the whole Secret.
    pub file: String,
    /// A sentence for people, without a full stop.
    pub problem: String,
}

impl Fault {
    pub(crate) fn new(file: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { file: file.into(), problem: problem.to_string() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file.as_str() {
            "" => f.write_str(&self.problem),
            file => write!(f, "`{file}`: {}", self.problem),
        }
    }
}

/// Which files a layout has.
struct Layout {
    certificate: &'static str,
    /// The certificate's file, if it holds the key as well.
    key: &'static str,
    authorities: &'static str,
    lists: &'static str,
}

const CERT_MANAGER: Layout = Layout { certificate: "tls.crt", key: "tls.key", authorities: "ca.crt", lists: "crl.pem" };

const fn own_layout(role: Role) -> Layout {
    match role {
        Role::Member => Layout {
            certificate: "mdb-instance.pem",
            key: "mdb-instance.pem",
            authorities: "ca.pem",
            lists: "mdb-crl.pem",
        },
        Role::Client => {
            Layout { certificate: "bdb-instance.pem", key: "bdb-instance.key", authorities: "ca.pem", lists: "crlfile" }
        }
        Role::Gateway => Layout { certificate: "cert.pem", key: "cert.key", authorities: "ca.pem", lists: "crl.pem" },
    }
}

/// A certificate with everything that stood beside it, read and not yet judged: see [`crate::check`].
#[derive(Debug)]
pub struct Bundle {
    pub role: Role,
    /// The file that the certificate came from.
    pub file: &'static str,
    pub certificate: Certificate,
    /// What stands between the certificate and an authority, in the file's order.
    pub intermediates: Vec<Certificate>,
    pub key: PrivateKey,
    /// Whom to trust; empty for a gateway, whose clients know themselves whom they trust.
    pub authorities: Vec<Certificate>,
    pub authorities_file: &'static str,
    /// Empty if there are none: nobody looks for revoked certificates then.
    pub lists: Vec<RevocationList>,
    pub lists_file: &'static str,
}

impl Bundle {
    /// Certificate and intermediates, PEM.
    pub fn chain_pem(&self) -> String {
        std::iter::once(&self.certificate).chain(&self.intermediates).map(Certificate::pem).collect()
    }
}

/// Reads a leaf's Secret; all faults at once.
pub fn read(role: Role, files: &Files<'_>) -> Result<Bundle, Vec<Fault>> {
    let layout = match (files.contains_key(own_layout(role).certificate), files.contains_key("tls.crt")) {
        (true, false) => own_layout(role),
        (false, true) => CERT_MANAGER,
        (both, _) => return Err(vec![unclear(own_layout(role).certificate, both, files)]),
    };
    let mut faults = Vec::new();
    let certificates = take(files, layout.certificate, Certificate::from_pem, &mut faults);
    let key = take(files, layout.key, PrivateKey::from_pem, &mut faults);
    // A gateway's clients bring their own authorities and lists.
    let trusts = role != Role::Gateway;
    let authorities =
        if trusts { take(files, layout.authorities, Certificate::from_pem, &mut faults) } else { Some(Vec::new()) };
    let lists = match files.get(layout.lists) {
        // The template of 1.0.1 lets values that are not needed be empty.
        Some(text) if trusts && !text.trim_ascii().is_empty() => {
            take(files, layout.lists, RevocationList::from_pem, &mut faults)
        }
        _ => Some(Vec::new()),
    };
    let (Some(mut certificates), Some(key), Some(authorities), Some(lists)) = (certificates, key, authorities, lists)
    else {
        return Err(faults);
    };
    let intermediates = certificates.split_off(1);
    let Some(certificate) = certificates.pop() else { return Err(faults) };
    let Layout { certificate: file, key: _, authorities: authorities_file, lists: lists_file } = layout;
    Ok(Bundle { role, file, certificate, intermediates, key, authorities, authorities_file, lists, lists_file })
}

/// An authority that a user gives.
#[derive(Debug)]
pub struct SuppliedAuthority {
    pub certificates: Vec<Certificate>,
    /// Without its key nothing can be signed: every leaf is supplied, too.
    pub key: Option<PrivateKey>,
    pub lists: Vec<RevocationList>,
}

/// Reads an authority's Secret; all faults at once.
pub fn read_authority(files: &Files<'_>) -> Result<SuppliedAuthority, Vec<Fault>> {
    let names = ["ca.pem", "ca.crt", "tls.crt"];
    // cert-manager's own authority: `ca.crt` beside its `tls.crt` is the same or its issuer.
    let present: Vec<&str> = names.into_iter().filter(|name| files.contains_key(name)).collect();
    let (file, key_file) = match present.as_slice() {
        [.., "tls.crt"] if files.contains_key("tls.key") => ("tls.crt", "tls.key"),
        [file, ..] => (*file, "ca.key"),
        [] => return Err(vec![Fault::new("", format!("none of {} is there; {}", names.join(", "), listing(files)))]),
    };
    let mut faults = Vec::new();
    let certificates = take(files, file, Certificate::from_pem, &mut faults);
    let key = match files.contains_key(key_file) {
        true => take(files, key_file, PrivateKey::from_pem, &mut faults),
        false => None,
    };
    let lists = match files.contains_key("crl.pem") {
        true => take(files, "crl.pem", RevocationList::from_pem, &mut faults),
        false => Some(Vec::new()),
    };
    match (certificates, lists) {
        (Some(certificates), Some(lists)) if faults.is_empty() => Ok(SuppliedAuthority { certificates, key, lists }),
        _ => Err(faults),
    }
}

fn take<T>(
    files: &Files<'_>,
    file: &'static str,
    read: fn(&[u8]) -> Result<T, Error>,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let problem = match files.get(file).map(|text| read(text)) {
        Some(Ok(value)) => return Some(value),
        Some(Err(error)) => error.to_string(),
        None => format!("it is missing; {}", listing(files)),
    };
    faults.push(Fault::new(file, problem));
    None
}

fn unclear(own: &str, both: bool, files: &Files<'_>) -> Fault {
    let problem = match both {
        true => format!("both `{own}` and `tls.crt` are there: remove the one that does not count"),
        false => format!("neither `{own}` nor `tls.crt` is there; {}", listing(files)),
    };
    Fault::new("", problem)
}

fn listing(files: &Files<'_>) -> String {
    match files.is_empty() {
        true => "the Secret is empty".to_owned(),
        false => format!("the Secret has {}", files.keys().copied().collect::<Vec<_>>().join(", ")),
    }
}
