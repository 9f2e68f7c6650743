//! Feeds as the MongoDB store gives them: what is open in the order of the documents' keys, then what is written in the
//! order of the writes, read as it is by then; begun again where the stream was cut off, or with all that is open when
//! the server has forgotten the place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bigchaindb::store::{BacklogEntry, Batch, Position, Result, StoredBlock, StoredVote};
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, PublicKey};
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

    /// What is open for a node; `again`: and what else it may have missed since it was somewhere.
    fn open(db: &Database, node: &PublicKey, again: bool) -> Vec<Key>;

    /// A document; the number tells two states of it apart.
    fn fetch(db: &Database, node: &PublicKey, key: &Key) -> Option<(u64, Self::Item)>;
}

pub struct Entries;

impl Source for Entries {
    type Item = BacklogEntry;
    const COLLECTION: Collection = Collection::Backlog;

    fn open(db: &Database, _node: &PublicKey, _again: bool) -> Vec<Key> {
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

    fn open(db: &Database, node: &PublicKey, again: bool) -> Vec<Key> {
        let undecided: BTreeSet<BlockId> = db.undecided(node).into_iter().map(|(_, block)| block).collect();
        let missed = |id: &BlockId| again && *id != db.genesis.id && !db.has_voted(node, id);
        let open = db.blocks.iter().filter(|(_, block)| undecided.contains(&block.id) || missed(&block.id));
        open.map(|(key, _)| *key).collect()
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

    fn open(db: &Database, node: &PublicKey, _again: bool) -> Vec<Key> {
        let undecided = db.undecided(node);
        let open = |vote: &StoredVote| undecided.iter().any(|(_, block)| *block == vote.block);
        db.votes.iter().filter(|(_, (_, vote))| open(vote)).map(|(key, _)| *key).collect()
    }

    fn fetch(db: &Database, _node: &PublicKey, key: &Key) -> Option<(u64, StoredVote)> {
        db.votes.get(key).map(|(_, vote)| (0, vote.clone()))
    }
}

/// Where a feed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Writes of the collection that were dealt with; `None`: everything that is open is given first.
    reached: Option<u64>,
    /// How often the server had forgotten by then.
    forgotten: u64,
    /// No two positions are the same: a process may have been given one by a process before it.
    given: [u64; 2],
}

impl Place {
    /// Before anything was given.
    pub const BEGINNING: Self = Self { reached: None, forgotten: 0, given: [0; 2] };

    pub fn position(self) -> Position {
        let reached = self.reached.unwrap_or(u64::MAX);
        let [process, n] = self.given;
        Position([reached, self.forgotten, process, n].map(u64::to_be_bytes).concat().into())
    }

    fn read(position: &Position) -> Self {
        let number = |n: usize| u64::from_be_bytes(position.0[8 * n..8 * n + 8].try_into().unwrap());
        Self {
            reached: Some(number(0)).filter(|reached| *reached != u64::MAX),
            forgotten: number(1),
            given: [number(2), number(3)],
        }
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
        let (items, received) = mpsc::channel(AHEAD);
        let mut reader = Reader::<S> { to: self.to.clone(), items, given: BTreeMap::new() };
        let place = after.map(Place::read);
        let task = tokio::spawn(async move { reader.run(place).await });
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
}

impl<S: Source> Reader<S> {
    async fn run(&mut self, begin: Option<Place>) {
        let forgotten = begin.is_some_and(|begin| begin.reached.is_some() && begin.forgotten != self.faults().0);
        let mut place = begin.filter(|_| !forgotten).and_then(|begin| begin.reached).map(|reached| reached as usize);
        let mut again = begin.is_some();
        loop {
            match self.read(place, again).await {
                Stopped::Unread => return,
                Stopped::Failed(reached) => {
                    place = reached.or(place);
                    tokio::time::sleep(PAUSE).await;
                }
                Stopped::Forgotten => (place, again) = (None, true),
            }
        }
    }

    fn now<T>(&self, query: impl FnOnce(&Database) -> T) -> T {
        self.to.world.look(query)
    }

    async fn read(&mut self, place: Option<usize>, again: bool) -> Stopped {
        let (forgotten, interrupted) = self.faults();
        let place = match place {
            Some(place) => place,
            None => {
                let begin = self.now(|db| db.length(S::COLLECTION));
                let me = self.to.key;
                let Ok(open) = self.to.read("what is open", |db| S::open(db, &me, again)).await else {
                    return Stopped::Failed(None);
                };
                if let Err(stop) = self.pass_on(&open, None, forgotten).await {
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
            if let Err(stop) = self.pass_on(&keys, Some(place), forgotten).await {
                return match stop {
                    Stopped::Failed(None) => Stopped::Failed(Some(place)),
                    stop => stop,
                };
            }
            place += keys.len();
        }
    }

    /// Gives documents, of the stream from this place on; or those of a scan, also if they were given before.
    async fn pass_on(&mut self, keys: &[Key], from: Option<usize>, forgotten: u64) -> std::result::Result<(), Stopped> {
        if keys.is_empty() {
            return Ok(());
        }
        let me = self.to.key;
        let fetch = |db: &Database| keys.iter().map(|key| S::fetch(db, &me, key)).collect::<Vec<_>>();
        let found = self.to.read("documents", fetch).await.map_err(|_| Stopped::Failed(None))?;
        for (i, (key, found)) in keys.iter().zip(found).enumerate() {
            let Some((state, item)) = found else { continue };
            if self.given.insert(*key, state) != Some(state) || from.is_none() {
                let reached = from.map(|from| (from + i + 1) as u64);
                let position = Place { reached, forgotten, given: self.to.unique() }.position();
                self.items.send((item, position)).await.map_err(|_| Stopped::Unread)?;
            }
        }
        Ok(())
    }
}
