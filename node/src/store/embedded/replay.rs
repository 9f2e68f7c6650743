//! From the log to the tail, at the start. With a good checkpoint of the index only the log's end is read; without one
//! everything is, and the index is written along the way.

use std::sync::Arc;

use ledger::block::Block;
use ledger::ids::{BlockId, TxId};
use ledger::transaction::Transaction;
use parking_lot::RwLock;

use super::index::{Checkpoint, Index, broken, key};
use super::indexer::{self, Pace};
use super::log::{Entry, Log};
use super::record::{Record, Requeued};
use super::tail::{Change, IdMap, Tail, TailBlock, TailVote, Waiting};
use crate::store::{BacklogEntry, Result, Settings, StoreError, StoredVote};

/// Bytes of log after which a long replay says how far it is.
const REPORT: u64 = 256 << 20;

/// The index's checkpoint, if it fits the log; `None` for an empty index.
///
/// # Errors
///
/// [`StoreError::Damaged`] if it does not fit: the index is to be rebuilt.
pub fn checkpoint(log: &Log, index: &dyn Index) -> Result<Option<Checkpoint>> {
    let Some(value) = index.get(&key::checkpoint())? else { return Ok(None) };
    let checkpoint = Checkpoint::read(&value).ok_or_else(|| broken(&"its checkpoint is cut"))?;
    let last = log.read(checkpoint.last).map_err(|_| broken(&"it is ahead of the log"))?;
    let fits = last.next == checkpoint.through
        && last.checksum == checkpoint.checksum
        && checkpoint.replay_from <= checkpoint.through;
    if fits { Ok(Some(checkpoint)) } else { Err(broken(&"it belongs to another log")) }
}

/// A backlog entry whose transaction is not parsed: most leave again before the log's end.
struct Raw {
    feed: u64,
    record: u64,
    requeued: Requeued,
}

/// Replays the log. The checkpoint is one that [`checkpoint`] gave; up to `synced` nothing may be missing.
pub fn replay(log: &Log, synced: u64, index: &dyn Index, checkpoint: Option<Checkpoint>, pace: &Pace) -> Result<Tail> {
    let from = checkpoint.unwrap_or_default();
    let mut tail = Tail::default();
    tail.indexed = (from.blocks, from.transactions);
    tail.newest_indexed_block = from.through;
    tail.newest_indexed_vote = from.through;
    tail.last = (from.last, from.checksum, from.through);
    if checkpoint.is_some() {
        read_beginning(log, &mut tail)?;
        read_last_votes(log, index, &mut tail)?;
    }
    let through = from.through;
    let tail = RwLock::new(tail);
    let mut replay = Replay { log, index, tail: &tail, through, waiting: IdMap::default(), settings: None };
    let mut reported = from.replay_from;
    log.recover(from.replay_from, synced, |entry| {
        let next = entry.next;
        replay.take(entry)?;
        if tail.read().closed_amount.reaches(pace.batch) {
            let open = replay.waiting.values().map(|raw| raw.record).min().unwrap_or(u64::MAX);
            indexer::write_batch(index, &tail, open)?;
        }
        if next - reported >= REPORT {
            reported = next;
            let percent = (next - from.replay_from) * 100 / (log.end() - from.replay_from).max(1);
            tracing::info!(percent, "reading the log to rebuild the index");
        }
        Ok(())
    })?;
    replay.finish()?;
    Ok(tail.into_inner())
}

/// Settings and genesis block, the first things in every log.
fn read_beginning(log: &Log, tail: &mut Tail) -> Result<()> {
    let mut found = None;
    log.scan(0, |entry| {
        match entry.record()? {
            Record::Settings(settings) => tail.settings = Some(settings),
            Record::Block { .. } => {
                found = Some(entry.position);
                return Ok(false);
            }
            _ => {}
        }
        Ok(true)
    })?;
    let position = found.ok_or_else(|| broken(&"it belongs to another log"))?;
    let (block, _) = log.block(position, |body| log.transaction(body).map(Arc::new))?;
    tail.genesis = Some((position, Arc::new(block)));
    Ok(())
}

fn read_last_votes(log: &Log, index: &dyn Index, tail: &mut Tail) -> Result<()> {
    // As many as there ever were nodes.
    for (key, value) in index.scan(b"L", b"M", usize::MAX)? {
        let (Some(node), Some(position)) = (key.last_chunk(), value.first_chunk()) else { continue };
        let position = u64::from_be_bytes(*position);
        if let Record::Vote { bytes, .. } = log.read(position)?.record()? {
            tail.last_votes.insert(ledger::ids::PublicKey::from_bytes(*node), (position, bytes));
        }
    }
    Ok(())
}

