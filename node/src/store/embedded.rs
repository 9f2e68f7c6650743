//! The embedded store: one directory, one process, crash-safe.
//!
//! The log is the truth and the index is derived from it:
//!
//! | path | content |
//! |---|---|
//! | `LOCK` | held by the process that has the store open |
//! | `FORMAT` | version of this layout |
//! | `log/` | segments of the log ([`log`]), and `STATE` ([`state`]) |
//! | `index/` | where things stand in the log ([`index`]) |
//! | `search/` | text of assets ([`search`]) |
//!
//! A write goes to the commit thread ([`commit`]), which appends its record, syncs, and lets the [`tail`] take it in.
//! When its block is decided it moves from the tail to the index ([`indexer`]). At the start [`replay`] reads the log's
//! end back into the tail.

pub mod backup;
pub mod commit;
pub mod feed;
pub mod files;
pub mod index;
pub mod indexer;
pub mod io;
pub mod log;
pub mod lookup;
pub mod record;
pub mod replay;
pub mod search;
pub mod shared;
pub mod state;
pub mod tail;

use std::fs;
use std::ops::{Bound, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};
use ledger::transaction::Transaction;
use ledger::vote::Vote;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot, watch};

use self::commit::{Answer, Job, Request};
use self::feed::{batched, place, wait_for};
use self::index::Index;
use self::index::fjall::FjallIndex;
use self::indexer::{Pace, Signal};
use self::io::{Directory, Io};
use self::log::{Log, unwritable};
use self::search::Search;
use self::shared::{Shared, Wakes};
use self::state::{State, Trust};
use super::database::{Database, Depths, Duty, Observer, StoreWork};
use super::recent::Recent;
use super::{
    Amount, BacklogEntry, Batch, Counts, FoundAsset, Located, Position, Rejection, Result, Settings, Store, StoreError,
    StoredBlock, StoredVote, Taken,
};

/// Writes that may wait for the commit thread.
const QUEUE: usize = 4096;

/// Transactions or outputs that are looked up where the question is asked. What is asked for lately is in memory, so this
/// takes microseconds, and waiting for another thread takes longer; more of them go to the blocking pool.
const INLINE: usize = 4;

/// Transactions that are remembered in a generation, bytes of canonical JSON; the parsed form takes a few times that.
const CACHE: usize = 2 << 20;

/// Why nothing is found in a store without a text index.
const NO_SEARCH: &str = "the text index could not be opened: see the log";

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size at which a segment of the log is full.
    pub segment_bytes: u64,
    /// When the index is written.
    pub pace: Pace,
    /// Bytes that each of the index's two keyspaces gathers in memory before it writes a table.
    pub memtable_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, pace: Pace::default(), memtable_bytes: 8 << 20 }
    }
}

/// What a store is made of.
pub struct Parts<F> {
    /// Files of the log.
    pub io: Arc<dyn Io>,
    /// Id of this boot of the system; empty: unknown.
    pub boot: String,
    /// Opens the index, or makes an empty one in its place (`true`).
    pub open_index: F,
    /// Directory of the text index; `None`: assets cannot be searched.
    pub search: Option<PathBuf>,
    /// Held for as long as the store lives.
    pub lock: Option<fs::File>,
}

/// See the module.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    jobs: RwLock<Option<mpsc::Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held for as long as the store lives.
    _lock: Option<fs::File>,
}

