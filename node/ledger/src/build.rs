//! Making and signing transactions: what a client does.

use std::borrow::Cow;

use crate::condition::fulfillment::Fulfillment;
use crate::condition::{Condition, details};
use crate::crypto::PrivateKey;
use crate::ids::PublicKey;
use crate::json::{self, Int, Object, Value};
use crate::transaction::{Operation, Transaction};

/// One output to be made: its owners (all must sign to spend it) and its amount.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// One key: a plain condition; several: an n-of-n threshold in this order.
    pub public_keys: Vec<PublicKey>,
    /// Shares.
    pub amount: u64,
}

/// Why a transaction cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// An argument is wrong; the text says which and what to do.
    Argument(String),
    /// No private key was given for this owner.
    MissingKey(PublicKey),
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Argument(text) => f.write_str(text),
            Self::MissingKey(key) => write!(f, "the private key of `{key}` is needed to sign, and was not given"),
        }
    }
}

impl std::error::Error for BuildError {}

/// An unsigned CREATE, as JSON with details in place of fulfillments (what the Python driver's `prepare` gives).
pub fn create(
    signers: &[PublicKey],
    recipients: &[Recipient],
    asset: Option<Value<'_>>,
    metadata: Option<Value<'_>>,
) -> Result<Value<'static>, BuildError> {
    let asset = match asset {
        None | Some(Value::Null) => Value::Null,
        Some(data @ Value::Object(_)) => data,
        Some(_) => return Err(argument("the asset's data must be a JSON object or null")),
    };
    let fulfillment = details_of(signers, "a CREATE needs one signer at least")?;
    let input = input(&mut signers.iter().map(ToString::to_string), Value::Null, fulfillment);
    unsigned(Operation::Create, vec![input], recipients, object([("data", asset.into_owned())]), metadata)
}

/// An unsigned TRANSFER of the given outputs of `spent` transactions.
pub fn transfer(
    spent: &[(&Transaction, u64)],
    recipients: &[Recipient],
    metadata: Option<Value<'_>>,
) -> Result<Value<'static>, BuildError> {
    let asset_id = match spent {
        [] => return Err(argument("a TRANSFER needs one output to spend at least")),
        [(first, _), ..] => first.asset_id(),
    };
    let mut inputs = Vec::with_capacity(spent.len());
    for (transaction, index) in spent {
        if transaction.asset_id() != asset_id {
            return Err(argument("all outputs that are spent together must hold shares of one asset"));
        }
        inputs.push(spending_input(transaction, *index)?);
    }
    let asset = object([("id", text(asset_id.to_owned()))]);
    unsigned(Operation::Transfer, inputs, recipients, asset, metadata)
}

