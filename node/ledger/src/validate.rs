//! The rules that need facts, in the reference's order.

mod strict;

use std::collections::BTreeSet;

use crate::crypto::Verifier;
use crate::error::Invalid;
use crate::facts::{Facts, InputFact, TxStatus};
use crate::rules::Rules;
use crate::transaction::{Link, Operation, Output, Transaction};

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
pub fn transaction(tx: &Transaction, facts: &Facts, rules: Rules, verifier: &dyn Verifier) -> Verdict {
    match judge(tx, facts, rules, verifier) {
        Ok(()) => Verdict::Valid,
        Err(Stop::Broken(rule)) => Verdict::Invalid(rule),
        Err(Stop::Undetermined(missing)) => Verdict::Undetermined(missing),
    }
}

/// Why the rules were not followed to their end.
enum Stop {
    Broken(Invalid),
    Undetermined(String),
}

impl From<Invalid> for Stop {
    fn from(rule: Invalid) -> Self {
        Self::Broken(rule)
    }
}

/// An output that is spent, with the transaction it belongs to.
struct Spent<'a> {
    transaction: &'a Transaction,
    output: &'a Output,
}

fn judge(tx: &Transaction, facts: &Facts, rules: Rules, verifier: &dyn Verifier) -> Result<(), Stop> {
    let spent = match tx.operation() {
        Operation::Create | Operation::Genesis => Vec::new(),
        Operation::Transfer => {
            let spent = spent_outputs(tx, facts)?;
            validate_distinct(tx)?;
            validate_asset(tx, &spent)?;
            validate_amounts(tx, &spent)?;
            spent
        }
    };
    validate_signatures(tx, &spent, verifier)?;
    match (rules, tx.operation()) {
        (Rules::V1_0_1, _) | (_, Operation::Genesis) => {}
        (Rules::Strict, Operation::Create) => {
            strict::validate_signed(tx)?;
            strict::validate_issuers(tx)?;
        }
        (Rules::Strict, Operation::Transfer) => {
            strict::validate_signed(tx)?;
            strict::validate_owners(tx, &spent)?;
        }
    }
    Ok(())
}

/// Every input must spend an output of a valid transaction that nobody else spends.
fn spent_outputs<'a>(tx: &Transaction, facts: &'a Facts) -> Result<Vec<Spent<'a>>, Stop> {
    let mut spent = Vec::with_capacity(tx.inputs().len());
    for (n, input) in tx.inputs().iter().enumerate() {
        let Some(link) = &input.fulfills else {
            return Err(Invalid::ReferenceFails(format!("input {n} of a TRANSFER spends nothing")).into());
        };
        let fact = facts.inputs.get(n).ok_or_else(|| Stop::Undetermined(format!("nothing is known of input {n}")))?;
        spent.push(validate_input(link, fact)?);
    }
    Ok(spent)
}

fn validate_input<'a>(link: &Link, fact: &'a InputFact) -> Result<Spent<'a>, Stop> {
    let transaction_id = || link.transaction_id.clone();
    match fact {
        InputFact::Unknown(reason) => Err(Stop::Undetermined(reason.clone())),
        InputFact::Missing => Err(Invalid::InputDoesNotExist { transaction_id: transaction_id() }.into()),
        InputFact::Found { transaction, status, spenders } => {
            if *status != TxStatus::Valid {
                return Err(Invalid::TransactionNotInValidBlock { transaction_id: transaction_id() }.into());
            }
            if !spenders.is_empty() {
                return Err(Invalid::AlreadySpent { transaction_id: transaction_id() }.into());
            }
            let index = usize::try_from(link.output_index).ok();
            let output = index.and_then(|index| transaction.outputs().get(index)).ok_or_else(|| {
                let (id, index, n) = (&link.transaction_id, link.output_index, transaction.outputs().len());
                Invalid::ReferenceFails(format!("input `{id}` has {n} outputs, so no `output_index` {index}"))
            })?;
            Ok(Spent { transaction, output })
        }
    }
}

fn validate_distinct(tx: &Transaction) -> Result<(), Invalid> {
    let links = tx.inputs().iter().filter_map(|input| input.fulfills.as_ref());
    let mut seen = BTreeSet::new();
    for link in links {
        if !seen.insert((&link.transaction_id, link.output_index)) {
            return Err(Invalid::SpentTwiceWithin { id: tx.id().to_string() });
        }
    }
    Ok(())
}

fn validate_asset(tx: &Transaction, spent: &[Spent<'_>]) -> Result<(), Invalid> {
    let mut assets = spent.iter().map(|spent| spent.transaction.asset_id());
    let first = assets.next();
    if assets.any(|asset| Some(asset) != first) {
        return Err(Invalid::AssetIdsDiffer);
    }
    if first == Some(tx.asset_id()) { Ok(()) } else { Err(Invalid::AssetIdMismatch) }
}

fn validate_amounts(tx: &Transaction, spent: &[Spent<'_>]) -> Result<(), Invalid> {
    let inputs: u128 = spent.iter().map(|spent| u128::from(spent.output.amount)).sum();
    let outputs: u128 = tx.outputs().iter().map(|output| u128::from(output.amount)).sum();
    if inputs == outputs {
        return Ok(());
    }
    Err(Invalid::Amount(format!(
        "The amount used in the inputs `{inputs}` needs to be same as the amount used in the outputs `{outputs}`"
    )))
}

/// Every fulfillment must verify; in a TRANSFER it must also be one of the spent output's condition.
fn validate_signatures(tx: &Transaction, spent: &[Spent<'_>], verifier: &dyn Verifier) -> Result<(), Invalid> {
    let fulfils = tx.inputs().iter().zip(spent).all(|(input, spent)| {
        input.condition().is_some_and(|condition| condition.to_string() == spent.output.condition_uri)
    });
    if fulfils && tx.signatures_valid(verifier) { Ok(()) } else { Err(Invalid::Signature) }
}
