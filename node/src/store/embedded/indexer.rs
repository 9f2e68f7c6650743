//! Moves what is decided from the tail to the index, in large batches, on a thread of its own.
//!
//! The order matters: first the index is written, then the tail lets go, and readers ask the tail first; so nothing is
//! ever in neither.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use ledger::election::BlockStatus;
use ledger::ids::{OutputRef, PublicKey, TxId};
use parking_lot::{Condvar, Mutex, RwLock};

use super::index::{Checkpoint, Held, Index, Order, key};
use super::shared::Shared;
use super::tail::{IdMap, Tail, TailBlock};
use crate::store::database::StoreWork;
use crate::store::{Amount, Rejection, Result};

/// When the index is written.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Transactions in decided blocks that are worth a batch.
    pub batch: Amount,
    /// The longest time that something decided waits for a batch.
    pub delay: Duration,
    /// Transactions in decided blocks at which commits wait for the index.
    pub limit: Amount,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            batch: Amount { transactions: 4_000, bytes: 8 << 20 },
            delay: Duration::from_millis(500),
            limit: Amount { transactions: 40_000, bytes: 80 << 20 },
        }
    }
}

/// What one batch takes from the tail.
pub struct Work {
    blocks: Vec<TailBlock>,
    late_votes: Vec<(u64, ledger::ids::BlockId, PublicKey)>,
    rejections: Vec<(u64, Rejection)>,
    last_votes: Vec<(PublicKey, u64)>,
    votes: HashMap<u64, PublicKey>,
    /// Transactions that the index holds nothing of.
    unindexed: IdMap<TxId, ()>,
    checkpoint: Checkpoint,
}

impl Work {
    /// Everything that can go now. `open`: a position that replay must not start after.
    pub fn take(tail: &Tail, open: u64) -> Self {
        let blocks: Vec<TailBlock> = tail.closed.iter().filter_map(|p| tail.blocks.get(p).cloned()).collect();
        let vote = |position: &u64| Some((*position, tail.votes.get(position)?));
        let votes = blocks.iter().flat_map(|b| &b.votes).filter_map(vote).map(|(p, vote)| (p, vote.node)).collect();
        let transactions = blocks.iter().flat_map(|b| &b.block.transactions).map(|tx| tx.id());
        let unindexed = transactions.filter(|id| tail.known(id).is_some_and(|known| known.unindexed));
        let unindexed = unindexed.map(|id| (id, ())).collect();
        let late_votes = tail.late_votes.iter().filter_map(vote);
        let late_votes = late_votes.map(|(p, vote)| (p, vote.vote.block, vote.node)).collect();
        let rejections = tail.rejections.values().cloned().collect();
        let last_votes = tail.last_votes.iter().map(|(node, (position, _))| (*node, *position)).collect();
        let (last, checksum, through) = tail.last;
        let transactions: u64 = blocks.iter().map(|b| b.block.transactions.len() as u64).sum();
        let checkpoint = Checkpoint {
            through,
            last,
            checksum,
            replay_from: tail.oldest_open().min(open),
            blocks: tail.indexed.0 + blocks.len() as u64,
            transactions: tail.indexed.1 + transactions,
        };
        Self { blocks, late_votes, rejections, last_votes, votes, unindexed, checkpoint }
    }

