//! From votes to a decision.

use std::collections::BTreeSet;

use crate::crypto::Verifier;
use crate::ids::{BlockId, PublicKey};
use crate::json::Value;
use crate::schema;

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
///
/// Votes come as they are stored: one that is not even an object is ineligible. `block` is what they were looked up
/// by; like the reference, nothing in a vote is compared with it.
pub fn tally(
    _block: &BlockId,
    voters: &[String],
    federation: &[PublicKey],
    votes: &[Value<'_>],
    verifier: &dyn Verifier,
) -> Result<Election, DuplicateVote> {
    let known: BTreeSet<String> = federation.iter().map(ToString::to_string).collect();
    let eligible_voters: BTreeSet<&str> =
        voters.iter().map(String::as_str).filter(|key| known.contains(*key)).collect();

    let mut by_voter = BTreeSet::new();
    let mut malformed = 0;
    // In order of appearance: among equally common ones the first wins.
    let mut previous_blocks: Vec<(&str, usize)> = Vec::new();
    for vote in votes {
        let Some(voter) = eligible_voter(vote, &eligible_voters, verifier) else { continue };
        if !by_voter.insert(voter) {
            return Err(DuplicateVote { node_pubkey: voter.to_owned() });
        }
        if !schema::vote(vote) {
            malformed += 1;
        } else if let Some(previous) = valid_saying(vote) {
            match previous_blocks.iter_mut().find(|(block, _)| *block == previous) {
                Some((_, count)) => *count += 1,
                None => previous_blocks.push((previous, 1)),
            }
        }
    }

    let most = previous_blocks.iter().map(|(_, count)| *count).max();
    let winner = previous_blocks.iter().position(|(_, count)| Some(*count) == most);
    let (previous_block, n_valid) = match winner.map(|at| previous_blocks.remove(at)) {
        Some((block, count)) => (Some(block.to_owned()), count),
        None => (None, 0),
    };
    let n_invalid = by_voter.len() - n_valid;
    Ok(Election {
        status: decide(eligible_voters.len(), n_valid, n_invalid),
        n_valid,
        n_invalid,
        ineligible: votes.len() - by_voter.len(),
        malformed,
        previous_block,
        other_previous_block: previous_blocks.into_iter().map(|(block, count)| (block.to_owned(), count)).collect(),
    })
}

fn decide(n_voters: usize, n_valid: usize, n_invalid: usize) -> BlockStatus {
    if 2 * n_invalid >= n_voters {
        BlockStatus::Invalid
    } else if 2 * n_valid > n_voters {
        BlockStatus::Valid
    } else {
        BlockStatus::Undecided
    }
}

/// The key of a vote that counts: of an eligible voter, and signed by it.
fn eligible_voter<'e>(vote: &Value<'_>, voters: &BTreeSet<&'e str>, verifier: &dyn Verifier) -> Option<&'e str> {
    let Value::Object(vote) = vote else { return None };
    let (Some(Value::String(voter)), Some(Value::String(text))) = (vote.get("node_pubkey"), vote.get("signature"))
    else {
        return None;
    };
    let voter = *voters.get(voter.as_ref())?;
    let key = voter.parse().ok()?;
    let mut signature = [0; 64];
    let readable = bs58::decode(text.as_ref()).onto(&mut signature) == Ok(64);
    if readable && verifier.verify(&key, &vote.get("vote")?.to_canonical(), &signature) { Some(voter) } else { None }
}

/// The previous block of a well-formed vote that says valid.
fn valid_saying<'v>(vote: &'v Value<'_>) -> Option<&'v str> {
    let Value::Object(vote) = vote else { return None };
    let Some(Value::Object(inner)) = vote.get("vote") else { return None };
    match (inner.get("is_block_valid"), inner.get("previous_block")) {
        (Some(Value::Bool(true)), Some(Value::String(previous))) => Some(previous),
        _ => None,
    }
}
