//! What the votes make of a block, as the federation stands now.

use std::collections::BTreeSet;

use ledger::block::Block;
use ledger::crypto::Verifier;
use ledger::election::{self, BlockStatus, DuplicateVote};
use ledger::ids::PublicKey;
use ledger::json;
use ledger::rules::Rules;
use ledger::vote::Vote;

use crate::federation::Federation;
use crate::store::StoredVote;

/// Counts votes. Everybody who is known counts; where that decides nothing, those who may still vote (a retired key would
/// leave a block undecided for ever). On a `strict` ledger a block whose voters are not this federation is never valid, and
/// is invalid when more than half of the active nodes object.
pub fn status(
    rules: Rules,
    federation: &Federation,
    block: &Block,
    votes: &[StoredVote],
    verifier: &dyn Verifier,
) -> Result<BlockStatus, DuplicateVote> {
    let voters = &block.header.voters;
    if rules == Rules::Strict && !federation.accepts_voters(voters) {
        let objections = objections(federation.keys(), votes, verifier);
        let many = 2 * objections > federation.keys().len();
        return Ok(if many { BlockStatus::Invalid } else { BlockStatus::Undecided });
    }
    let votes: Vec<_> = votes.iter().filter_map(|vote| json::parse(&vote.bytes).ok()).collect();
    let all = election::tally(&block.id, voters, federation.known(), &votes, verifier)?.status;
    let present = federation.present();
    if all != BlockStatus::Undecided || present.len() == federation.known().len() {
        return Ok(all);
    }
    Ok(election::tally(&block.id, voters, &present, &votes, verifier)?.status)
}

/// How many of these nodes have voted against the block, whether it lists them or not.
fn objections(keys: &[PublicKey], votes: &[StoredVote], verifier: &dyn Verifier) -> usize {
    let against = votes
        .iter()
        .filter_map(|stored| Vote::from_bytes(&stored.bytes))
        .filter(|vote| !vote.is_block_valid && keys.contains(&vote.node_pubkey) && vote.signature_valid(verifier));
    against.map(|vote| vote.node_pubkey).collect::<BTreeSet<PublicKey>>().len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use ledger::crypto::{PrivateKey, Uncached};

    use super::*;
    use crate::config::keyring::Keyring;

    fn key(n: u8) -> PrivateKey {
        PrivateKey::from_seed(&[n; 32])
    }

    fn public(keys: &[u8]) -> Vec<PublicKey> {
        keys.iter().map(|n| key(*n).public_key()).collect()
    }

    fn block(voters: &[u8]) -> Block {
        Block::genesis(&public(voters), 1_500_000_000, &key(1))
    }

    fn cast(block: &Block, voter: u8, valid: bool) -> StoredVote {
        let vote = Vote::create(block.id, block.id, valid, 1_500_000_001, &key(voter));
        StoredVote { block: block.id, bytes: vote.to_bytes() }
    }

    /// As node 1 sees it; `gone`: known, and neither active nor on its way.
    fn seen(rules: Rules, active: &[u8], gone: &[u8], voters: &[u8], votes: &[(u8, bool)]) -> BlockStatus {
        let known = public(&[active, gone].concat());
        let keyring = Keyring { active: public(active), known, ..Keyring::fixed(key(1).public_key(), &[]) };
        let block = block(voters);
        let votes: Vec<StoredVote> = votes.iter().map(|(voter, valid)| cast(&block, *voter, *valid)).collect();
        let federation = Federation::of(key(1).public_key(), &keyring);
        status(rules, &federation, &block, &votes, &Uncached).unwrap()
    }

    #[test]
    fn a_voter_that_is_retired_is_not_waited_for() {
        let (all, here) = ([1, 2, 3, 4], [(1, true), (2, true)]);
        assert_eq!(seen(Rules::V1_0_1, &all, &[], &all, &here), BlockStatus::Undecided);
        assert_eq!(seen(Rules::V1_0_1, &[1, 2, 3], &[4], &all, &here), BlockStatus::Valid);
        // What it has voted counts.
        let against = [(1, true), (2, true), (3, false), (4, false)];
        assert_eq!(seen(Rules::V1_0_1, &[1, 2, 3], &[4], &all, &against), BlockStatus::Invalid);
        let three = [(2, true), (3, true), (4, true)];
        assert_eq!(seen(Rules::V1_0_1, &[1, 2, 3], &[4], &all, &three), BlockStatus::Valid);
    }

    #[test]
    fn on_a_strict_ledger_strangers_do_not_decide() {
        let all = [1, 2, 3, 4];
        for voters in [&[2][..], &[2, 9], &[1, 2, 3, 4, 9]] {
            let (alone, undecided) = ([(2, true)], BlockStatus::Undecided);
            assert_eq!(seen(Rules::Strict, &all, &[], voters, &alone), undecided, "{voters:?}");
            let two = [(2, true), (1, false), (3, false)];
            assert_eq!(seen(Rules::Strict, &all, &[], voters, &two), undecided, "{voters:?}");
            let three = [(2, true), (1, false), (3, false), (4, false), (9, true)];
            assert_eq!(seen(Rules::Strict, &all, &[], voters, &three), BlockStatus::Invalid, "{voters:?}");
            // Strangers' objections are nothing.
            let strangers = [(2, true), (1, false), (7, false), (8, false), (9, false)];
            assert_eq!(seen(Rules::Strict, &all, &[], voters, &strangers), undecided, "{voters:?}");
        }
        assert_eq!(seen(Rules::V1_0_1, &all, &[], &[2], &[(2, true)]), BlockStatus::Valid, "as the reference");
    }
}
