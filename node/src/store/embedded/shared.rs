//! What the store's threads and callers share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use ledger::transaction::Transaction;
use parking_lot::RwLock;
use tokio::sync::{Notify, watch};

use super::index::Index;
use super::indexer::{Pace, Signal};
use super::io::Io;
use super::log::Log;
use super::search::Search;
use super::state::{State, Trust};
use super::tail::Tail;
use crate::store::database::{Observer, StoreWork};
use crate::store::recent::Recent;
use crate::store::{Result, StoreError};

/// Wakes those who wait for the next item of a feed.
#[derive(Default)]
pub struct Wakes {
    /// Backlog entries.
    pub backlog: Notify,
    /// Blocks.
    pub blocks: Notify,
    /// Votes.
    pub votes: Notify,
}

/// See the module.
pub struct Shared {
    /// Where the log and its state are.
    pub io: Arc<dyn Io>,
    /// The truth.
    pub log: Log,
    /// Up to here the log was synced when the store was opened.
    pub synced: u64,
    /// Derived from it.
    pub index: Arc<dyn Index>,
    /// What the index has not yet.
    pub tail: RwLock<Tail>,
    /// Entries in the backlog.
    pub backlog_len: AtomicUsize,
    /// Their canonical JSON, bytes.
    pub backlog_bytes: AtomicUsize,
    /// Feeds that wait.
    pub wakes: Wakes,
    /// Why nothing can be written any more.
    pub failure: watch::Sender<Option<StoreError>>,
    /// To the indexer.
    pub signal: Signal,
    /// Its pace.
    pub pace: Pace,
    /// Transactions read back lately.
    pub cache: Recent<u64, Arc<Transaction>>,
    /// Text of assets; `None`: not searchable.
    pub search: Option<Search>,
    /// Whoever wants to know how long things take.
    pub observer: OnceLock<Arc<dyn Observer>>,
    /// Set once the index is known to be damaged.
    pub index_is_broken: AtomicBool,
}

impl Shared {
    /// Why nothing can be written any more, if so.
    pub fn failure(&self) -> Option<StoreError> {
        self.failure.borrow().clone()
    }

    /// Does something and tells the observer how long it took.
    pub fn timed<T>(&self, work: StoreWork, what: impl FnOnce() -> T) -> T {
        let Some(observer) = self.observer.get() else { return what() };
        let begun = Instant::now();
        let done = what();
        observer.took(work, begun.elapsed());
        done
    }

    /// Ends all writing. The first reason stays.
    pub fn fail(&self, error: StoreError) {
        tracing::error!(%error, "the store stops");
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(error);
            }
            first
        });
        self.wakes.backlog.notify_waiters();
        self.wakes.blocks.notify_waiters();
        self.wakes.votes.notify_waiters();
    }

    /// The index could not be written: nothing more can be decided without filling the memory.
    pub fn fail_index(&self, error: StoreError) {
        if let StoreError::Damaged(_) = error {
            self.distrust_index();
        }
        self.fail(error);
    }

    /// Has the index rebuilt at the next start.
    pub fn distrust_index(&self) {
        if !self.index_is_broken.swap(true, Ordering::SeqCst)
            && let Err(error) = (State { synced: self.synced, index: Trust::Rebuild }).write(&self.io)
        {
            tracing::error!(%error, "cannot note that the index is damaged; remove the directory `index` by hand");
        }
    }

    /// Passes an answer on; damage met on the way is remembered.
    pub fn noting_damage<T>(&self, answer: Result<T>) -> Result<T> {
        if let Err(error @ StoreError::Damaged(_)) = &answer {
            tracing::error!(%error, "a look-up failed");
            self.distrust_index();
        }
        answer
    }

    /// Tells the indexer what waits for it.
    pub fn report_pending(&self) {
        let (closed, anything) = {
            let tail = self.tail.read();
            let anything = !tail.closed.is_empty() || !tail.rejections.is_empty() || !tail.late_votes.is_empty();
            (tail.closed_amount, anything)
        };
        self.signal.pending(&self.pace, closed, anything);
    }
}
