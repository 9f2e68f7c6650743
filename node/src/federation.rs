//! The nodes that share a ledger, as this one knows them.

use ledger::ids::{PublicKey, TxId};
use ledger::transaction::{Operation, Transaction};

/// Keys of a federation, this node's own included. Every set is sorted and without repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Federation {
    node: PublicKey,
    keys: Vec<PublicKey>,
    previous: Vec<PublicKey>,
    next: Vec<PublicKey>,
    known: Vec<PublicKey>,
}

impl Federation {
    /// This node and the `keyring` of all the others (its own key may be among them).
    pub fn new(node: PublicKey, keyring: &[PublicKey]) -> Self {
        let keys = sorted(keyring.iter().copied().chain([node]));
        Self { node, known: keys.clone(), keys, previous: Vec::new(), next: Vec::new() }
    }

    /// The active sets before and after this one, and whoever else ever belonged.
    pub fn changing(mut self, previous: &[PublicKey], next: &[PublicKey], known: &[PublicKey]) -> Self {
        self.previous = sorted(previous.iter().copied());
        self.next = sorted(next.iter().copied());
        let all = [&self.keys, previous, next, known].into_iter().flatten();
        self.known = sorted(all.copied());
        self
    }

    /// This node.
    pub fn node(&self) -> PublicKey {
        self.node
    }

    /// Everybody who is active, this node included: assigned to, and listed as voters.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Everybody whose blocks and votes count: the active ones, and those who were or will be.
    pub fn known(&self) -> &[PublicKey] {
        &self.known
    }

    /// Who puts a transaction into a block: CREATEs stay here, the TRANSFERs of one asset meet at one node, so that
    /// conflicting ones are seen by the same eyes.
    pub fn assignee(&self, tx: &Transaction) -> PublicKey {
        let asset: Option<TxId> = match tx.operation() {
            Operation::Transfer => tx.asset_id().parse().ok(),
            Operation::Create | Operation::Genesis => None,
        };
        match asset {
            Some(asset) => {
                let [a, b, c, d, ..] = *asset.as_bytes();
                let place = u32::from_be_bytes([a, b, c, d]) as usize % self.keys.len();
                self.keys[place]
            }
            None => self.node,
        }
    }

    /// Whether a block's voters are this federation: a block that lists only its own maker, say, must not be decided by
    /// that one vote. The sets before and after count too, as not all nodes change theirs at the same moment. The order
    /// does not matter.
    pub fn accepts_voters(&self, voters: &[String]) -> bool {
        let mut listed: Vec<PublicKey> = voters.iter().filter_map(|key| key.parse().ok()).collect();
        listed.sort_unstable();
        let is_listed = |set: &Vec<PublicKey>| !set.is_empty() && *set == listed;
        listed.len() == voters.len() && [&self.keys, &self.previous, &self.next].into_iter().any(is_listed)
    }

    /// Who is tried next when `current` sleeps: the key after it, never `current` itself unless it is alone.
    pub fn next_assignee(&self, current: &PublicKey) -> PublicKey {
        let after = self.keys.partition_point(|key| key <= current);
        self.keys[after % self.keys.len()]
    }
}

fn sorted(keys: impl Iterator<Item = PublicKey>) -> Vec<PublicKey> {
    let mut keys: Vec<PublicKey> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> PublicKey {
        PublicKey::from_bytes([n; 32])
    }

    #[test]
    fn the_next_assignee_is_another_node_even_if_the_current_one_left() {
        let federation = Federation::new(key(3), &[key(1), key(5), key(3)]);
        assert_eq!(federation.keys(), [key(1), key(3), key(5)]);
        for (current, next) in [(1, 3), (3, 5), (5, 1), (4, 5), (9, 1), (0, 1)] {
            assert_eq!(federation.next_assignee(&key(current)), key(next), "after {current}");
        }
        assert_eq!(Federation::new(key(3), &[]).next_assignee(&key(3)), key(3));
    }

    #[test]
    fn voters_are_the_whole_federation_in_any_order() {
        let federation = Federation::new(key(3), &[key(1)]);
        let voters = |keys: &[u8]| keys.iter().map(|n| key(*n).to_string()).collect::<Vec<_>>();
        assert!(federation.accepts_voters(&voters(&[3, 1])));
        for wrong in [&[3][..], &[], &[1, 2], &[1, 3, 3], &[1, 2, 3]] {
            assert!(!federation.accepts_voters(&voters(wrong)), "{wrong:?}");
        }
        assert!(!federation.accepts_voters(&[key(1).to_string(), key(3).to_string(), "x".into()]));
    }

    #[test]
    fn the_sets_before_and_after_are_voters_too_and_whoever_ever_belonged_counts() {
        let federation = Federation::new(key(3), &[key(1)]).changing(&[key(2), key(1)], &[key(4), key(3)], &[key(7)]);
        let voters = |keys: &[u8]| keys.iter().map(|n| key(*n).to_string()).collect::<Vec<_>>();
        for right in [[1, 3], [1, 2], [4, 3]] {
            assert!(federation.accepts_voters(&voters(&right)), "{right:?}");
        }
        for wrong in [&[][..], &[1, 4], &[2, 3], &[7], &[1, 2, 3, 4, 7]] {
            assert!(!federation.accepts_voters(&voters(wrong)), "{wrong:?}");
        }
        assert_eq!(federation.keys(), [key(1), key(3)]);
        assert_eq!(federation.known(), [1, 2, 3, 4, 7].map(key));
    }
}
