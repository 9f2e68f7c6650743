//! What is not in the index yet, in memory: the backlog, undecided blocks and their votes, and whatever was decided
//! since the index was last written.
//!
//! Everything enters by [`Tail::apply`], when a record is durable or read back, and leaves by [`Tail::indexed`].

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};
use ledger::transaction::{Operation, Transaction};

use crate::store::{Amount, BacklogEntry, Rejection, Settings, StoredVote};

/// Hashes ids by their first eight bytes: they are SHA3 digests of what they name, so nobody can choose many that
/// collide. Not for keys that clients choose freely.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length prefix of an array says nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map keyed by transaction or block id.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// One thing that a durable record changes.
pub enum Change {
    /// Counts once the first block is there.
    Settings(Settings),
    /// A transaction that the index holds nothing of enters the backlog.
    Enter(Waiting),
    /// A transaction enters the backlog, or its entry changes.
    Wait(Waiting),
    /// An entry leaves the backlog.
    Leave(TxId),
    /// Why an entry left.
    Reject(u64, Rejection),
    /// A block is written.
    Block(Box<TailBlock>),
    /// A vote is written.
    Vote(u64, TailVote),
    /// A block is decided.
    Decide(BlockId, bool),
}

/// A backlog entry.
#[derive(Clone)]
pub struct Waiting {
    /// Its place in the feed: the record's position, plus its number among that record's entries.
    pub feed: u64,
    /// The record that says so.
    pub record: u64,
    /// Position of the record with its bytes.
    pub body: u64,
    /// The entry.
    pub entry: BacklogEntry,
}

/// A vote.
#[derive(Clone)]
pub struct TailVote {
    /// By whom.
    pub node: PublicKey,
    /// What is handed out.
    pub vote: StoredVote,
}

/// A block, with what look-ups need of it.
#[derive(Clone)]
pub struct TailBlock {
    /// Its record.
    pub position: u64,
    /// The block.
    pub block: Arc<Block>,
    /// Positions of its transactions' records.
    pub bodies: Arc<[u64]>,
    /// Its transactions.
    pub amount: Amount,
    /// The decision.
    pub status: BlockStatus,
    /// Positions of its votes.
    pub votes: Vec<u64>,
    /// Owner, place of the transaction in the block, output index; sorted.
    pub owners: Arc<[(PublicKey, u32, u32)]>,
    /// Asset and place of each TRANSFER; sorted.
    pub transfers: Arc<[(TxId, u32)]>,
}

impl TailBlock {
    /// Prepares a block; takes a while for a large one, so not under a lock.
    pub fn new(position: u64, block: Arc<Block>, bodies: Vec<u64>) -> Self {
        let mut owners = Vec::new();
        let mut transfers = Vec::new();
        for (i, tx) in (0_u32..).zip(&block.transactions) {
            for (n, output) in (0_u32..).zip(tx.outputs()) {
                owners.extend(output.owners.iter().map(|owner| (*owner, i, n)));
            }
            if tx.operation() == Operation::Transfer {
                transfers.extend(tx.asset_id().parse().ok().map(|asset: TxId| (asset, i)));
            }
        }
        let bytes = block.transactions.iter().map(|tx| tx.bytes().len()).sum();
        owners.sort_unstable();
        transfers.sort_unstable();
        Self {
            position,
            amount: Amount { transactions: block.transactions.len(), bytes },
            block,
            bodies: bodies.into(),
            status: BlockStatus::Undecided,
            votes: Vec::new(),
            owners: owners.into(),
            transfers: transfers.into(),
        }
    }

    /// A transaction by its place.
    pub fn transaction(&self, place: u32) -> Option<&Arc<Transaction>> {
        self.block.transactions.get(place as usize)
    }
}

/// Where a transaction is: in the backlog, in blocks of the tail.
#[derive(Default)]
pub struct Known {
    /// Place in the backlog feed.
    pub waiting: Option<u64>,
    /// Block position and place in that block.
    pub blocks: Vec<(u64, u32)>,
    /// The index is known to hold nothing of it: nobody needs to ask there.
    pub unindexed: bool,
}

