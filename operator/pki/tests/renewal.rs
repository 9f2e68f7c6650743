//! When certificates and lists are replaced.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use common::{authority, issue, leaves, list, now};
use jiff::SignedDuration;
use pki::leaf::{LEAF_LIFETIME, LIST_LIFETIME, LIST_RENEW_BEFORE};
use pki::renewal::{self, Renewal};
use pki::revocation::Revoked;
use pki::{Leaf, PrivateKey, Serial, Validity};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// As the API has it by default.
const LEAF_RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(24 * 60);

#[test]
fn a_leaf_is_renewed_before_its_end_or_when_something_else_is_wanted() {
    let ours = authority();
    let wanted = &leaves()[0];
    let (certificate, _) = issue(&ours, wanted);
    let judge =
        |wanted: &Leaf, time| renewal::leaf(&certificate, wanted, ours.certificate(), time, LEAF_RENEW_BEFORE).unwrap();
    let end = certificate.not_after();
    for time in [now(), end - LEAF_RENEW_BEFORE - MINUTE] {
        assert_eq!(judge(wanted, time), Renewal::Keep);
    }
    assert_eq!(judge(wanted, end - LEAF_RENEW_BEFORE), Renewal::Renew(format!("it expires at {end}")));
    assert_eq!(judge(wanted, end), Renewal::Renew(format!("it expired at {end}")));
    let more = Leaf { names: vec!["elsewhere.example.org".to_owned()], ..wanted.clone() };
    let reason = "it names localhost, node-a-mdb.bigchain.svc, 192.0.2.7; localhost, elsewhere.example.org is wanted";
    assert_eq!(judge(&more, now()), Renewal::Renew(reason.to_owned()));
    let other = Leaf { organization: "Other".to_owned(), ..wanted.clone() };
    assert!(matches!(judge(&other, now()), Renewal::Renew(reason) if reason.contains("O=Other is wanted")));
    let judged = renewal::leaf(&certificate, wanted, authority().certificate(), now(), LEAF_RENEW_BEFORE).unwrap();
    assert!(matches!(judged, Renewal::Renew(reason) if reason.starts_with("it was signed by CN=Root")));
}

/// Else an operator would make certificates without an end.
#[test]
fn what_was_just_made_is_kept_whatever_the_settings() {
    let authority = authority();
    for wanted in leaves() {
        for hours in [1, 24, 24 * 365, 24 * 365 * 20] {
            let validity = Validity::starting(now(), SignedDuration::from_hours(hours)).unwrap();
            let key = PrivateKey::generate().unwrap();
            let made = authority.issue(&wanted, &key, &Serial::random().unwrap(), validity).unwrap();
            for renew_before in [SignedDuration::ZERO, LEAF_LIFETIME, LEAF_LIFETIME * 100] {
                let judged = renewal::leaf(&made, &wanted, authority.certificate(), now(), renew_before).unwrap();
                assert_eq!(judged, Renewal::Keep, "{wanted:?} for {hours} h, renewed {renew_before:#} before");
            }
        }
    }
}

#[test]
fn a_list_is_signed_anew_long_before_its_end_or_when_more_is_revoked() {
    let authority = authority();
    let list = list(&authority, &[], 1);
    let judge =
        |revoked: &[Revoked], time| renewal::list(&list, revoked, authority.certificate(), time, LIST_RENEW_BEFORE);
    let end = list.next_update().unwrap();
    assert!(LIST_RENEW_BEFORE > LIST_LIFETIME / 2);
    assert_eq!(judge(&[], now()), Renewal::Keep);
    assert_eq!(judge(&[], end - LIST_RENEW_BEFORE - MINUTE), Renewal::Keep);
    assert_eq!(judge(&[], end - LIST_RENEW_BEFORE), Renewal::Renew(format!("it expires at {end}")));
    let revoked = Revoked { serial: "0A".parse().unwrap(), at: now() };
    assert_eq!(judge(&[revoked], now()), Renewal::Renew("the revocation of 0A changed".to_owned()));
    let judged = renewal::list(&list, &[], common::authority().certificate(), now(), LIST_RENEW_BEFORE);
    assert!(matches!(judged, Renewal::Renew(reason) if reason.starts_with("it was signed by")));
}