impl EmbeddedStore {
    /// Opens or makes the store in a directory.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if another process has it open, [`StoreError::Damaged`] if the log does not read or
    /// is of a newer version, [`StoreError::Unwritable`].
    pub fn open(dir: &Path, options: Options) -> Result<Self> {
        let failed = |what: &str| {
            let what = format!("{what} `{}`", dir.display());
            move |e: std::io::Error| unwritable(&what, &e)
        };
        fs::create_dir_all(dir).map_err(failed("make the directory"))?;
        let lock = files::lock(dir)?;
        files::check_format(dir)?;
        let io: Arc<dyn Io> = Arc::new(Directory::open(&dir.join("log")).map_err(failed("make `log` in"))?);
        let index_dir = dir.join("index");
        let remove_index = || files::remove_index(dir).map_err(failed("remove `index` from"));
        let open_index = |fresh: bool| -> Result<Arc<dyn Index>> {
            if fresh {
                remove_index()?;
            }
            match FjallIndex::open(&index_dir, options.memtable_bytes) {
                Ok(index) => Ok(Arc::new(index)),
                Err(error @ StoreError::Damaged(_)) if !fresh => {
                    tracing::warn!(%error, "rebuilding the index");
                    remove_index()?;
                    Ok(Arc::new(FjallIndex::open(&index_dir, options.memtable_bytes)?))
                }
                Err(error) => Err(error),
            }
        };
        let search = Some(dir.join("search"));
        Self::start(Parts { io, boot: state::boot_id(), open_index, search, lock: Some(lock) }, &options)
    }

    /// Opens a store from its parts; tests bring their own.
    pub fn start(parts: Parts<impl Fn(bool) -> Result<Arc<dyn Index>>>, options: &Options) -> Result<Self> {
        let Parts { io, boot, open_index, search, lock } = parts;
        let log = Log::open(io.clone(), options.segment_bytes)?;
        let state = State::read(io.as_ref()).map_err(|e| unwritable("read `log/STATE`", &e))?;
        let trusted = state.trusts_index(&boot);
        let mut index = if trusted {
            open_index(false)?
        } else {
            if log.end() > 0 {
                tracing::warn!(
                    "rebuilding the index from the log: the system went down with the store open, a backup was restored, or the \
                     index was damaged"
                );
            }
            State { synced: state.synced, index: Trust::Rebuild }.write(&io)?;
            open_index(true)?
        };
        let read = |index: &dyn Index| {
            let checkpoint = replay::checkpoint(&log, index)?;
            State { synced: state.synced, index: Trust::Open { boot: boot.clone() } }.write(&io)?;
            replay::replay(&log, state.synced, index, checkpoint, &options.pace)
        };
        let tail = match read(index.as_ref()) {
            // Met while opening, damage would be met again at the next start.
            Err(error @ StoreError::Damaged(_)) if trusted => {
                tracing::warn!(%error, "rebuilding the index");
                drop(index);
                index = open_index(true)?;
                read(index.as_ref())?
            }
            tail => tail?,
        };
        let synced = log.end();
        let search = search.and_then(|dir| open_search(&dir, synced));
        let backlog_len = AtomicUsize::new(tail.backlog.len());
        let backlog_bytes = AtomicUsize::new(tail.backlog_bytes);
        let shared = Arc::new(Shared {
            io,
            log,
            synced,
            index,
            tail: RwLock::new(tail),
            backlog_len,
            backlog_bytes,
            wakes: Wakes::default(),
            failure: watch::Sender::new(None),
            signal: Signal::default(),
            pace: options.pace,
            cache: Recent::new(CACHE),
            search,
            observer: OnceLock::new(),
            index_is_broken: AtomicBool::new(false),
        });
        shared.report_pending();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let store = Self {
            shared: shared.clone(),
            jobs: RwLock::new(Some(jobs)),
            threads: Mutex::new(Vec::new()),
            _lock: lock,
        };
        let (committing, indexing) = (shared.clone(), shared.clone());
        store.spawn("store-commit", move || commit::run(&committing, queue))?;
        store.spawn("store-index", move || indexer::run(&indexing))?;
        if shared.search.is_some() {
            store.spawn("store-search", move || shared.search.iter().for_each(|search| search.run(&shared)))?;
        }
        Ok(store)
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        let thread = thread.map_err(|e| StoreError::Unavailable(format!("cannot start the thread `{name}`: {e}")))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    async fn call(&self, request: Request) -> Result<Answer> {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let jobs = self.jobs.read().clone().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        if jobs.send(Job { request, answer }).await.is_err() {
            return Err(self.shared.failure().unwrap_or_else(closed));
        }
        match answered.await {
            Ok(answer) => answer,
            Err(_) => Err(self.shared.failure().unwrap_or_else(closed)),
        }
    }

    /// Looks up where reading files may take its time.
    async fn ask<T: Send + 'static>(&self, look: impl FnOnce(&Shared) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = self.shared.clone();
        let look = move || shared.noting_damage(look(&shared));
        tokio::task::spawn_blocking(look).await.map_err(|e| cut_off(&e))?
    }
}

