//! What a schedule consists of: the database, the way to it from each node, time, chance, and a record of events.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ledger::ids::{BlockId, TxId};
use parking_lot::Mutex;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::corpus::CORPUS;
use crate::database::{Database, Key};
use crate::invariants::short;

/// All chance of a schedule comes from one of these; its algorithm is named, so that a seed means the same tomorrow.
pub type Chance = Xoshiro256PlusPlus;

/// When every schedule begins, milliseconds since the Unix epoch.
const BEGIN: u64 = 1_500_000_000_000;

/// What failed for want of an answer is done within this time, milliseconds, if it is done.
pub const LATE: u64 = 2000;

/// The way between a node and the server.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Milliseconds there, and back, at most.
    pub delay: u64,
    /// How often it takes up to [`Self::slow`] milliseconds instead, of a thousand.
    pub slow_often: u32,
    pub slow: u64,
    /// How often a request is lost, of a thousand.
    pub lost: u32,
    /// How often an answer is lost, of a thousand.
    pub unanswered: u32,
    /// How often a node hears of a failure, and what it asked for is done after that, of a thousand.
    pub late: u32,
    /// Nothing goes through.
    pub cut: bool,
}

impl Link {
    /// Nothing goes wrong.
    pub const CALM: Self = Self { delay: 3, slow_often: 0, slow: 0, lost: 0, unanswered: 0, late: 0, cut: false };
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Done,
    Lost,
    Unanswered,
    Late,
}

/// How one request goes.
pub struct Passage {
    pub there: Duration,
    pub back: Duration,
    /// How much later what failed is done all the same.
    pub late: Duration,
    pub fate: Fate,
}

/// What an event is about.
#[derive(Clone, Copy)]
pub enum About {
    Nothing,
    Number(u64),
    Tx(TxId),
    Block(BlockId),
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Number(n) => write!(f, " {n}"),
            Self::Tx(id) => write!(f, " {}", CORPUS.name(id)),
            Self::Block(id) => write!(f, " {}", short(id)),
        }
    }
}

/// Every event goes into a hash; its text is kept only when somebody will read it.
pub struct Trace {
    hash: u64,
    pub lines: Option<String>,
    pub deaths: usize,
    pub failures: usize,
}

impl Trace {
    pub fn hash(&self) -> u64 {
        self.hash
    }