/// Signs every input for which all keys are given. Inputs that are signed already stay.
///
/// A threshold is met with the cheapest fulfillments that the keys allow, in order; the rest stay conditions, as the
/// reference writes them.
///
/// # Errors
///
/// [`BuildError::Argument`] for what no node would read; [`BuildError::MissingKey`] when there are unsigned inputs
/// and none of them could be signed.
pub fn sign(unsigned: &Value<'_>, keys: &[PrivateKey]) -> Result<Value<'static>, BuildError> {
    let transaction = Transaction::from_value(unsigned).map_err(|rule| argument(&rule.to_string()))?;
    let mut signed = unsigned.clone().into_owned();
    let Some(root) = as_object(&mut signed) else { return Err(argument("a transaction is a JSON object")) };
    if root.get("id") != Some(&text(transaction.id().to_string())) {
        return Err(argument(
            "amounts or condition URIs are not written as nodes write them: make the transaction anew",
        ));
    }
    let message = transaction.message();
    let (mut any_signed, mut missing) = (false, None);
    let inputs = match root.get_mut("inputs") {
        Some(Value::Array(inputs)) => inputs.as_mut_slice(),
        _ => &mut [],
    };
    for input in inputs {
        let Some(fulfillment) = as_object(input).and_then(|input| input.get_mut("fulfillment")) else { continue };
        if matches!(fulfillment, Value::String(_)) {
            continue;
        }
        match fulfil(fulfillment, &message, keys) {
            Ok(fulfilled) => {
                *fulfillment = text(fulfilled.to_text());
                any_signed = true;
            }
            Err(BuildError::MissingKey(key)) => missing = missing.or(Some(key)),
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(key) if !any_signed => Err(BuildError::MissingKey(key)),
        _ => Ok(signed),
    }
}

/// The transaction of the first block of a ledger.
pub(crate) fn genesis(key: &PrivateKey) -> Result<Transaction, BuildError> {
    let owner = key.public_key();
    let fulfillment = details_of(&[owner], "")?;
    let input = input(&mut std::iter::once(owner.to_string()), Value::Null, fulfillment);
    let greeting = object([("message", text("Hello World from the BigchainDB".to_owned()))]);
    let recipient = Recipient { public_keys: vec![owner], amount: 1 };
    let asset = object([("data", Value::Null)]);
    let value = unsigned(Operation::Genesis, vec![input], &[recipient], asset, Some(greeting))?;
    let signed = sign(&value, std::slice::from_ref(key))?;
    Transaction::from_value(&signed).map_err(|rule| argument(&rule.to_string()))
}

fn fulfil(details: &Value<'_>, message: &[u8], keys: &[PrivateKey]) -> Result<Fulfillment, BuildError> {
    let read = details::read(details).map_err(|rule| argument(&rule.to_string()))?;
    let (Value::Object(details), [(_, key), ..]) = (details, read.keys.as_slice()) else {
        return Err(argument("a fulfillment is a text or an object"));
    };
    let Some(Value::Array(subconditions)) = details.get("subconditions") else {
        let private = keys.iter().find(|private| private.public_key() == *key);
        let private = private.ok_or(BuildError::MissingKey(*key))?;
        return Ok(Fulfillment::Ed25519 { public_key: *key, signature: private.sign(message) });
    };
    let threshold = match details.get("threshold") {
        Some(Value::Int(Int::Small(n))) => usize::try_from(*n).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let (mut fulfilled, mut conditions, mut missing) = (Vec::new(), Vec::new(), None);
    for sub in subconditions {
        match fulfil(sub, message, keys) {
            Ok(fulfillment) => fulfilled.push((condition(sub)?, fulfillment)),
            Err(BuildError::MissingKey(key)) => {
                missing = missing.or(Some(key));
                conditions.push(condition(sub)?);
            }
            Err(error) => return Err(error),
        }
    }
    if let (true, Some(key)) = (fulfilled.len() < threshold, missing) {
        return Err(BuildError::MissingKey(key));
    }
    fulfilled.sort_by_key(|(condition, _)| condition.cost);
    let left_over = fulfilled.split_off(threshold.min(fulfilled.len()));
    conditions.extend(left_over.into_iter().map(|(condition, _)| condition));
    let subfulfillments = fulfilled.into_iter().map(|(_, fulfillment)| fulfillment).collect();
    Ok(Fulfillment::Threshold { subfulfillments, subconditions: conditions })
}

fn condition(details: &Value<'_>) -> Result<Condition, BuildError> {
    details::read(details).map(|read| read.condition).map_err(|rule| argument(&rule.to_string()))
}

fn unsigned(
    operation: Operation,
    inputs: Vec<Value<'static>>,
    recipients: &[Recipient],
    asset: Value<'static>,
    metadata: Option<Value<'_>>,
) -> Result<Value<'static>, BuildError> {
    let metadata = match metadata {
        None | Some(Value::Null) => Value::Null,
        Some(Value::Object(members)) if !members.is_empty() => Value::Object(members).into_owned(),
        Some(_) => return Err(argument("the metadata must be a JSON object with one member at least, or null")),
    };
    if recipients.is_empty() {
        return Err(argument("a transaction needs one recipient at least"));
    }
    let outputs = recipients.iter().map(output).collect::<Result<Vec<_>, _>>()?;
    let mut value = object([
        ("inputs", Value::Array(inputs)),
        ("outputs", Value::Array(outputs)),
        ("operation", text(operation.as_str().to_owned())),
        ("metadata", metadata),
        ("asset", asset),
        ("version", text("1.0".to_owned())),
    ]);
    let id = Transaction::id_of(&value).map_err(|rule| argument(&rule.to_string()))?;
    if let Some(members) = as_object(&mut value) {
        members.insert("id", text(id.to_string()));
    }
    Ok(value)
}

fn spending_input(transaction: &Transaction, index: u64) -> Result<Value<'static>, BuildError> {
    let id = transaction.id();
    let place = usize::try_from(index).ok();
    let none = || argument(&format!("transaction {id} has no output {index}"));
    let output = place.and_then(|place| transaction.outputs().get(place)).ok_or_else(none)?;
    let details = stored_details(transaction, place.unwrap_or(usize::MAX)).ok_or_else(none)?;
    let link = object([("transaction_id", text(id.to_string())), ("output_index", integer(index).ok_or_else(none)?)]);
    Ok(input(&mut output.public_keys.iter().flatten().cloned(), link, details))
}

fn stored_details(transaction: &Transaction, index: usize) -> Option<Value<'static>> {
    let value = json::parse(transaction.bytes()).ok()?;
    let Value::Object(members) = &value else { return None };
    let Some(Value::Array(outputs)) = members.get("outputs") else { return None };
    let Some(Value::Object(output)) = outputs.get(index) else { return None };
    let Some(Value::Object(condition)) = output.get("condition") else { return None };
    condition.get("details").cloned().map(Value::into_owned)
}

