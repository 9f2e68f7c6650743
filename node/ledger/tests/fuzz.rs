//! Random inputs for each parser of untrusted bytes: transactions, fulfillments, condition URIs, votes.
//!
//! Inputs are recorded ones with a few edits, so that most of them come past the first check. `PROPTEST_CASES` says how
//! many (`make fuzz`: a million each). A failure prints the smallest input that shows it.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::sync::LazyLock;

use ledger::admission;
use ledger::condition::Condition;
use ledger::condition::fulfillment::Fulfillment;
use ledger::crypto::sha3_256;
use ledger::json::{Value, parse};
use ledger::transaction::Transaction;
use ledger::vote::Vote;
use proptest::prelude::*;
use proptest::sample::Index;

/// One change of a text.
#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index, Index),
    /// Copies a piece to another place.
    Copy(Index, Index, Index),
    /// Puts in what parsers like least.
    Token(Index, &'static str),
}

const TOKENS: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "-1",
    "1e999",
    "NaN",
    "1.0",
    "18446744073709551616",
    "\\ud800",
    "\\u0000",
    "\n",
    "&",
    "cost=",
    "fpt=",
    "subtypes=",
    "ed25519-sha-256",
    "threshold-sha-256",
    "[[[[[[[[",
    "{\"a\":",
];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    let edit = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        (at(), at()).prop_map(|(from, to)| Edit::Remove(from, to)),
        (at(), at(), at()).prop_map(|(from, to, at)| Edit::Copy(from, to, at)),
        (at(), proptest::sample::select(TOKENS)).prop_map(|(at, token)| Edit::Token(at, token)),
    ];
    prop::collection::vec(edit, 0..6)
}

fn apply(text: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut text = text.to_vec();
    for edit in edits {
        let place = |index: &Index, text: &[u8]| index.index(text.len() + 1);
        let piece = |from: &Index, to: &Index, text: &[u8]| {
            let (a, b) = (place(from, text), place(to, text));
            // Short pieces, or nothing would be left.
            a.min(b)..a.max(b).min(a.min(b) + 64)
        };
        match edit {
            Edit::Replace(at, byte) => {
                let at = place(at, &text);
                if let Some(old) = text.get_mut(at) {
                    *old = *byte;
                }
            }
            Edit::Insert(at, byte) => text.insert(place(at, &text), *byte),
            Edit::Remove(from, to) => drop(text.drain(piece(from, to, &text))),
            Edit::Copy(from, to, at) => {
                let copy = text[piece(from, to, &text)].to_vec();
                let at = place(at, &text);
                text.splice(at..at, copy);
            }
            Edit::Token(at, token) => {
                let at = place(at, &text);
                text.splice(at..at, token.bytes());
            }
        }
    }
    text
}

/// Every text, object or member of a list that stands under this name in a recorded file; as canonical JSON but texts.
fn corpus(file: &str, name: &str) -> Vec<Vec<u8>> {
    fn collect(value: &Value<'_>, name: &str, found: &mut Vec<Vec<u8>>) {
        match value {
            Value::Array(list) => list.iter().for_each(|value| collect(value, name, found)),
            Value::Object(object) => {
                for (key, value) in object.iter() {
                    match value {
                        Value::String(text) if key == name => found.push(text.as_bytes().to_vec()),
                        Value::Object(_) if key == name => found.push(value.to_canonical()),
                        Value::Array(list) if key == name => found.extend(list.iter().map(Value::to_canonical)),
                        _ => collect(value, name, found),
                    }
                }
            }
            _ => {}
        }
    }
    let path = format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(path).unwrap();
    let mut found = Vec::new();
    collect(&parse(&text).unwrap(), name, &mut found);
    assert!(!found.is_empty(), "{file} has no `{name}`");
    found
}

static TRANSACTIONS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("transactions.json", "tx"));
static FULFILLMENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("transactions.json", "fulfillment"));
static URIS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("conditions.json", "uri"));
static VOTES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("elections.json", "votes"));

fn edited(corpus: &'static LazyLock<Vec<Vec<u8>>>) -> impl Strategy<Value = Vec<u8>> {
    (any::<Index>(), edits()).prop_map(|(example, edits)| apply(example.get::<Vec<u8>>(corpus), &edits))
}

/// The same transaction with the id that its changed body has, so that what comes after the id check is reached.
fn with_own_id(text: &[u8]) -> Option<Vec<u8>> {
    let mut value = parse(text).ok()?;
    let Value::Object(body) = &mut value else { return None };
    let signed = body.clone();
    body.remove("id");
    if let Some(Value::Array(inputs)) = body.get_mut("inputs") {
        for input in inputs {
            if let Value::Object(input) = input {
                input.insert("fulfillment", Value::Null);
            }
        }
    }
    let digest = sha3_256(&[&value.to_canonical()]);
    let id: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut body = signed;
    body.insert("id", Value::String(id.into()));
    Some(Value::Object(body).to_canonical())
}

/// What is taken in must be read back from what is stored, as the same transaction.
fn admit(text: &[u8]) {
    let Ok(tx) = admission::transaction(text) else { return };
    let stored = parse(tx.bytes()).unwrap();
    assert_eq!(&stored.to_canonical()[..], &tx.bytes()[..], "stored bytes are not canonical");
    if let Ok(again) = Transaction::from_value(&stored) {
        assert_eq!(again.bytes(), tx.bytes());
        assert_eq!(again.id(), tx.id());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn transactions(text in edited(&TRANSACTIONS)) {
        admit(&text);
        if let Some(text) = with_own_id(&text) {
            admit(&text);
        }
    }

    #[test]
    fn fulfillments(text in edited(&FULFILLMENTS)) {
        let read = [Fulfillment::from_der(&text), Fulfillment::from_text(&String::from_utf8_lossy(&text))];
        for fulfillment in read.into_iter().flatten() {
            let der = fulfillment.to_der();
            let again = Fulfillment::from_der(&der);
            prop_assert_eq!(again.map(|again| again.to_der()), Ok(der));
            let _ = fulfillment.condition();
        }
    }

    #[test]
    fn condition_uris(text in edited(&URIS)) {
        if let Ok(condition) = String::from_utf8_lossy(&text).parse::<Condition>() {
            prop_assert_eq!(condition.to_string().parse(), Ok(condition));
        }
    }

    #[test]
    fn votes(text in edited(&VOTES)) {
        if let Some(vote) = Vote::from_bytes(&text) {
            let bytes = vote.to_bytes();
            prop_assert_eq!(Vote::from_bytes(&bytes), Some(vote));
        }
    }

    #[test]
    fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..200)) {
        admit(&text);
        let _ = Fulfillment::from_der(&text);
        let _ = String::from_utf8_lossy(&text).parse::<Condition>();
        let _ = Vote::from_bytes(&text);
    }
}
