//! What is wrong with a server's TLS, in one line.

use std::path::Path;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

use super::Tls;
use crate::store::mongo::connect::failure::{Failure, one_line};
use crate::store::mongo::connect::probe::Problem;

/// Words for what rustls found.
pub fn problem(server: &str, error: &Error, tls: &Tls) -> Problem {
    let name = |path: Option<&Path>| path.map_or_else(String::new, |path| format!(" `{}`", path.display()));
    let (ca, crl) = (name(tls.ca.as_deref()), name(tls.crl.as_deref()));
    let reason = match error {
        Error::InvalidCertificate(error) => match certificate(error, &ca, &crl) {
            Found::Revocation(reason) => return Problem::Revocation(format!("{server}: {reason}")),
            Found::Other(reason) => reason,
        },
        Error::InvalidCertRevocationList(error) => {
            return Problem::Revocation(format!(
                "{server}: the revocation list{crl} does not count ({error:?}), so it cannot be told whether the server's \
                 certificate is revoked; correct database.crlfile"
            ));
        }
        Error::AlertReceived(alert) if is_about_our_certificate(*alert) => format!(
            "the server refuses this node's certificate ({alert:?}); give one that it trusts in database.certfile and \
             database.keyfile"
        ),
        Error::InvalidMessage(_) => {
            "what answers there speaks no TLS; set database.ssl to false, or correct the host or \
                                     the port"
                .to_owned()
        }
        error => format!("TLS fails: {}", one_line(&error.to_string())),
    };
    Problem::Server(Failure::Refused(format!("{server}: {reason}")))
}

enum Found {
    Revocation(String),
    Other(String),
}

fn certificate(error: &CertificateError, ca: &str, crl: &str) -> Found {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, ExpiredRevocationList, ExpiredRevocationListContext, InvalidPurpose,
        InvalidPurposeContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext, Revoked,
        UnknownIssuer, UnknownRevocationStatus,
    };
    Found::Other(match error {
        Revoked => {
            return Found::Revocation(format!(
                "the server's certificate is revoked by the list{crl}; this node does not speak to it"
            ));
        }
        UnknownRevocationStatus => {
            return Found::Revocation(format!(
                "the revocation list{crl} is not of the authority that signed the server's certificate; add that \
                 authority's list to database.crlfile"
            ));
        }
        ExpiredRevocationList => return expired_list(crl, ""),
        ExpiredRevocationListContext { next_update, .. } => return expired_list(crl, &on(*next_update)),
        Expired => "the server's certificate has expired; renew it".to_owned(),
        ExpiredContext { not_after, .. } => {
            format!("the server's certificate has expired{}; renew it", on(*not_after))
        }
        NotValidYet => "the server's certificate is not valid yet; check the clocks".to_owned(),
        NotValidYetContext { not_before, .. } => {
            format!("the server's certificate is not valid yet, but{}; check the clocks", on(*not_before))
        }
        UnknownIssuer | BadSignature => format!(
            "the server's certificate is not signed by an authority of{}; name the certificate of the one that signed it in \
             database.ca_cert",
            if ca.is_empty() { " Mozilla's list" } else { ca }
        ),
        NotValidForName => "the server's certificate is for another host name".to_owned(),
        NotValidForNameContext { expected, presented } => format!(
            "the server's certificate is not for `{}` (it is for {}); set database.host to a name that is in it, or renew \
             it with this one",
            expected.to_str(),
            names(presented)
        ),
        InvalidPurpose | InvalidPurposeContext { .. } => {
            "the server's certificate is not for servers (extended key usage); renew it with `serverAuth`".to_owned()
        }
        error => format!("the server's certificate is not acceptable: {}", one_line(&error.to_string())),
    })
}

fn expired_list(crl: &str, on: &str) -> Found {
    Found::Revocation(format!(
        "the revocation list{crl} has expired{on}, so it cannot be told whether the server's certificate is revoked; give a \
         newer list in database.crlfile"
    ))
}

fn on(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |time| format!(" on {time}"))
}

/// `DnsName("a")` is `a`.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "no name at all".to_owned();
    }
    let plain = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        format!("`{}`", inner.trim_matches('"'))
    };
    presented.iter().map(plain).collect::<Vec<_>>().join(", ")
}

fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            // Its signature does not verify: another authority of the same name.
            | AlertDescription::DecryptError
    )
}