impl Drop for EmbeddedStore {
    /// Without [`Database::close`] this is as good as a killed process: nothing is lost, the next start takes
    /// longer.
    fn drop(&mut self) {
        self.jobs.write().take();
        join(&self.shared, std::mem::take(&mut *self.threads.lock()));
    }
}

/// The commit thread ends when it has worked off its queue; then the others are told to.
fn join(shared: &Shared, threads: Vec<JoinHandle<()>>) {
    let mut threads = threads.into_iter();
    if let Some(commit) = threads.next()
        && commit.join().is_err()
    {
        tracing::error!("the commit thread panicked");
    }
    shared.signal.stop();
    if let Some(search) = &shared.search {
        search.stop();
    }
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the store panicked");
        }
    }
}

/// Opens the text index, or a new one in its place. Without it a node does everything else.
fn open_search(dir: &Path, end: u64) -> Option<Search> {
    match Search::open(dir) {
        Ok(search) if search.position() <= end => return Some(search),
        Ok(_) => tracing::warn!("the text index is ahead of the log: making a new one"),
        Err(error) => tracing::warn!(%error, "the text index does not open: making a new one"),
    }
    let made = fs::remove_dir_all(dir).map_err(tantivy::TantivyError::from).and_then(|()| Search::open(dir));
    made.inspect_err(|error| tracing::error!(%error, "assets cannot be searched")).ok()
}

