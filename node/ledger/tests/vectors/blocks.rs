//! Signed blocks, and the documents in which the reference stores each.

use ledger::block::Block;
use ledger::crypto::{Uncached, sha3_256};
use ledger::json::{Object, Value, parse};
use ledger::transaction::{Operation, Transaction};

use crate::input::{boolean, expect, judge_all, list, member, string};

pub fn judge(text: &str) -> (usize, Vec<String>) {
    judge_all(text, judge_case)
}

fn judge_case(case: &Value<'_>) -> Result<(), String> {
    let given = member(case, "block")?;
    let block = Block::from_value(given).map_err(|error| error.to_string())?;
    expect("id", &block.id.to_string().as_str(), &string(given, "id")?)?;
    expect("signature_valid", &block.signature_valid(&Uncached), &boolean(case, "signature_valid")?)?;
    let inner = block.canonical_inner();
    expect("hash of the inner block", &sha3_256(&[&inner]), block.id.as_bytes())?;

    let mut stored = parse(&inner).map_err(|error| error.to_string())?;
    let Value::Object(members) = &mut stored else { return Err("the inner block is no object".to_owned()) };
    let mut assets = Vec::new();
    let mut transactions = Vec::new();
    for transaction in &block.transactions {
        let (transaction, asset) = stored_apart(transaction)?;
        transactions.push(transaction);
        assets.extend(asset);
    }
    members.insert("transactions", Value::Array(transactions));
    let wanted = member(member(case, "stored_block")?, "block")?;
    expect("stored_block", &stored.to_canonical(), &wanted.to_canonical())?;
    let wanted = Value::Array(list(case, "stored_assets")?.to_vec());
    expect("stored_assets", &Value::Array(assets).to_canonical(), &wanted.to_canonical())
}

/// A transaction as the reference stores it: the asset of a CREATE or GENESIS has a document of its own.
fn stored_apart(transaction: &Transaction) -> Result<(Value<'static>, Option<Value<'static>>), String> {
    let mut value = parse(transaction.bytes()).map_err(|error| error.to_string())?.into_owned();
    let Value::Object(members) = &mut value else { return Err("a transaction is no object".to_owned()) };
    if transaction.operation() == Operation::Transfer {
        return Ok((value, None));
    }
    let asset = members.remove("asset").ok_or("a transaction has no asset")?;
    let mut document = Object::default();
    document.insert("data", member(&asset, "data")?.clone());
    document.insert("id", Value::String(transaction.asset_id().to_owned().into()));
    Ok((value, Some(Value::Object(document))))
}
