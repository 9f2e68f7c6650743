//! The database that the nodes share: documents, unique indexes, and what a change stream would tell.
//!
//! Each function is one operation of a server: it happens at once or not at all. What takes several of them is put
//! together in [`crate::store`], as the MongoDB store does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bigchaindb::store::{BacklogEntry, Position, Rejection, StoredVote, Taken};
use ledger::block::Block;
use ledger::ids::{BlockId, PublicKey, TxId};
use ledger::transaction::Transaction;
use ledger::vote::Vote;
use tokio::sync::Notify;

use crate::invariants;

/// What MongoDB gives documents as `_id`: made by who writes them, from its clock, something random and a counter. Their
/// order is not the order of the writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub seconds: u64,
    pub process: u64,
    pub counter: u64,
}

/// Longer than a vote is made and is on its way.
const LONG: Duration = Duration::from_secs(20);

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    Backlog,
    Blocks,
    Votes,
}

/// See the module.
pub struct Database {
    pub backlog: BTreeMap<Key, BacklogEntry>,
    pub blocks: BTreeMap<Key, Arc<Block>>,
    pub votes: BTreeMap<Key, (PublicKey, StoredVote)>,
    /// By node and block: valid or not.
    pub decisions: BTreeMap<(PublicKey, BlockId), bool>,
    pub rejections: BTreeMap<TxId, Rejection>,
    /// How far each node has voted on the blocks.
    pub voted: BTreeMap<PublicKey, Position>,
    pub genesis: Arc<Block>,
    /// Who decides, or did.
    pub nodes: Vec<PublicKey>,
    /// Those who will go on to.
    pub members: Vec<PublicKey>,
    /// Whether a block can be there only once.
    pub unique_blocks: bool,
    /// Written documents in the order of the writes, for each collection.
    oplogs: [Vec<Key>; 3],
    written: [Arc<Notify>; 3],
    /// Transactions that a client was told are taken in.
    pub accepted: BTreeSet<TxId>,
    /// Simulated time.
    pub now: Duration,
    /// When votes were written.
    landed: BTreeMap<Key, Duration>,
    /// The first promise that was broken.
    pub violation: Option<String>,
}

impl Database {
    pub fn new(genesis: Arc<Block>, nodes: Vec<PublicKey>, unique_blocks: bool) -> Self {
        Self {
            backlog: BTreeMap::new(),
            blocks: BTreeMap::new(),
            votes: BTreeMap::new(),
            decisions: BTreeMap::new(),
            rejections: BTreeMap::new(),
            voted: BTreeMap::new(),
            genesis,
            members: nodes.clone(),
            nodes,
            unique_blocks,
            oplogs: Default::default(),
            written: Default::default(),
            accepted: BTreeSet::new(),
            now: Duration::ZERO,
            landed: BTreeMap::new(),
            violation: None,
        }
    }