/// See the module.
#[derive(Default)]
pub struct Tail {
    /// As recorded.
    pub settings: Option<Settings>,
    /// The first block and its position.
    pub genesis: Option<(u64, Arc<Block>)>,
    /// By place in the feed.
    pub backlog: BTreeMap<u64, Waiting>,
    /// Canonical JSON of its transactions.
    pub backlog_bytes: usize,
    /// Time of assignment, place in the feed.
    pub by_time: BTreeSet<(u64, u64)>,
    /// By position.
    pub blocks: BTreeMap<u64, TailBlock>,
    /// Positions of undecided blocks, without the genesis block.
    pub undecided: BTreeSet<u64>,
    /// By position.
    pub votes: BTreeMap<u64, TailVote>,
    /// Votes on blocks that left the tail before the vote came.
    pub late_votes: BTreeSet<u64>,
    /// Rejections and the positions of their records.
    pub rejections: HashMap<TxId, (u64, Rejection)>,
    /// Each node's newest vote.
    pub last_votes: HashMap<PublicKey, (u64, Bytes)>,
    /// Decided blocks (and the genesis block), in the order of their decisions.
    pub closed: VecDeque<u64>,
    /// Transactions in them.
    pub closed_amount: Amount,
    /// Blocks and transactions in blocks that left the tail.
    pub indexed: (u64, u64),
    /// No block in the index stands after this position.
    pub newest_indexed_block: u64,
    /// No vote in the index stands after this position.
    pub newest_indexed_vote: u64,
    /// Position and checksum of the last record that was applied, and the position after it.
    pub last: (u64, u32, u64),
    txs: IdMap<TxId, Known>,
    block_ids: IdMap<BlockId, u64>,
    /// Who spends each output. (Outputs are named by clients, so this map hashes with a secret.)
    spends: HashMap<OutputRef, Vec<TxId>>,
}

impl Tail {
    /// Where a transaction is.
    pub fn known(&self, id: &TxId) -> Option<&Known> {
        self.txs.get(id)
    }

    /// A block of the tail.
    pub fn block(&self, id: &BlockId) -> Option<&TailBlock> {
        self.blocks.get(self.block_ids.get(id)?)
    }

    /// A transaction's backlog entry.
    pub fn waiting(&self, id: &TxId) -> Option<&Waiting> {
        self.backlog.get(&self.known(id)?.waiting?)
    }

    /// Transactions of the tail that spend an output.
    pub fn spenders(&self, output: &OutputRef) -> &[TxId] {
        self.spends.get(output).map_or(&[], Vec::as_slice)
    }

    /// The oldest position that replay must start at to find all that is open.
    pub fn oldest_open(&self) -> u64 {
        let backlog = self.backlog.first_key_value().map_or(u64::MAX, |(_, waiting)| waiting.record);
        let block = self.undecided.first().copied().unwrap_or(u64::MAX);
        backlog.min(block).min(self.last.2)
    }

