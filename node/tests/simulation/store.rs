//! A node's way to the shared database, in the steps and the order of the MongoDB store: each step is a request of its
//! own, that may be slow, fail, or be done without an answer; a node may die between any two.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bigchaindb::store::{
    BacklogEntry, Batch, Counts, FoundAsset, Located, Occurrence, Position, Rejection, Result, Settings, Store,
    StoreError, StoredBlock, StoredVote, Taken,
};
use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};
use ledger::rules::Rules;
use ledger::transaction::Transaction;
use ledger::vote::Vote;
use tokio::sync::oneshot;

use crate::database::{Database, Key};
use crate::feed::{Blocks, Entries, Feed, Place, Votes};
use crate::world::{About, Fate, World};

/// As in the MongoDB store: on a ledger that Python nodes share, what was reassigned stays so much longer.
const READ_BACK: Duration = Duration::from_secs(1);

/// One process's connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    pub world: Arc<World>,
    pub node: usize,
    pub key: PublicKey,
    /// Set when the process dies: nothing goes on after that.
    pub dead: Arc<AtomicBool>,
    process: u64,
    counter: Arc<AtomicU64>,
}

impl Connection {
    pub fn new(world: Arc<World>, node: usize, key: PublicKey, process: u64) -> Self {
        let dead = Arc::new(AtomicBool::new(false));
        world.state.lock().peers[node].dead = dead.clone();
        Self { world, node, key, dead, process, counter: Arc::default() }
    }

    fn document_key(&self) -> Key {
        self.world.key(self.node, self.process, self.counter.fetch_add(1, Ordering::SeqCst))
    }

    /// What nobody else is given.
    pub fn unique(&self) -> [u64; 2] {
        let key = self.document_key();
        [key.process, key.counter]
    }

    /// A process that is dead does nothing more, and hears nothing.
    async fn pause(&self, time: Duration) {
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    fn failure(&self, what: &'static str) -> StoreError {
        self.world.failed(self.node);
        StoreError::Unavailable(format!("simulated: {what}"))
    }

    /// One question.
    pub async fn read<T>(&self, what: &'static str, query: impl FnOnce(&Database) -> T) -> Result<T> {
        let passage = self.world.pass(self.node);
        self.pause(passage.there).await;
        if passage.fate != Fate::Done {
            self.pause(passage.back).await;
            return Err(self.failure(what));
        }
        let answer = self.world.look(query);
        self.pause(passage.back).await;
        Ok(answer)
    }

    /// One write. It is on its way when this is given up, and arrives or not.
    pub async fn write<T: Send + 'static>(
        &self,
        what: &'static str,
        about: About,
        effect: impl FnOnce(&mut Database) -> T + Send + 'static,
    ) -> Result<T> {
        let passage = self.world.pass(self.node);
        if passage.fate == Fate::Lost {
            self.pause(passage.there + passage.back).await;
            return Err(self.failure(what));
        }
        if passage.fate == Fate::Late {
            self.pause(passage.there + passage.back).await;
        }
        let (answer, answered) = oneshot::channel();
        let (world, node) = (self.world.clone(), self.node);
        let (there, back) = match passage.fate {
            Fate::Late => (passage.late, Duration::ZERO),
            _ => (passage.there, passage.back),
        };
        tokio::spawn(async move {
            tokio::time::sleep(there).await;
            let outcome = world.apply(node, what, about, effect);
            tokio::time::sleep(back).await;
            // Whoever asked may be gone.
            let _ = answer.send(outcome);
        });
        if passage.fate == Fate::Late {
            return Err(self.failure(what));
        }
        let outcome = answered.await;
        self.pause(Duration::ZERO).await;
        match outcome {
            Ok(outcome) if passage.fate == Fate::Done => Ok(outcome),
            _ => Err(self.failure(what)),
        }
    }
}

/// See the module.
pub struct NodeStore {
    to: Connection,
    rules: Rules,
    backlog_feed: Feed<Entries>,
    block_feed: Feed<Blocks>,
    vote_feed: Feed<Votes>,
}