    /// The pairs to write. Reads what the index has for keys whose values grow.
    fn pairs(&self, index: &dyn Index) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut pairs = Vec::new();
        let mut held: IdMap<TxId, Vec<u8>> = IdMap::default();
        let mut spent: HashMap<OutputRef, Vec<u8>> = HashMap::new();
        for block in &self.blocks {
            let id = block.block.id;
            let order = Order { id, status: block.status, transactions: block.block.transactions.len() as u64 };
            pairs.push((key::block(&id), block.position.to_be_bytes().to_vec()));
            pairs.push((key::order(block.position), order.to_bytes()));
            for (tx, &body) in block.block.transactions.iter().zip(block.bodies.iter()) {
                let value = match held.entry(tx.id()) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) if self.unindexed.contains_key(&tx.id()) => entry.insert(Vec::new()),
                    Entry::Vacant(entry) => entry.insert(stored(index, &key::transaction(&tx.id()))?),
                };
                Held { block: block.position, body, status: block.status }.add_to(value);
                for output in tx.spends() {
                    let value = match spent.entry(output) {
                        Entry::Occupied(entry) => entry.into_mut(),
                        Entry::Vacant(entry) => entry.insert(stored(index, &key::spent(&output))?),
                    };
                    if !value.chunks_exact(32).any(|id| id == tx.id().as_bytes()) {
                        value.extend_from_slice(tx.id().as_bytes());
                    }
                }
            }
            if block.status != BlockStatus::Invalid {
                for (owner, place, index) in block.owners.iter() {
                    let Some(tx) = block.transaction(*place) else { continue };
                    let key = key::owned(owner, block.position, *place, *index);
                    pairs.push((key, tx.id().as_bytes().to_vec()));
                }
            }
            if block.status == BlockStatus::Valid {
                for (asset, place) in block.transfers.iter() {
                    let Some(body) = block.bodies.get(*place as usize) else { continue };
                    pairs.push((key::transfer(asset, block.position, *place), body.to_be_bytes().to_vec()));
                }
            }
            for vote in &block.votes {
                let Some(node) = self.votes.get(vote) else { continue };
                pairs.push((key::vote(&id, *vote), node.as_bytes().to_vec()));
                pairs.push((key::vote_feed(*vote), Vec::new()));
            }
        }
        pairs.extend(held.into_iter().map(|(id, value)| (key::transaction(&id), value)));
        pairs.extend(spent.into_iter().map(|(output, value)| (key::spent(&output), value)));
        for (vote, block, node) in &self.late_votes {
            pairs.push((key::vote(block, *vote), node.as_bytes().to_vec()));
            pairs.push((key::vote_feed(*vote), Vec::new()));
        }
        for (position, rejection) in &self.rejections {
            pairs.push((key::rejection(&rejection.transaction_id), position.to_be_bytes().to_vec()));
        }
        for (node, position) in &self.last_votes {
            pairs.push((key::last_vote(node), position.to_be_bytes().to_vec()));
        }
        pairs.push((key::checkpoint(), self.checkpoint.to_bytes()));
        Ok(pairs)
    }
}

fn stored(index: &dyn Index, key: &[u8]) -> Result<Vec<u8>> {
    Ok(index.get(key)?.map(Vec::from).unwrap_or_default())
}

/// Writes one batch and lets the tail go of it. `open`: what is open beside the tail stands there or later.
pub fn write_batch(index: &dyn Index, tail: &RwLock<Tail>, open: u64) -> Result<()> {
    let work = Work::take(&tail.read(), open);
    index.write(work.pairs(index)?)?;
    for block in &work.blocks {
        // One lock for each block: readers come in between, and the memory is given back outside.
        let gone = tail.write().indexed_block(block.position, &block.votes);
        drop(gone);
    }
    let late_votes: Vec<u64> = work.late_votes.iter().map(|(position, ..)| *position).collect();
    tail.write().indexed_rest(&late_votes, &work.rejections);
    Ok(())
}

/// How much waits for the index.
#[derive(Default)]
struct Pending {
    closed: Amount,
    anything: bool,
    stop: bool,
}

/// Between the commit thread and the indexer.
#[derive(Default)]
pub struct Signal {
    pending: Mutex<Pending>,
    changed: Condvar,
}

impl Signal {
    /// Says what waits for the index now.
    pub fn pending(&self, pace: &Pace, closed: Amount, anything: bool) {
        let mut pending = self.pending.lock();
        // A trickle must not wake the indexer each time: its wait would start anew and never end.
        let wake = anything && !pending.anything || closed.reaches(pace.batch) || closed.bytes < pending.closed.bytes;
        pending.closed = closed;
        pending.anything = anything;
        if wake {
            self.changed.notify_all();
        }
    }

    /// Waits until less than this waits for the index, or the indexer has ended.
    pub fn wait_below(&self, limit: Amount) {
        let mut pending = self.pending.lock();
        while pending.closed.reaches(limit) && !pending.stop {
            self.changed.wait(&mut pending);
        }
    }

    /// Ends the indexer's thread.
    pub fn stop(&self) {
        self.pending.lock().stop = true;
        self.changed.notify_all();
    }

    /// Waits for work; `false`: told to stop.
    fn next(&self, pace: &Pace) -> bool {
        let mut pending = self.pending.lock();
        while !pending.anything && !pending.stop {
            self.changed.wait(&mut pending);
        }
        while !pending.closed.reaches(pace.batch) && !pending.stop {
            if self.changed.wait_for(&mut pending, pace.delay).timed_out() {
                break;
            }
        }
        !pending.stop
    }
}

/// The thread's work.
pub fn run(shared: &Arc<Shared>) {
    while shared.signal.next(&shared.pace) {
        let write = || write_batch(shared.index.as_ref(), &shared.tail, u64::MAX);
        if let Err(error) = shared.timed(StoreWork::Index, write) {
            shared.fail_index(error);
            shared.signal.stop();
            return;
        }
        shared.report_pending();
    }
}