fn cut_off(error: &tokio::task::JoinError) -> StoreError {
    StoreError::Unavailable(format!("the look-up was cut off: {error}"))
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn settings(&self) -> Result<Option<Settings>> {
        let tail = self.shared.tail.read();
        Ok(tail.genesis.as_ref().and(tail.settings.clone()))
    }

    async fn initialise(&self, settings: &Settings, genesis: &Block) -> Result<()> {
        self.call(Request::Initialise(settings.clone(), Arc::new(genesis.clone()))).await.map(drop)
    }

    async fn genesis(&self) -> Result<Arc<Block>> {
        let tail = self.shared.tail.read();
        tail.genesis.as_ref().map(|(_, block)| block.clone()).ok_or(StoreError::NotInitialised)
    }

    async fn write_backlog(&self, entries: Vec<BacklogEntry>) -> Result<()> {
        self.call(Request::Backlog(entries)).await.map(drop)
    }

    async fn backlog_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<BacklogEntry>> {
        let after = after.map(place).transpose()?;
        let ask = || std::future::ready(Ok(self.shared.backlog_after(after, limit)));
        wait_for(&self.shared, &self.shared.wakes.backlog, ask).await
    }

    async fn backlog_assigned_outside(&self, span: RangeInclusive<u64>, limit: usize) -> Result<Vec<BacklogEntry>> {
        let tail = self.shared.tail.read();
        let after = (Bound::Excluded((*span.end(), u64::MAX)), Bound::Unbounded);
        let outside = tail.by_time.range(..(*span.start(), 0)).chain(tail.by_time.range(after)).take(limit);
        Ok(outside.filter_map(|(_, feed)| tail.backlog.get(feed)).map(|waiting| waiting.entry.clone()).collect())
    }

    async fn reassign(&self, entries: &[BacklogEntry], to: PublicKey, at: u64) -> Result<Vec<TxId>> {
        match self.call(Request::Reassign(entries.to_vec(), to, at)).await? {
            Answer::Changed(ids) => Ok(ids),
            Answer::Done | Answer::Written(_) => Ok(Vec::new()),
        }
    }

    async fn delete_backlog(&self, ids: &[TxId]) -> Result<()> {
        self.call(Request::Delete(ids.to_vec())).await.map(drop)
    }

    async fn reject(&self, rejections: Vec<Rejection>) -> Result<()> {
        self.call(Request::Reject(rejections)).await.map(drop)
    }

    async fn rejection(&self, id: &TxId) -> Result<Option<Rejection>> {
        let id = *id;
        self.ask(move |shared| shared.rejection(&id)).await
    }

    fn backlog_len(&self) -> usize {
        self.shared.backlog_len.load(Ordering::Relaxed)
    }

    fn backlog_bytes(&self) -> usize {
        self.shared.backlog_bytes.load(Ordering::Relaxed)
    }

    // Nobody else writes, and this is one write: what waits with these ids is what was taken.
    async fn write_block(&self, block: Arc<Block>, _taken: &Taken) -> Result<()> {
        self.call(Request::Block(block)).await.map(drop)
    }

    async fn block_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<StoredBlock>> {
        let after = after.map(place).transpose()?;
        let ask = || async move {
            let (blocks, older) = self.shared.blocks_after(after, limit);
            if !older {
                return Ok(batched(blocks));
            }
            self.ask(move |shared| shared.older_blocks(after, blocks, limit, false)).await.map(batched)
        };
        wait_for(&self.shared, &self.shared.wakes.blocks, ask).await
    }

    async fn block(&self, id: &BlockId) -> Result<Option<StoredBlock>> {
        if let Some(block) = self.shared.block_in_tail(id) {
            return Ok(Some(block));
        }
        let id = *id;
        self.ask(move |shared| shared.block(&id)).await
    }

    async fn block_statuses(&self, ids: &[BlockId]) -> Result<Vec<Option<BlockStatus>>> {
        let in_tail: Option<Vec<_>> = ids.iter().map(|id| self.shared.block_in_tail(id).map(|b| b.status)).collect();
        if let Some(statuses) = in_tail {
            return Ok(statuses.into_iter().map(Some).collect());
        }
        let ids = ids.to_vec();
        self.ask(move |shared| ids.iter().map(|id| shared.block_status(id)).collect()).await
    }

    async fn write_vote(&self, vote: &Vote) -> Result<bool> {
        Ok(matches!(self.call(Request::Vote(Box::new(vote.clone()))).await?, Answer::Written(true)))
    }

    async fn vote_feed(&self, after: Option<&Position>, limit: usize) -> Result<Batch<StoredVote>> {
        let after = after.map(place).transpose()?;
        let ask = || async move {
            let (votes, older) = self.shared.votes_after(after, limit);
            if !older {
                return Ok(batched(votes));
            }
            self.ask(move |shared| shared.older_votes(after, votes, limit)).await.map(batched)
        };
        wait_for(&self.shared, &self.shared.wakes.votes, ask).await
    }

    async fn votes(&self, blocks: &[BlockId]) -> Result<Vec<Vec<StoredVote>>> {
        if let Some(votes) = self.shared.votes_in_tail(blocks) {
            return Ok(votes);
        }
        let blocks = blocks.to_vec();
        self.ask(move |shared| shared.votes(&blocks)).await
    }

    async fn last_vote(&self, node: &PublicKey) -> Result<Option<Vote>> {
        let vote = self.shared.tail.read().last_votes.get(node).map(|(_, bytes)| bytes.clone());
        Ok(vote.and_then(|bytes| Vote::from_bytes(&bytes)))
    }

    async fn decide(&self, block: &BlockId, valid: bool, requeue: Vec<BacklogEntry>) -> Result<bool> {
        Ok(matches!(self.call(Request::Decide(*block, valid, requeue)).await?, Answer::Written(true)))
    }

    async fn locate(&self, ids: &[TxId]) -> Result<Vec<Option<Located>>> {
        if ids.len() <= INLINE {
            return self.shared.noting_damage(self.shared.timed(StoreWork::LookUp, || self.shared.locate(ids)));
        }
        let ids = ids.to_vec();
        self.ask(move |shared| shared.timed(StoreWork::LookUp, || shared.locate(&ids))).await
    }

    async fn spenders(&self, outputs: &[OutputRef]) -> Result<Vec<Vec<Located>>> {
        if outputs.len() <= INLINE {
            return self.shared.noting_damage(self.shared.timed(StoreWork::LookUp, || self.shared.spenders(outputs)));
        }
        let outputs = outputs.to_vec();
        self.ask(move |shared| shared.timed(StoreWork::LookUp, || shared.spenders(&outputs))).await
    }

    async fn outputs_of(&self, owner: &PublicKey) -> Result<Vec<OutputRef>> {
        let owner = *owner;
        self.ask(move |shared| shared.outputs_of(&owner)).await
    }

    async fn transfers_of(&self, asset_id: &TxId) -> Result<Vec<Arc<Transaction>>> {
        let asset_id = *asset_id;
        self.ask(move |shared| shared.transfers_of(&asset_id)).await
    }

    async fn search_assets(&self, query: &str, limit: usize) -> Result<Vec<FoundAsset>> {
        let query = query.to_owned();
        let find = move |shared: &Shared| match &shared.search {
            Some(search) => search.find(shared, &query, limit),
            None => Err(StoreError::Unavailable(NO_SEARCH.to_owned())),
        };
        self.ask(find).await
    }

    async fn history(&self, after: Option<&Position>, limit: usize) -> Result<(Vec<StoredBlock>, Option<Position>)> {
        let after = after.map(place).transpose()?;
        let look = move |shared: &Shared| {
            let blocks = shared.history_after(after, limit);
            shared.older_blocks(after, blocks, limit, true)
        };
        let batch = batched(self.ask(look).await?);
        Ok(batch.map_or((Vec::new(), None), |batch| (batch.items, Some(batch.position))))
    }

    async fn counts(&self) -> Result<Counts> {
        let tail = self.shared.tail.read();
        let in_tail: u64 = tail.blocks.values().map(|block| block.block.transactions.len() as u64).sum();
        Ok(Counts {
            blocks: tail.indexed.0 + tail.blocks.len() as u64,
            transactions: tail.indexed.1 + in_tail,
            backlog: tail.backlog.len() as u64,
        })
    }
}

