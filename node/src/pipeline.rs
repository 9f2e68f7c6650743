//! Stages between the backlog and a decision. Each is one named task that pulls from a feed, so the next stage's pace
//! bounds the one before: nothing queues outside the store.
//!
//! `block`: backlog -> block. `vote`: block -> vote. `election`: vote -> decision, event or requeue.
//! `stale`: wakes transactions whose assignee sleeps. A stage that ends is a fault of the process: see [`spawn`].
//! [`duty`] runs them, or [`follow`] in a process that stands by.

pub mod block;
pub mod decided;
pub mod duty;
pub mod election;
pub mod follow;
pub mod stale;
pub mod tally;
pub mod vote;
pub mod vote_feed;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ledger::block::Block;
use ledger::crypto::PrivateKey;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use self::decided::Decided;
use self::vote_feed::VoteFeed;
use crate::chain::Chain;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::store::StoreError;

/// What every stage is given.
#[derive(Clone)]
pub struct Context {
    /// The ledger.
    pub chain: Arc<Chain>,
    /// This node's key, for blocks and votes.
    pub key: Arc<PrivateKey>,
    /// Where valid blocks are announced.
    pub events: Events,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Sizes and times.
    pub tuning: Tuning,
    /// Wakes what waits for a decision; knows this node's block that has none.
    pub decided: Decided,
    /// Whether the vote stage's feed has begun.
    pub vote_feed: Arc<VoteFeed>,
    /// Held while a block of this node is written, and while transactions go back from an invalid one to the backlog:
    /// what takes the block's transactions out of the backlog would take them out again.
    pub moving: Arc<Mutex<()>>,
}

impl Context {
    /// A block was read from the feed: says so, once, if its maker does not agree with this node on who belongs to the
    /// federation.
    fn look_at(&self, block: &Block) {
        let chain = &self.chain;
        if let Some(difference) = chain.agreement().see(&chain.federation(), block, chain.now()) {
            tracing::warn!("{difference}: compare the keyrings, GET /api/v1/federation tells each node's");
        }
    }
}

/// Sizes and times of the stages.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Transactions in a block at most (1.0.1: 1,000).
    pub block_transactions: usize,
    /// Bytes of transactions in a block at most; MongoDB's documents end at 16 MB.
    pub block_bytes: usize,
    /// How long a block waits for more after its first transaction.
    pub block_wait: Duration,
    /// How long a block that is not full waits for the decision on this node's block before it, after its first
    /// transaction. What a block costs hardly depends on its size: under load, fewer and larger ones carry more.
    pub decision_wait: Duration,
    /// On a `v1.0.1` ledger: from one block to the next one that is not full. The reference makes a block a second at
    /// most then; its clients and the nodes that vote are used to that rhythm.
    pub block_interval: Duration,
    /// How long a vote waits for an input that is not there, or not in a block that this node knows to be valid.
    pub input_wait: Duration,
    /// After how long a waiting transaction is given to another node.
    pub reassign_delay: Duration,
    /// How often that is looked at.
    pub stale_interval: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            block_transactions: 1000,
            block_bytes: 8 << 20,
            block_wait: Duration::from_millis(40),
            decision_wait: Duration::from_secs(1),
            block_interval: Duration::from_secs(1),
            input_wait: Duration::from_secs(5),
            reassign_delay: Duration::from_secs(120),
            stale_interval: Duration::from_secs(5),
        }
    }
}

/// How a stage ended.
pub type StageEnd = (&'static str, Result<(), StoreError>);

/// Starts the four stages. Each runs until `stop` turns true, finishing what it has begun; one that ends before is a
/// fault that the caller must end the process for.
pub fn spawn(context: &Context, stop: &watch::Receiver<bool>) -> JoinSet<StageEnd> {
    context.vote_feed.restart();
    context.decided.restart();
    let mut stages = JoinSet::new();
    stages.spawn(named("block", block::run(context.clone(), stop.clone())));
    stages.spawn(named("vote", vote::run(context.clone(), stop.clone())));
    stages.spawn(named("election", election::run(context.clone(), stop.clone())));
    stages.spawn(named("stale", stale::run(context.clone(), stop.clone())));
    stages
}

async fn named(name: &'static str, stage: impl Future<Output = Result<(), StoreError>>) -> StageEnd {
    (name, stage.await)
}

/// Waits for a feed's next batch, or for the order to stop (`None`).
async fn next<T>(
    feed: impl Future<Output = Result<T, StoreError>>,
    stop: &mut watch::Receiver<bool>,
) -> Result<Option<T>, StoreError> {
    tokio::select! {
        biased;
        batch = feed => batch.map(Some),
        // A sender that is gone also means: stop.
        _ = stop.wait_for(|stop| *stop) => Ok(None),
    }
}

/// Repeats what a database that is away for a moment refused, with growing pauses. Other errors end the stage.
async fn patiently<T, F, Fut>(what: &'static str, stop: &watch::Receiver<bool>, mut attempt: F) -> Result<T, StoreError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, StoreError>>,
{
    let mut pause = Duration::from_millis(100);
    loop {
        match attempt().await {
            Err(StoreError::Unavailable(reason)) if !*stop.borrow() => {
                tracing::warn!(what, reason, pause_ms = pause.as_millis() as u64, "database unavailable, trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            other => return other,
        }
    }
}
