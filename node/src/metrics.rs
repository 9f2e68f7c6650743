//! What the node counts: one struct, registered once, every label from a closed set.

pub mod clients;
pub mod database;
pub mod federation;
mod scraped;
pub mod statsd;

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use clients::Clients;
use database::Database;
use federation::Federation;

/// A block's or vote's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    status: &'static str,
}

/// A stage of the pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

/// A broken rule, by [`ledger::error::Invalid::class`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rule {
    rule: String,
}

/// See the module's page.
pub struct Metrics {
    registry: Registry,
    /// Requests, transactions sent, subscribers.
    pub clients: Clients,
    /// Depths and times of the database.
    pub database: Database,
    /// Who belongs to it.
    pub federation: Federation,
    blocks_written: Counter,
    block_transactions: Counter,
    votes: Family<Outcome, Counter>,
    vote_transactions: Counter,
    stage_seconds: Family<Stage, Histogram, fn() -> Histogram>,
    decisions: Family<Outcome, Counter>,
    decided_transactions: Family<Outcome, Counter>,
    rejections: Family<Rule, Counter>,
    reassignments: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 14))
}

fn outcome(valid: bool) -> Outcome {
    Outcome { status: if valid { "valid" } else { "invalid" } }
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("bigchaindb");
        let metrics = Self {
            clients: Clients::register(&mut registry),
            database: Database::register(&mut registry),
            federation: Federation::register(&mut registry),
            blocks_written: Counter::default(),
            block_transactions: Counter::default(),
            votes: Family::default(),
            vote_transactions: Counter::default(),
            stage_seconds: Family::new_with_constructor(seconds),
            decisions: Family::default(),
            decided_transactions: Family::default(),
            rejections: Family::default(),
            reassignments: Counter::default(),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register("blocks_written", "Blocks made by this node", metrics.blocks_written.clone());
        r.register(
            "block_transactions",
            "Transactions in blocks made by this node",
            metrics.block_transactions.clone(),
        );
        r.register("votes", "Votes of this node", metrics.votes.clone());
        r.register("vote_transactions", "Transactions in blocks voted on", metrics.vote_transactions.clone());
        r.register_with_unit(
            "stage",
            "Time of one round of a stage: making blocks of what waits, voting on a block, deciding, looking for stale ones",
            Unit::Seconds,
            metrics.stage_seconds.clone(),
        );
        r.register("decisions", "Blocks decided", metrics.decisions.clone());
        r.register("decided_transactions", "Transactions in decided blocks", metrics.decided_transactions.clone());
        r.register("rejections", "Transactions dropped from the backlog, by broken rule", metrics.rejections.clone());
        r.register(
            "reassignments",
            "Transactions given to another node, or taken up again by the only one",
            metrics.reassignments.clone(),
        );
        Self { registry, ..metrics }
    }

    /// The text that Prometheus scrapes (OpenMetrics 1.0).
    pub fn render(&self) -> String {
        self.database.refresh();
        self.federation.refresh();
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A block of ours is durable.
    pub fn block_written(&self, transactions: usize) {
        self.blocks_written.inc();
        self.block_transactions.inc_by(transactions as u64);
    }

    /// A vote of ours is durable.
    pub fn voted(&self, valid: bool, transactions: usize) {
        self.votes.get_or_create(&outcome(valid)).inc();
        self.vote_transactions.inc_by(transactions as u64);
    }

    /// A stage of the pipelines (`block`, `vote`, `election` or `stale`) has done a round of its work.
    pub fn worked(&self, stage: &'static str, took: Duration) {
        self.stage_seconds.get_or_create(&Stage { stage }).observe(took.as_secs_f64());
    }

    /// A block is decided.
    pub fn decided(&self, valid: bool, transactions: usize) {
        self.decisions.get_or_create(&outcome(valid)).inc();
        self.decided_transactions.get_or_create(&outcome(valid)).inc_by(transactions as u64);
    }

    /// A transaction was dropped from the backlog; `class` is [`ledger::error::Invalid::class`].
    pub fn rejected(&self, class: &str) {
        self.rejections.get_or_create(&Rule { rule: class.to_owned() }).inc();
    }

    /// Transactions were given to another node.
    pub fn reassigned(&self, transactions: usize) {
        self.reassignments.inc_by(transactions as u64);
    }

    /// The counters of 1.0.1, by its names for them.
    fn statsd_totals(&self) -> [(&'static str, u64); 3] {
        [
            ("web.tx.post", self.clients.posted_total()),
            ("pipelines.block.throughput", self.block_transactions.get()),
            ("pipelines.vote.throughput", self.vote_transactions.get()),
        ]
    }
}
