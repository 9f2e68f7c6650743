//! What the node asks of a database, in the ledger's terms.
//!
//! Two implementations share one conformance suite (`node/tests/store_conformance.rs`): the embedded store and MongoDB. Look-ups take slices and answer in the slice's order, so that a backend can batch them.
//!
//! Writes are durable when they return. A write that returned an error may or may not have happened; every write may
//! be repeated.

pub mod database;
pub mod embedded;
pub mod mongo;
pub mod recent;

use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};
use ledger::rules::Rules;
use ledger::transaction::Transaction;
use ledger::vote::Vote;

/// Why the store did not answer. None of these says anything about a transaction's validity.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Not reachable now; trying again later may help.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Stored data does not read; the text says where and what to do.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The disk is full, read-only or not writable. Nothing is lost that was confirmed.
    #[error("the database cannot be written: {0}")]
    Unwritable(String),
    /// No later try will help until somebody changes the configuration, the server or a certificate; the text says what.
    #[error("the database cannot be used: {0}")]
    Misconfigured(String),
    /// The ledger was not initialised.
    #[error("the ledger is not initialised: run `bigchaindb init`")]
    NotInitialised,
    /// The ledger exists already.
    #[error("the ledger exists already")]
    AlreadyInitialised,
}

/// Short form.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Fixed when a ledger is initialised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Consensus rules.
    pub rules: Rules,
}

/// A transaction that waits for a block.
#[derive(Clone, Debug)]
pub struct BacklogEntry {
    /// What waits.
    pub transaction: Arc<Transaction>,
    /// Who is to put it into a block.
    pub assignee: PublicKey,
    /// Since when, milliseconds since the Unix epoch.
    pub assigned_at: u64,
}

/// Which entries a node has taken to put them into a block: those with this assignment. It takes no others out of the
/// backlog for that, whenever its order to do so arrives: what was assigned anew since is somebody else's, and may be the
/// only copy left of a transaction whose block was decided invalid meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whose they are.
    pub assignee: PublicKey,
    /// Since when, from the first to the last, milliseconds since the Unix epoch.
    pub assigned_at: RangeInclusive<u64>,
}

impl Taken {
    /// None of an assignee's entries: the block takes nothing out of the backlog.
    pub fn none(assignee: PublicKey) -> Self {
        Self::by(assignee, &[])
    }

    /// The entries of one assignee; with none of them, nothing.
    pub fn by(assignee: PublicKey, entries: &[BacklogEntry]) -> Self {
        let times = || entries.iter().map(|entry| entry.assigned_at);
        Self { assignee, assigned_at: times().min().unwrap_or(1)..=times().max().unwrap_or(0) }
    }
}

/// Why a transaction was dropped from the backlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which.
    pub transaction_id: TxId,
    /// [`ledger::error::Invalid::class`].
    pub class: String,
    /// The broken rule in words.
    pub message: String,
    /// Milliseconds since the Unix epoch.
    pub at: u64,
}

/// A place in a feed. Opaque; only the store that gave it reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(pub Bytes);

/// The next items of a feed.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// Never empty.
    pub items: Vec<T>,
    /// Go on after this.
    pub position: Position,
}

/// One block that holds a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// The block.
    pub block: BlockId,
    /// Its recorded decision.
    pub status: BlockStatus,
}

/// Everything known about one transaction.
#[derive(Clone, Debug)]
pub struct Located {
    /// The transaction. Copies with one id may differ in signatures; the one in the block that counts is given.
    pub transaction: Arc<Transaction>,
    /// The blocks that hold it, in the order they were written.
    pub blocks: Vec<Occurrence>,
    /// Whether a copy waits in the backlog.
    pub in_backlog: bool,
}

/// A block, as the feeds and look-ups give it.
#[derive(Clone, Debug)]
pub struct StoredBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its recorded decision.
    pub status: BlockStatus,
}

/// A vote as it was written: canonical JSON, maybe malformed, never verified by the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVote {
    /// `vote.voting_for_block`
    pub block: BlockId,
    /// The whole document.
    pub bytes: Bytes,
}

/// An asset found by text search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundAsset {
    /// The CREATE transaction.
    pub id: TxId,
    /// Canonical JSON of `asset.data`.
    pub data: Bytes,
}

/// How much there is of transactions, or how much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Amount {
    /// How many.
    pub transactions: usize,
    /// Their canonical JSON, bytes.
    pub bytes: usize,
}

impl Amount {
    /// Whether it is as much as a limit allows, in number or in bytes.
    pub fn reaches(self, limit: Self) -> bool {
        self.transactions >= limit.transactions || self.bytes >= limit.bytes
    }
}