    /// Takes in what a record says.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Settings(settings) => self.settings = Some(settings),
            Change::Enter(waiting) => {
                let id = waiting.entry.transaction.id();
                self.wait(waiting);
                if let Some(known) = self.txs.get_mut(&id) {
                    known.unindexed = true;
                }
            }
            Change::Wait(waiting) => self.wait(waiting),
            Change::Leave(id) => self.leave(&id),
            Change::Reject(position, rejection) => {
                self.leave(&rejection.transaction_id);
                self.rejections.insert(rejection.transaction_id, (position, rejection));
            }
            Change::Block(block) => self.add_block(*block),
            Change::Vote(position, vote) => self.vote(position, vote),
            Change::Decide(id, valid) => self.decide(&id, valid),
        }
    }

    fn wait(&mut self, waiting: Waiting) {
        let tx = &waiting.entry.transaction;
        let known = self.txs.entry(tx.id()).or_default();
        let is_new = known.waiting.is_none() && known.blocks.is_empty();
        let before = known.waiting.replace(waiting.feed);
        if is_new {
            spend(&mut self.spends, tx);
        }
        self.forget_entry(before);
        self.by_time.insert((waiting.entry.assigned_at, waiting.feed));
        self.backlog_bytes += waiting.entry.transaction.bytes().len();
        self.backlog.insert(waiting.feed, waiting);
    }

    fn leave(&mut self, id: &TxId) {
        let Some(known) = self.txs.get_mut(id) else { return };
        let before = known.waiting.take();
        let gone = known.blocks.is_empty();
        let removed = self.forget_entry(before);
        if gone {
            self.txs.remove(id);
            if let Some(waiting) = removed {
                unspend(&mut self.spends, &waiting.entry.transaction);
            }
        }
    }

    fn forget_entry(&mut self, feed: Option<u64>) -> Option<Waiting> {
        let waiting = self.backlog.remove(&feed?)?;
        self.by_time.remove(&(waiting.entry.assigned_at, waiting.feed));
        self.backlog_bytes -= waiting.entry.transaction.bytes().len();
        Some(waiting)
    }

    fn add_block(&mut self, block: TailBlock) {
        let position = block.position;
        for (place, tx) in (0_u32..).zip(&block.block.transactions) {
            let known = self.txs.entry(tx.id()).or_default();
            let is_new = known.waiting.is_none() && known.blocks.is_empty();
            known.blocks.push((position, place));
            let before = known.waiting.take();
            if is_new {
                spend(&mut self.spends, tx);
            }
            self.forget_entry(before);
        }
        self.block_ids.insert(block.block.id, position);
        if self.genesis.is_none() {
            self.genesis = Some((position, block.block.clone()));
            self.close(position, block.amount);
        } else {
            self.undecided.insert(position);
        }
        self.blocks.insert(position, block);
    }

    fn vote(&mut self, position: u64, vote: TailVote) {
        // Replay starts before what the index says of newest votes.
        let last = self.last_votes.entry(vote.node).or_default();
        if last.0 <= position {
            *last = (position, vote.vote.bytes.clone());
        }
        match self.block_ids.get(&vote.vote.block).and_then(|block| self.blocks.get_mut(block)) {
            Some(block) => block.votes.push(position),
            None => {
                self.late_votes.insert(position);
            }
        }
        self.votes.insert(position, vote);
    }

    fn decide(&mut self, id: &BlockId, valid: bool) {
        let Some(block) = self.block_ids.get(id).and_then(|position| self.blocks.get_mut(position)) else { return };
        block.status = if valid { BlockStatus::Valid } else { BlockStatus::Invalid };
        let (position, amount) = (block.position, block.amount);
        self.undecided.remove(&position);
        self.close(position, amount);
    }

    fn close(&mut self, position: u64, amount: Amount) {
        self.closed.push_back(position);
        self.closed_amount.transactions += amount.transactions;
        self.closed_amount.bytes += amount.bytes;
    }

    /// Lets go of a block that the index has taken in, with these votes. The answer is to be dropped outside the lock.
    pub fn indexed_block(&mut self, position: u64, votes: &[u64]) -> Option<TailBlock> {
        let block = self.blocks.remove(&position)?;
        self.block_ids.remove(&block.block.id);
        for tx in &block.block.transactions {
            self.leave_block(tx, position);
        }
        for vote in votes {
            self.votes.remove(vote);
            self.newest_indexed_vote = self.newest_indexed_vote.max(*vote);
        }
        self.newest_indexed_block = self.newest_indexed_block.max(position);
        // Votes that came while the index was being written.
        self.late_votes.extend(block.votes.iter().filter(|vote| !votes.contains(vote)));
        self.closed.retain(|closed| *closed != position);
        self.closed_amount.transactions -= block.amount.transactions;
        self.closed_amount.bytes -= block.amount.bytes;
        self.indexed.0 += 1;
        self.indexed.1 += block.block.transactions.len() as u64;
        Some(block)
    }

    /// Lets go of what else the index has taken in.
    pub fn indexed_rest(&mut self, late_votes: &[u64], rejections: &[(u64, Rejection)]) {
        for vote in late_votes {
            self.late_votes.remove(vote);
            self.votes.remove(vote);
            self.newest_indexed_vote = self.newest_indexed_vote.max(*vote);
        }
        for (position, Rejection { transaction_id, .. }) in rejections {
            if self.rejections.get(transaction_id).is_some_and(|(newest, _)| newest == position) {
                self.rejections.remove(transaction_id);
            }
        }
    }

    fn leave_block(&mut self, tx: &Transaction, position: u64) {
        let id = tx.id();
        let Some(known) = self.txs.get_mut(&id) else { return };
        known.blocks.retain(|(block, _)| *block != position);
        known.unindexed = false;
        if known.blocks.is_empty() && known.waiting.is_none() {
            self.txs.remove(&id);
            unspend(&mut self.spends, tx);
        }
    }
}

fn spend(spends: &mut HashMap<OutputRef, Vec<TxId>>, tx: &Transaction) {
    for output in tx.spends() {
        let spenders = spends.entry(output).or_default();
        if !spenders.contains(&tx.id()) {
            spenders.push(tx.id());
        }
    }
}

fn unspend(spends: &mut HashMap<OutputRef, Vec<TxId>>, tx: &Transaction) {
    for output in tx.spends() {
        if let Some(spenders) = spends.get_mut(&output) {
            spenders.retain(|id| *id != tx.id());
            if spenders.is_empty() {
                spends.remove(&output);
            }
        }
    }
}
