//! What a process asks of its database beside the ledger's matters.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Amount, Result, Store, StoreError};

/// A store that a process has open.
#[async_trait]
pub trait Database: Store {
    /// Why it answers no questions or takes no writes now; `None` while all is well.
    fn failure(&self) -> Option<StoreError>;

    /// Waits until it cannot go on, whatever comes, and says why: the process is to end then. A database that is away
    /// for a while is waited for instead.
    async fn failed(&self) -> StoreError;

    /// Why assets cannot be searched; `None` while they can. Everything else works without.
    fn search_failure(&self) -> Option<String>;

    /// Whether this process writes for its node, or another one with the same key does. From the first question on
    /// this process would; what is known is kept up to date until the store is closed.
    fn duty(&self) -> watch::Receiver<Duty>;

    /// What waits now.
    fn depths(&self) -> Depths;

    /// Commands sent to a server so far, by their names, which are of a closed set; a store without a server sends none.
    fn commands(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Tells this observer from now on how long things take; only the first one is told.
    fn observe(&self, observer: Arc<dyn Observer>);

    /// Ends orderly. Whoever asks after this is refused.
    async fn close(&self) -> Result<()>;
}

/// Who makes a node's blocks, casts its votes and records its decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// The database has not said yet, or does not answer.
    Unknown,
    /// This process does.
    Ours {
        /// Counts the processes that did before.
        epoch: u64,
    },
    /// Another process with the same key does.
    Theirs {
        /// Which, for people.
        holder: String,
    },
}

/// What waits in a store, for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Depths {
    /// For a block.
    pub backlog: Amount,
    /// Blocks without a decision.
    pub undecided_blocks: usize,
    /// In decided blocks, for the index.
    pub unindexed: Amount,
}

/// Something that takes a store its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreWork {
    /// Making a group of writes durable.
    Commit,
    /// Moving what is decided to the index.
    Index,
    /// Finding transactions.
    LookUp,
}

/// Somebody who wants to know how long a store's work takes. Told from the threads that do it: must not wait.
pub trait Observer: Send + Sync + 'static {
    /// Something was done.
    fn took(&self, work: StoreWork, time: Duration);
}