/// A ledger's database.
///
/// Feeds: with `after: None` a feed starts with everything that is still open (backlog entries; blocks without a
/// decision; votes on blocks without a decision), oldest first, and goes on with what is written from then on.
/// What was open when its first items are given is given even if it is decided meanwhile.
/// With a position it goes on after it. A feed call waits until there is something. Items may be seen twice after a
/// restart, never missed. Where the database has no history any more since a position, a feed gives what is open again
/// and goes on; of blocks that were decided meanwhile it gives those that this node has not voted on.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What was recorded at initialisation; `None` if there is no ledger yet.
    async fn settings(&self) -> Result<Option<Settings>>;

    /// Records the settings and writes the genesis block (which nobody votes on).
    async fn initialise(&self, settings: &Settings, genesis: &Block) -> Result<()>;

    /// The first block.
    async fn genesis(&self) -> Result<Arc<Block>>;

    // Backlog

    /// Adds to the backlog. A transaction that is in the backlog, or in a block that is not decided invalid, is
    /// silently left out.
    async fn write_backlog(&self, entries: Vec<BacklogEntry>) -> Result<()>;

    /// Entries as they are written or reassigned.
    async fn backlog_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<BacklogEntry>>;

    /// Entries assigned before or after this span of time (milliseconds since the Unix epoch), oldest first.
    async fn backlog_assigned_outside(&self, span: RangeInclusive<u64>, limit: usize) -> Result<Vec<BacklogEntry>>;

    /// Compare and set: an entry is given the new assignee and time only if it still has the old ones.
    /// Returns those that were changed; they appear in the feed again.
    async fn reassign(&self, entries: &[BacklogEntry], to: PublicKey, at: u64) -> Result<Vec<TxId>>;

    /// Takes entries out, whomever they wait for, because they are in a valid block.
    async fn delete_backlog(&self, ids: &[TxId]) -> Result<()>;

    /// Takes entries out and keeps the reason. A later copy of the transaction erases it: see [`Self::rejection`].
    async fn reject(&self, rejections: Vec<Rejection>) -> Result<()>;

    /// Why a transaction was dropped; `None` while a copy is in the backlog or in a block that is not decided invalid.
    async fn rejection(&self, id: &TxId) -> Result<Option<Rejection>>;

    /// Entries in the backlog. Cheap: asked at every POST.
    fn backlog_len(&self) -> usize;

    /// Bytes of canonical JSON in the backlog. Cheap: asked at every POST.
    fn backlog_bytes(&self) -> usize;

    // Blocks

    /// How many of these transactions, from the first on, one block can hold; 0: not even the first. May take some time for
    /// megabytes of them.
    fn fitting(&self, transactions: &[Arc<Transaction>]) -> usize {
        transactions.len()
    }

    /// Writes a block and takes its transactions out of the backlog. A block with that id is left as it is.
    async fn write_block(&self, block: Arc<Block>, taken: &Taken) -> Result<()>;

    /// Blocks as they are written, without the genesis block, which needs no vote. After a position, those that are
    /// decided by now are among them.
    async fn block_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<StoredBlock>>;

    /// One block.
    async fn block(&self, id: &BlockId) -> Result<Option<StoredBlock>>;

    /// How blocks stand, without reading them; `None`: unknown. One answer for each, in the same order.
    async fn block_statuses(&self, ids: &[BlockId]) -> Result<Vec<Option<BlockStatus>>>;

    // Votes and decisions

    /// Writes a vote. `false`: this node has voted on that block before; nothing was written. The block must be there
    /// ([`StoreError::Unavailable`] else).
    async fn write_vote(&self, vote: &Vote) -> Result<bool>;

    /// Votes as they are written.
    async fn vote_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<StoredVote>>;

    /// All votes on each block.
    async fn votes(&self, blocks: &[BlockId]) -> Result<Vec<Vec<StoredVote>>>;

    /// The position in the feed of blocks that was kept last, by any process with this node's key: its votes go on there.
    /// When none was kept, a new one, from which the feed gives what is open and all that is written from now on.
    ///
    /// `None` where nobody else can have voted, and none is kept: what is decided has this node's vote, and what has none is
    /// open.
    async fn voted_up_to(&self) -> Result<Option<Position>> {
        Ok(None)
    }

    /// Keeps a position for [`Self::voted_up_to`]: each block that was given up to there has its vote, or needs none.
    async fn keep_voted_up_to(&self, _position: &Position) -> Result<()> {
        Ok(())
    }

    /// The vote this node wrote last.
    async fn last_vote(&self, node: &PublicKey) -> Result<Option<Vote>>;

    /// Records a decision, once and for ever. `requeue`: entries of an invalid block that go back to the backlog in
    /// the same write, unless another block that is not decided invalid holds them. One that waits there as the block's
    /// maker took it is assigned anew; one that waits otherwise stays as it is.
    /// `false`: it was recorded before; nothing was written. Nothing can be decided on the genesis block.
    async fn decide(&self, block: &BlockId, valid: bool, requeue: Vec<BacklogEntry>) -> Result<bool>;

    // Look-ups

    /// Where transactions are.
    async fn locate(&self, ids: &[TxId]) -> Result<Vec<Option<Located>>>;

    /// Transactions that spend each output, in blocks of any status or in the backlog.
    async fn spenders(&self, outputs: &[OutputRef]) -> Result<Vec<Vec<Located>>>;

    /// Outputs that a key owns (see [`ledger::transaction::Output::owners`]) in blocks that are not decided invalid, in
    /// the blocks' order, then by index.
    async fn outputs_of(&self, owner: &PublicKey) -> Result<Vec<OutputRef>>;

    /// TRANSFERs of an asset in valid blocks, in the blocks' order. (The CREATE is found by its id.)
    async fn transfers_of(&self, asset_id: &TxId) -> Result<Vec<Arc<Transaction>>>;

    /// Assets of valid transactions whose text matches, best first; MongoDB's `$text` meaning. `limit` 0: no limit.
    async fn search_assets(&self, query: &str, limit: usize) -> Result<Vec<FoundAsset>>;

    /// Blocks that this node has not decided on, without the genesis block; what its feeds begin with. None where nobody
    /// else can have voted: what is open there was written by this node a moment before it ended.
    async fn undecided_blocks(&self) -> Result<Vec<BlockId>> {
        Ok(Vec::new())
    }

    /// Every block ever written, in order, for a check of the whole ledger. Does not wait: an empty answer is the end.
    async fn history(&self, after: Option<&Position>, limit: usize) -> Result<(Vec<StoredBlock>, Option<Position>)>;

    /// Blocks and transactions ever written, for people and metrics.
    async fn counts(&self) -> Result<Counts>;
}

/// Sizes of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Blocks, the genesis block included.
    pub blocks: u64,
    /// Transactions in blocks.
    pub transactions: u64,
    /// Entries in the backlog.
    pub backlog: u64,
}
