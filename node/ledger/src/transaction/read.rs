//! From JSON to a [`Transaction`], in the reference's order: id, inputs, outputs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;

use super::form::{Changes, Form, array, member, object, string};
use super::{Input, Link, Operation, Output, Transaction};
use crate::condition::details;
use crate::condition::fulfillment::Fulfillment;
use crate::error::Invalid;
use crate::ids::{PublicKey, TxId};
use crate::json::{self, Object, Value};

/// Stands in the bytes until the id is computed: it is not hashed.
const UNKNOWN_ID: TxId = TxId::from_bytes([0; 32]);

const MAX_AMOUNT: u64 = 9_000_000_000_000_000_000;

pub(super) fn after_schema(value: &Value<'_>) -> Result<Transaction, Invalid> {
    let transaction = object(value)?;
    let posted_id = string(transaction, "id")?;
    let mut form = Form::write(transaction, UNKNOWN_ID, &Changes::default())?;
    let mut id = form.hash();
    if posted_id.as_bytes() != id.to_hex() {
        return Err(Invalid::TransactionHash { id: posted_id.to_owned() });
    }

    let mut changes = Changes::default();
    let mut inputs = Vec::new();
    for input in array(transaction, "inputs")? {
        let (input, changed) = read_input(object(input)?)?;
        inputs.push(input);
        changes.fulfillments.push(changed);
    }
    let mut outputs = Vec::new();
    // The reference derives conditions when it has read everything: what fails there is reported last.
    let mut underivable = None;
    for output in array(transaction, "outputs")? {
        match read_output(object(output)?) {
            Ok((output, changed)) => {
                outputs.push(output);
                changes.outputs.push(changed);
            }
            Err(failure @ Invalid::ReferenceFails(_)) => underivable = underivable.or(Some(failure)),
            Err(broken) => return Err(broken),
        }
    }
    if let Some(failure) = underivable {
        return Err(failure);
    }
    if !changes.is_empty() {
        form = Form::write(transaction, id, &changes)?;
        id = form.hash();
    }
    form.set_id(id);
    for (input, span) in inputs.iter_mut().zip(&form.fulfillments) {
        input.span = short_span(span)?;
    }
    let operation = operation(transaction)?;
    Ok(Transaction {
        id,
        operation,
        inputs: inputs.into(),
        outputs: outputs.into(),
        asset_id: asset_id(transaction, operation, id)?,
        bytes: form.bytes.into(),
        signatures_valid: OnceLock::new(),
    })
}

pub(super) fn id_of(value: &Value<'_>) -> Result<TxId, Invalid> {
    Ok(Form::write(object(value)?, UNKNOWN_ID, &Changes::default())?.hash())
}

pub(super) fn stored(bytes: Bytes) -> Result<Transaction, Invalid> {
    let damaged = |what: &str| Invalid::ReferenceFails(format!("a stored transaction is damaged: {what}"));
    let value = json::parse(&bytes).map_err(|error| damaged(&error.to_string()))?;
    let transaction = object(&value)?;
    let id: TxId = string(transaction, "id")?.parse().map_err(|_| damaged("`id` is no id"))?;
    let mut inputs = Vec::new();
    for input in array(transaction, "inputs")? {
        let input = object(input)?;
        let text = string(input, "fulfillment")?;
        let inside = span_inside(&bytes, text).ok_or_else(|| damaged("`fulfillment` holds an escape"))?;
        let (mut read, _) = read_input(input)?;
        // The value's quotation marks belong to it.
        read.span = short_span(&(inside.start.saturating_sub(1)..inside.end + 1))?;
        inputs.push(read);
    }
    let mut outputs = Vec::new();
    for output in array(transaction, "outputs")? {
        let output = object(output)?;
        let condition = object(member(output, "condition")?)?;
        let keys = details::read_keys(member(condition, "details")?)?;
        let public_keys = public_keys(output)?;
        outputs.push(Output {
            amount: string(output, "amount")?.parse().map_err(|_| damaged("`amount` is no number"))?,
            condition_uri: string(condition, "uri")?.to_owned(),
            owners: owners(public_keys, &keys),
            public_keys: public_keys.map(to_strings).transpose()?,
        });
    }
    let operation = operation(transaction)?;
    let asset_id = asset_id(transaction, operation, id)?;
    drop(value);
    Ok(Transaction {
        id,
        operation,
        inputs: inputs.into(),
        outputs: outputs.into(),
        asset_id,
        bytes,
        signatures_valid: OnceLock::new(),
    })
}

/// The input, and its fulfillment's text as the reference writes it if that differs. The span is still empty.
fn read_input(input: &Object<'_>) -> Result<(Input, Option<String>), Invalid> {
    let (fulfillment, changed) = match member(input, "fulfillment")? {
        Value::String(text) => {
            let fulfillment = Fulfillment::from_text(text)?;
            let written = fulfillment.to_text();
            (Some(fulfillment), if written == *text { None } else { Some(written) })
        }
        unsigned => {
            // Never derived: whether its thresholds can be met does not matter.
            details::read_keys(unsigned)?;
            (None, None)
        }
    };
    let fulfills = match member(input, "fulfills")? {
        Value::Null => None,
        link => Some(read_link(object(link)?)?),
    };
    let owners_before = match member(input, "owners_before")? {
        Value::Array(keys) => to_strings(keys)?,
        _ => return Err(Invalid::ReferenceFails("`owners_before` must be a list of keys, not null".to_owned())),
    };
    Ok((Input { owners_before, fulfills, fulfillment, span: 0..0 }, changed))
}

