//! Whether the nodes of a federation agree on who belongs to it, told from the blocks they make: each lists its voters.
//!
//! A node whose keyring is wrong is no danger to the others, but of no use either, and nobody sees why unless they are told.

use std::collections::BTreeMap;

use ledger::block::Block;
use ledger::ids::BlockId;
use parking_lot::Mutex;

use crate::federation::Federation;

/// Makers that are remembered; a federation has fewer.
const MAKERS: usize = 1000;

/// A maker that has made no block for so long is forgotten, milliseconds.
const FORGOTTEN: u64 = 3_600_000;

/// A maker's last block.
struct Seen {
    block: BlockId,
    voters: Vec<String>,
    at: u64,
}

/// What the last blocks of all makers list.
#[derive(Default)]
pub struct Agreement {
    makers: Mutex<BTreeMap<String, Seen>>,
}

/// How many of the other makers agree with this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// Other nodes whose blocks were seen lately.
    pub others: usize,
    /// Of those, the ones that list other voters than this node's keyring has, or are not in it.
    pub differing: usize,
    /// One of the differences, in a sentence.
    pub example: Option<String>,
}

impl Agreement {
    /// A block was read; `now` in milliseconds. Says whether its maker was not known to differ, and does.
    pub fn see(&self, federation: &Federation, block: &Block, now: u64) -> Option<String> {
        let maker = &block.header.node_pubkey;
        let mut makers = self.makers.lock();
        makers.retain(|_, seen| seen.at.saturating_add(FORGOTTEN) >= now);
        let before = makers.get(maker).is_some_and(|seen| difference(federation, maker, seen).is_some());
        if makers.len() >= MAKERS && !makers.contains_key(maker) {
            return None;
        }
        let seen = Seen { block: block.id, voters: block.header.voters.clone(), at: now };
        let after = difference(federation, maker, &seen).filter(|_| !before);
        makers.insert(maker.clone(), seen);
        after
    }

    /// As the federation stands now.
    pub fn opinion(&self, federation: &Federation) -> Opinion {
        let own = federation.node().to_string();
        let makers = self.makers.lock();
        let others: Vec<_> = makers.iter().filter(|(maker, _)| **maker != own).collect();
        let differences: Vec<String> =
            others.iter().filter_map(|(maker, seen)| difference(federation, maker, seen)).collect();
        Opinion { others: others.len(), differing: differences.len(), example: differences.into_iter().next() }
    }
}

fn difference(federation: &Federation, maker: &str, seen: &Seen) -> Option<String> {
    let known = maker.parse().is_ok_and(|maker| federation.known().contains(&maker));
    let block = seen.block;
    if !known {
        return Some(format!("{maker} makes blocks (the last is {block}) and is not in this node's keyring"));
    }
    if federation.accepts_voters(&seen.voters) {
        return None;
    }
    let has = |key: &&String| key.parse().is_ok_and(|key| federation.keys().contains(&key));
    let more: Vec<&str> = seen.voters.iter().filter(|key| !has(key)).map(String::as_str).collect();
    let ours = federation.keys().iter().map(ToString::to_string);
    let fewer: Vec<String> = ours.filter(|key| !seen.voters.contains(key)).collect();
    let list = |keys: String| if keys.is_empty() { "nobody".to_owned() } else { keys };
    Some(format!(
        "the block {block} of {maker} lists other voters than this node's keyring: more by {}, fewer by {}",
        list(more.join(", ")),
        list(fewer.join(", "))
    ))
}

#[cfg(test)]
mod tests {
    use ledger::crypto::PrivateKey;
    use ledger::ids::PublicKey;

    use super::*;

    fn key(n: u8) -> PrivateKey {
        PrivateKey::from_seed(&[n; 32])
    }

    fn block(maker: u8, voters: &[u8]) -> Block {
        let voters: Vec<PublicKey> = voters.iter().map(|n| key(*n).public_key()).collect();
        Block::genesis(&voters, 1_500_000_000, &key(maker))
    }

    #[test]
    fn whoever_lists_other_voters_is_told_once_and_counted() {
        let others = [key(2).public_key(), key(3).public_key()];
        let federation = Federation::new(key(1).public_key(), &others);
        let agreement = Agreement::default();
        assert_eq!(agreement.see(&federation, &block(2, &[1, 2, 3]), 1), None);
        assert_eq!(agreement.opinion(&federation), Opinion { others: 1, differing: 0, example: None });

        let told = agreement.see(&federation, &block(3, &[1, 3, 4]), 2).unwrap_or_default();
        assert!(told.contains(&format!("more by {}, fewer by {}", key(4).public_key(), key(2).public_key())), "{told}");
        assert_eq!(agreement.see(&federation, &block(3, &[1, 3, 4]), 3), None, "told twice");
        let opinion = agreement.opinion(&federation);
        assert_eq!((opinion.others, opinion.differing), (2, 1));

        let stranger = agreement.see(&federation, &block(9, &[1, 2, 3]), 4).unwrap_or_default();
        assert!(stranger.contains("is not in this node's keyring"), "{stranger}");
        // A keyring that is put right is at once.
        let mended = Federation::new(key(1).public_key(), &[others[1], key(4).public_key()]);
        assert_eq!(agreement.opinion(&mended).differing, 2, "now 2 and 9 are the strangers");
        // They fall silent.
        assert_eq!(agreement.see(&federation, &block(1, &[1, 2, 3]), 5 + FORGOTTEN), None);
        assert_eq!(agreement.opinion(&federation).others, 0);
    }
}
