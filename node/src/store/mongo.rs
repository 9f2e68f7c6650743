//! The MongoDB store: the collections, documents and indexes of BigchainDB Server 1.0.1, so that its nodes read what this
//! one writes, and the reverse.
//!
//! | part | about |
//! |---|---|
//! | [`connect`] | from settings to a client |
//! | [`schema`], [`founding`] | collections, indexes, the first block |
//! | [`documents`], [`bson`], [`quarantine`] | what stands in them, and what does not read |
//! | [`backlog`], [`intake`], [`blocks`], [`lookup`] | what is asked of them |
//! | [`feed`], [`voted`] | what is new in them, and how far a node has come with it |
//! | [`causal`] | what a read must see, whichever server answers |
//! | [`pulse`], [`certificates`] | whether the server answers, and is still to be trusted |
//! | [`lease`] | one process for each key |
//! | [`replicas`] | members of the replica set |
//!
//! A node records its own decisions: what it makes of everybody's votes is nobody else's matter.

pub mod backlog;
pub mod blocks;
pub mod bson;
pub mod causal;
pub mod certificates;
pub mod connect;
pub mod documents;
pub mod fault;
pub mod feed;
pub mod founding;
pub mod intake;
pub mod lease;
pub mod lookup;
pub mod pulse;
pub mod quarantine;
pub mod replicas;
pub mod schema;
pub mod shared;
pub mod voted;
pub mod waiting;

use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};
use ledger::rules::Rules;
use ledger::transaction::Transaction;
use ledger::vote::Vote;
use mongodb::bson::oid::ObjectId;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use self::backlog::Entries;
use self::blocks::{Blocks, Votes};
use self::connect::Connection;
use self::connect::commands::Commands;
use self::feed::Feed;
use self::intake::Intake;
use self::lease::Lease;
use self::shared::Shared;
use super::database::{Database, Depths, Duty, Observer};
use super::{
    BacklogEntry, Batch, Counts, FoundAsset, Located, Position, Rejection, Result, Settings, Store, StoreError,
    StoredBlock, StoredVote, Taken,
};

/// Who else works on the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// Nodes of BigchainDB Server 1.0.1, which miss what newer servers write to the oplog in batches.
    Python,
    /// Only nodes like this one.
    Rust,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The node whose decisions are kept and read.
    pub node: PublicKey,
    /// `None`: `Python` on a `v1.0.1` ledger, `Rust` on a `strict` one.
    pub compat: Option<Compat>,
    /// How long the server waits before it says that a feed has nothing.
    pub wait: Duration,
}

/// Items that each feed reads ahead. Blocks are large.
const AHEAD: usize = 1000;
const BLOCKS_AHEAD: usize = 16;

/// After this time without a word of the process that works with a node's key, another one takes over.
const LEASE: Duration = Duration::from_secs(6);

/// For giving the lease back at the end.
const RELEASE: Duration = Duration::from_secs(2);

/// See the module.
pub struct MongoStore {
    shared: Arc<Shared>,
    options: Options,
    intake: Intake,
    backlog_feed: Feed<Entries>,
    block_feed: Feed<Blocks>,
    vote_feed: Feed<Votes>,
    failure: watch::Sender<Option<StoreError>>,
    distrust: watch::Sender<Option<StoreError>>,
    pulse: AbortOnDropHandle<()>,
    certificates: Option<AbortOnDropHandle<()>>,
    lease: OnceLock<AbortOnDropHandle<()>>,
    commands: Arc<Commands>,
}

impl MongoStore {
    /// Takes up a ledger's database, or an empty one.
    pub async fn open(database: mongodb::Database, options: Options) -> Result<Self> {
        let shared = Arc::new(Shared::new(database, options.node));
        let failure = watch::Sender::new(None);
        let store = Self {
            intake: Intake::new(shared.clone()),
            backlog_feed: Feed::new(Entries(shared.clone()), AHEAD, options.wait),
            block_feed: Feed::new(Blocks(shared.clone()), BLOCKS_AHEAD, options.wait),
            vote_feed: Feed::new(Votes(shared.clone()), AHEAD, options.wait),
            pulse: AbortOnDropHandle::new(tokio::spawn(pulse::run(shared.clone(), failure.clone()))),
            failure,
            distrust: watch::Sender::new(None),
            certificates: None,
            lease: OnceLock::new(),
            commands: Arc::default(),
            shared,
            options,
        };
        if let Some(settings) = store.shared.settings().await? {
            store.prepare(settings.rules).await?;
            let waiting = store.shared.assigned_outside(None, 0).await?;
            for chunk in waiting.chunks(AHEAD) {
                store.shared.entries(chunk).await?;
            }
        }
        Ok(store)
    }

