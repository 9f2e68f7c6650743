//! The schemas against recorded answers of the reference.
#![allow(clippy::unwrap_used)]

use ledger::error::Invalid;
use ledger::json::{Object, Value, parse};
use ledger::schema;

fn member<'v, 'a>(value: &'v Value<'a>, key: &str) -> Option<&'v Value<'a>> {
    value.as_object().unwrap().get(key)
}

fn sorted(text: &str) -> Vec<char> {
    let mut chars: Vec<char> = text.chars().collect();
    chars.sort_unstable();
    chars
}

#[test]
fn errors_are_the_references() {
    // Not read with serde_json: it makes floats of large integers.
    let file = parse(include_bytes!("data/transactions.json")).unwrap();
    let (mut refused, mut reordered) = (0, Vec::new());
    for case in member(&file, "cases").and_then(Value::as_array).unwrap() {
        let (name, expect) = (member(case, "name").unwrap().repr(), member(case, "expect").unwrap());
        let result = schema::transaction(member(case, "tx").unwrap());
        if member(expect, "error").and_then(Value::as_str) == Some("SchemaValidationError") {
            let message = member(expect, "message").and_then(Value::as_str).unwrap().to_owned();
            let Err(Invalid::Schema(got)) = result else { panic!("{name}: {result:?}") };
            if got != message {
                // The file holds the transactions with sorted keys; the reference saw and printed them in another order.
                assert_eq!(sorted(&got), sorted(&message), "{name}");
                reordered.push(name);
            }
            refused += 1;
        } else {
            assert_eq!(result, Ok(()), "{name}");
        }
    }
    assert_eq!(refused, 411);
    assert_eq!(reordered.len(), 9, "{reordered:?}");
}

/// The first vector with some members replaced, or added at the end.
fn changed<'a>(changes: &'a str) -> Value<'a> {
    let file = parse(include_bytes!("data/transactions.json")).unwrap();
    let cases = member(&file, "cases").and_then(Value::as_array).unwrap();
    let is_base = |case: &&Value<'_>| member(case, "name").unwrap().as_str() == Some("base");
    let base = cases.iter().find(is_base).and_then(|case| member(case, "tx")).unwrap();
    let mut transaction: Object<'a> = base.as_object().unwrap().clone().into_owned();
    let Value::Object(changes) = parse(changes.as_bytes()).unwrap() else { panic!("{changes}") };
    for (key, value) in changes.iter() {
        transaction.insert(key.to_owned(), value.clone());
    }
    Value::Object(transaction)
}

/// Answers of the reference to what the recorded transactions leave open: above all, which of several errors is first.
#[test]
fn the_first_of_several_errors_is_reported() {
    let hash = "a".repeat(64);
    for (changes, expected) in [
        (r#"{"b":1,"a":2,"id":1}"#, "Additional properties are not allowed ('b', 'a' were unexpected)"),
        (r#"{"inputs":1,"asset":1,"operation":true,"id":null}"#, "None is not of type 'string'"),
        (r#"{"inputs":[],"asset":1.0,"operation":true}"#, "True is not of type 'string'"),
        (r#"{"inputs":1,"asset":1.0}"#, "1.0 is not of type 'object'"),
        (r#"{"inputs":[{}],"outputs":[{}],"metadata":{},"version":1}"#, "'owners_before' is a required property"),
        (r#"{"outputs":[{}],"metadata":{},"version":1}"#, "'amount' is a required property"),
        (r#"{"metadata":{},"version":1}"#, "{} is not valid under any of the given schemas"),
        (r#"{"operation":"TRANSFER"}"#, "Additional properties are not allowed ('data' was unexpected)"),
        (&format!(r#"{{"operation":"TRANSFER","asset":{{"id":"{hash}"}}}}"#), "None is not of type 'object'"),
        (r#"{"asset":{},"inputs":[]}"#, "'data' is a required property"),
        // What RapidJSON chokes on is not reported as long as jsonschema finds something.
        (r#"{"metadata":{"a":1e999},"version":2}"#, "2 is not of type 'string'"),
    ] {
        assert_eq!(schema::transaction(&changed(changes)), Err(Invalid::Schema(expected.to_owned())), "{changes}");
    }
}

#[test]
fn verdicts_are_rapidjsons() {
    let (hash, zeros) = ("a".repeat(64), "0".repeat(300));
    for changes in [
        r#"{"operation":"GENESIS"}"#,
        r#"{"version":"1.0\u0000x"}"#,
        &format!(r#"{{"id":"x{hash}x"}}"#),
        &format!(r#"{{"metadata":{{"a":[1{zeros}]}}}}"#),
    ] {
        assert_eq!(schema::transaction(&changed(changes)), Ok(()), "{changes}");
    }
    for (changes, text) in [
        (r#"{"version":"1.0\n"}"#, r"'1.0\n' does not match '^1\\.0$'"),
        (&format!(r#"{{"id":"\u0000{hash}"}}"#), &format!(r"'\x00{hash}' does not match '[0-9a-f]{{64}}'")),
        (r#"{"metadata":{"a":NaN}}"#, "The number nan is not finite or too large: send it as a string."),
        (
            &format!(r#"{{"metadata":{{"a":1{zeros}{zeros}}}}}"#),
            &format!("The number 1{} is not finite or too large: send it as a string.", "0".repeat(39)),
        ),
    ] {
        assert_eq!(schema::transaction(&changed(changes)), Err(Invalid::ReferenceFails(text.to_owned())), "{changes}");
    }
}

#[test]
fn votes() {
    let vote = |key: &str, signature: &str, valid: &str, timestamp: &str| {
        let hash = "0".repeat(64);
        let text = format!(
            r#"{{"node_pubkey":"{key}","signature":"{signature}","vote":{{"invalid_reason":null,"is_block_valid":{valid},
            "previous_block":"{hash}","timestamp":"{timestamp}","voting_for_block":"{hash}"}}}}"#
        );
        schema::vote(&parse(text.as_bytes()).unwrap())
    };
    let (key, signature) = ("2".repeat(44), "3".repeat(88));
    assert!(vote(&key, &signature, "true", "1500000000"));
    assert!(vote(&key[1..], &signature[2..], "false", "at 15000000001"));
    assert!(!vote(&key[2..], &signature, "true", "1500000000"));
    assert!(!vote(&key, &signature[3..], "true", "1500000000"));
    assert!(!vote(&key, &signature, "1", "1500000000"));
    assert!(!vote(&key, &signature, "true", "150000000"));
    assert!(!vote(&key, &signature, "NaN", "1500000000"));
    assert!(!schema::vote(&Value::Null));
}
