//! Group commit: one thread takes all writes that wait, appends their records with one write, syncs once, lets the tail
//! take them in, and answers.
//!
//! Requests are judged against the tail as it is before the group. One that depends on an earlier one of the same group
//! ends the group and opens the next.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, PublicKey, TxId};
use ledger::transaction::Transaction;
use ledger::vote::Vote;
use tokio::sync::{mpsc, oneshot};

use super::index::{Held, key};
use super::record::{self, HEADER, Record, Requeued};
use super::shared::Shared;
use super::tail::{Change, TailBlock, TailVote, Waiting};
use crate::store::database::StoreWork;
use crate::store::{BacklogEntry, Rejection, Result, Settings, StoreError, StoredVote};

/// Bytes of records at which a group is full.
const GROUP_BYTES: usize = 4 << 20;

/// A write.
pub enum Request {
    Initialise(Settings, Arc<Block>),
    Backlog(Vec<BacklogEntry>),
    Reassign(Vec<BacklogEntry>, PublicKey, u64),
    Delete(Vec<TxId>),
    Reject(Vec<Rejection>),
    Block(Arc<Block>),
    Vote(Box<Vote>),
    Decide(BlockId, bool, Vec<BacklogEntry>),
}

/// The answer to a write.
pub enum Answer {
    Done,
    /// Whether anything was written.
    Written(bool),
    /// What was changed.
    Changed(Vec<TxId>),
}

/// A write and who waits for it.
pub struct Job {
    pub request: Request,
    pub answer: oneshot::Sender<Result<Answer>>,
}

/// The thread's work; ends when all senders are gone or the store has failed.
pub fn run(shared: &Arc<Shared>, mut jobs: mpsc::Receiver<Job>) {
    let mut next = None;
    while let Some(first) = next.take().or_else(|| jobs.blocking_recv()) {
        if let Some(failure) = shared.failure() {
            let _ = first.answer.send(Err(failure));
            continue;
        }
        // The tail must not outgrow the memory when the index falls behind.
        shared.signal.wait_below(shared.pace.limit);
        let mut group = Group::new(shared);
        let mut job = Some(first);
        while let Some(Job { request, answer }) = job {
            match group.add(request) {
                Ok(Outcome::Added(done)) => group.answers.push((answer, done)),
                Ok(Outcome::Next(request)) => {
                    next = Some(Job { request, answer });
                    break;
                }
                Err(error) => {
                    // Whoever asks no longer waits for an answer when the request was dropped.
                    let _ = answer.send(shared.noting_damage(Err(error)));
                }
            }
            job = if group.records.len() < GROUP_BYTES { jobs.try_recv().ok() } else { None };
        }
        group.commit();
    }
}

enum Outcome {
    Added(Answer),
    /// It depends on this group: try again in the next.
    Next(Request),
}

struct Group<'a> {
    shared: &'a Shared,
    base: u64,
    records: Vec<u8>,
    last: Option<(u64, u32)>,
    changes: Vec<Change>,
    answers: Vec<(oneshot::Sender<Result<Answer>>, Answer)>,
    /// Transactions that this group adds to the backlog, and those that it changes otherwise.
    added: HashSet<TxId>,
    touched: HashSet<TxId>,
    /// Blocks that this group writes or decides; votes that it writes.
    blocks: HashSet<BlockId>,
    votes: HashSet<(BlockId, PublicKey)>,
}

