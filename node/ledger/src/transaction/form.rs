//! The canonical bytes of a transaction, written once and cut where they are hashed.

use std::borrow::Cow;
use std::ops::Range;

use crate::crypto::sha3_256;
use crate::error::Invalid;
use crate::ids::TxId;
use crate::json::{Object, Value};

/// What the reference's model replaces in a posted transaction. An empty list replaces nothing.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// For each input, the fulfillment's text.
    pub fulfillments: Vec<Option<String>>,
    /// For each output, the amount and the condition's URI.
    pub outputs: Vec<Option<(String, String)>>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.fulfillments.iter().all(Option::is_none) && self.outputs.iter().all(Option::is_none)
    }
}

/// Canonical JSON of a whole transaction.
#[derive(Debug)]
pub(super) struct Form {
    pub bytes: Vec<u8>,
    /// The member `"id":"…",`: its value is 64 digits.
    id: Range<usize>,
    /// The values of `fulfillment`.
    pub fulfillments: Vec<Range<usize>>,
}

const ID_KEY: &[u8] = b"\"id\":\"";

impl Form {
    /// Writes a transaction of the schema's shape under the given id.
    pub(super) fn write(transaction: &Object<'_>, id: TxId, changes: &Changes) -> Result<Self, Invalid> {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(b"{\"asset\":");
        member(transaction, "asset")?.write_canonical(&mut out);
        out.push(b',');
        let id_start = out.len();
        out.extend_from_slice(ID_KEY);
        out.extend_from_slice(&id.to_hex());
        out.extend_from_slice(b"\",");
        let id = id_start..out.len();
        out.extend_from_slice(b"\"inputs\":[");
        let inputs = array(transaction, "inputs")?;
        let mut fulfillments = Vec::with_capacity(inputs.len());
        for (n, input) in inputs.iter().enumerate() {
            let input = object(input)?;
            out.extend_from_slice(if n == 0 { b"{\"fulfillment\":".as_slice() } else { b",{\"fulfillment\":" });
            let start = out.len();
            match changes.fulfillments.get(n) {
                Some(Some(text)) => text_value(text).write_canonical(&mut out),
                _ => member(input, "fulfillment")?.write_canonical(&mut out),
            }
            fulfillments.push(start..out.len());
            out.extend_from_slice(b",\"fulfills\":");
            member(input, "fulfills")?.write_canonical(&mut out);
            out.extend_from_slice(b",\"owners_before\":");
            member(input, "owners_before")?.write_canonical(&mut out);
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"metadata\":");
        member(transaction, "metadata")?.write_canonical(&mut out);
        out.extend_from_slice(b",\"operation\":");
        member(transaction, "operation")?.write_canonical(&mut out);
        out.extend_from_slice(b",\"outputs\":[");
        for (n, output) in array(transaction, "outputs")?.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            match changes.outputs.get(n) {
                Some(Some((amount, uri))) => write_output(object(output)?, amount, uri, &mut out)?,
                _ => output.write_canonical(&mut out),
            }
        }
        out.extend_from_slice(b"],\"version\":");
        member(transaction, "version")?.write_canonical(&mut out);
        out.push(b'}');
        Ok(Self { bytes: out, id, fulfillments })
    }

    /// The id that belongs to it: the hash without `id` and with every fulfillment null.
    pub(super) fn hash(&self) -> TxId {
        let mut parts: Vec<&[u8]> = Vec::with_capacity(2 + 2 * self.fulfillments.len());
        parts.push(&self.bytes[..self.id.start]);
        let mut from = self.id.end;
        for fulfillment in &self.fulfillments {
            parts.push(&self.bytes[from..fulfillment.start]);
            parts.push(b"null");
            from = fulfillment.end;
        }
        parts.push(&self.bytes[from..]);
        TxId::from_bytes(sha3_256(&parts))
    }

    /// Puts another id in.
    pub(super) fn set_id(&mut self, id: TxId) {
        let start = self.id.start + ID_KEY.len();
        self.bytes[start..start + 64].copy_from_slice(&id.to_hex());
    }
}

fn write_output(output: &Object<'_>, amount: &str, uri: &str, out: &mut Vec<u8>) -> Result<(), Invalid> {
    out.extend_from_slice(b"{\"amount\":");
    text_value(amount).write_canonical(out);
    out.extend_from_slice(b",\"condition\":{\"details\":");
    member(object(member(output, "condition")?)?, "details")?.write_canonical(out);
    out.extend_from_slice(b",\"uri\":");
    text_value(uri).write_canonical(out);
    out.extend_from_slice(b"},\"public_keys\":");
    member(output, "public_keys")?.write_canonical(out);
    out.push(b'}');
    Ok(())
}

fn text_value(text: &str) -> Value<'_> {
    Value::String(Cow::Borrowed(text))
}

/// A member that the schema requires.
pub(super) fn member<'v, 'a>(object: &'v Object<'a>, key: &'static str) -> Result<&'v Value<'a>, Invalid> {
    object.get(key).ok_or_else(|| Invalid::ReferenceFails(format!("`{key}` is missing")))
}

/// A member that is an array.
pub(super) fn array<'v, 'a>(object: &'v Object<'a>, key: &'static str) -> Result<&'v [Value<'a>], Invalid> {
    match member(object, key)? {
        Value::Array(items) => Ok(items),
        _ => Err(Invalid::ReferenceFails(format!("`{key}` is not a list"))),
    }
}

/// A member that is a string.
pub(super) fn string<'v>(object: &'v Object<'_>, key: &'static str) -> Result<&'v str, Invalid> {
    match member(object, key)? {
        Value::String(text) => Ok(text),
        _ => Err(Invalid::ReferenceFails(format!("`{key}` is not a string"))),
    }
}

/// A value that is an object.
pub(super) fn object<'v, 'a>(value: &'v Value<'a>) -> Result<&'v Object<'a>, Invalid> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Invalid::ReferenceFails("a part of the transaction is not an object".to_owned())),
    }
}
