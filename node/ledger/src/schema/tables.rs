//! The schemas as data. The order of `members` and `required` is the order in which errors are reported.

use super::pattern::{self, Pattern};

/// What a value must be.
pub(super) enum Rule {
    Anything,
    Null,
    Boolean,
    /// At least `min`, at most `max`.
    Integer {
        min: u64,
        max: Option<u64>,
    },
    Text(Option<Pattern>),
    OneOf(&'static [&'static str]),
    Array {
        items: &'static Rule,
        min: usize,
        max: Option<usize>,
    },
    /// An object with members of any kind, at least `min`.
    FreeObject {
        min: usize,
    },
    Object {
        /// Whether other members than these are allowed.
        open: bool,
        required: &'static [&'static str],
        members: &'static [(&'static str, &'static Rule)],
    },
    /// Any of these.
    AnyOf(&'static [&'static Rule]),
}

const fn list(items: &'static Rule) -> Rule {
    Rule::Array { items, min: 0, max: None }
}

static ANYTHING: Rule = Rule::Anything;
static NULL: Rule = Rule::Null;
static STRING: Rule = Rule::Text(None);
static HASH: Rule = Rule::Text(Some(pattern::HASH));
static KEY: Rule = Rule::Text(Some(pattern::KEY));
static PUBLIC_KEYS: Rule = Rule::AnyOf(&[&KEYS, &NULL]);
static KEYS: Rule = list(&KEY);

/// What every transaction must be.
pub(super) static TRANSACTION: Rule = Rule::Object {
    open: false,
    required: &["id", "inputs", "outputs", "operation", "metadata", "asset", "version"],
    members: &[
        ("id", &HASH),
        ("operation", &Rule::OneOf(&["CREATE", "TRANSFER", "GENESIS"])),
        (
            "asset",
            &Rule::Object {
                open: false,
                required: &[],
                members: &[("id", &HASH), ("data", &Rule::AnyOf(&[&Rule::FreeObject { min: 0 }, &NULL]))],
            },
        ),
        ("inputs", &list(&INPUT)),
        ("outputs", &list(&OUTPUT)),
        ("metadata", &Rule::AnyOf(&[&Rule::FreeObject { min: 1 }, &NULL])),
        ("version", &Rule::Text(Some(pattern::VERSION))),
    ],
};

static INPUT: Rule = Rule::Object {
    open: false,
    required: &["owners_before", "fulfillment"],
    members: &[
        ("owners_before", &PUBLIC_KEYS),
        ("fulfillment", &Rule::AnyOf(&[&Rule::Text(Some(pattern::FULFILLMENT)), &DETAILS])),
        ("fulfills", &Rule::AnyOf(&[&OUTPUT_REFERENCE, &NULL])),
    ],
};

static OUTPUT_REFERENCE: Rule = Rule::Object {
    open: false,
    required: &["output_index", "transaction_id"],
    members: &[("output_index", &Rule::Integer { min: 0, max: None }), ("transaction_id", &HASH)],
};

static OUTPUT: Rule = Rule::Object {
    open: false,
    required: &["amount", "condition", "public_keys"],
    members: &[
        ("amount", &Rule::Text(Some(pattern::AMOUNT))),
        (
            "condition",
            &Rule::Object {
                open: false,
                required: &["details", "uri"],
                members: &[("details", &DETAILS), ("uri", &Rule::Text(Some(pattern::CONDITION_URI)))],
            },
        ),
        ("public_keys", &PUBLIC_KEYS),
    ],
};

/// Refers to itself. Only one of the alternatives can hold `subconditions`, so each is looked at once.
static DETAILS: Rule = Rule::AnyOf(&[
    &Rule::Object {
        open: false,
        required: &["type", "public_key"],
        members: &[("type", &Rule::Text(Some(pattern::ED25519))), ("public_key", &KEY)],
    },
    &Rule::Object {
        open: false,
        required: &["type", "threshold", "subconditions"],
        members: &[
            ("type", &Rule::Text(Some(pattern::THRESHOLD))),
            ("threshold", &Rule::Integer { min: 1, max: Some(100) }),
            ("subconditions", &Rule::Array { items: &DETAILS, min: 0, max: None }),
        ],
    },
]);

/// What a CREATE or GENESIS must be besides. What [`TRANSACTION`] has seen already is not looked at again.
pub(super) static CREATE: Rule = Rule::Object {
    open: true,
    required: &["asset", "inputs"],
    members: &[
        ("asset", &Rule::Object { open: false, required: &["data"], members: &[("data", &ANYTHING)] }),
        (
            "inputs",
            &Rule::Array {
                items: &Rule::Object { open: true, required: &["fulfills"], members: &[("fulfills", &NULL)] },
                min: 1,
                max: Some(1),
            },
        ),
    ],
};

/// What a TRANSFER must be besides.
pub(super) static TRANSFER: Rule = Rule::Object {
    open: true,
    required: &["asset"],
    members: &[
        ("asset", &Rule::Object { open: false, required: &["id"], members: &[("id", &ANYTHING)] }),
        (
            "inputs",
            &Rule::Array {
                items: &Rule::Object {
                    open: true,
                    required: &["fulfills"],
                    members: &[("fulfills", &Rule::Object { open: true, required: &[], members: &[] })],
                },
                min: 1,
                max: None,
            },
        ),
    ],
};

/// What a vote must be.
pub(super) static VOTE: Rule = Rule::Object {
    open: false,
    required: &["node_pubkey", "signature", "vote"],
    members: &[
        ("node_pubkey", &KEY),
        ("signature", &Rule::Text(Some(pattern::SIGNATURE))),
        (
            "vote",
            &Rule::Object {
                open: false,
                required: &["invalid_reason", "is_block_valid", "previous_block", "voting_for_block", "timestamp"],
                members: &[
                    ("previous_block", &HASH),
                    ("voting_for_block", &HASH),
                    ("is_block_valid", &Rule::Boolean),
                    ("invalid_reason", &Rule::AnyOf(&[&STRING, &NULL])),
                    ("timestamp", &Rule::Text(Some(pattern::TIMESTAMP))),
                ],
            },
        ),
    ],
};