    /// From now on looks at the servers' certificates again and again.
    pub fn watch_certificates(&mut self, connection: Connection) {
        let task = certificates::run(self.shared.clone(), connection, self.distrust.clone());
        self.certificates = Some(AbortOnDropHandle::new(tokio::spawn(task)));
    }

    /// Tells of the commands that are counted here.
    pub fn tell_commands(&mut self, commands: Arc<Commands>) {
        self.commands = commands;
    }

    /// Makes what is missing of collections and indexes.
    async fn prepare(&self, rules: Rules) -> Result<()> {
        let usual = match rules {
            Rules::V1_0_1 => Compat::Python,
            Rules::Strict => Compat::Rust,
        };
        let compat = self.options.compat.unwrap_or(usual);
        let _ = self.shared.compat.set(compat);
        if let Some(reason) = schema::ensure(&self.shared.database, compat == Compat::Rust).await?
            && self.shared.no_search.set(reason.clone()).is_ok()
        {
            tracing::warn!(reason, "this server has no text index: everything works but the search of assets");
        }
        Ok(())
    }

    /// Asks for the lease on the node's key, which whoever has it and falls silent loses after this time.
    pub fn compete(&self, lasts: Duration) -> watch::Receiver<Duty> {
        let lease = self.shared.lease.get_or_init(|| Lease::new(lease::process_name(), lasts));
        self.lease.get_or_init(|| AbortOnDropHandle::new(tokio::spawn(lease::run(self.shared.clone()))));
        lease.duty()
    }

    /// Waits until every feed that is being read has read what was written before.
    pub async fn caught_up(&self) {
        tokio::join!(self.backlog_feed.caught_up(), self.block_feed.caught_up(), self.vote_feed.caught_up());
    }
}

#[async_trait]
impl Database for MongoStore {
    fn failure(&self) -> Option<StoreError> {
        self.distrust.borrow().clone().or_else(|| self.failure.borrow().clone())
    }

    /// Never: a server that is away is waited for.
    async fn failed(&self) -> StoreError {
        std::future::pending().await
    }

    fn search_failure(&self) -> Option<String> {
        let reason = self.shared.no_search.get()?;
        Some(format!("the database server has no text index, so assets cannot be searched: {reason}"))
    }

    fn duty(&self) -> watch::Receiver<Duty> {
        self.compete(LEASE)
    }

    fn depths(&self) -> Depths {
        let undecided_blocks = self.shared.open_blocks.lock().len();
        Depths { backlog: self.shared.waiting.amount(), undecided_blocks, ..Depths::default() }
    }

    fn commands(&self) -> Vec<(&'static str, u64)> {
        self.commands.sent()
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        let _ = self.shared.observer.set(observer);
    }

    /// Every write was durable when it returned: there is nothing to finish. (Whoever waits for the lease of a database
    /// that is away waits until it runs out.)
    async fn close(&self) -> Result<()> {
        self.pulse.abort();
        if let Some(lease) = self.lease.get() {
            lease.abort();
            let _ = tokio::time::timeout(RELEASE, self.shared.release()).await;
        }
        if let Some(certificates) = &self.certificates {
            certificates.abort();
        }
        Ok(())
    }
}

/// Removes a database; `false`: there is nothing in it.
pub async fn drop_database(database: &mongodb::Database) -> Result<bool> {
    if is_empty_database(database).await? {
        return Ok(false);
    }
    database.drop().await.map_err(|e| fault::unavailable(&e))?;
    Ok(true)
}

/// Whether there is nothing in a database.
pub async fn is_empty_database(database: &mongodb::Database) -> Result<bool> {
    Ok(database.list_collection_names().await.map_err(|e| fault::unavailable(&e))?.is_empty())
}

fn place(position: &Position) -> Result<ObjectId> {
    let bytes = position.0.as_ref().try_into();
    let bytes = bytes.map_err(|_| StoreError::Damaged("a place in the history does not read".to_owned()))?;
    Ok(ObjectId::from_bytes(bytes))
}

#[async_trait]
impl Store for MongoStore {
    async fn settings(&self) -> Result<Option<Settings>> {
        self.shared.settings().await
    }

    async fn initialise(&self, settings: &Settings, genesis: &Block) -> Result<()> {
        if self.shared.settings().await?.is_some() {
            return Err(StoreError::AlreadyInitialised);
        }
        let (made, founding) = self.shared.found(settings, genesis).await?;
        self.prepare(founding.settings.rules).await?;
        self.shared.complete(founding).await?;
        if made { Ok(()) } else { Err(StoreError::AlreadyInitialised) }
    }

    async fn genesis(&self) -> Result<Arc<Block>> {
        self.shared.genesis().await
    }