impl<'a> Group<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            base: shared.log.end(),
            records: Vec::new(),
            last: None,
            changes: Vec::new(),
            answers: Vec::new(),
            added: HashSet::new(),
            touched: HashSet::new(),
            blocks: HashSet::new(),
            votes: HashSet::new(),
        }
    }

    fn add(&mut self, request: Request) -> Result<Outcome> {
        match request {
            Request::Initialise(settings, genesis) => self.initialise(settings, genesis),
            Request::Backlog(entries) => self.backlog(entries),
            Request::Reassign(entries, to, at) => self.reassign(entries, to, at),
            Request::Delete(ids) => self.delete(ids),
            Request::Reject(rejections) => self.reject(rejections),
            Request::Block(block) => self.block(block),
            Request::Vote(vote) => self.vote(vote),
            Request::Decide(block, valid, requeue) => self.decide(block, valid, requeue),
        }
    }

    fn push(&mut self, record: &Record) -> u64 {
        if self.records.is_empty() {
            Record::Synced(self.base).write(self.base, &mut self.records);
        }
        let start = self.records.len();
        let position = self.base + start as u64;
        record.write(position, &mut self.records);
        if let Some(header) = self.records[start..].first_chunk::<HEADER>() {
            self.last = Some((position, record::parse_header(header).1));
        }
        position
    }

    fn is_touched(&self, id: &TxId) -> bool {
        self.touched.contains(id) || self.added.contains(id)
    }

    fn initialise(&mut self, settings: Settings, genesis: Arc<Block>) -> Result<Outcome> {
        if self.blocks.contains(&genesis.id) {
            return Ok(Outcome::Next(Request::Initialise(settings, genesis)));
        }
        if self.shared.tail.read().genesis.is_some() {
            return Err(StoreError::AlreadyInitialised);
        }
        self.push(&Record::Settings(settings.clone()));
        self.changes.push(Change::Settings(settings));
        self.push_block(genesis);
        Ok(Outcome::Added(Answer::Done))
    }

    fn backlog(&mut self, entries: Vec<BacklogEntry>) -> Result<Outcome> {
        if entries.iter().any(|entry| self.touched.contains(&entry.transaction.id())) {
            return Ok(Outcome::Next(Request::Backlog(entries)));
        }
        if self.shared.tail.read().genesis.is_none() {
            return Err(StoreError::NotInitialised);
        }
        for entry in entries {
            let id = entry.transaction.id();
            // Asked before the index is: what the tail knows now may be in the index a moment later.
            let in_tail = self.shared.tail.read().known(&id).is_some();
            if self.added.contains(&id) || self.counts_in_tail(&id, None) {
                continue;
            }
            let indexed = self.shared.index.get(&key::transaction(&id))?;
            if indexed.as_deref().is_some_and(|value| counts(value, None)) {
                continue;
            }
            self.added.insert(id);
            let BacklogEntry { transaction, assignee, assigned_at } = &entry;
            let bytes = transaction.bytes().clone();
            let position = self.push(&Record::Tx { id, assignee: *assignee, assigned_at: *assigned_at, bytes });
            let waiting = Waiting { feed: position, record: position, body: position, entry };
            let is_new = !in_tail && indexed.is_none();
            self.changes.push(if is_new { Change::Enter(waiting) } else { Change::Wait(waiting) });
        }
        Ok(Outcome::Added(Answer::Done))
    }

    /// Whether a transaction is in the backlog, or in a block (but this one) that is not decided invalid.
    fn counts_already(&self, id: &TxId, but: Option<u64>) -> Result<bool> {
        if self.counts_in_tail(id, but) {
            return Ok(true);
        }
        let value = self.shared.index.get(&key::transaction(id))?;
        Ok(value.is_some_and(|value| counts(&value, but)))
    }

    fn counts_in_tail(&self, id: &TxId, but: Option<u64>) -> bool {
        let tail = self.shared.tail.read();
        tail.known(id).is_some_and(|known| {
            let status = |position: &u64| tail.blocks.get(position).map(|block| block.status);
            let mut blocks = known.blocks.iter().map(|(position, _)| position).filter(|p| Some(**p) != but);
            known.waiting.is_some() || blocks.any(|p| status(p) != Some(BlockStatus::Invalid))
        })
    }

    fn reassign(&mut self, entries: Vec<BacklogEntry>, to: PublicKey, at: u64) -> Result<Outcome> {
        if entries.iter().any(|entry| self.is_touched(&entry.transaction.id())) {
            return Ok(Outcome::Next(Request::Reassign(entries, to, at)));
        }
        let mut changed: Vec<Waiting> = Vec::new();
        for entry in &entries {
            let tail = self.shared.tail.read();
            let id = entry.transaction.id();
            let waiting = tail.waiting(&id).filter(|waiting| {
                waiting.entry.assignee == entry.assignee && waiting.entry.assigned_at == entry.assigned_at
            });
            if let Some(waiting) = waiting
                && self.touched.insert(id)
            {
                changed.push(waiting.clone());
            }
        }
        if !changed.is_empty() {
            let requeued = changed.iter().map(|waiting| Requeued {
                id: waiting.entry.transaction.id(),
                body: waiting.body,
                assignee: to,
                assigned_at: at,
            });
            let position = self.push(&Record::Reassign(requeued.collect()));
            for (feed, waiting) in (position..).zip(&changed) {
                let transaction = waiting.entry.transaction.clone();
                let entry = BacklogEntry { transaction, assignee: to, assigned_at: at };
                self.changes.push(Change::Wait(Waiting { feed, record: position, body: waiting.body, entry }));
            }
        }
        let changed = changed.iter().map(|waiting| waiting.entry.transaction.id()).collect();
        Ok(Outcome::Added(Answer::Changed(changed)))
    }

    fn delete(&mut self, ids: Vec<TxId>) -> Result<Outcome> {
        if ids.iter().any(|id| self.is_touched(id)) {
            return Ok(Outcome::Next(Request::Delete(ids)));
        }
        let ids: Vec<TxId> = {
            let tail = self.shared.tail.read();
            ids.into_iter().filter(|id| tail.waiting(id).is_some() && self.touched.insert(*id)).collect()
        };
        if !ids.is_empty() {
            self.changes.extend(ids.iter().copied().map(Change::Leave));
            self.push(&Record::Delete(ids));
        }
        Ok(Outcome::Added(Answer::Done))
    }

    fn reject(&mut self, rejections: Vec<Rejection>) -> Result<Outcome> {
        if rejections.iter().any(|rejection| self.is_touched(&rejection.transaction_id)) {
            return Ok(Outcome::Next(Request::Reject(rejections)));
        }
        for rejection in rejections {
            self.touched.insert(rejection.transaction_id);
            let position = self.push(&Record::Reject(rejection.clone()));
            self.changes.push(Change::Reject(position, rejection));
        }
        Ok(Outcome::Added(Answer::Done))
    }

    fn block(&mut self, block: Arc<Block>) -> Result<Outcome> {
        let mut ids = block.transactions.iter().map(|tx| tx.id());
        if self.blocks.contains(&block.id) || ids.any(|id| self.is_touched(&id)) {
            return Ok(Outcome::Next(Request::Block(block)));
        }
        if self.shared.tail.read().genesis.is_none() {
            return Err(StoreError::NotInitialised);
        }
        let exists = self.shared.tail.read().block(&block.id).is_some();
        if !exists && self.shared.block_position(&block.id)?.is_none() {
            self.push_block(block);
        }
        Ok(Outcome::Added(Answer::Done))
    }

    fn push_block(&mut self, block: Arc<Block>) {
        let bodies: Vec<Option<u64>> = {
            let tail = self.shared.tail.read();
            let body = |tx: &Arc<Transaction>| {
                let waiting = tail.waiting(&tx.id())?;
                same(&waiting.entry.transaction, tx).then_some(waiting.body)
            };
            block.transactions.iter().map(body).collect()
        };
        let with_bodies = block.transactions.iter().zip(bodies);
        let bodies: Vec<u64> = with_bodies.map(|(tx, body)| body.unwrap_or_else(|| self.push_body(tx))).collect();
        self.touched.extend(block.transactions.iter().map(|tx| tx.id()));
        self.blocks.insert(block.id);
        let header = block.header.clone();
        let position = self.push(&Record::Block { id: block.id, header, bodies: bodies.clone() });
        self.changes.push(Change::Block(Box::new(TailBlock::new(position, block, bodies))));
    }

    fn push_body(&mut self, tx: &Transaction) -> u64 {
        self.push(&Record::Body { id: tx.id(), bytes: tx.bytes().clone() })
    }

    fn vote(&mut self, vote: Box<Vote>) -> Result<Outcome> {
        let (block, node) = (vote.voting_for_block, vote.node_pubkey);
        if self.blocks.contains(&block) || self.votes.contains(&(block, node)) {
            return Ok(Outcome::Next(Request::Vote(vote)));
        }
        let in_tail = {
            let tail = self.shared.tail.read();
            let by_node = |position: &u64| tail.votes.get(position).is_some_and(|v| v.node == node);
            let mut late = tail.late_votes.iter().filter_map(|p| tail.votes.get(p));
            let late = late.any(|vote| vote.node == node && vote.vote.block == block);
            tail.block(&block).map(|b| b.votes.iter().any(by_node)).or(late.then_some(true))
        };
        let voted = match in_tail {
            Some(voted) => voted,
            None if self.shared.block_position(&block)?.is_none() => {
                return Err(StoreError::Unavailable(format!("the block {block} of a vote is not stored")));
            }
            None => {
                let (mut from, to) = (key::vote(&block, 0), key::vote(&block, u64::MAX));
                let mut voted = false;
                self.shared.scan_all(&mut from, &to, |_, by| {
                    voted |= by.as_ref() == node.as_bytes();
                    Ok(())
                })?;
                voted
            }
        };
        if !voted {
            self.votes.insert((block, node));
            let bytes = vote.to_bytes();
            let position = self.push(&Record::Vote { block, node, bytes: bytes.clone() });
            self.changes.push(Change::Vote(position, TailVote { node, vote: StoredVote { block, bytes } }));
        }
        Ok(Outcome::Added(Answer::Written(!voted)))
    }

    fn decide(&mut self, id: BlockId, valid: bool, requeue: Vec<BacklogEntry>) -> Result<Outcome> {
        if self.blocks.contains(&id) || requeue.iter().any(|entry| self.is_touched(&entry.transaction.id())) {
            return Ok(Outcome::Next(Request::Decide(id, valid, requeue)));
        }
        let block = self.shared.tail.read().block(&id).cloned();
        let genesis = self.shared.tail.read().genesis.as_ref().map(|(position, _)| *position);
        match &block {
            Some(block) if block.status == BlockStatus::Undecided && Some(block.position) != genesis => {}
            Some(_) => return Ok(Outcome::Added(Answer::Written(false))),
            None if self.shared.block_position(&id)?.is_some() => return Ok(Outcome::Added(Answer::Written(false))),
            None => return Err(StoreError::Unavailable(format!("the block {id} of a decision is not stored"))),
        }
        let mut kept: Vec<(u64, BacklogEntry)> = Vec::new();
        for entry in requeue {
            let tx = &entry.transaction;
            // As the block is invalid from now on, its own copy does not count.
            let but = if valid { None } else { block.as_ref().map(|block| block.position) };
            if self.counts_already(&tx.id(), but)? || !self.touched.insert(tx.id()) {
                continue;
            }
            let mut in_block = block.iter().flat_map(|b| b.block.transactions.iter().zip(b.bodies.iter()));
            let body = in_block.find(|(copy, _)| same(copy, tx)).map(|(_, body)| *body);
            let body = body.unwrap_or_else(|| self.push_body(tx));
            kept.push((body, entry));
        }
        self.blocks.insert(id);
        let requeued = kept.iter().map(|(body, entry)| Requeued {
            id: entry.transaction.id(),
            body: *body,
            assignee: entry.assignee,
            assigned_at: entry.assigned_at,
        });
        let position = self.push(&Record::Decision { block: id, valid, requeued: requeued.collect() });
        self.changes.push(Change::Decide(id, valid));
        for (feed, (body, entry)) in (position..).zip(kept) {
            self.changes.push(Change::Wait(Waiting { feed, record: position, body, entry }));
        }
        Ok(Outcome::Added(Answer::Written(true)))
    }

    /// Writes, syncs, applies, answers: in that order, so that whatever anybody can see is durable.
    fn commit(self) {
        if !self.records.is_empty() {
            let write = || self.shared.log.append(&self.records).and_then(|()| self.shared.log.sync());
            let written = self.shared.timed(StoreWork::Commit, write);
            if let Err(error) = written {
                self.shared.fail(error.clone());
                for (answer, _) in self.answers {
                    let _ = answer.send(Err(error.clone()));
                }
                return;
            }
            let end = self.base + self.records.len() as u64;
            self.shared.take_in(self.changes, self.last.map(|(position, checksum)| (position, checksum, end)));
        }
        for (answer, done) in self.answers {
            let _ = answer.send(Ok(done));
        }
    }
}

