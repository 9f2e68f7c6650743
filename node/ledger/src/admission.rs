//! What a ledger takes in, in every mode: refused at POST, never a reason for a vote.
//!
//! Keys with `.`, a leading `$` or NUL, unsupported `language`, integers beyond 64 bits, non-finite numbers, nesting beyond
//! [`MAX_NESTING`], more than [`MAX_BYTES`]. Order and texts as BigchainDB 1.2 where it has them: after the schema,
//! before the id.

use crate::error::Invalid;
use crate::json::{ParseError, Value};
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

/// Reads a posted transaction. Takes milliseconds for whatever is posted.
pub fn transaction(_text: &[u8]) -> Result<Transaction, Refused> {
    todo!()
}

/// The same for a text that is parsed already.
pub fn transaction_value(_value: &Value<'_>) -> Result<Transaction, Refused> {
    todo!()
}