impl NodeStore {
    pub fn new(to: Connection, rules: Rules) -> Self {
        Self {
            backlog_feed: Feed::new(to.clone()),
            block_feed: Feed::new(to.clone()),
            vote_feed: Feed::new(to.clone()),
            to,
            rules,
        }
    }

    /// Whether Python nodes share the ledger.
    fn with_python(&self) -> bool {
        self.rules == Rules::V1_0_1
    }

    async fn statuses(&self, blocks: &[BlockId]) -> Result<Vec<BlockStatus>> {
        if blocks.is_empty() {
            return Ok(Vec::new());
        }
        let (me, blocks) = (self.to.key, blocks.to_vec());
        let status = move |db: &Database, block: &BlockId| match db.decisions.get(&(me, *block)) {
            None => BlockStatus::Undecided,
            Some(true) => BlockStatus::Valid,
            Some(false) => BlockStatus::Invalid,
        };
        self.to.read("statuses", |db| blocks.iter().map(|block| status(db, block)).collect()).await
    }

    async fn must_exist(&self, block: &BlockId) -> Result<()> {
        match self.to.read("has block", |db| db.find_block(block).is_some()).await? {
            true => Ok(()),
            false => Err(StoreError::Unavailable("the block is not there (yet)".to_owned())),
        }
    }

    /// Gives those that wait already.
    async fn add(&self, entries: Vec<BacklogEntry>, except: Option<BlockId>) -> Result<Vec<BacklogEntry>> {
        let ids: Vec<TxId> = entries.iter().map(|entry| entry.transaction.id()).collect();
        let mut held = self.to.read("blocks of", |db| db.holding(|tx| ids.contains(&tx.id()))).await?;
        held.retain(|(block, _)| except != Some(*block));
        let blocks: Vec<BlockId> = held.iter().map(|(block, _)| *block).collect();
        let statuses = self.statuses(&blocks).await?;
        let counting = held.iter().zip(statuses).filter(|(_, status)| *status != BlockStatus::Invalid);
        let in_blocks: BTreeSet<TxId> = counting.flat_map(|((_, held), _)| held.iter().map(|tx| tx.id())).collect();
        let mut seen = BTreeSet::new();
        let mut new: Vec<(Key, BacklogEntry)> = Vec::new();
        for entry in entries {
            let id = entry.transaction.id();
            if !in_blocks.contains(&id) && seen.insert(id) {
                new.push((self.to.document_key(), entry));
            }
        }
        let what = if except.is_some() { "requeues" } else { "inserts into the backlog" };
        // Python nodes miss what is written in batches.
        let batches: Vec<Vec<_>> =
            if self.with_python() { new.into_iter().map(|one| vec![one]).collect() } else { vec![new] };
        let mut waiting = Vec::new();
        for batch in batches.into_iter().filter(|batch| !batch.is_empty()) {
            let about = About::Tx(batch[0].1.transaction.id());
            let insert = move |db: &mut Database| {
                let refused =
                    |(key, entry): (Key, BacklogEntry)| (!db.insert_backlog(key, entry.clone())).then_some(entry);
                batch.into_iter().filter_map(refused).collect::<Vec<_>>()
            };
            waiting.extend(self.to.write(what, about, insert).await?);
        }
        Ok(waiting)
    }