/// Whether two copies of a transaction are the same to the last byte.
fn same(one: &Arc<Transaction>, other: &Arc<Transaction>) -> bool {
    Arc::ptr_eq(one, other) || one.bytes() == other.bytes()
}

impl Shared {
    /// Lets the tail take in what is durable, and wakes whoever waits for it.
    pub fn take_in(&self, changes: Vec<Change>, last: Option<(u64, u32, u64)>) {
        let (mut backlog, mut blocks, mut votes, mut decided) = (false, false, false, false);
        for change in &changes {
            match change {
                Change::Enter(_) | Change::Wait(_) => backlog = true,
                Change::Block(_) => blocks = true,
                Change::Vote(..) => votes = true,
                Change::Decide(..) | Change::Reject(..) => decided = true,
                Change::Leave(_) | Change::Settings(_) => {}
            }
        }
        {
            let mut tail = self.tail.write();
            changes.into_iter().for_each(|change| tail.apply(change));
            tail.last = last.unwrap_or(tail.last);
            self.backlog_len.store(tail.backlog.len(), Ordering::Relaxed);
            self.backlog_bytes.store(tail.backlog_bytes, Ordering::Relaxed);
        }
        for (any, wake) in [(backlog, &self.wakes.backlog), (blocks, &self.wakes.blocks), (votes, &self.wakes.votes)] {
            if any {
                wake.notify_waiters();
            }
        }
        if decided || votes || blocks {
            self.report_pending();
        }
        if decided && let Some(search) = &self.search {
            search.wake();
        }
    }
}

/// Whether an index entry names a block, other than this one, that is not decided invalid.
fn counts(value: &[u8], but: Option<u64>) -> bool {
    Held::read(value).any(|held| Some(held.block) != but && held.status != BlockStatus::Invalid)
}
