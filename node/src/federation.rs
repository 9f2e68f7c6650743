//! The nodes that share a ledger, as this one knows them.

use ledger::ids::{PublicKey, TxId};
use ledger::transaction::{Operation, Transaction};

use crate::config::keyring::Keyring;

/// Keys of a federation, this node's own included. Every set is sorted and without repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Federation {
    node: PublicKey,
    generation: u64,
    others: Vec<PublicKey>,
    keys: Vec<PublicKey>,
    previous: Vec<PublicKey>,
    next: Vec<PublicKey>,
    former: Vec<Vec<PublicKey>>,
    known: Vec<PublicKey>,
}

impl Federation {
    /// This node and the `keyring` of all the others (its own key may be among them).
    pub fn new(node: PublicKey, keyring: &[PublicKey]) -> Self {
        Self::of(node, &Keyring::fixed(node, keyring))
    }

    /// This node in the federation that a keyring names.
    pub fn of(node: PublicKey, keyring: &Keyring) -> Self {
        let Keyring { generation, previous, active, next, former, known } = keyring;
        let all = [active, previous, next, known].into_iter().chain(former).flatten();
        Self {
            node,
            generation: *generation,
            others: keyring.others(&node),
            keys: sorted(active.iter().copied()),
            previous: sorted(previous.iter().copied()),
            next: sorted(next.iter().copied()),
            former: former.iter().map(|set| sorted(set.iter().copied())).collect(),
            known: sorted(all.copied()),
        }
    }

    /// This node.
    pub fn node(&self) -> PublicKey {
        self.node
    }

    /// Counts the changes of the keyring.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Everybody who is active: assigned to, and listed as voters. This node too, unless its key is retired.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The active keys without this node's, in the order in which they were given.
    pub fn others(&self) -> &[PublicKey] {
        &self.others
    }

    /// The active set before.
    pub fn previous(&self) -> &[PublicKey] {
        &self.previous
    }

    /// The active set after.
    pub fn next(&self) -> &[PublicKey] {
        &self.next
    }

    /// Active sets of earlier times.
    pub fn former(&self) -> &[Vec<PublicKey>] {
        &self.former
    }

    /// Those of whom a vote may still come: the active ones of this moment, of the one before and of the one after.
    pub fn present(&self) -> Vec<PublicKey> {
        sorted([&self.keys, &self.previous, &self.next].into_iter().flatten().copied())
    }

    /// Everybody whose blocks and votes count: the active ones, and those who were or will be.
    pub fn known(&self) -> &[PublicKey] {
        &self.known
    }

    /// Who puts a transaction into a block: CREATEs stay here (at anybody, once this node's key is retired), the
    /// TRANSFERs of one asset meet at one node, so that conflicting ones are seen by the same eyes.
    pub fn assignee(&self, tx: &Transaction) -> PublicKey {
        match tx.operation() {
            Operation::Create | Operation::Genesis if self.keys.contains(&self.node) => self.node,
            _ => self.by_asset(tx),
        }
    }

    /// The same at each node.
    fn by_asset(&self, tx: &Transaction) -> PublicKey {
        let asset: Option<TxId> = match tx.operation() {
            Operation::Transfer => tx.asset_id().parse().ok(),
            Operation::Create | Operation::Genesis => Some(tx.id()),
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

    /// Who puts a transaction into a block after a block of `maker` with it was decided invalid: never the same again,
    /// whose keyring may be the reason. All nodes name the same one, as each of them gives it back: else it would be in a
    /// block of each at once, and all of these invalid.
    pub fn assignee_after(&self, tx: &Transaction, maker: Option<PublicKey>) -> PublicKey {
        let assignee = self.by_asset(tx);
        if Some(assignee) == maker { self.next_assignee(&assignee) } else { assignee }
    }

    /// Whether a block's voters are this federation: a block that lists only its own maker, say, must not be decided by
    /// that one vote. The sets before and after count too, as not all nodes change theirs at the same moment, and those
    /// of earlier times for old blocks. The order does not matter.
    pub fn accepts_voters(&self, voters: &[String]) -> bool {
        let mut listed: Vec<PublicKey> = voters.iter().filter_map(|key| key.parse().ok()).collect();
        listed.sort_unstable();
        let is_listed = |set: &Vec<PublicKey>| !set.is_empty() && *set == listed;
        let sets = [&self.keys, &self.previous, &self.next].into_iter().chain(&self.former);
        listed.len() == voters.len() && sets.into_iter().any(is_listed)
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
    use ledger::build::{self, Recipient};
    use ledger::crypto::PrivateKey;

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
    fn all_nodes_give_an_invalid_block_s_create_to_the_same_other_node() {
        let owner = PrivateKey::from_seed(&[1; 32]);
        let recipient = Recipient { public_keys: vec![owner.public_key()], amount: 1 };
        let unsigned = build::create(&[owner.public_key()], &[recipient], None, None).expect("a CREATE");
        let signed = build::sign(&unsigned, &[owner]).expect("a signature");
        let create = Transaction::from_value(&signed).expect("a transaction");
        let keys = [1, 2, 3, 4].map(key);
        for maker in keys {
            let named = keys.map(|node| Federation::new(node, &keys).assignee_after(&create, Some(maker)));
            assert!(named.iter().all(|assignee| *assignee == named[0] && *assignee != maker), "{maker}: {named:?}");
        }
        assert_eq!(keys.map(|node| Federation::new(node, &keys).assignee(&create)), keys, "at first it stays");
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
        let keyring = Keyring {
            generation: 5,
            previous: vec![key(2), key(1)],
            active: vec![key(3), key(1)],
            next: vec![key(4), key(3)],
            former: vec![vec![key(6)], vec![key(6), key(2)]],
            known: vec![key(7)],
        };
        let federation = Federation::of(key(3), &keyring);
        let voters = |keys: &[u8]| keys.iter().map(|n| key(*n).to_string()).collect::<Vec<_>>();
        for right in [&[1, 3][..], &[1, 2], &[4, 3], &[6], &[2, 6]] {
            assert!(federation.accepts_voters(&voters(right)), "{right:?}");
        }
        for wrong in [&[][..], &[1, 4], &[2, 3], &[7], &[1, 2, 3, 4, 7]] {
            assert!(!federation.accepts_voters(&voters(wrong)), "{wrong:?}");
        }
        assert_eq!(federation.keys(), [key(1), key(3)]);
        assert_eq!(federation.present(), [1, 2, 3, 4].map(key));
        assert_eq!(federation.known(), [1, 2, 3, 4, 6, 7].map(key));
    }
}
