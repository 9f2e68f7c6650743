//! Conditions and fulfillments of every shape: what is written reads back, hostile nesting costs linear time.
#![allow(clippy::unwrap_used)] // A test may panic.

use ledger::condition::fulfillment::Fulfillment;
use ledger::condition::{Condition, Kind, Kinds, MAX_DEPTH, details};
use ledger::crypto::{PrivateKey, Uncached};
use ledger::error::Invalid;
use ledger::ids::PublicKey;
use ledger::json::{Value, parse};
use proptest::prelude::*;

fn condition() -> impl Strategy<Value = Condition> {
    (any::<[u8; 32]>(), any::<u32>(), 0..Kind::ALL.len(), 0..32_usize).prop_map(|(fingerprint, cost, kind, bits)| {
        let kind = Kind::ALL[kind];
        let all = Kind::ALL.into_iter().filter(|inside| bits & 1 << *inside as usize != 0);
        let subtypes = if kind.is_compound() { all.fold(Kinds::NONE, Kinds::with) } else { Kinds::NONE };
        Condition { kind, fingerprint, cost: u64::from(cost), subtypes }
    })
}

fn fulfillment() -> impl Strategy<Value = Fulfillment> {
    let bytes = |range| prop::collection::vec(any::<u8>(), range).prop_map(Vec::into_boxed_slice);
    let leaf = prop_oneof![
        bytes(0..300).prop_map(Fulfillment::Preimage),
        (any::<[u8; 32]>(), prop::array::uniform32(any::<u8>())).prop_map(|(key, half)| {
            let mut signature = [7; 64];
            signature[..32].copy_from_slice(&half);
            Fulfillment::Ed25519 { public_key: PublicKey::from_bytes(key), signature }
        }),
        (bytes(128..140), bytes(0..20)).prop_map(|(mut modulus, signature)| {
            modulus[0] |= 1;
            Fulfillment::Rsa { modulus, signature }
        }),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let subs = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            (bytes(0..20), any::<u32>(), inner).prop_map(|(prefix, max_message_length, inside)| {
                Fulfillment::Prefix { prefix, max_message_length, subfulfillment: Box::new(inside) }
            }),
            (subs, prop::collection::vec(condition(), 0..4)).prop_map(|(subfulfillments, subconditions)| {
                Fulfillment::Threshold { subfulfillments, subconditions }
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_uri_reads_back(condition in condition()) {
        prop_assert_eq!(condition.to_string().parse(), Ok(condition));
    }

    #[test]
    fn a_fulfillment_reads_back(fulfillment in fulfillment()) {
        let der = fulfillment.to_der();
        let read = Fulfillment::from_der(&der).unwrap();
        // Sets are sorted when they are written, so the fulfillments may differ; what they say does not.
        prop_assert_eq!(read.to_der(), der);
        prop_assert_eq!(read.condition(), fulfillment.condition());
        prop_assert_eq!(Fulfillment::from_text(&fulfillment.to_text()), Ok(read));
    }

    #[test]
    fn what_follows_a_fulfillment_is_ignored(fulfillment in fulfillment(), tail in prop::collection::vec(any::<u8>(), 0..9)) {
        let der = fulfillment.to_der();
        let read = Fulfillment::from_der(&[der.as_slice(), &tail].concat());
        prop_assert_eq!(read.map(|read| read.to_der()), Ok(der));
    }

    #[test]
    fn a_shorter_fulfillment_is_refused(fulfillment in fulfillment(), cut in any::<prop::sample::Index>()) {
        let der = fulfillment.to_der();
        let cut = &der[..cut.index(der.len())];
        prop_assert_eq!(Fulfillment::from_der(cut), Err(Invalid::FulfillmentUnparsable));
    }

    #[test]
    fn details_describe_what_their_keys_sign(shape in shape(), seeds in 1_u8..4) {
        let message = b"message";
        let text = shape.details(seeds);
        let value = parse(text.as_bytes()).unwrap();
        let read = details::read(&value).unwrap();
        prop_assert_eq!(shape.fulfillment(seeds, message).condition(), Some(read.condition));
        prop_assert!(shape.fulfillment(seeds, message).verify(message, &Uncached));
        prop_assert!(!shape.fulfillment(seeds, b"other").verify(message, &Uncached));
        prop_assert_eq!(details::read_keys(&value).unwrap(), read.keys);
    }
}

/// Details made of n-of-n thresholds.
#[derive(Clone, Debug)]
enum Shape {
    Key(u8),
    All(Vec<Shape>),
}

fn shape() -> impl Strategy<Value = Shape> {
    let key = any::<u8>().prop_map(Shape::Key);
    key.prop_recursive(4, 12, 3, |inner| prop::collection::vec(inner, 1..4).prop_map(Shape::All))
}

impl Shape {
    fn key(n: u8, seeds: u8) -> PrivateKey {
        PrivateKey::from_seed(&[n % seeds; 32])
    }

    fn details(&self, seeds: u8) -> String {
        match self {
            Self::Key(n) => key_details(&Self::key(*n, seeds)),
            Self::All(inside) => {
                let subs: Vec<String> = inside.iter().map(|sub| sub.details(seeds)).collect();
                threshold_details(subs.len(), &subs.join(","))
            }
        }
    }

    fn fulfillment(&self, seeds: u8, message: &[u8]) -> Fulfillment {
        match self {
            Self::Key(n) => {
                let key = Self::key(*n, seeds);
                Fulfillment::Ed25519 { public_key: key.public_key(), signature: key.sign(message) }
            }
            Self::All(inside) => Fulfillment::Threshold {
                subfulfillments: inside.iter().map(|sub| sub.fulfillment(seeds, message)).collect(),
                subconditions: Vec::new(),
            },
        }
    }
}

fn key_details(key: &PrivateKey) -> String {
    format!(r#"{{"type":"ed25519-sha-256","public_key":"{}"}}"#, key.public_key())
}

fn threshold_details(threshold: usize, subconditions: &str) -> String {
    format!(r#"{{"type":"threshold-sha-256","threshold":{threshold},"subconditions":[{subconditions}]}}"#)
}

fn nested(levels: usize, inside: String) -> String {
    (0..levels).fold(inside, |inside, _| threshold_details(1, &inside))
}

fn read(text: &str) -> Result<Condition, Invalid> {
    let value = parse(text.as_bytes()).unwrap();
    details::read(&value).map(|details| details.condition)
}

#[test]
fn a_hundred_nested_thresholds_are_too_deep() {
    let key = key_details(&PrivateKey::from_seed(&[1; 32]));
    assert!(read(&nested(99, key.clone())).is_ok());
    assert_eq!(read(&nested(100, key.clone())), Err(Invalid::ThresholdTooDeep));
    assert_eq!(read(&nested(450, key)), Err(Invalid::ThresholdTooDeep));
}

/// Whatever doubles with each level does not end here.
#[test]
fn nested_and_wide_details_take_linear_time() {
    let key = key_details(&PrivateKey::from_seed(&[1; 32]));
    let wide = threshold_details(3, &vec![key.as_str(); 3_000].join(","));
    let deep = nested(90, wide);
    let text = threshold_details(2, &[deep.as_str(); 3].join(","));
    let condition = read(&text).unwrap();
    let deep_cost = 3 * 131_072 + 1024 * 3_000 + 90 * 1024;
    assert_eq!(condition.cost, 2 * deep_cost + 3 * 1024);
}

#[test]
fn nested_fulfillments_take_linear_time_and_are_bounded() {
    let message = b"message";
    let key = PrivateKey::from_seed(&[1; 32]);
    let signed = Fulfillment::Ed25519 { public_key: key.public_key(), signature: key.sign(message) };
    let wrap = |inside: Fulfillment, levels: usize| {
        (0..levels).fold(inside, |inside, _| Fulfillment::Threshold {
            subfulfillments: vec![inside],
            subconditions: vec![Condition::ed25519(&key.public_key()); 20],
        })
    };
    let deep = wrap(signed.clone(), MAX_DEPTH);
    assert!(deep.verify(message, &Uncached));
    assert!(Fulfillment::from_der(&deep.to_der()).is_ok());
    let deeper = Fulfillment::from_der(&wrap(signed, MAX_DEPTH + 1).to_der());
    assert!(matches!(deeper, Err(Invalid::ReferenceFails(_))), "{deeper:?}");

    // A hundred thousand levels must not exhaust the stack either: lengths that promise more than there is, or little.
    for level in [[0xa2, 0x80], [0xa2, 0x04], [0xa1, 0x7f]] {
        let read = Fulfillment::from_der(&level.repeat(100_000));
        assert_eq!(read, Err(Invalid::FulfillmentUnparsable), "{level:x?}");
    }
}

#[test]
fn details_that_no_key_can_fulfil_are_refused() {
    let key = key_details(&PrivateKey::from_seed(&[1; 32]));
    let bad_key = |text: &str| format!(r#"{{"type":"ed25519-sha-256","public_key":"{text}"}}"#);
    let cases = [
        (threshold_details(2, &key), "threshold of 2 over 1"),
        (threshold_details(1, ""), "threshold of 1 over 0"),
        (threshold_details(1, &threshold_details(4, &key)), "threshold of 4 over 1"),
        (bad_key("1111111111111111111111111111111111111111111"), "1111111111111111111111111111111111111111111"),
        (bad_key("OOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOO"), "OOOO"),
        (r#"{"type":"preimage-sha-256"}"#.to_owned(), "type"),
    ];
    for (details, named) in cases {
        match read(&details) {
            Err(Invalid::ReferenceFails(text)) => assert!(text.contains(named), "{details}: {text}"),
            other => panic!("{details}: {other:?}"),
        }
    }
    // Too deep is reported before a threshold that cannot be met, as the reference does.
    let both = threshold_details(3, &nested(120, key));
    assert_eq!(read(&both), Err(Invalid::ThresholdTooDeep));
    assert!(matches!(details::read(&Value::Null), Err(Invalid::ReferenceFails(_))));
}

#[test]
fn texts_that_are_no_condition_uri_say_why() {
    let good = "ni:///sha-256;47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU?fpt=preimage-sha-256&cost=0";
    assert!(good.parse::<Condition>().is_ok());
    let cases = [
        ("", "start"),
        ("ni:///sha-256;47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", "`?`"),
        ("ni:///sha-256;47DEQpj8HBSa?fpt=preimage-sha-256&cost=0", "32 bytes"),
        (&good.replace("preimage", "other"), "`fpt`"),
        (&good.replace("cost=0", "cost=00"), "`cost`"),
        (&good.replace("cost=0", "cost=99999999999999999999"), "`cost`"),
        (&good.replace("&cost=0", ""), "`cost`"),
        (&good.replace("cost=0", "cost=0&cost=0"), "repeated"),
        (&good.replace("cost=0", "cost=0&subtypes=rsa-sha-256"), "`subtypes`"),
        (&good.replace("cost=0", "cost=0&more=1"), "not `fpt`"),
        (&good.replace("cost=0", "cost"), "no value"),
    ];
    for (text, named) in cases {
        let error = text.parse::<Condition>().unwrap_err().to_string();
        assert!(error.contains(named), "{text}: {error}");
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect()
}

/// Recorded from pyasn1 0.2.3 under cryptoconditions 0.6.0.dev1: what is no DER and read all the same, with what is
/// written then; and what is refused (`None`). `K` stands for a key or fingerprint, `S` for a signature.
#[test]
fn the_decoder_is_as_lenient_as_the_references() {
    let cases = [
        // Lengths and tag numbers with leading zeros.
        ("a481648020K8140S", Some("a4648020K8140S")),
        ("a482006480K8140S", None),
        ("a48200648020K8140S", Some("a4648020K8140S")),
        ("a465808120K8140S", Some("a4648020K8140S")),
        ("bf04648020K8140S", Some("a4648020K8140S")),
        ("bf8004648020K8140S", Some("a4648020K8140S")),
        ("a4809f00", None),
        // Order, forms, sizes and leftovers inside.
        ("a4648140S8020K", None),
        ("84648020K8140S", None),
        ("a466a0220420K8140S", None),
        ("a4808020K8140S0000", None),
        ("a4668020K8140S8200", None),
        ("a0038001", None),
        ("a000", None),
        ("a5028000", None),
        ("30028000", None),
        // Integers: none is zero, leading zeros are fine, negative and above 32 bits are not.
        ("a10a80008100a204a0028000", Some("a10b8000810100a204a0028000")),
        ("a10c800081020080a204a0028000", Some("a10c800081020080a204a0028000")),
        ("a10d80008103000001a204a0028000", Some("a10b8000810101a204a0028000")),
        ("a10b80008101ffa204a0028000", None),
        ("a10f800081050100000000a204a0028000", None),
        // The wrapper in a prefix: either form, and what follows inside it is ignored.
        ("a10b80008101008204a0028000", Some("a10b8000810100a204a0028000")),
        ("a10c8000810100a205a002800000", Some("a10b8000810100a204a0028000")),
        ("a10d8000810100a204a00280000500", None),
        ("a10b8000810100a004a0028000", None),
        // Both sets must be there; an empty one is fine.
        ("a204a000a100", Some("a204a000a100")),
        ("a206a004a0028000", None),
        ("a202a100", None),
        ("a208a100a004a0028000", None),
        // Sets are sorted when they are written.
        ("a20da009a003800161a0028000a100", Some("a20da009a0028000a003800161a100")),
        // Subtypes: five bits are kept, without zeros at the end.
        ("a231a000a12da22b8020K810302040082020308", Some("a231a000a12da22b8020K810302040082020308")),
        ("a231a000a12da22b8020K8103020400820203ff", Some("a231a000a12da22b8020K8103020400820203f8")),
        ("a233a000a12fa22d8020K81030204008204000bffff", Some("a231a000a12da22b8020K810302040082020308")),
        ("a230a000a12ca22a8020K8101058203000b80", Some("a22fa000a12ba2298020K81010582020308")),
        ("a230a000a12ca22a8020K8103020400820100", Some("a230a000a12ca22a8020K8103020400820100")),
        ("a230a000a12ca22a8020K8103020400820103", None),
        ("a231a000a12da22b8020K810302040082020808", None),
    ];
    for (given, written) in cases {
        let fill = |text: &str| bytes(&text.replace('K', &"11".repeat(32)).replace('S', &"22".repeat(64)));
        let got = Fulfillment::from_der(&fill(given)).map(|read| read.to_der());
        assert_eq!(got, written.map(fill).ok_or(Invalid::FulfillmentUnparsable), "{given}");
    }
}

/// The reference writes a fulfillment before it verifies it. It fails where it needs the cost of an empty threshold's
/// condition, which is two levels further in; an empty threshold itself is fulfilled by nothing.
#[test]
fn empty_thresholds_verify_where_the_reference_can_write_them() {
    let cases =
        [("a204a000a100", true), ("a20aa006a204a000a100a100", true), ("a210a00ca20aa006a204a000a100a100a100", false)];
    for (hex, valid) in cases {
        let fulfillment = Fulfillment::from_der(&bytes(hex)).unwrap();
        assert_eq!((fulfillment.verify(b"m", &Uncached), fulfillment.condition()), (valid, None), "{hex}");
    }
}