fn read_link(link: &Object<'_>) -> Result<Link, Invalid> {
    let output_index = match member(link, "output_index")? {
        Value::Int(index) => index.as_u64(),
        _ => None,
    };
    let output_index = output_index
        .ok_or_else(|| Invalid::ReferenceFails("`output_index` must be an integer below 2^64".to_owned()))?;
    Ok(Link { transaction_id: string(link, "transaction_id")?.to_owned(), output_index })
}

/// The output, and its amount and URI as the reference writes them if they differ.
fn read_output(output: &Object<'_>) -> Result<(Output, Option<(String, String)>), Invalid> {
    let condition = object(member(output, "condition")?)?;
    let amount_text = string(output, "amount")?;
    let (details, amount) = match (details::read(member(condition, "details")?), read_amount(amount_text)) {
        (Ok(details), Ok(amount)) => (details, amount),
        (Err(Invalid::ReferenceFails(_)) | Ok(_), Err(broken)) | (Err(broken), _) => return Err(broken),
    };
    let condition_uri = details.condition.to_string();
    let written_amount = amount.to_string();
    let same = written_amount == amount_text && condition_uri == string(condition, "uri")?;
    let changed = if same { None } else { Some((written_amount, condition_uri.clone())) };
    let public_keys = public_keys(output)?;
    let output = Output {
        amount,
        condition_uri,
        owners: owners(public_keys, &details.keys),
        public_keys: public_keys.map(to_strings).transpose()?,
    };
    Ok((output, changed))
}

fn read_amount(text: &str) -> Result<u64, Invalid> {
    let amount: u128 = text.parse().map_err(|_| Invalid::Amount(format!("Invalid amount: {text}")))?;
    match u64::try_from(amount) {
        Ok(0) => Err(Invalid::Amount("`amount` must be greater than 0".to_owned())),
        Ok(amount @ ..=MAX_AMOUNT) => Ok(amount),
        _ => Err(Invalid::Amount(format!("`amount` must be <= {MAX_AMOUNT}"))),
    }
}

fn public_keys<'v, 'a>(output: &'v Object<'a>) -> Result<Option<&'v [Value<'a>]>, Invalid> {
    match member(output, "public_keys")? {
        Value::Null => Ok(None),
        _ => array(output, "public_keys").map(Some),
    }
}

/// The members of `public_keys` that are among the details' keys, without repeats.
fn owners(public_keys: Option<&[Value<'_>]>, details: &[(&str, PublicKey)]) -> Vec<PublicKey> {
    let mut keys: BTreeMap<&str, PublicKey> = details.iter().copied().collect();
    let texts = public_keys.unwrap_or_default().iter();
    texts.filter_map(|key| if let Value::String(text) = key { keys.remove(text.as_ref()) } else { None }).collect()
}

fn to_strings(keys: &[Value<'_>]) -> Result<Vec<String>, Invalid> {
    let text = |key: &Value<'_>| match key {
        Value::String(text) => Ok(text.clone().into_owned()),
        _ => Err(Invalid::ReferenceFails("a key is not a string".to_owned())),
    };
    keys.iter().map(text).collect()
}

fn operation(transaction: &Object<'_>) -> Result<Operation, Invalid> {
    match string(transaction, "operation")? {
        "CREATE" => Ok(Operation::Create),
        "TRANSFER" => Ok(Operation::Transfer),
        "GENESIS" => Ok(Operation::Genesis),
        other => Err(Invalid::ReferenceFails(format!("`operation` must be CREATE or TRANSFER, not `{other}`"))),
    }
}

fn asset_id(transaction: &Object<'_>, operation: Operation, id: TxId) -> Result<Box<str>, Invalid> {
    match operation {
        Operation::Create | Operation::Genesis => Ok(id.to_string().into()),
        Operation::Transfer => Ok(string(object(member(transaction, "asset")?)?, "id")?.into()),
    }
}

/// Where a string that was borrowed from `bytes` stands in them; `None` for a string that was not.
fn span_inside(bytes: &[u8], text: &str) -> Option<Range<usize>> {
    let start = (text.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize)?;
    let end = start.checked_add(text.len())?;
    if bytes.get(start..end)? == text.as_bytes() { Some(start..end) } else { None }
}

fn short_span(span: &Range<usize>) -> Result<Range<u32>, Invalid> {
    match (u32::try_from(span.start), u32::try_from(span.end)) {
        (Ok(start), Ok(end)) => Ok(start..end),
        _ => Err(Invalid::ReferenceFails("a transaction of 4 GiB or more".to_owned())),
    }
}