#[async_trait]
impl Database for EmbeddedStore {
    fn failure(&self) -> Option<StoreError> {
        self.shared.failure()
    }

    async fn failed(&self) -> StoreError {
        let mut failure = self.shared.failure.subscribe();
        match failure.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
            Ok(Some(failure)) => failure,
            _ => std::future::pending().await,
        }
    }

    fn search_failure(&self) -> Option<String> {
        match &self.shared.search {
            Some(search) => search.failure(),
            None => Some(NO_SEARCH.to_owned()),
        }
    }

    /// Nobody else can open the directory.
    fn duty(&self) -> watch::Receiver<Duty> {
        watch::Sender::new(Duty::Ours { epoch: 0 }).subscribe()
    }

    fn depths(&self) -> Depths {
        let tail = self.shared.tail.read();
        Depths {
            backlog: Amount { transactions: tail.backlog.len(), bytes: tail.backlog_bytes },
            undecided_blocks: tail.undecided.len(),
            unindexed: tail.closed_amount,
        }
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        let _ = self.shared.observer.set(observer);
    }

    /// Finishes what was asked for, brings the index up to date, syncs it.
    async fn close(&self) -> Result<()> {
        self.jobs.write().take();
        let (shared, threads) = (self.shared.clone(), std::mem::take(&mut *self.threads.lock()));
        let close = move || {
            join(&shared, threads);
            if let Some(failure) = shared.failure() {
                return Err(failure);
            }
            shared.noting_damage(indexer::write_batch(shared.index.as_ref(), &shared.tail, u64::MAX))?;
            shared.noting_damage(shared.index.sync())?;
            if !shared.index_is_broken.load(Ordering::SeqCst) {
                State { synced: shared.log.end(), index: Trust::Clean }.write(&shared.io)?;
            }
            Ok(())
        };
        tokio::task::spawn_blocking(close).await.map_err(|e| cut_off(&e))?
    }
}
