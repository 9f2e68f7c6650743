//! What a client makes must be what the rules accept; and the rules beyond the recorded cases.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use ledger::block::Block;
use ledger::build::{BuildError, Recipient, create, sign, transfer};
use ledger::condition::Condition;
use ledger::crypto::{PrivateKey, Uncached, Verifier, sha3_256};
use ledger::error::Invalid;
use ledger::facts::{Facts, InputFact, TxStatus};
use ledger::ids::{PublicKey, TxId};
use ledger::json::{Value, parse};
use ledger::rules::Rules;
use ledger::transaction::{Operation, Transaction};
use ledger::validate::{self, Verdict};
use ledger::vote::Vote;

fn key(n: u8) -> PrivateKey {
    PrivateKey::from_seed(&[n; 32])
}

fn to(keys: &[u8], amount: u64) -> Recipient {
    Recipient { public_keys: keys.iter().map(|n| key(*n).public_key()).collect(), amount }
}

fn publics(keys: &[u8]) -> Vec<PublicKey> {
    keys.iter().map(|n| key(*n).public_key()).collect()
}

fn privates(keys: &[u8]) -> Vec<PrivateKey> {
    keys.iter().map(|n| key(*n)).collect()
}

fn created(signers: &[u8], recipients: &[Recipient]) -> Transaction {
    let asset = parse(br#"{"name": "bicycle", "weight": 0.1}"#).unwrap();
    let unsigned = create(&publics(signers), recipients, Some(asset), None).unwrap();
    Transaction::from_value(&sign(&unsigned, &privates(signers)).unwrap()).unwrap()
}

fn judge(tx: &Transaction, spent: &[&Arc<Transaction>], rules: Rules) -> Verdict {
    let found = |tx: &&Arc<Transaction>| InputFact::Found {
        transaction: Arc::clone(tx),
        status: TxStatus::Valid,
        spenders: Vec::new(),
    };
    validate::transaction(tx, &Facts { inputs: spent.iter().map(found).collect() }, rules, &Uncached)
}

#[test]
fn what_is_built_and_signed_is_valid() {
    let first = Arc::new(created(&[1], &[to(&[1], 4), to(&[2, 3], 6)]));
    assert_eq!(judge(&first, &[], Rules::Strict), Verdict::Valid);
    assert_eq!(first.outputs()[1].owners, publics(&[2, 3]));

    let unsigned = transfer(&[(&first, 0), (&first, 1)], &[to(&[4], 10)], None).unwrap();
    let read = Transaction::from_value(&unsigned).unwrap();
    assert_eq!(judge(&read, &[&first, &first], Rules::V1_0_1), Verdict::Invalid(Invalid::Signature));
    let signed = sign(&unsigned, &privates(&[3, 1, 2])).unwrap();
    let spending = Transaction::from_value(&signed).unwrap();
    assert_eq!(spending.signature_count(), 3);
    assert_eq!(judge(&spending, &[&first, &first], Rules::Strict), Verdict::Valid);
}

#[test]
fn owners_sign_one_after_the_other() {
    let first = Arc::new(created(&[1, 2], &[to(&[1], 1), to(&[2], 1)]));
    let unsigned = transfer(&[(&first, 0), (&first, 1)], &[to(&[3], 2)], None).unwrap();
    let half = sign(&unsigned, &privates(&[2])).unwrap();
    assert_eq!(sign(&half, &privates(&[2])), Err(BuildError::MissingKey(key(1).public_key())));
    let whole = Transaction::from_value(&sign(&half, &privates(&[1])).unwrap()).unwrap();
    assert_eq!(judge(&whole, &[&first, &first], Rules::Strict), Verdict::Valid);
}

/// 2-of-3 with a threshold inside: no client makes such outputs here, but whoever owns one must be able to spend it.
#[test]
fn thresholds_are_met_with_the_keys_there_are() {
    let plain = |n: u8| format!(r#"{{"type":"ed25519-sha-256","public_key":"{}"}}"#, key(n).public_key());
    let inner = format!(r#"{{"type":"threshold-sha-256","threshold":1,"subconditions":[{},{}]}}"#, plain(2), plain(3));
    let details =
        format!(r#"{{"type":"threshold-sha-256","threshold":2,"subconditions":[{inner},{},{}]}}"#, plain(4), plain(5));
    let condition = ledger::condition::details::read(&parse(details.as_bytes()).unwrap()).unwrap().condition;
    let unsigned = create(&publics(&[1]), &[to(&[1], 1)], None, None).unwrap();
    let simple_uri = Condition::ed25519(&key(1).public_key()).to_string();
    let simple_details = format!(r#""details":{}"#, canonical(&plain(1)));
    let text = String::from_utf8(unsigned.to_canonical()).unwrap();
    let text = text.replace(&simple_uri, &condition.to_string());
    let locked = signed_anew(&text.replace(&simple_details, &format!(r#""details":{details}"#)), &[1]);
    let locked = Arc::new(locked);
    for (keys, valid) in [(&[2, 4][..], true), (&[5, 3], true), (&[2, 3, 4, 5], true), (&[2, 3], false), (&[4], false)]
    {
        let unsigned = transfer(&[(&locked, 0)], &[to(&[6], 1)], None).unwrap();
        match sign(&unsigned, &privates(keys)) {
            Ok(signed) => {
                assert!(valid, "{keys:?}");
                let tx = Transaction::from_value(&signed).unwrap();
                assert_eq!(tx.signature_count(), 2);
                assert_eq!(judge(&tx, &[&locked], Rules::V1_0_1), Verdict::Valid, "{keys:?}");
            }
            Err(error) => assert!(!valid && matches!(error, BuildError::MissingKey(_)), "{keys:?}: {error}"),
        }
    }
}

fn canonical(text: &str) -> String {
    String::from_utf8(parse(text.as_bytes()).unwrap().to_canonical()).unwrap()
}

/// A text of an unsigned transaction that was edited: with its id and signed.
fn signed_anew(text: &str, keys: &[u8]) -> Transaction {
    Transaction::from_value(&sign(&with_own_id(text), &privates(keys)).unwrap()).unwrap()
}

/// The same transaction with the hash of its body as the id.
fn with_own_id(text: &str) -> Value<'static> {
    let mut value = parse(text.as_bytes()).unwrap().into_owned();
    let mut body = value.clone();
    let Value::Object(members) = &mut body else { panic!("no object") };
    members.remove("id");
    let Some(Value::Array(inputs)) = members.get_mut("inputs") else { panic!("no inputs") };
    for input in inputs {
        let Value::Object(input) = input else { panic!("no input") };
        input.insert("fulfillment", Value::Null);
    }
    let id = TxId::from_bytes(sha3_256(&[&body.to_canonical()]));
    let Value::Object(members) = &mut value else { panic!("no object") };
    members.insert("id", Value::String(id.to_string().into()));
    value
}

#[test]
fn wrong_arguments_are_named() {
    let owner = publics(&[1]);
    let many: Vec<u8> = (0..=100).collect();
    let text = |result: Result<Value<'static>, BuildError>| match result {
        Err(BuildError::Argument(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(text(create(&[], &[to(&[1], 1)], None, None)).contains("signer"));
    assert!(text(create(&owner, &[], None, None)).contains("recipient"));
    assert!(text(create(&owner, &[to(&[], 1)], None, None)).contains("key"));
    assert!(text(create(&owner, &[to(&[1], 0)], None, None)).contains("amount"));
    assert!(text(create(&owner, &[to(&many, 1)], None, None)).contains("100 keys"));
    assert!(text(create(&owner, &[to(&[1], 1)], Some(Value::Bool(true)), None)).contains("asset"));
    assert!(text(create(&owner, &[to(&[1], 1)], None, Some(parse(b"{}").unwrap()))).contains("metadata"));
    let (a, b) = (created(&[1], &[to(&[1], 1)]), created(&[1], &[to(&[1], 2)]));
    assert!(text(transfer(&[], &[to(&[1], 1)], None)).contains("output"));
    assert!(text(transfer(&[(&a, 7)], &[to(&[1], 1)], None)).contains("no output 7"));
    assert!(text(transfer(&[(&a, 0), (&b, 0)], &[to(&[1], 3)], None)).contains("one asset"));
    assert!(text(sign(&Value::Null, &[])).contains("object"));
}

#[test]
fn strict_ledgers_hold_owners_to_their_names() {
    let rename = |tx: &Value<'_>, keys: &[u8], from: u8, to: u8| {
        let text = String::from_utf8(tx.to_canonical()).unwrap();
        let owners = |n: u8| format!(r#""owners_before":["{}"]"#, key(n).public_key());
        signed_anew(&text.replace(&owners(from), &owners(to)), keys)
    };
    let honest = create(&publics(&[1]), &[to(&[1], 1)], None, None).unwrap();
    let forged = rename(&honest, &[1], 1, 2);
    assert_eq!(judge(&forged, &[], Rules::V1_0_1), Verdict::Valid);
    let Verdict::Invalid(Invalid::Owner(text)) = judge(&forged, &[], Rules::Strict) else { panic!("forged issuer") };
    assert!(text.contains(&key(1).public_key().to_string()) && text.contains(&key(2).public_key().to_string()));

    let first = Arc::new(created(&[1], &[to(&[1], 1)]));
    let unsigned = transfer(&[(&first, 0)], &[to(&[2], 1)], None).unwrap();
    let forged = rename(&unsigned, &[1], 1, 3);
    assert_eq!(judge(&forged, &[&first], Rules::V1_0_1), Verdict::Valid);
    assert!(matches!(judge(&forged, &[&first], Rules::Strict), Verdict::Invalid(Invalid::Owner(_))));
}

#[test]
fn strict_ledgers_want_signatures() {
    // The fulfillments do not cover the message, so they can be put in without signing anew.
    let unsigned =
        String::from_utf8(create(&publics(&[1]), &[to(&[1], 1)], None, None).unwrap().to_canonical()).unwrap();
    let details = format!(r#""fulfillment":{{"public_key":"{}","type":"ed25519-sha-256"}}"#, key(1).public_key());
    let preimage_in_prefix = "oQuAAIEBAKIEoAKAAA";
    for fulfillment in ["oAKAAA", preimage_in_prefix, "ogijBKACgAChAA", "ogSgAKEA", "ogigBKACgAChAA"] {
        let text = unsigned.replace(&details, &format!(r#""fulfillment":"{fulfillment}""#));
        let Ok(tx) = Transaction::from_value(&parse(text.as_bytes()).unwrap()) else {
            assert_eq!(fulfillment, "ogijBKACgAChAA", "this one alone is no fulfillment");
            continue;
        };
        assert_eq!(judge(&tx, &[], Rules::V1_0_1), Verdict::Valid, "{fulfillment}");
        let strict = judge(&tx, &[], Rules::Strict);
        assert!(matches!(strict, Verdict::Invalid(Invalid::Unsigned(_))), "{fulfillment}: {strict:?}");
    }
}

#[test]
fn missing_facts_leave_the_verdict_open() {
    let first = Arc::new(created(&[1], &[to(&[1], 1), to(&[1], 1)]));
    let unsigned = transfer(&[(&first, 0), (&first, 1)], &[to(&[2], 2)], None).unwrap();
    let tx = Transaction::from_value(&sign(&unsigned, &privates(&[1])).unwrap()).unwrap();
    let found = || InputFact::Found { transaction: Arc::clone(&first), status: TxStatus::Valid, spenders: Vec::new() };
    let unknown = || InputFact::Unknown("the database is away".to_owned());
    let verdict = |inputs| validate::transaction(&tx, &Facts { inputs }, Rules::V1_0_1, &Uncached);
    assert_eq!(verdict(vec![found(), found()]), Verdict::Valid);
    assert_eq!(verdict(vec![found(), unknown()]), Verdict::Undetermined("the database is away".to_owned()));
    assert!(matches!(verdict(vec![found()]), Verdict::Undetermined(_)));
    // A rule that is broken before the unknown fact matters stays the verdict.
    let missing = Invalid::InputDoesNotExist { transaction_id: first.id().to_string() };
    assert_eq!(verdict(vec![InputFact::Missing, unknown()]), Verdict::Invalid(missing));
}

#[test]
fn what_the_reference_cannot_derive_is_reported_after_what_it_cannot_read() {
    let text = String::from_utf8(created(&[1], &[to(&[1], 1), to(&[2], 2)]).bytes().to_vec()).unwrap();
    let details = |n: u8| format!(r#"{{"public_key":"{}","type":"ed25519-sha-256"}}"#, key(n).public_key());
    let unmet = format!(r#"{{"subconditions":[{}],"threshold":2,"type":"threshold-sha-256"}}"#, details(1));
    let read = |text: &str| match Transaction::from_value(&with_own_id(text)) {
        Err(broken) => broken,
        Ok(tx) => panic!("{tx:?}"),
    };
    let unmet = text.replace(&format!(r#""details":{}"#, details(1)), &format!(r#""details":{unmet}"#));
    assert!(matches!(read(&unmet), Invalid::ReferenceFails(text) if text.contains("cannot be met")));
    for amount in ["1", "2"] {
        let zero = unmet.replace(&format!(r#""amount":"{amount}""#), r#""amount":"0""#);
        assert!(matches!(read(&zero), Invalid::Amount(_)), "output of {amount}");
    }
}

/// A transaction that breaks every rule, mended rule by rule: each time the next one of the reference's order shows.
#[test]
fn the_first_broken_rule_is_the_references() {
    let two = |n: u8| Arc::new(created(&[n], &[to(&[n], 1), to(&[n], 2)]));
    let (spent, other, short) = (two(1), two(2), Arc::new(created(&[3], &[to(&[3], 1)])));
    let unsigned = |outputs: [(&Transaction, u64); 2], amount| {
        Transaction::from_value(&transfer(&outputs, &[to(&[4], amount)], None).unwrap()).unwrap()
    };
    let wrong_sum = unsigned([(&spent, 0), (&spent, 1)], 9);
    let id = || spent.id().to_string();
    let found = |transaction: &Arc<Transaction>, status, spent_by: Option<&Transaction>| InputFact::Found {
        transaction: Arc::clone(transaction),
        status,
        spenders: spent_by.iter().map(|tx| tx.id()).collect(),
    };
    let valid = |transaction| found(transaction, TxStatus::Valid, None);
    let verdict =
        |tx: &Transaction, inputs| match validate::transaction(tx, &Facts { inputs }, Rules::V1_0_1, &Uncached) {
            Verdict::Invalid(rule) => rule,
            other => panic!("{other:?}"),
        };
    let of_second = |fact| verdict(&wrong_sum, vec![valid(&other), fact]);

    assert_eq!(of_second(InputFact::Missing), Invalid::InputDoesNotExist { transaction_id: id() });
    let undecided = of_second(found(&short, TxStatus::Undecided, Some(&other)));
    assert_eq!(undecided, Invalid::TransactionNotInValidBlock { transaction_id: id() });
    let spent_before = of_second(found(&short, TxStatus::Valid, Some(&other)));
    assert_eq!(spent_before, Invalid::AlreadySpent { transaction_id: id() });
    assert!(matches!(of_second(valid(&short)), Invalid::ReferenceFails(text) if text.contains("`output_index` 1")));
    let twice = unsigned([(&spent, 1), (&spent, 1)], 9);
    let of_twice = verdict(&twice, vec![valid(&spent), valid(&other)]);
    assert_eq!(of_twice, Invalid::SpentTwiceWithin { id: twice.id().to_string() });
    assert_eq!(of_second(valid(&spent)), Invalid::AssetIdsDiffer);
    assert_eq!(of_second(valid(&other)), Invalid::AssetIdMismatch);
    let sums = "The amount used in the inputs `3` needs to be same as the amount used in the outputs `9`";
    let own = || vec![valid(&spent), valid(&spent)];
    assert_eq!(verdict(&wrong_sum, own()), Invalid::Amount(sums.to_owned()));
    assert_eq!(verdict(&unsigned([(&spent, 0), (&spent, 1)], 3), own()), Invalid::Signature);
}

/// Counts what it is asked.
#[derive(Default)]
struct Counting(Cell<usize>);

impl Verifier for Counting {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.set(self.0.get() + 1);
        Uncached.verify(key, message, signature)
    }
}

#[test]
fn signatures_are_checked_once() {
    let tx = created(&[1, 2, 3], &[to(&[1], 1)]);
    let counting = Counting::default();
    assert!(tx.signatures_valid(&counting) && tx.signatures_valid(&counting));
    assert_eq!(counting.0.get(), tx.signature_count());
}

#[test]
fn damaged_bytes_are_refused_and_never_panic() {
    let tx = created(&[1], &[to(&[1, 2], 5)]);
    let stored = Transaction::from_stored(tx.bytes().clone()).unwrap();
    assert_eq!((stored.id(), stored.operation()), (tx.id(), Operation::Create));
    assert!(stored.signatures_valid(&Uncached));
    for cut in 0..tx.bytes().len() {
        assert!(Transaction::from_stored(tx.bytes().slice(..cut)).is_err(), "{cut}");
        let mut flipped = tx.bytes().to_vec();
        flipped[cut] ^= 0x15;
        // It may still read as a transaction: the checksum is there to see this.
        let _ = Transaction::from_stored(Bytes::from(flipped)).map(|tx| tx.signatures_valid(&Uncached));
    }
}

#[test]
fn the_genesis_block_is_as_the_reference_makes_it() {
    let block = Block::genesis(&publics(&[1, 2]), 1_500_018_524, &key(1));
    assert_eq!(block.check(&publics(&[1, 2]), &Uncached), Ok(()));
    assert_eq!(block.check(&publics(&[2]), &Uncached), Err(Invalid::Sybil));
    let [tx] = block.transactions.as_slice() else { panic!("one transaction") };
    assert_eq!((tx.operation(), tx.outputs().len(), tx.outputs()[0].amount), (Operation::Genesis, 1, 1));
    assert_eq!(judge(tx, &[], Rules::Strict), Verdict::Valid);
    let text = String::from_utf8(tx.bytes().to_vec()).unwrap();
    assert!(text.contains(r#""metadata":{"message":"Hello World from the BigchainDB"}"#), "{text}");
    assert!(text.contains(r#""asset":{"data":null}"#), "{text}");
}

#[test]
fn blocks_read_back_and_show_changes() {
    let transactions = vec![Arc::new(created(&[1], &[to(&[2], 1)])), Arc::new(created(&[2], &[to(&[1], 1)]))];
    let mut block = Block::create(transactions, &publics(&[1]), 1_500_018_524, &key(1));
    let inner = String::from_utf8(block.canonical_inner()).unwrap();
    let whole =
        |inner: &str| format!(r#"{{"id":"{}","block":{inner},"signature":"{}"}}"#, block.id, block.header.signature);
    let read = Block::from_value(&parse(whole(&inner).as_bytes()).unwrap()).unwrap();
    assert_eq!((read.id, &read.header), (block.id, &block.header));
    assert_eq!(read.check(&publics(&[1]), &Uncached), Ok(()));

    let changed = inner.replace("1500018524", "1500018525");
    let changed = Block::from_value(&parse(whole(&changed).as_bytes()).unwrap());
    assert_eq!(changed.map(|block| block.id), Err(Invalid::BlockHash { id: block.id.to_string() }));

    let good = block.header.signature.clone();
    for bad in ["", "1", "0OIl", &good[1..], &format!("{good}1")] {
        block.header.signature = bad.to_owned();
        assert_eq!(block.check(&publics(&[1]), &Uncached), Err(Invalid::BlockSignature), "{bad}");
    }
    let twice = vec![Arc::clone(&block.transactions[0]), Arc::clone(&block.transactions[0])];
    let twice = Block::create(twice, &publics(&[1]), 1_500_018_524, &key(1));
    assert_eq!(twice.check(&publics(&[1]), &Uncached), Err(Invalid::DuplicateTransaction));
}

#[test]
fn votes_read_back_and_show_changes() {
    let block = Block::genesis(&publics(&[1]), 1_500_018_524, &key(1));
    let vote = Vote::create(block.id, block.id, true, 1_500_018_525, &key(1));
    assert!(vote.signature_valid(&Uncached));
    assert_eq!(Vote::from_bytes(&vote.to_bytes()), Some(vote.clone()));
    let changed = Vote { is_block_valid: false, ..vote.clone() };
    assert!(!changed.signature_valid(&Uncached));
    let bytes = vote.to_bytes();
    assert!((0..bytes.len()).all(|cut| Vote::from_bytes(&bytes[..cut]).is_none()));
}

#[test]
fn private_keys_are_not_printed() {
    let secret = key(9);
    let text = secret.to_base58();
    assert!(!format!("{secret:?}").contains(text.as_str()));
    let Err(error) = PrivateKey::from_base58(&text[1..]) else { panic!("a shorter text is no key") };
    assert!(!error.to_string().contains(&text[1..]), "{error}");
    assert_eq!(PrivateKey::from_base58(&text).unwrap().public_key(), secret.public_key());
}
