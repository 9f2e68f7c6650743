//! The schemas against recorded answers of the reference.
#![allow(clippy::unwrap_used)]

use ledger::error::Invalid;
use ledger::json::{Value, parse};
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
