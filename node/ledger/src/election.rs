//! From votes to a decision.

use crate::crypto::Verifier;
use crate::ids::{BlockId, PublicKey};
use crate::json::Value;

/// What the federation made of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum BlockStatus {
    /// Neither side has a majority.
    Undecided,
    /// More than half of the eligible voters say valid and agree on the previous block.
    Valid,
    /// Half or more of the eligible voters do not.
    Invalid,
}

impl BlockStatus {
    /// The word that the HTTP API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

/// The count behind a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// The outcome.
    pub status: BlockStatus,
    /// Votes that say valid and name the most common previous block.
    pub n_valid: usize,
    /// All other eligible votes.
    pub n_invalid: usize,
    /// Votes that do not count: not eligible, or badly signed.
    pub ineligible: usize,
    /// Eligible votes that break the vote schema; they count as invalid.
    pub malformed: usize,
    /// The most common previous block among the valid-saying votes.
    pub previous_block: Option<String>,
    /// Valid-saying votes for each other previous block.
    pub other_previous_block: Vec<(String, usize)>,
}

/// Two eligible votes of one node: no verdict can be had from such a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateVote {
    /// The node.
    pub node_pubkey: String,
}

/// Tallies a block. `voters` as the block lists them; `federation` = every key that this node knows, its own included.
pub fn tally(
    _block: &BlockId,
    _voters: &[String],
    _federation: &[PublicKey],
    _votes: &[Value<'_>],
    _verifier: &dyn Verifier,
) -> Result<Election, DuplicateVote> {
    todo!()
}