struct Replay<'a> {
    log: &'a Log,
    index: &'a dyn Index,
    tail: &'a RwLock<Tail>,
    /// Decisions, rejections and late votes before this position are in the index.
    through: u64,
    waiting: IdMap<TxId, Raw>,
    settings: Option<Settings>,
}

impl Replay<'_> {
    fn take(&mut self, entry: Entry) -> Result<()> {
        let position = entry.position;
        match entry.record()? {
            Record::Settings(settings) => self.settings = Some(settings),
            Record::Synced(_) | Record::Body { .. } => {}
            Record::Tx { id, assignee, assigned_at, .. } => {
                let requeued = Requeued { id, body: position, assignee, assigned_at };
                self.waiting.insert(id, Raw { feed: position, record: position, requeued });
            }
            Record::Reassign(entries) => self.requeue(position, entries),
            Record::Delete(ids) => {
                for id in ids {
                    self.waiting.remove(&id);
                }
            }
            Record::Reject(rejection) => {
                self.waiting.remove(&rejection.transaction_id);
                if position >= self.through {
                    self.tail.write().apply(Change::Reject(position, rejection));
                }
            }
            Record::Block { id, header, bodies } => self.block(position, id, header, bodies)?,
            Record::Vote { block, node, bytes } => {
                let mut tail = self.tail.write();
                if position >= self.through || tail.block(&block).is_some() {
                    tail.apply(Change::Vote(position, TailVote { node, vote: StoredVote { block, bytes } }));
                }
            }
            Record::Decision { block, valid, requeued } => {
                self.tail.write().apply(Change::Decide(block, valid));
                self.requeue(position, requeued);
            }
        }
        if entry.next > self.through {
            self.tail.write().last = (position, entry.checksum, entry.next);
        }
        Ok(())
    }

    fn requeue(&mut self, position: u64, entries: Vec<Requeued>) {
        for (feed, requeued) in (position..).zip(entries) {
            self.waiting.insert(requeued.id, Raw { feed, record: position, requeued });
        }
    }

    fn block(
        &mut self,
        position: u64,
        id: BlockId,
        header: ledger::block::BlockHeader,
        bodies: Vec<u64>,
    ) -> Result<()> {
        if position < self.through && self.index.get(&key::block(&id))?.is_some() {
            for body in bodies {
                let (Record::Tx { id, .. } | Record::Body { id, .. }) = self.log.read(body)?.record()? else {
                    continue;
                };
                self.waiting.remove(&id);
            }
            return Ok(());
        }
        let transactions = parse_all(self.log, &bodies)?;
        for tx in &transactions {
            self.waiting.remove(&tx.id());
        }
        let block = Arc::new(Block { id, header, transactions });
        let mut tail = self.tail.write();
        if tail.genesis.is_none() {
            tail.settings = self.settings.take();
        }
        tail.apply(Change::Block(Box::new(TailBlock::new(position, block, bodies))));
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let mut raw: Vec<Raw> = self.waiting.into_values().collect();
        raw.sort_unstable_by_key(|raw| raw.feed);
        let bodies: Vec<u64> = raw.iter().map(|raw| raw.requeued.body).collect();
        let transactions = parse_all(self.log, &bodies)?;
        let mut tail = self.tail.write();
        for (Raw { feed, record, requeued }, transaction) in raw.into_iter().zip(transactions) {
            let Requeued { body, assignee, assigned_at, .. } = requeued;
            let entry = BacklogEntry { transaction, assignee, assigned_at };
            tail.apply(Change::Wait(Waiting { feed, record, body, entry }));
        }
        Ok(())
    }
}

/// Reads and parses transactions, on all processors when there are many.
fn parse_all(log: &Log, bodies: &[u64]) -> Result<Vec<Arc<Transaction>>> {
    let parse = |bodies: &[u64]| bodies.iter().map(|body| log.transaction(*body).map(Arc::new)).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(bodies.len() / 64 + 1);
    if threads == 1 {
        return parse(bodies);
    }
    let parts: Vec<Result<Vec<_>>> = std::thread::scope(|scope| {
        let parts = bodies.chunks(bodies.len().div_ceil(threads)).map(|part| scope.spawn(move || parse(part)));
        let parts: Vec<_> = parts.collect();
        let ended = || StoreError::Unavailable("a thread that read the log ended early".to_owned());
        parts.into_iter().map(|part| part.join().unwrap_or_else(|_| Err(ended()))).collect()
    });
    let mut all = Vec::with_capacity(bodies.len());
    for part in parts {
        all.append(&mut part?);
    }
    Ok(all)
}
