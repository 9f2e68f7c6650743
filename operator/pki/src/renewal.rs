//! Whether a certificate or a revocation list is to be replaced.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::certificate::{Certificate, Serial};
use crate::error::Error;
use crate::leaf::Leaf;
use crate::revocation::{RevocationList, Revoked};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    Keep,
    /// Make a new one, for this reason: a sentence for people without a full stop.
    Renew(String),
}

/// Judges a leaf: by its end, by what is wanted in it now, and by the authority that has to have signed it.
pub fn leaf(
    certificate: &Certificate,
    wanted: &Leaf,
    authority: &Certificate,
    now: Timestamp,
    renew_before: SignedDuration,
) -> Result<Renewal, Error> {
    if let Some(difference) = wanted.difference(certificate)? {
        return Ok(Renewal::Renew(difference));
    }
    if !authority.has_signed(certificate) {
        let reason = format!("it was signed by {}, not by the authority {}", certificate.issuer(), authority.subject());
        return Ok(Renewal::Renew(reason));
    }
    // A leaf cannot outlive its authority: a new one would end at the same moment.
    if certificate.not_after() >= authority.not_after() && now < certificate.not_after() {
        return Ok(Renewal::Keep);
    }
    Ok(lifetime(certificate.not_before(), certificate.not_after(), now, renew_before))
}

/// Judges any certificate by its end alone.
pub fn certificate(certificate: &Certificate, now: Timestamp, renew_before: SignedDuration) -> Renewal {
    lifetime(certificate.not_before(), certificate.not_after(), now, renew_before)
}

/// Judges a revocation list: by its end, by what is revoked now, and by the authority that has to have signed it.
pub fn list(
    list: &RevocationList,
    revoked: &[Revoked],
    authority: &Certificate,
    now: Timestamp,
    renew_before: SignedDuration,
) -> Renewal {
    if !list.is_signed_by(authority) {
        let reason = format!("it was signed by {}, not by the authority {}", list.issuer(), authority.subject());
        return Renewal::Renew(reason);
    }
    let serials =
        |revoked: &[Revoked]| revoked.iter().map(|revoked| revoked.serial.clone()).collect::<BTreeSet<Serial>>();
    let (listed, wanted) = (serials(list.revoked()), serials(revoked));
    if listed != wanted {
        let changed: Vec<_> = listed.symmetric_difference(&wanted).map(Serial::to_string).collect();
        return Renewal::Renew(format!("the revocation of {} changed", changed.join(", ")));
    }
    match list.next_update() {
        Some(next_update) => lifetime(list.this_update(), next_update, now, renew_before),
        None => Renewal::Renew("it does not say until when it holds".to_owned()),
    }
}

/// Renews `renew_before` the end, or in the last third of a lifetime that is not even one and a half times as long:
/// what was just made is never replaced at once.
fn lifetime(start: Timestamp, end: Timestamp, now: Timestamp, renew_before: SignedDuration) -> Renewal {
    let lifetime = end.duration_since(start);
    let before = if renew_before >= lifetime * 2 / 3 { lifetime / 3 } else { renew_before };
    if now >= end {
        return Renewal::Renew(format!("it expired at {end}"));
    }
    if end.duration_since(now) <= before {
        return Renewal::Renew(format!("it expires at {end}"));
    }
    Renewal::Keep
}
