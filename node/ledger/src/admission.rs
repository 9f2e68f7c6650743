//! What a ledger takes in, in every mode: refused at POST, never a reason for a vote.
//!
//! Keys with `.`, a leading `$` or NUL, unsupported `language`, integers beyond 64 bits, non-finite numbers, nesting beyond
//! [`MAX_NESTING`], more than [`MAX_BYTES`]. Order and texts as BigchainDB 1.2 where it has them: after the schema,
//! before the id.

use std::fmt;

use crate::error::Invalid;
use crate::json::{self, Int, Object, ParseError, Value};
use crate::schema;
use crate::transaction::Transaction;

/// Largest transaction that is taken in, bytes of its posted text.
pub const MAX_BYTES: usize = 1 << 20;

/// Deepest nesting that is taken in: a BSON document has 100 levels.
pub const MAX_NESTING: usize = 95;

/// Why something was not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Larger than [`MAX_BYTES`].
    TooLarge {
        /// Its size, bytes.
        bytes: usize,
    },
    /// Not JSON.
    Json(ParseError),
    /// A broken rule.
    Invalid(Invalid),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => {
                write!(f, "The transaction has {bytes} bytes; {MAX_BYTES} is the most that is taken in.")
            }
            Self::Json(error) => error.fmt(f),
            Self::Invalid(broken) => broken.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

/// Reads a posted transaction. Takes milliseconds for whatever is posted.
pub fn transaction(text: &[u8]) -> Result<Transaction, Refused> {
    if text.len() > MAX_BYTES {
        return Err(Refused::TooLarge { bytes: text.len() });
    }
    transaction_value(&json::parse(text).map_err(Refused::Json)?)
}

/// The same for a text that is parsed already. Its size is the caller's matter.
pub fn transaction_value(value: &Value<'_>) -> Result<Transaction, Refused> {
    rules(value).map_err(Refused::Invalid)?;
    Transaction::after_schema(value).map_err(Refused::Invalid)
}

/// The rules that only admission has, and the schema, whose errors come first.
fn rules(value: &Value<'_>) -> Result<(), Invalid> {
    schema::transaction(value)?;
    storable(value, 0)?;
    let Some(transaction) = value.as_object() else { return Ok(()) };
    let data = transaction.get("asset").and_then(Value::as_object).and_then(|asset| asset.get("data"));
    let metadata = transaction.get("metadata");
    let free_form = [("asset", data), ("metadata", metadata)];
    for (name, content) in free_form {
        content.map_or(Ok(()), |content| key_names(name, content))?;
    }
    for (_, content) in free_form {
        content.map_or(Ok(()), languages)?;
    }
    Ok(())
}

/// Numbers and nesting that a BSON document can hold. (Numbers that are not finite break the schema already.)
fn storable(value: &Value<'_>, level: usize) -> Result<(), Invalid> {
    let too_deep = level >= MAX_NESTING;
    match value {
        Value::Array(_) | Value::Object(_) if too_deep => Err(Invalid::Admission(format!(
            "Objects and lists are nested more than {MAX_NESTING} levels deep. Make the structure flatter."
        ))),
        Value::Array(elements) => elements.iter().try_for_each(|element| storable(element, level + 1)),
        Value::Object(object) => object.iter().try_for_each(|(_, member)| storable(member, level + 1)),
        Value::Int(Int::Big(digits)) => Err(Invalid::Admission(format!(
            "The number {} does not fit 64 bits and cannot be stored. Send it as a string.",
            shortened(digits)
        ))),
        Value::Null | Value::Bool(_) | Value::Int(Int::Small(_)) | Value::Float(_) | Value::String(_) => Ok(()),
    }
}

/// The first digits of a number that may have a million.
fn shortened(digits: &str) -> String {
    const SHOWN: usize = 40;
    match digits.get(..SHOWN) {
        Some(start) if digits.len() > SHOWN => format!("{start}... ({} characters)", digits.len()),
        _ => digits.to_owned(),
    }
}

/// No key that MongoDB would read as an operator, a path or an end.
fn key_names(name: &str, content: &Value<'_>) -> Result<(), Invalid> {
    each_member(content, &mut |key, _| {
        if key.starts_with('$') || key.contains(['.', '\0']) {
            return Err(Invalid::Admission(format!(
                "Invalid key name \"{key}\" in {name} object. The key name cannot contain characters \".\", \"$\" or \
                 null characters"
            )));
        }
        Ok(Descend::Yes)
    })
}

/// No `language` that MongoDB's text index does not know: it would refuse the document.
fn languages(content: &Value<'_>) -> Result<(), Invalid> {
    const KNOWN: &str = "danish dutch english finnish french german hungarian italian norwegian portuguese romanian \
                         russian spanish swedish turkish none da nl en fi fr de hu it nb pt ro ru es sv tr";
    each_member(content, &mut |key, value| {
        if key != "language" {
            return Ok(Descend::Yes);
        }
        let language = match value {
            Value::String(text) if KNOWN.split(' ').any(|known| known == text) => return Ok(Descend::No),
            Value::String(text) => text.clone().into_owned(),
            other => other.repr(),
        };
        Err(Invalid::Admission(format!(
            "MongoDB does not support text search for the language \"{language}\". If you do not understand this error \
             message then please rename key/field \"language\" to something else like \"lang\"."
        )))
    })
}

