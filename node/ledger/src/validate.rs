//! The rules that need facts, in the reference's order.

use crate::crypto::Verifier;
use crate::error::Invalid;
use crate::facts::Facts;
use crate::rules::Rules;
use crate::transaction::Transaction;

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All rules hold.
    Valid,
    /// The first broken rule.
    Invalid(Invalid),
    /// A fact is missing; the text says which. Never a reason for an "invalid" vote.
    Undetermined(String),
}

/// Judges a transaction.
pub fn transaction(_tx: &Transaction, _facts: &Facts, _rules: Rules, _verifier: &dyn Verifier) -> Verdict {
    todo!()
}
