//! JSON values as BSON, and back.

use std::borrow::Cow;

use ledger::json::{Int, Object, Value};
use mongodb::bson::raw::{CStr, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};

/// A value that the other form does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoCounterpart(pub String);

/// Levels of nesting that are read. No server takes more (`maxBSONDepth`, at most 250), and a thread's stack takes these.
const DEEPEST: usize = 250;

/// What happened, when it did.
pub type Result<T> = std::result::Result<T, NoCounterpart>;

/// An object as a document.
///
/// # Errors
///
/// Integers beyond 64 bits, and keys with NUL. (The rules of admission refuse both.)
pub fn document(object: &Object<'_>) -> Result<RawDocumentBuf> {
    let mut document = RawDocumentBuf::new();
    append_members(&mut document, object)?;
    Ok(document)
}

/// Appends an object's members to a document.
pub fn append_members(document: &mut RawDocumentBuf, object: &Object<'_>) -> Result<()> {
    object.iter().try_for_each(|(key, value)| append(document, key, value))
}

/// Appends one member to a document.
pub fn append(document: &mut RawDocumentBuf, key: &str, value: &Value<'_>) -> Result<()> {
    let key: &CStr = key.try_into().map_err(|_| NoCounterpart(format!("the key {key:?} holds a NUL")))?;
    match value {
        Value::Null => document.append(key, RawBsonRef::Null),
        Value::Bool(flag) => document.append(key, *flag),
        Value::Int(Int::Small(number)) => match i32::try_from(*number) {
            // As pymongo writes it, whose numbers are as short as they can be.
            Ok(short) => document.append(key, short),
            Err(_) => document.append(key, *number),
        },
        Value::Int(Int::Big(digits)) => return Err(too_large(digits)),
        Value::Float(number) => document.append(key, *number),
        Value::String(text) => document.append(key, text.as_ref()),
        Value::Array(elements) => document.append(key, array(elements)?),
        Value::Object(object) => document.append(key, self::document(object)?),
    }
    Ok(())
}

fn array(elements: &[Value<'_>]) -> Result<RawArrayBuf> {
    let mut array = RawArrayBuf::new();
    for element in elements {
        match element {
            Value::Null => array.push(RawBsonRef::Null),
            Value::Bool(flag) => array.push(*flag),
            Value::Int(Int::Small(number)) => match i32::try_from(*number) {
                Ok(short) => array.push(short),
                Err(_) => array.push(*number),
            },
            Value::Int(Int::Big(digits)) => return Err(too_large(digits)),
            Value::Float(number) => array.push(*number),
            Value::String(text) => array.push(text.as_ref()),
            Value::Array(elements) => array.push(self::array(elements)?),
            Value::Object(object) => array.push(document(object)?),
        }
    }
    Ok(array)
}

/// Bytes of [`document`] for a byte of an object's canonical JSON, at most: a digit in a list and its comma are a type, an
/// index of up to eight digits, a NUL and four bytes.
pub const WORST: usize = 7;

/// Bytes of [`document`].
pub fn size(object: &Object<'_>) -> usize {
    // A length and a NUL around members of a type, a key and a NUL each.
    let members = object.iter().map(|(key, value)| 1 + key.len() + 1 + size_of(value));
    4 + members.sum::<usize>() + 1
}

fn size_of(value: &Value<'_>) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(Int::Small(number)) if i32::try_from(*number).is_ok() => 4,
        Value::Int(_) | Value::Float(_) => 8,
        Value::String(text) => 4 + text.len() + 1,
        Value::Array(elements) => {
            let digits = |n: usize| n.checked_ilog10().map_or(1, |log| log as usize + 1);
            let elements = elements.iter().enumerate().map(|(n, element)| 1 + digits(n) + 1 + size_of(element));
            4 + elements.sum::<usize>() + 1
        }
        Value::Object(object) => size(object),
    }
}

fn too_large(digits: &str) -> NoCounterpart {
    NoCounterpart(format!("the number {digits:.40} does not fit 64 bits"))
}

/// A document as an object, without MongoDB's own `_id`.
///
/// # Errors
///
/// Types that JSON does not have, broken BSON, and what nests too deep.
pub fn object(document: &RawDocument) -> Result<Object<'_>> {
    members(document, DEEPEST, |key| key != "_id")
}