/// Whether the members of a member are looked at too.
enum Descend {
    Yes,
    No,
}

/// Visits every member of every object, each before its own members, until one is wrong.
fn each_member(
    value: &Value<'_>,
    visit: &mut impl FnMut(&str, &Value<'_>) -> Result<Descend, Invalid>,
) -> Result<(), Invalid> {
    match value {
        Value::Array(elements) => elements.iter().try_for_each(|element| each_member(element, visit)),
        Value::Object(object) => members(object, visit),
        _ => Ok(()),
    }
}

fn members(
    object: &Object<'_>,
    visit: &mut impl FnMut(&str, &Value<'_>) -> Result<Descend, Invalid>,
) -> Result<(), Invalid> {
    for (key, value) in object.iter() {
        if let Descend::Yes = visit(key, value)? {
            each_member(value, visit)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../tests/data/transactions.json");

    /// What [`rules`] says of the first vector with these free-form parts.
    fn judge(data: &str, metadata: &str) -> Result<(), String> {
        let file = json::parse(VECTORS.as_bytes()).unwrap();
        let cases = file.as_object().and_then(|file| file.get("cases")).and_then(Value::as_array).unwrap();
        let is_base = |case: &&Value<'_>| case.as_object().unwrap().get("name").unwrap().as_str() == Some("base");
        let case = cases.iter().find(is_base).unwrap();
        let Some(Value::Object(mut transaction)) = case.as_object().unwrap().get("tx").cloned() else { panic!() };
        let asset = format!("{{\"data\":{data}}}");
        transaction.insert("asset", json::parse(asset.as_bytes()).unwrap());
        transaction.insert("metadata", json::parse(metadata.as_bytes()).unwrap());
        rules(&Value::Object(transaction)).map_err(|broken| format!("{}: {broken}", broken.class()))
    }

    #[track_caller]
    fn check_refused(data: &str, metadata: &str, text: &str) {
        let got = judge(data, metadata).unwrap_err();
        assert!(got.contains(text), "{got}");
    }

    #[test]
    fn takes_what_can_be_stored() {
        for (data, metadata) in [
            ("null", "null"),
            (r#"{"a$":{"b":[{"c-d":1}]},"":0}"#, r#"{"language":"none"}"#),
            (r#"{"language":"pt","x":[9223372036854775807,-9223372036854775808]}"#, "null"),
            (r#"{"Language":"klingon"}"#, "null"),
        ] {
            assert_eq!(judge(data, metadata), Ok(()));
        }
    }

    #[test]
    fn refuses_key_names_anywhere() {
        let text = "ValidationError: Invalid key name \"a.b\" in asset object. The key name cannot contain characters \
                    \".\", \"$\" or null characters";
        check_refused(r#"{"a.b":1}"#, "null", text);
        check_refused(r#"{"x":{"a.b":1}}"#, r#"{"$":1}"#, text);
        check_refused(r#"{"x":[[{"a.b":1}]]}"#, "null", text);
        check_refused("null", r#"{"$set":1}"#, "Invalid key name \"$set\" in metadata object");
        check_refused("null", r#"{"x":{"n\u0000":1}}"#, "Invalid key name \"n\0\" in metadata object");
    }

    #[test]
    fn refuses_unknown_languages_after_key_names() {
        let text = |language: &str| {
            format!(
                "ValidationError: MongoDB does not support text search for the language \"{language}\". If you do not \
                 understand this error message then please rename key/field \"language\" to something else like \"lang\"."
            )
        };
        check_refused(r#"{"language":"klingon"}"#, "null", &text("klingon"));
        check_refused(r#"{"x":[{"language":"English"}]}"#, "null", &text("English"));
        check_refused("null", r#"{"language":null}"#, &text("None"));
        check_refused(r#"{"language":{"a":1}}"#, "null", &text("{'a': 1}"));
        check_refused(r#"{"language":"klingon"}"#, r#"{"$":1}"#, "Invalid key name");
    }

    #[test]
    fn refuses_numbers_beyond_64_bits() {
        check_refused(r#"{"a":[9223372036854775808]}"#, "null", "The number 9223372036854775808 does not fit 64 bits");
        check_refused(&format!("{{\"a\":1{:0>99}}}", 0), "null", "... (100 characters) does not fit");
        check_refused(r#"{"a":1e999}"#, "null", "The number inf is not finite");
        check_refused("null", r#"{"a":NaN}"#, "The number nan is not finite");
    }

    #[test]
    fn refuses_nesting_beyond_the_limit() {
        // The transaction, the asset and its data are three levels.
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 3), "]".repeat(levels - 3));
        assert_eq!(judge(&nested(MAX_NESTING), "null"), Ok(()));
        check_refused(&nested(MAX_NESTING + 1), "null", "nested more than 95 levels");
    }

    #[test]
    fn size_and_syntax_come_first() {
        let long = vec![b' '; MAX_BYTES + 1];
        assert_eq!(transaction(&long).unwrap_err(), Refused::TooLarge { bytes: MAX_BYTES + 1 });
        assert_eq!(transaction(&long[1..]).unwrap_err(), Refused::Json(ParseError::Syntax { at: MAX_BYTES }));
    }
}
