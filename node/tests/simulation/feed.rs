//! Feeds as the MongoDB store gives them: what is open in the order of the documents' keys, then what is written in the
//! order of the writes, read as it is by then; begun again where the stream was cut off, or with all that is open when
//! the server has forgotten the place.

use std::collections::BTreeMap;
use std::time::Duration;

use bigchaindb::store::{BacklogEntry, Batch, Position, Result, StoredBlock, StoredVote};
use bytes::Bytes;
use ledger::election::BlockStatus;
use ledger::ids::PublicKey;
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::AbortOnDropHandle;

use crate::database::{Collection, Database, Key};
use crate::store::Connection;
use crate::world::About;

/// Items that are read ahead.
const AHEAD: usize = 16;

/// Documents by which a stream that was cut off goes back, at most.
const AGAIN: usize = 3;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(100);

/// What one feed is about.
pub trait Source: Send + Sync + 'static {
    type Item: Send + 'static;
    const COLLECTION: Collection;

    /// What is open for a node.
    fn open(db: &Database, node: &PublicKey) -> Vec<Key>;

    /// A document; the number tells two states of it apart.
    fn fetch(db: &Database, node: &PublicKey, key: &Key) -> Option<(u64, Self::Item)>;
}

pub struct Entries;

impl Source for Entries {
    type Item = BacklogEntry;
    const COLLECTION: Collection = Collection::Backlog;

    fn open(db: &Database, _node: &PublicKey) -> Vec<Key> {
        let mut all: Vec<(u64, Key)> = db.backlog.iter().map(|(key, entry)| (entry.assigned_at, *key)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, key)| key).collect()
    }

    fn fetch(db: &Database, _node: &PublicKey, key: &Key) -> Option<(u64, BacklogEntry)> {
        db.backlog.get(key).map(|entry| (entry.assigned_at, entry.clone()))
    }
}

pub struct Blocks;

impl Source for Blocks {
    type Item = StoredBlock;
    const COLLECTION: Collection = Collection::Blocks;

    fn open(db: &Database, node: &PublicKey) -> Vec<Key> {
        db.undecided(node).into_iter().map(|(key, _)| key).collect()
    }

    fn fetch(db: &Database, node: &PublicKey, key: &Key) -> Option<(u64, StoredBlock)> {
        let block = db.blocks.get(key).filter(|block| block.id != db.genesis.id)?.clone();
        let status = match db.decisions.get(&(*node, block.id)) {
            None => BlockStatus::Undecided,
            Some(true) => BlockStatus::Valid,
            Some(false) => BlockStatus::Invalid,
        };
        Some((0, StoredBlock { block, status }))
    }
}

pub struct Votes;

impl Source for Votes {
    type Item = StoredVote;
    const COLLECTION: Collection = Collection::Votes;

    fn open(db: &Database, node: &PublicKey) -> Vec<Key> {
        let undecided = db.undecided(node);
        let open = |vote: &StoredVote| undecided.iter().any(|(_, block)| *block == vote.block);
        db.votes.iter().filter(|(_, (_, vote))| open(vote)).map(|(key, _)| *key).collect()
    }

    fn fetch(db: &Database, _node: &PublicKey, key: &Key) -> Option<(u64, StoredVote)> {
        db.votes.get(key).map(|(_, vote)| (0, vote.clone()))
    }
}

struct Running<T> {
    /// What the caller has seen.
    at: Option<Position>,
    items: mpsc::Receiver<(T, Position)>,
    _task: AbortOnDropHandle<()>,
}

/// See the module.
pub struct Feed<S: Source> {
    to: Connection,
    running: Mutex<Option<Running<S::Item>>>,
}

impl<S: Source> Feed<S> {
    pub fn new(to: Connection) -> Self {
        Self { to, running: Mutex::new(None) }
    }

    /// See [`bigchaindb::store::Store`].
    pub async fn next(&self, after: Option<&Position>, limit: usize) -> Result<Batch<S::Item>> {
        let mut slot = self.running.lock().await;
        loop {
            let running = match slot.take() {
                Some(running) if after.is_some() && running.at.as_ref() == after => slot.insert(running),
                _ => slot.insert(self.start(after)),
            };
            let mut received = Vec::new();
            if running.items.recv_many(&mut received, limit.max(1)).await == 0 {
                *slot = None;
                continue;
            }
            let (items, mut positions): (Vec<_>, Vec<_>) = received.into_iter().unzip();
            if let Some(position) = positions.pop() {
                running.at = Some(position.clone());
                return Ok(Batch { items, position });
            }
        }
    }