    async fn write_backlog(&self, entries: Vec<BacklogEntry>) -> Result<()> {
        self.intake.write(entries).await
    }

    async fn backlog_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<BacklogEntry>> {
        self.backlog_feed.next(after, limit).await
    }

    async fn backlog_assigned_outside(&self, span: RangeInclusive<u64>, limit: usize) -> Result<Vec<BacklogEntry>> {
        let ids = self.shared.assigned_outside(Some(&span), limit).await?;
        Ok(self.shared.entries(&ids).await?.into_iter().map(|(_, entry)| entry).collect())
    }

    async fn reassign(&self, entries: &[BacklogEntry], to: PublicKey, at: u64) -> Result<Vec<TxId>> {
        self.shared.may_write()?;
        self.shared.reassign(entries, to, at).await
    }

    async fn delete_backlog(&self, ids: &[TxId]) -> Result<()> {
        self.shared.may_write()?;
        self.shared.delete_backlog(ids, None).await
    }

    async fn reject(&self, rejections: Vec<Rejection>) -> Result<()> {
        self.shared.may_write()?;
        self.shared.reject(rejections).await
    }

    async fn rejection(&self, id: &TxId) -> Result<Option<Rejection>> {
        self.shared.rejection(id).await
    }

    fn backlog_len(&self) -> usize {
        self.shared.waiting.amount().transactions
    }

    fn backlog_bytes(&self) -> usize {
        self.shared.waiting.amount().bytes
    }

    fn fitting(&self, transactions: &[Arc<Transaction>]) -> usize {
        documents::fitting(transactions)
    }

    async fn write_block(&self, block: Arc<Block>, taken: &Taken) -> Result<()> {
        self.shared.may_write()?;
        self.shared.write_block(block, taken).await
    }

    async fn block_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<StoredBlock>> {
        self.block_feed.next(after, limit).await
    }

    async fn block(&self, id: &BlockId) -> Result<Option<StoredBlock>> {
        self.shared.block(id).await
    }

    async fn block_statuses(&self, ids: &[BlockId]) -> Result<Vec<Option<BlockStatus>>> {
        self.shared.block_statuses(ids).await
    }

    async fn write_vote(&self, vote: &Vote) -> Result<bool> {
        self.shared.may_write()?;
        self.shared.write_vote(vote).await
    }

    async fn vote_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<StoredVote>> {
        self.vote_feed.next(after, limit).await
    }

    async fn votes(&self, blocks: &[BlockId]) -> Result<Vec<Vec<StoredVote>>> {
        self.shared.votes_on(blocks).await
    }

    async fn voted_up_to(&self) -> Result<Option<Position>> {
        self.shared.voted_up_to().await.map(Some)
    }

    async fn keep_voted_up_to(&self, position: &Position) -> Result<()> {
        self.shared.keep_voted_up_to(position).await
    }

    async fn last_vote(&self, node: &PublicKey) -> Result<Option<Vote>> {
        self.shared.last_vote(node).await
    }

    async fn decide(&self, block: &BlockId, valid: bool, requeue: Vec<BacklogEntry>) -> Result<bool> {
        self.shared.may_write()?;
        self.shared.decide(block, valid, requeue).await
    }

    async fn locate(&self, ids: &[TxId]) -> Result<Vec<Option<Located>>> {
        self.shared.locate(ids).await
    }

    async fn spenders(&self, outputs: &[OutputRef]) -> Result<Vec<Vec<Located>>> {
        self.shared.spenders(outputs).await
    }

    async fn outputs_of(&self, owner: &PublicKey) -> Result<Vec<OutputRef>> {
        self.shared.outputs_of(owner).await
    }

    async fn transfers_of(&self, asset_id: &TxId) -> Result<Vec<Arc<Transaction>>> {
        self.shared.transfers_of(asset_id).await
    }

    async fn search_assets(&self, query: &str, limit: usize) -> Result<Vec<FoundAsset>> {
        self.shared.search_assets(query, limit).await
    }

    async fn undecided_blocks(&self) -> Result<Vec<BlockId>> {
        self.genesis().await?;
        Ok(self.shared.undecided().await?.iter().filter_map(|id| id.parse().ok()).collect())
    }

    async fn history(&self, after: Option<&Position>, limit: usize) -> Result<(Vec<StoredBlock>, Option<Position>)> {
        let after = after.map(place).transpose()?;
        let (blocks, last) = self.shared.history(after, limit).await?;
        Ok((blocks, last.map(|id| Position(Bytes::copy_from_slice(&id.bytes())))))
    }

    async fn counts(&self) -> Result<Counts> {
        self.shared.counts().await
    }
}
