//! What 1.0.1 lets through and a `strict` ledger refuses.

use std::collections::BTreeSet;

use super::Spent;
use crate::condition::fulfillment::Fulfillment;
use crate::error::Invalid;
use crate::transaction::{Input, Transaction};

/// Fulfillments must be made of signatures and thresholds: whoever sees a preimage can repeat it, and what a prefix
/// signs is another message.
pub(super) fn validate_signed(tx: &Transaction) -> Result<(), Invalid> {
    for (n, input) in tx.inputs().iter().enumerate() {
        let part = input.fulfillment.as_ref().and_then(part_without_signature);
        if let Some(part) = part {
            return Err(Invalid::Unsigned(format!("The fulfillment of input {n} contains {part}, use signatures")));
        }
    }
    Ok(())
}

/// A CREATE's `owners_before` must be exactly the keys that signed: they are the asset's issuers.
pub(super) fn validate_issuers(tx: &Transaction) -> Result<(), Invalid> {
    for (n, input) in tx.inputs().iter().enumerate() {
        let mut signers = BTreeSet::new();
        if let Some(fulfillment) = &input.fulfillment {
            fulfillment.for_each_key(&mut |key| {
                signers.insert(key.to_string());
            });
        }
        let signers: BTreeSet<&str> = signers.iter().map(String::as_str).collect();
        compare(n, input, &signers, "signed by")?;
    }
    Ok(())
}

/// A TRANSFER's `owners_before` must be the spent output's `public_keys`, in any order.
pub(super) fn validate_owners(tx: &Transaction, spent: &[Spent<'_>]) -> Result<(), Invalid> {
    for (n, (input, spent)) in tx.inputs().iter().zip(spent).enumerate() {
        let keys = spent.output.public_keys.iter().flatten().map(String::as_str).collect();
        compare(n, input, &keys, "the spent output belongs to")?;
    }
    Ok(())
}

fn compare(n: usize, input: &Input, expected: &BTreeSet<&str>, what: &str) -> Result<(), Invalid> {
    let named: BTreeSet<&str> = input.owners_before.iter().map(String::as_str).collect();
    if named == *expected {
        return Ok(());
    }
    let list = |keys: &BTreeSet<&str>| keys.iter().copied().collect::<Vec<_>>().join(", ");
    let (named, expected) = (list(&named), list(expected));
    Err(Invalid::Owner(format!("`owners_before` of input {n} are [{named}], but {what} [{expected}]")))
}

fn part_without_signature(fulfillment: &Fulfillment) -> Option<&'static str> {
    match fulfillment {
        Fulfillment::Preimage(_) => Some("a preimage"),
        Fulfillment::Prefix { .. } => Some("a prefix"),
        Fulfillment::Rsa { .. } => Some("an RSA signature"),
        Fulfillment::Threshold { subfulfillments, .. } if subfulfillments.is_empty() => Some("an empty threshold"),
        Fulfillment::Threshold { subfulfillments, .. } => subfulfillments.iter().find_map(part_without_signature),
        Fulfillment::Ed25519 { .. } => None,
    }
}