    fn mix(&mut self, bytes: &[u8]) {
        // FNV-1a.
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A node as the world sees it.
pub struct Peer {
    pub link: Link,
    /// Its clock is ahead of the true time by this, milliseconds.
    pub skew: i64,
    /// It dies after so many writes more.
    pub writes_left: Option<u32>,
    /// Whether the process that runs now is dead.
    pub dead: Arc<AtomicBool>,
    /// How often the server has forgotten what this node's feeds point into.
    pub forgotten: u64,
    /// How often this node's feeds are cut off, and begin again a bit before their place.
    pub interrupted: u64,
}

pub struct State {
    pub db: Database,
    pub chance: Chance,
    pub trace: Trace,
    pub peers: Vec<Peer>,
}

/// See the module.
pub struct World {
    pub state: Mutex<State>,
    /// A node died by its count of writes, or a promise was broken.
    pub alarm: Notify,
    begun: Instant,
}

impl World {
    pub fn new(seed: u64, verbose: bool, db: Database) -> Self {
        let peer = |_| Peer {
            link: Link::CALM,
            skew: 0,
            writes_left: None,
            dead: Arc::default(),
            forgotten: 0,
            interrupted: 0,
        };
        let peers = (0..db.nodes.len()).map(peer).collect();
        let trace = Trace { hash: 0xcbf2_9ce4_8422_2325, lines: verbose.then(String::new), deaths: 0, failures: 0 };
        let chance = Chance::seed_from_u64(seed);
        let state = Mutex::new(State { db, chance, trace, peers });
        Self { state, alarm: Notify::new(), begun: Instant::now() }
    }

    /// Simulated time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Milliseconds since the Unix epoch, by a node's clock.
    pub fn now(&self, node: usize) -> u64 {
        let skew = self.state.lock().peers[node].skew;
        self.shifted(skew)
    }

    fn shifted(&self, skew: i64) -> u64 {
        (BEGIN + self.begun.elapsed().as_millis() as u64).saturating_add_signed(skew)
    }

    /// An `_id` made by a node.
    pub fn key(&self, node: usize, process: u64, counter: u64) -> Key {
        Key { seconds: self.now(node) / 1000, process, counter }
    }

    /// Records an event. `node`: `None` for what is nobody's.
    pub fn note(&self, node: Option<usize>, what: &str, about: About) {
        self.state.lock().note(self.begun, node, what, about);
    }

    /// A process died.
    pub fn died(&self, node: usize) {
        self.state.lock().trace.deaths += 1;
        self.note(Some(node), "dies", About::Nothing);
    }

    /// A node hears of a failure.
    pub fn failed(&self, node: usize) {
        self.state.lock().trace.failures += 1;
        self.note(Some(node), "hears of a failure", About::Nothing);
    }

    /// Chooses how a request goes.
    pub fn pass(&self, node: usize) -> Passage {
        let State { chance, peers, .. } = &mut *self.state.lock();
        let link = peers[node].link;
        let mut way = || {
            let slow = link.slow_often > 0 && chance.random_range(0..1000) < link.slow_often;
            Duration::from_millis(chance.random_range(0..=if slow { link.slow } else { link.delay }))
        };
        let (there, back) = (way(), way());
        let lot = chance.random_range(0..1000);
        let fate = if link.cut || lot < link.lost {
            Fate::Lost
        } else if lot < link.lost + link.unanswered {
            Fate::Unanswered
        } else if lot < link.lost + link.unanswered + link.late {
            Fate::Late
        } else {
            Fate::Done
        };
        let late = if fate == Fate::Late { chance.random_range(0..LATE) } else { 0 };
        Passage { there, back, late: Duration::from_millis(late), fate }
    }

    /// Reads.
    pub fn look<T>(&self, query: impl FnOnce(&Database) -> T) -> T {
        query(&self.state.lock().db)
    }

    /// Does what a node asked for; the node may die of it.
    pub fn apply<T>(&self, node: usize, what: &str, about: About, effect: impl FnOnce(&mut Database) -> T) -> T {
        let mut state = self.state.lock();
        state.db.now = self.begun.elapsed();
        let outcome = effect(&mut state.db);
        state.note(self.begun, Some(node), what, about);
        let peer = &mut state.peers[node];
        let mut alarm = false;
        if let Some(left) = &mut peer.writes_left {
            *left -= 1;
            if *left == 0 {
                peer.writes_left = None;
                peer.dead.store(true, Ordering::SeqCst);
                alarm = true;
            }
        }
        if alarm || state.db.violation.is_some() {
            self.alarm.notify_one();
        }
        outcome
    }

    /// Does what no node asked for.
    pub fn apply_nobody<T>(&self, effect: impl FnOnce(&mut Database) -> T) -> T {
        let mut state = self.state.lock();
        let outcome = effect(&mut state.db);
        if state.db.violation.is_some() {
            self.alarm.notify_one();
        }
        outcome
    }

    /// Notes a broken promise.
    pub fn broken(&self, what: String) {
        self.state.lock().db.broken(what);
        self.alarm.notify_one();
    }
}

impl State {
    fn note(&mut self, begun: Instant, node: Option<usize>, what: &str, about: About) {
        let at = begun.elapsed().as_millis() as u64;
        let trace = &mut self.trace;
        trace.mix(&at.to_be_bytes());
        trace.mix(&[node.map_or(255, |node| node as u8)]);
        trace.mix(what.as_bytes());
        match about {
            About::Nothing => {}
            About::Number(n) => trace.mix(&n.to_be_bytes()),
            About::Tx(id) => trace.mix(&id.as_bytes()[..8]),
            About::Block(id) => trace.mix(&id.as_bytes()[..8]),
        }
        if let Some(lines) = &mut trace.lines {
            let who = node.map_or_else(|| "-".to_owned(), |node| format!("n{node}"));
            let _ = writeln!(lines, "{:>8}.{:03} {who} {what}{about}", at / 1000, at % 1000);
        }
    }
}