fn members(document: &RawDocument, depth: usize, wanted: impl Fn(&str) -> bool) -> Result<Object<'_>> {
    let mut members = Vec::new();
    for member in document {
        let (key, value) = member.map_err(|error| NoCounterpart(format!("broken BSON: {error}")))?;
        if wanted(key.as_str()) {
            members.push((Cow::Borrowed(key.as_str()), self::value(value, depth)?));
        }
    }
    Ok(members.into_iter().collect())
}

fn value(value: RawBsonRef<'_>, depth: usize) -> Result<Value<'_>> {
    let Some(below) = depth.checked_sub(1) else {
        return Err(NoCounterpart(format!("nested deeper than {DEEPEST} levels")));
    };
    Ok(match value {
        RawBsonRef::Null => Value::Null,
        RawBsonRef::Boolean(flag) => Value::Bool(flag),
        RawBsonRef::Int32(number) => Value::Int(Int::Small(number.into())),
        RawBsonRef::Int64(number) => Value::Int(Int::Small(number)),
        RawBsonRef::Double(number) => Value::Float(number),
        RawBsonRef::String(text) => Value::String(Cow::Borrowed(text)),
        RawBsonRef::Document(document) => Value::Object(members(document, below, |_| true)?),
        RawBsonRef::Array(array) => {
            let mut elements = Vec::new();
            for element in array {
                let element = element.map_err(|error| NoCounterpart(format!("broken BSON: {error}")))?;
                elements.push(self::value(element, below)?);
            }
            Value::Array(elements)
        }
        other => return Err(NoCounterpart(format!("JSON has no {:?}", other.element_type()))),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        let texts = [
            r#"{"a":1,"b":-1.5,"c":[null,true,"❤",{"d":[]},9223372036854775807,-9223372036854775808,1.0,-0.0,1e300]}"#,
            r#"{"":{"x":{}},"2147483647":2147483648,"language":"none"}"#,
        ];
        for text in texts {
            let Value::Object(before) = ledger::json::parse(text.as_bytes()).unwrap() else { unreachable!() };
            let document = document(&before).unwrap();
            let after = Value::Object(object(&document).unwrap());
            assert_eq!(after.to_canonical(), Value::Object(before).to_canonical());
        }
    }

    #[test]
    fn sizes_are_those_of_what_is_written() {
        let numbers = |element: &str, n: usize| format!("{{\"\":[{}{element}]}}", format!("{element},").repeat(n));
        let nested = format!("{{\"a\":{}{}}}", "[".repeat(90), "]".repeat(90));
        let mut texts = vec![
            r#"{"a":1,"b":-1.5,"c":[null,true,"❤",{"d":[]},9223372036854775807,2147483648,-2147483648,1.0]}"#
                .to_owned(),
            r#"{}"#.to_owned(),
            nested,
        ];
        let elements = ["1", "-1", "[]", "{}", "\"\"", "null", "true", "1.0", "[[]]", "[1]", "{\"\":1}", "{\"\":[]}"];
        texts.extend(elements.iter().flat_map(|element| [numbers(element, 0), numbers(element, 200_000)]));
        for text in texts {
            let Value::Object(object) = ledger::json::parse(text.as_bytes()).unwrap() else { unreachable!() };
            let written = document(&object).unwrap().as_bytes().len();
            assert_eq!(size(&object), written, "{text:.80}");
            assert!(written <= WORST * text.len(), "{text:.80}: {written} bytes of {}", text.len());
        }
    }

    #[test]
    fn what_has_no_counterpart_is_refused() {
        for (text, said) in [(r#"{"n":[18446744073709551616]}"#, "18446744073709551616"), (r#"{"a\u0000":1}"#, "NUL")] {
            let Value::Object(object) = ledger::json::parse(text.as_bytes()).unwrap() else { unreachable!() };
            assert!(document(&object).unwrap_err().to_string().contains(said));
        }
        let document = mongodb::bson::rawdoc! { "_id": 1, "when": mongodb::bson::DateTime::from_millis(0) };
        assert!(object(&document).unwrap_err().to_string().contains("DateTime"));
    }

    #[test]
    fn what_nests_too_deep_is_refused() {
        let mut document = RawDocumentBuf::new();
        for _ in 0..=DEEPEST {
            let mut outer = RawDocumentBuf::new();
            outer.append(mongodb::bson::raw::cstr!("a"), document);
            document = outer;
        }
        assert!(object(&document).unwrap_err().to_string().contains("deeper"));
    }
}
