//! What the database holds back and how long it works.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::scraped::{Scraped, set};

/// What waits in the database, and what it was asked.
#[derive(Clone, Debug, Default)]
pub struct Depths {
    /// Transactions that wait for a block.
    pub backlog_transactions: usize,
    /// Their bytes.
    pub backlog_bytes: usize,
    /// Blocks without a decision.
    pub undecided_blocks: usize,
    /// Transactions in decided blocks that wait for the index.
    pub unindexed_transactions: usize,
    /// Commands sent to its server since the start, by name.
    pub commands: Vec<(&'static str, u64)>,
}

/// A command of the database's server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Command {
    command: &'static str,
}

/// Kind of work.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    work: &'static str,
}

/// See the module's page.
pub struct Database {
    depths: Scraped<Depths>,
    backlog_transactions: Gauge,
    backlog_bytes: Gauge,
    undecided_blocks: Gauge,
    unindexed_transactions: Gauge,
    commands: Family<Command, Counter>,
    seconds: Family<Kind, Histogram, fn() -> Histogram>,
}

/// From 10 µs, a look-up in memory, to some seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_01, 4.0, 10))
}

impl Database {
    /// Registers everything.
    pub fn register(registry: &mut Registry) -> Self {
        let database = Self {
            depths: Scraped::default(),
            backlog_transactions: Gauge::default(),
            backlog_bytes: Gauge::default(),
            undecided_blocks: Gauge::default(),
            unindexed_transactions: Gauge::default(),
            commands: Family::default(),
            seconds: Family::new_with_constructor(seconds),
        };
        let r = registry;
        r.register("backlog_transactions", "Transactions that wait for a block", database.backlog_transactions.clone());
        r.register_with_unit(
            "backlog",
            "Transactions that wait for a block, as canonical JSON",
            Unit::Bytes,
            database.backlog_bytes.clone(),
        );
        r.register("undecided_blocks", "Blocks without a decision", database.undecided_blocks.clone());
        r.register(
            "unindexed_transactions",
            "Transactions in decided blocks that wait for the index",
            database.unindexed_transactions.clone(),
        );
        r.register(
            "database_commands",
            "Commands sent to the database's server: MongoDB only, by name if that is asked for",
            database.commands.clone(),
        );
        r.register_with_unit(
            "store",
            "Time of the database's work: making a group of writes durable, moving what is decided to the index, \
             looking transactions up",
            Unit::Seconds,
            database.seconds.clone(),
        );
        database
    }

    /// Asks here how much waits, each time that somebody scrapes.
    pub fn watch(&self, depths: impl Fn() -> Depths + Send + Sync + 'static) {
        self.depths.watch(depths);
    }

    /// Brings the gauges up to date.
    pub(super) fn refresh(&self) {
        let Some(depths) = self.depths.ask() else { return };
        set(&self.backlog_transactions, depths.backlog_transactions);
        set(&self.backlog_bytes, depths.backlog_bytes);
        set(&self.undecided_blocks, depths.undecided_blocks);
        set(&self.unindexed_transactions, depths.unindexed_transactions);
        for (command, sent) in depths.commands {
            self.commands.get_or_create(&Command { command }).inner().store(sent, Relaxed);
        }
    }

    /// A group of writes is durable.
    pub fn committed(&self, took: Duration) {
        self.observe("commit", took);
    }

    /// A batch went to the index.
    pub fn indexed(&self, took: Duration) {
        self.observe("index", took);
    }

    /// Transactions were looked up.
    pub fn looked_up(&self, took: Duration) {
        self.observe("look_up", took);
    }

    fn observe(&self, work: &'static str, took: Duration) {
        self.seconds.get_or_create(&Kind { work }).observe(took.as_secs_f64());
    }
}
