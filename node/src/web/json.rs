//! The two JSON writers of 1.0.1's HTTP API, as far as they are not the ledger's own.

use bytes::Bytes;
use ledger::json::{Int, Object, Value};

/// The writer of successful GETs and of the framework's errors: one line, `", "` and `": "`.
pub fn restful(value: &Value<'_>) -> Bytes {
    let mut out = Vec::with_capacity(256);
    value.write_http(&mut out);
    out.push(b'\n');
    out.into()
}

/// The writer of index documents, 202s and the application's errors: sorted keys, indented. `compact` leaves all white
/// space out, for `X-Requested-With: XMLHttpRequest`.
pub fn jsonify(value: &Value<'_>, compact: bool) -> Bytes {
    let mut out = Vec::with_capacity(1024);
    if compact {
        value.write_http_compact(&mut out);
    } else {
        value.write_http_indented(&mut out);
    }
    out.push(b'\n');
    out.into()
}

/// An object of these members, in this order.
pub fn object<'a>(members: impl IntoIterator<Item = (&'static str, Value<'a>)>) -> Value<'a> {
    let mut object = Object::default();
    for (key, value) in members {
        object.insert(key, value);
    }
    Value::Object(object)
}

/// A string.
pub fn text<'a>(text: impl Into<std::borrow::Cow<'a, str>>) -> Value<'a> {
    Value::String(text.into())
}

/// A number.
pub fn number<'a>(number: u16) -> Value<'a> {
    Value::Int(Int::Small(number.into()))
}

/// The order in which 1.0.1 writes the members of a stored object. (Stored bytes are canonical: sorted.)
pub enum Layout {
    /// As it is.
    Keep,
    /// These members first, in this order.
    Object(&'static [(&'static str, &'static Self)]),
    /// A list of such objects.
    List(&'static Self),
}

static KEEP: Layout = Layout::Keep;
/// A transaction.
pub static TRANSACTION: Layout = Layout::Object(&[
    ("inputs", &INPUTS),
    ("outputs", &OUTPUTS),
    ("operation", &KEEP),
    ("metadata", &KEEP),
    ("asset", &KEEP),
    ("version", &KEEP),
    ("id", &KEEP),
]);
static INPUTS: Layout = Layout::List(&INPUT);
static INPUT: Layout = Layout::Object(&[("owners_before", &KEEP), ("fulfills", &KEEP), ("fulfillment", &KEEP)]);
static OUTPUTS: Layout = Layout::List(&OUTPUT);
static OUTPUT: Layout = Layout::Object(&[("public_keys", &KEEP), ("condition", &CONDITION), ("amount", &KEEP)]);
static CONDITION: Layout = Layout::Object(&[("details", &DETAILS), ("uri", &KEEP)]);
static DETAILS: Layout =
    Layout::Object(&[("type", &KEEP), ("public_key", &KEEP), ("threshold", &KEEP), ("subconditions", &SUBCONDITIONS)]);
static SUBCONDITIONS: Layout = Layout::List(&DETAILS);
/// A vote.
pub static VOTE: Layout = Layout::Object(&[("node_pubkey", &KEEP), ("signature", &KEEP), ("vote", &VOTE_BODY)]);
static VOTE_BODY: Layout = Layout::Object(&[
    ("voting_for_block", &KEEP),
    ("previous_block", &KEEP),
    ("is_block_valid", &KEEP),
    ("invalid_reason", &KEEP),
    ("timestamp", &KEEP),
]);
/// Whatever is kept as it is.
pub static ANY: Layout = Layout::Keep;

/// Appends what is kept as canonical JSON, as 1.0.1's successful GETs print it. Bytes that are no JSON (nothing of ours
/// writes any) are shown as a string.
pub fn write_stored(bytes: &[u8], layout: &Layout, out: &mut Vec<u8>) {
    let value = ledger::json::parse(bytes).unwrap_or_else(|_| text(String::from_utf8_lossy(bytes)));
    arrange(value, layout).write_http(out);
}

fn arrange<'a>(value: Value<'a>, layout: &Layout) -> Value<'a> {
    match (layout, value) {
        (Layout::Object(members), Value::Object(mut object)) => {
            let mut out = Object::default();
            for (key, layout) in *members {
                if let Some(value) = object.remove(key) {
                    out.insert(*key, arrange(value, layout));
                }
            }
            let rest: Vec<String> = object.iter().map(|(key, _)| key.to_owned()).collect();
            for key in rest {
                if let Some(value) = object.remove(&key) {
                    out.insert(key, value);
                }
            }
            Value::Object(out)
        }
        (Layout::List(layout), Value::Array(items)) => {
            Value::Array(items.into_iter().map(|item| arrange(item, layout)).collect())
        }
        (_, value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_objects_are_written_in_the_reference_s_order() {
        let stored = br#"{"asset":{"data":{"a":1}},"id":"x","inputs":[{"fulfillment":"f","fulfills":null,"owners_before":[]}],
            "outputs":[{"amount":"1","condition":{"details":{"subconditions":[{"public_key":"k","type":"t"}],"threshold":1,
            "type":"t"},"uri":"u"},"public_keys":[]}],"zz":1}"#;
        let mut out = Vec::new();
        write_stored(stored, &TRANSACTION, &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"inputs": [{"owners_before": [], "fulfills": null, "fulfillment": "f"}], "outputs": [{"public_keys": [], "condition": {"details": {"type": "t", "threshold": 1, "subconditions": [{"type": "t", "public_key": "k"}]}, "uri": "u"}, "amount": "1"}], "asset": {"data": {"a": 1}}, "id": "x", "zz": 1}"#
        );
    }
}
