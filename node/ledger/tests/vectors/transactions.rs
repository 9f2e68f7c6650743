//! Transactions with the reference's verdict, given what its ledger held.

use std::sync::Arc;

use ledger::crypto::Uncached;
use ledger::error::Invalid;
use ledger::facts::{Facts, InputFact, TxStatus};
use ledger::json::Value;
use ledger::rules::Rules;
use ledger::transaction::{Link, Transaction};
use ledger::validate::{self, Verdict};

use crate::input::{boolean, expect, judge_all, list, member, string};

pub fn judge(text: &str) -> (usize, Vec<String>) {
    judge_all(text, judge_case)
}

fn judge_case(case: &Value<'_>) -> Result<(), String> {
    let posted = member(case, "tx")?;
    let read = Transaction::from_value(posted);
    if let Some(message) = member(case, "message")?.as_str() {
        judge_message(posted, read.as_ref().ok(), message)?;
    }
    let verdict = match &read {
        Err(rule) => Verdict::Invalid(rule.clone()),
        Ok(transaction) => {
            let facts = facts(transaction, list(case, "ledger")?)?;
            validate::transaction(transaction, &facts, Rules::V1_0_1, &Uncached)
        }
    };
    judge_verdict(&verdict, member(case, "expect")?)?;
    if verdict == Verdict::Valid {
        let transaction = read.map_err(|error| error.to_string())?;
        judge_stored(&transaction)?;
    }
    Ok(())
}

fn judge_verdict(verdict: &Verdict, wanted: &Value<'_>) -> Result<(), String> {
    match verdict {
        Verdict::Undetermined(missing) => Err(format!("undetermined: {missing}")),
        Verdict::Valid if boolean(wanted, "valid")? => Ok(()),
        Verdict::Valid => Err(format!("expected {}, got valid", wanted.repr())),
        Verdict::Invalid(rule) if boolean(wanted, "valid")? => {
            Err(format!("expected valid, got {}: {rule}", rule.class()))
        }
        // The reference itself failed: any refusal will do.
        Verdict::Invalid(_) if string(wanted, "error")?.starts_with("CRASH:") => Ok(()),
        Verdict::Invalid(rule) => {
            expect("class", &rule.class(), &string(wanted, "error")?)?;
            let (got, wanted) = (rule.to_string(), string(wanted, "message")?);
            // Schema errors print values: the reference saw members in another order than the file has them.
            let same_letters = matches!(rule, Invalid::Schema(_)) && sorted(&got) == sorted(wanted);
            if same_letters { Ok(()) } else { expect("message", &got.as_str(), &wanted) }
        }
    }
}

/// The message of the posted form; of the re-derived form too where that is the same.
fn judge_message(posted: &Value<'_>, read: Option<&Transaction>, message: &str) -> Result<(), String> {
    let mut unsigned = posted.clone();
    if let Value::Object(members) = &mut unsigned
        && let Some(Value::Array(inputs)) = members.get_mut("inputs")
    {
        for input in inputs {
            if let Value::Object(input) = input {
                input.insert("fulfillment", Value::Null);
            }
        }
    }
    expect("message as posted", &text(&unsigned.to_canonical()), &message)?;
    match read {
        Some(transaction) if string(posted, "id")? == transaction.id().to_string() => {
            expect("message", &text(&transaction.message()), &message)
        }
        _ => Ok(()),
    }
}

/// What was kept must read back to the same.
fn judge_stored(transaction: &Transaction) -> Result<(), String> {
    let stored = Transaction::from_stored(transaction.bytes().clone()).map_err(|error| error.to_string())?;
    expect("stored id", &stored.id(), &transaction.id())?;
    expect("stored message", &stored.message(), &transaction.message())?;
    expect("stored transaction", &format!("{:?}", stored.outputs()), &format!("{:?}", transaction.outputs()))?;
    expect("stored inputs", &format!("{:?}", stored.inputs()), &format!("{:?}", transaction.inputs()))
}

fn facts(transaction: &Transaction, ledger: &[Value<'_>]) -> Result<Facts, String> {
    let mut known = Vec::new();
    for entry in ledger {
        let status = match string(entry, "status")? {
            "valid" => TxStatus::Valid,
            "undecided" => TxStatus::Undecided,
            "backlog" => TxStatus::Backlog,
            // In invalid blocks only: as if it were not there.
            "invalid" => continue,
            other => return Err(format!("unknown status {other}")),
        };
        let stored = Transaction::from_value(member(entry, "tx")?);
        known.push((Arc::new(stored.map_err(|error| format!("a transaction of the ledger: {error}"))?), status));
    }
    let links = transaction.inputs().iter().filter_map(|input| input.fulfills.as_ref());
    Ok(Facts { inputs: links.map(|link| fact(transaction, link, &known)).collect() })
}

fn fact(judged: &Transaction, link: &Link, known: &[(Arc<Transaction>, TxStatus)]) -> InputFact {
    let copies = || known.iter().filter(|(tx, _)| tx.id().to_string() == link.transaction_id);
    let statuses = [TxStatus::Valid, TxStatus::Undecided, TxStatus::Backlog];
    let best = statuses.iter().find_map(|status| copies().find(|(_, found)| found == status));
    let Some((transaction, status)) = best else { return InputFact::Missing };
    let others = known.iter().map(|(tx, _)| tx).filter(|tx| tx.id() != judged.id());
    let spends = |tx: &&Arc<Transaction>| tx.inputs().iter().any(|input| input.fulfills.as_ref() == Some(link));
    let spenders = others.filter(spends).map(|tx| tx.id()).collect();
    InputFact::Found { transaction: Arc::clone(transaction), status: *status, spenders }
}

fn sorted(text: &str) -> Vec<char> {
    let mut chars: Vec<char> = text.chars().collect();
    chars.sort_unstable();
    chars
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("(not UTF-8)")
}