    async fn requeue(&self, entries: Vec<BacklogEntry>, block: BlockId) -> Result<()> {
        let mut missing = entries;
        for _ in 0..10 {
            let waiting = self.add(missing, Some(block)).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            let maker =
                self.block(&block).await?.map(|stored| stored.block.header.node_pubkey.clone()).unwrap_or_default();
            let (anew, about) = (waiting.clone(), About::Block(block));
            self.to.write("assigns anew", about, move |db| db.assign_anew(&anew, &maker)).await?;
            let there = self.waiting(|tx| waiting.iter().any(|entry| entry.transaction.id() == tx.id())).await?;
            let there: BTreeSet<TxId> = there.iter().map(|tx| tx.id()).collect();
            missing = waiting.into_iter().filter(|entry| !there.contains(&entry.transaction.id())).collect();
            if missing.is_empty() {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("simulated: what a block held comes and goes".to_owned()))
    }

    async fn delete(&self, ids: &[TxId], taken: Option<&Taken>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        if self.with_python() {
            // A document's key counts whole seconds.
            let late = |(key, e): (&Key, &BacklogEntry)| {
                ids.contains(&e.transaction.id()) && e.assigned_at > key.seconds * 1000 + 1500
            };
            if self.to.read("any reassigned", |db| db.backlog.iter().any(late)).await? {
                self.to.pause(READ_BACK).await;
            }
        }
        let (ids, taken, about) = (ids.to_vec(), taken.cloned(), About::Tx(ids[0]));
        self.to.write("deletes from the backlog", about, move |db| db.delete_backlog(&ids, taken.as_ref())).await
    }

    /// Puts together what blocks and backlog hold, by transaction.
    async fn located(
        &self,
        held: Vec<(BlockId, Vec<Arc<Transaction>>)>,
        waiting: Vec<Arc<Transaction>>,
    ) -> Result<BTreeMap<TxId, Located>> {
        let blocks: Vec<BlockId> = held.iter().map(|(block, _)| *block).collect();
        let statuses = self.statuses(&blocks).await?;
        let mut located: BTreeMap<TxId, Located> = BTreeMap::new();
        for transaction in waiting {
            located.insert(transaction.id(), Located { transaction, blocks: Vec::new(), in_backlog: true });
        }
        for ((block, transactions), status) in held.into_iter().zip(statuses) {
            for transaction in transactions {
                let new = Located { transaction: transaction.clone(), blocks: Vec::new(), in_backlog: false };
                let found = located.entry(transaction.id()).or_insert(new);
                found.blocks.push(Occurrence { block, status });
            }
        }
        let invalid = |l: &Located| l.blocks.iter().all(|b| b.status == BlockStatus::Invalid);
        let nowhere: Vec<TxId> =
            located.iter().filter(|(_, l)| !l.in_backlog && invalid(l)).map(|(id, _)| *id).collect();
        if !nowhere.is_empty() {
            for transaction in self.waiting(|tx| nowhere.contains(&tx.id())).await? {
                if let Some(found) = located.get_mut(&transaction.id()) {
                    found.in_backlog = true;
                }
            }
        }
        Ok(located)
    }

    async fn waiting(&self, test: impl Fn(&Transaction) -> bool) -> Result<Vec<Arc<Transaction>>> {
        let waiting = |db: &Database| {
            let all = db.backlog.values().map(|entry| &entry.transaction);
            all.filter(|tx| test(tx)).cloned().collect()
        };
        self.to.read("waiting", waiting).await
    }

    fn not_simulated<T>() -> Result<T> {
        Err(StoreError::Misconfigured("the simulation has no such look-up".to_owned()))
    }
}

#[async_trait]
impl Store for NodeStore {
    async fn settings(&self) -> Result<Option<Settings>> {
        Ok(Some(Settings { rules: self.rules }))
    }

    async fn initialise(&self, _settings: &Settings, _genesis: &Block) -> Result<()> {
        Err(StoreError::AlreadyInitialised)
    }

    async fn genesis(&self) -> Result<Arc<Block>> {
        Ok(self.to.world.look(|db| db.genesis.clone()))
    }

    async fn write_backlog(&self, entries: Vec<BacklogEntry>) -> Result<()> {
        self.add(entries, None).await.map(drop)
    }

    async fn backlog_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<BacklogEntry>> {
        self.backlog_feed.next(after, limit).await
    }

    async fn backlog_assigned_outside(&self, span: RangeInclusive<u64>, limit: usize) -> Result<Vec<BacklogEntry>> {
        let outside = |db: &Database| {
            let mut entries: Vec<(u64, Key)> = db
                .backlog
                .iter()
                .filter(|(_, e)| !span.contains(&e.assigned_at))
                .map(|(key, e)| (e.assigned_at, *key))
                .collect();
            entries.sort_unstable();
            entries.truncate(limit);
            entries
        };
        let keys = self.to.read("assigned outside", outside).await?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.to.read("entries", |db| keys.iter().filter_map(|(_, key)| db.backlog.get(key).cloned()).collect()).await
    }