    /// Notes a broken promise.
    pub fn broken(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    // Change streams

    /// How much was written.
    pub fn length(&self, of: Collection) -> usize {
        self.oplogs[of as usize].len()
    }

    /// Tells of writes.
    pub fn written(&self, of: Collection) -> Arc<Notify> {
        self.written[of as usize].clone()
    }

    /// Documents written from a place on.
    pub fn since(&self, of: Collection, place: usize) -> &[Key] {
        self.oplogs[of as usize].get(place..).unwrap_or_default()
    }

    fn tell(&mut self, of: Collection, key: Key) {
        self.oplogs[of as usize].push(key);
        self.written[of as usize].notify_waiters();
    }

    // Writes

    /// `false`: the transaction waits already.
    pub fn insert_backlog(&mut self, key: Key, entry: BacklogEntry) -> bool {
        let id = entry.transaction.id();
        if self.waits(&id) {
            return false;
        }
        self.backlog.insert(key, entry);
        self.tell(Collection::Backlog, key);
        true
    }

    /// `false`: it has another assignment by now, or is gone.
    pub fn update_assignment(&mut self, before: &BacklogEntry, to: PublicKey, at: u64) -> bool {
        let same = |entry: &BacklogEntry| {
            let id = entry.transaction.id() == before.transaction.id();
            id && entry.assignee == before.assignee && entry.assigned_at == before.assigned_at
        };
        let Some((key, entry)) = self.backlog.iter_mut().find(|(_, entry)| same(entry)) else { return false };
        if (entry.assignee, entry.assigned_at) == (to, at) {
            return false;
        }
        (entry.assignee, entry.assigned_at) = (to, at);
        let key = *key;
        self.tell(Collection::Backlog, key);
        true
    }

    /// Entries that waited for one node are given to others.
    pub fn assign_anew(&mut self, entries: &[BacklogEntry], from: &str) {
        for new in entries {
            let same = |entry: &BacklogEntry| {
                entry.transaction.id() == new.transaction.id() && entry.assignee.to_string() == from
            };
            if let Some((key, entry)) = self.backlog.iter_mut().find(|(_, entry)| same(entry)) {
                (entry.assignee, entry.assigned_at) = (new.assignee, new.assigned_at);
                let key = *key;
                self.tell(Collection::Backlog, key);
            }
        }
    }

    pub fn delete_backlog(&mut self, ids: &[TxId], taken: Option<&Taken>) {
        let is_taken = |entry: &BacklogEntry| {
            let by = |t: &Taken| entry.assignee == t.assignee && t.assigned_at.contains(&entry.assigned_at);
            ids.contains(&entry.transaction.id()) && taken.is_none_or(by)
        };
        self.backlog.retain(|_, entry| !is_taken(entry));
        for id in ids {
            invariants::nothing_is_lost(self, id, "left the backlog");
        }
    }

    pub fn put_rejection(&mut self, rejection: Rejection) {
        self.rejections.insert(rejection.transaction_id, rejection);
    }

    /// `false`: it is there, and the index is unique.
    pub fn insert_block(&mut self, key: Key, block: Arc<Block>) -> bool {
        if self.unique_blocks && self.find_block(&block.id).is_some() {
            return false;
        }
        self.blocks.insert(key, block);
        self.tell(Collection::Blocks, key);
        true
    }

    /// `false`: this node has voted on the block.
    pub fn insert_vote(&mut self, key: Key, vote: &Vote) -> bool {
        let same = |(node, stored): &(PublicKey, StoredVote)| {
            *node == vote.node_pubkey && stored.block == vote.voting_for_block
        };
        let stored = StoredVote { block: vote.voting_for_block, bytes: vote.to_bytes() };
        if let Some((key, (_, first))) = self.votes.iter().find(|(_, vote)| same(vote)) {
            // What a process that died had sent may have come while this one was made.
            let old = self.landed.get(key).is_some_and(|landed| *landed + LONG < self.now);
            if old && first.bytes != stored.bytes {
                self.broken(format!("two different votes of one node on block {}", invariants::short(&stored.block)));
            }
            return false;
        }
        self.landed.insert(key, self.now);
        self.votes.insert(key, (vote.node_pubkey, stored));
        self.tell(Collection::Votes, key);
        true
    }

    /// `false`: this node has decided on the block.
    pub fn insert_decision(&mut self, node: PublicKey, block: BlockId, valid: bool) -> bool {
        if self.decisions.contains_key(&(node, block)) {
            return false;
        }
        self.decisions.insert((node, block), valid);
        invariants::decided(self, &block, valid);
        true
    }

    /// A client was told that a transaction is taken in.
    pub fn accept(&mut self, id: TxId) {
        self.accepted.insert(id);
        invariants::nothing_is_lost(self, &id, "was accepted");
    }

    // Reads

    pub fn waits(&self, id: &TxId) -> bool {
        self.backlog.values().any(|entry| entry.transaction.id() == *id)
    }

    /// The first of that id.
    pub fn find_block(&self, id: &BlockId) -> Option<&Arc<Block>> {
        self.blocks.values().find(|block| block.id == *id)
    }

    /// Each block once, with those of its transactions that are asked for; blocks without any left out.
    pub fn holding(&self, test: impl Fn(&Transaction) -> bool) -> Vec<(BlockId, Vec<Arc<Transaction>>)> {
        let mut found: Vec<(BlockId, Vec<Arc<Transaction>>)> = Vec::new();
        for block in self.blocks.values() {
            let held: Vec<_> = block.transactions.iter().filter(|tx| test(tx)).cloned().collect();
            if !held.is_empty() && found.iter().all(|(id, _)| *id != block.id) {
                found.push((block.id, held));
            }
        }
        found
    }

    /// Documents of blocks that a node has not decided on.
    pub fn undecided(&self, node: &PublicKey) -> Vec<(Key, BlockId)> {
        let open = self.blocks.iter().map(|(key, block)| (*key, block.id));
        open.filter(|(_, id)| *id != self.genesis.id && !self.decisions.contains_key(&(*node, *id))).collect()
    }

    /// Whether a node has voted on a block.
    pub fn has_voted(&self, node: &PublicKey, block: &BlockId) -> bool {
        self.votes.values().any(|(voter, vote)| voter == node && vote.block == *block)
    }

    /// Blocks that somebody decided invalid.
    pub fn invalid_blocks(&self) -> usize {
        let invalid: BTreeSet<&BlockId> =
            self.decisions.iter().filter(|(_, valid)| !**valid).map(|((_, block), _)| block).collect();
        invalid.len()
    }

    /// Whether a node has decided that a block with this transaction is valid.
    pub fn is_valid(&self, node: &PublicKey, id: &TxId) -> bool {
        self.holding(|tx| tx.id() == *id).iter().any(|(block, _)| self.decisions.get(&(*node, *block)) == Some(&true))
    }
}