    fn start(&self, after: Option<&Position>) -> Running<S::Item> {
        // The pipelines keep no place for longer than their process lives, so a place that is not the last one is
        // never asked for; everything that is open is a good answer to it.
        let (items, received) = mpsc::channel(AHEAD);
        let mut reader = Reader::<S> { to: self.to.clone(), items, given: BTreeMap::new(), n: 0 };
        let task = tokio::spawn(async move { reader.run().await });
        Running { at: after.cloned(), items: received, _task: AbortOnDropHandle::new(task) }
    }
}

/// Why a reader stopped.
enum Stopped {
    /// Nobody reads the feed any more.
    Unread,
    /// The server failed, or the stream was cut off: to be gone on with after this place, if it was reached.
    Failed(Option<usize>),
    /// The server has forgotten the place.
    Forgotten,
}

struct Reader<S: Source> {
    to: Connection,
    items: mpsc::Sender<(S::Item, Position)>,
    /// States that were given and that the stream may tell of again.
    given: BTreeMap<Key, u64>,
    /// Items given.
    n: u64,
}

impl<S: Source> Reader<S> {
    async fn run(&mut self) {
        let mut place = None;
        loop {
            match self.read(place).await {
                Stopped::Unread => return,
                Stopped::Failed(reached) => {
                    place = reached.or(place);
                    tokio::time::sleep(PAUSE).await;
                }
                Stopped::Forgotten => place = None,
            }
        }
    }

    fn now<T>(&self, query: impl FnOnce(&Database) -> T) -> T {
        self.to.world.look(query)
    }

    async fn read(&mut self, place: Option<usize>) -> Stopped {
        let (forgotten, interrupted) = self.faults();
        let place = match place {
            Some(place) => place,
            None => {
                let begin = self.now(|db| db.length(S::COLLECTION));
                let me = self.to.key;
                let Ok(open) = self.to.read("what is open", |db| S::open(db, &me)).await else {
                    return Stopped::Failed(None);
                };
                if let Err(stop) = self.pass_on(&open, true).await {
                    return stop;
                }
                begin
            }
        };
        self.follow(place, forgotten, interrupted).await
    }

    fn faults(&self) -> (u64, u64) {
        let state = self.to.world.state.lock();
        let peer = &state.peers[self.to.node];
        (peer.forgotten, peer.interrupted)
    }

    async fn follow(&mut self, mut place: usize, forgotten: u64, interrupted: u64) -> Stopped {
        let written = self.now(|db| db.written(S::COLLECTION));
        loop {
            let more = written.notified();
            if self.now(|db| db.length(S::COLLECTION)) <= place {
                more.await;
                continue;
            }
            let now = self.faults();
            if now.0 != forgotten {
                self.to.world.note(Some(self.to.node), "reads all that is open again", About::Nothing);
                return Stopped::Forgotten;
            }
            if now.1 != interrupted {
                self.given.clear();
                return Stopped::Failed(Some(place.saturating_sub(AGAIN)));
            }
            let keys = self.now(|db| db.since(S::COLLECTION, place).to_vec());
            if let Err(stop) = self.pass_on(&keys, false).await {
                return match stop {
                    Stopped::Failed(None) => Stopped::Failed(Some(place)),
                    stop => stop,
                };
            }
            place += keys.len();
        }
    }

    /// Gives documents; `all`: also those that were given before.
    async fn pass_on(&mut self, keys: &[Key], all: bool) -> std::result::Result<(), Stopped> {
        if keys.is_empty() {
            return Ok(());
        }
        let me = self.to.key;
        let fetch = |db: &Database| keys.iter().map(|key| S::fetch(db, &me, key)).collect::<Vec<_>>();
        let found = self.to.read("documents", fetch).await.map_err(|_| Stopped::Failed(None))?;
        for (key, found) in keys.iter().zip(found) {
            let Some((state, item)) = found else { continue };
            if self.given.insert(*key, state) != Some(state) || all {
                self.n += 1;
                let position = Position(Bytes::copy_from_slice(&self.n.to_be_bytes()));
                self.items.send((item, position)).await.map_err(|_| Stopped::Unread)?;
            }
        }
        Ok(())
    }
}