    async fn reassign(&self, entries: &[BacklogEntry], to: PublicKey, at: u64) -> Result<Vec<TxId>> {
        let mut changed = Vec::new();
        for entry in entries.iter().cloned() {
            let id = entry.transaction.id();
            let update = move |db: &mut Database| db.update_assignment(&entry, to, at);
            if self.to.write("reassigns", About::Tx(id), update).await? {
                changed.push(id);
            }
        }
        Ok(changed)
    }

    async fn delete_backlog(&self, ids: &[TxId]) -> Result<()> {
        self.delete(ids, None).await
    }

    async fn reject(&self, rejections: Vec<Rejection>) -> Result<()> {
        let ids: Vec<TxId> = rejections.iter().map(|rejection| rejection.transaction_id).collect();
        for rejection in rejections {
            let about = About::Tx(rejection.transaction_id);
            self.to.write("rejects", about, move |db| db.put_rejection(rejection)).await?;
        }
        self.delete(&ids, None).await
    }

    async fn rejection(&self, id: &TxId) -> Result<Option<Rejection>> {
        let Some(found) = self.to.read("rejection", |db| db.rejections.get(id).cloned()).await? else {
            return Ok(None);
        };
        let located = self.locate(&[*id]).await?.pop().flatten();
        let alive = |l: &Located| l.in_backlog || l.blocks.iter().any(|b| b.status != BlockStatus::Invalid);
        Ok((!located.as_ref().is_some_and(alive)).then_some(found))
    }

    fn backlog_len(&self) -> usize {
        self.to.world.look(|db| db.backlog.len())
    }

    fn backlog_bytes(&self) -> usize {
        self.to.world.look(|db| db.backlog.values().map(|entry| entry.transaction.bytes().len()).sum())
    }

    async fn write_block(&self, block: Arc<Block>, taken: &Taken) -> Result<()> {
        if self.to.read("has block", |db| db.find_block(&block.id).is_some()).await? {
            if self.statuses(&[block.id]).await?.contains(&BlockStatus::Invalid) {
                return Ok(());
            }
        } else {
            if block.transactions.iter().any(|tx| tx.spends().next().is_none()) {
                // Nothing depends on the assets, but a node may die between them and the block.
                self.to.write("inserts the assets", About::Block(block.id), |_| ()).await?;
            }
            let (key, insert) = (self.to.document_key(), block.clone());
            self.to.write("inserts block", About::Block(block.id), move |db| db.insert_block(key, insert)).await?;
        }
        let ids: Vec<TxId> = block.transactions.iter().map(|tx| tx.id()).collect();
        self.delete(&ids, Some(taken)).await
    }

    async fn block_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<StoredBlock>> {
        self.block_feed.next(after, limit).await
    }

    async fn block(&self, id: &BlockId) -> Result<Option<StoredBlock>> {
        let Some(block) = self.to.read("block", |db| db.find_block(id).cloned()).await? else { return Ok(None) };
        let status = self.statuses(&[*id]).await?[0];
        Ok(Some(StoredBlock { block, status }))
    }

    async fn block_statuses(&self, ids: &[BlockId]) -> Result<Vec<Option<BlockStatus>>> {
        let exists = |db: &Database| ids.iter().map(|id| db.find_block(id).is_some()).collect::<Vec<_>>();
        let existing = self.to.read("has blocks", exists).await?;
        let statuses = self.statuses(ids).await?;
        Ok(existing.into_iter().zip(statuses).map(|(exists, status)| exists.then_some(status)).collect())
    }

    async fn write_vote(&self, vote: &Vote) -> Result<bool> {
        self.must_exist(&vote.voting_for_block).await?;
        let (key, vote) = (self.to.document_key(), vote.clone());
        let what = if vote.is_block_valid { "votes for" } else { "votes against" };
        self.to.write(what, About::Block(vote.voting_for_block), move |db| db.insert_vote(key, &vote)).await
    }

    async fn vote_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<StoredVote>> {
        self.vote_feed.next(after, limit).await
    }

    async fn votes(&self, blocks: &[BlockId]) -> Result<Vec<Vec<StoredVote>>> {
        let votes = |db: &Database, block: &BlockId| {
            let votes = db.votes.values().map(|(_, vote)| vote);
            votes.filter(|vote| vote.block == *block).cloned().collect::<Vec<_>>()
        };
        self.to.read("votes", |db| blocks.iter().map(|block| votes(db, block)).collect()).await
    }

