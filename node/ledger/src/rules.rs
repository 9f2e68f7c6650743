//! Which consensus rules a ledger follows.

use std::fmt;
use std::str::FromStr;

/// Consensus rules: fixed when a ledger is initialised, recorded with it, never mixed.
///
/// A node that votes by stricter rules than its peers kills good blocks for ever, so this is a property of the
/// ledger and not of the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Rules {
    /// The verdicts of BigchainDB Server 1.0.1, to the letter.
    V1_0_1,
    /// Those, and what 1.0.1 should have refused: `owners_before` that are not the signers (CREATE) or not the
    /// spent output's keys (TRANSFER), preimage fulfillments, blocks whose voters are no federation.
    Strict,
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_0_1 => "v1.0.1",
            Self::Strict => "strict",
        })
    }
}

impl FromStr for Rules {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "v1.0.1" => Ok(Self::V1_0_1),
            "strict" => Ok(Self::Strict),
            _ => Err(format!("`{text}` is not a set of validation rules: use `strict` or `v1.0.1`")),
        }
    }
}