fn input(
    owners: &mut dyn Iterator<Item = String>,
    fulfills: Value<'static>,
    details: Value<'static>,
) -> Value<'static> {
    object([
        ("owners_before", Value::Array(owners.map(text).collect())),
        ("fulfills", fulfills),
        ("fulfillment", details),
    ])
}

fn output(recipient: &Recipient) -> Result<Value<'static>, BuildError> {
    let Recipient { public_keys, amount } = recipient;
    if !(1..=9_000_000_000_000_000_000).contains(amount) {
        return Err(argument(&format!("an amount must be from 1 to 9 * 10^18, not {amount}")));
    }
    let details = details_of(public_keys, "a recipient needs one key at least")?;
    let uri = condition(&details)?.to_string();
    Ok(object([
        ("public_keys", Value::Array(public_keys.iter().map(|key| text(key.to_string())).collect())),
        ("condition", object([("details", details), ("uri", text(uri))])),
        ("amount", text(amount.to_string())),
    ]))
}

/// One key: its signature; several: all of theirs.
fn details_of(keys: &[PublicKey], none: &str) -> Result<Value<'static>, BuildError> {
    let plain =
        |key: &PublicKey| object([("type", text("ed25519-sha-256".to_owned())), ("public_key", text(key.to_string()))]);
    match keys {
        [] => Err(argument(none)),
        [key] => Ok(plain(key)),
        // The schema's bound of a threshold.
        keys if keys.len() > 100 => Err(argument(&format!("100 keys can own an output, not {}", keys.len()))),
        keys => Ok(object([
            ("type", text("threshold-sha-256".to_owned())),
            ("threshold", Value::Int(Int::Small(keys.len() as i64))),
            ("subconditions", Value::Array(keys.iter().map(plain).collect())),
        ])),
    }
}

fn argument(message: &str) -> BuildError {
    BuildError::Argument(message.to_owned())
}

fn object<const N: usize>(members: [(&'static str, Value<'static>); N]) -> Value<'static> {
    let mut object = Object::default();
    for (key, value) in members {
        object.insert(key, value);
    }
    Value::Object(object)
}

fn text(text: String) -> Value<'static> {
    Value::String(Cow::Owned(text))
}

fn integer(number: u64) -> Option<Value<'static>> {
    i64::try_from(number).ok().map(|number| Value::Int(Int::Small(number)))
}

fn as_object<'v, 'a>(value: &'v mut Value<'a>) -> Option<&'v mut Object<'a>> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}