    async fn voted_up_to(&self) -> Result<Option<Position>> {
        let me = self.to.key;
        let kept = self.to.read("how far it has voted", |db| db.voted.get(&me).cloned()).await?;
        if kept.is_some() {
            return Ok(kept);
        }
        let beginning = Place::BEGINNING.position();
        self.keep_voted_up_to(&beginning).await?;
        Ok(Some(beginning))
    }

    async fn keep_voted_up_to(&self, position: &Position) -> Result<()> {
        let (me, position) = (self.to.key, position.clone());
        self.to
            .write("keeps how far it has voted", About::Nothing, move |db| db.voted.insert(me, position))
            .await
            .map(drop)
    }

    async fn last_vote(&self, node: &PublicKey) -> Result<Option<Vote>> {
        let newest_first = |db: &Database| {
            let mine = db.votes.values().rev().filter(|(voter, _)| voter == node);
            mine.filter_map(|(_, vote)| Vote::from_bytes(&vote.bytes)).collect::<Vec<_>>()
        };
        let votes = self.to.read("last vote", newest_first).await?;
        let previous: BTreeSet<BlockId> = votes.iter().map(|vote| vote.previous_block).collect();
        let ends = votes.iter().filter(|vote| !previous.contains(&vote.voting_for_block));
        let last = ends.rev().max_by_key(|vote| vote.timestamp);
        Ok(last.or(votes.first()).cloned())
    }

    async fn decide(&self, block: &BlockId, valid: bool, requeue: Vec<BacklogEntry>) -> Result<bool> {
        if self.genesis().await?.id == *block {
            return Ok(false);
        }
        self.must_exist(block).await?;
        if self.statuses(&[*block]).await? != [BlockStatus::Undecided] {
            return Ok(false);
        }
        if !requeue.is_empty() {
            self.requeue(requeue, *block).await?;
        }
        let (me, id) = (self.to.key, *block);
        let what = if valid { "decides valid" } else { "decides invalid" };
        self.to.write(what, About::Block(id), move |db| db.insert_decision(me, id, valid)).await
    }

    async fn locate(&self, ids: &[TxId]) -> Result<Vec<Option<Located>>> {
        let waiting = self.waiting(|tx| ids.contains(&tx.id())).await?;
        let held = self.to.read("blocks of", |db| db.holding(|tx| ids.contains(&tx.id()))).await?;
        let mut located = self.located(held, waiting).await?;
        Ok(ids.iter().map(|id| located.remove(id)).collect())
    }

    async fn spenders(&self, outputs: &[OutputRef]) -> Result<Vec<Vec<Located>>> {
        let spends = |tx: &Transaction| tx.spends().any(|output| outputs.contains(&output));
        let waiting = self.waiting(spends).await?;
        let held = self.to.read("blocks with spenders", |db| db.holding(spends)).await?;
        let located = self.located(held, waiting).await?;
        let of = |output: &OutputRef| {
            let spenders = located.values().filter(|l| l.transaction.spends().any(|spent| spent == *output));
            spenders.cloned().collect()
        };
        Ok(outputs.iter().map(of).collect())
    }

    async fn undecided_blocks(&self) -> Result<Vec<BlockId>> {
        let me = self.to.key;
        self.to.read("undecided blocks", |db| db.undecided(&me).into_iter().map(|(_, block)| block).collect()).await
    }

    async fn outputs_of(&self, _owner: &PublicKey) -> Result<Vec<OutputRef>> {
        Self::not_simulated()
    }

    async fn transfers_of(&self, _asset_id: &TxId) -> Result<Vec<Arc<Transaction>>> {
        Self::not_simulated()
    }

    async fn search_assets(&self, _query: &str, _limit: usize) -> Result<Vec<FoundAsset>> {
        Self::not_simulated()
    }

    async fn history(&self, _after: Option<&Position>, _limit: usize) -> Result<(Vec<StoredBlock>, Option<Position>)> {
        Self::not_simulated()
    }

    async fn counts(&self) -> Result<Counts> {
        Self::not_simulated()
    }
}
