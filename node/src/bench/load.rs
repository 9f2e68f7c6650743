//! The load: connections that post, one that reads, one that follows the stream, and somebody who watches.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::ProgressBar;
use ledger::ids::TxId;
use tokio::task::JoinSet;

use super::Options;
use super::connection::Connection;
use super::prepare::Prepared;
use super::process::Watched;
use super::stream::ValidStream;
use crate::client::Endpoint;

/// What happened, times in microseconds since the first transaction was posted.
#[derive(Debug, Default)]
pub struct Outcome {
    /// When each transaction was due or was sent, whichever is earlier.
    pub posted: Vec<u64>,
    /// When its 202 came; [`NEVER`].
    pub accepted: Vec<u64>,
    /// When the stream named it; [`NEVER`].
    pub valid: Vec<u64>,
    /// How long each reading of one transaction took.
    pub reads: Vec<u64>,
    /// Readings that were not answered 200.
    pub failed_reads: u64,
    /// Answers 503 after which a transaction was sent again.
    pub resent: u64,
    /// Answers other than 202 and 503, by status, with one example each.
    pub refused: Vec<(u16, usize)>,
    /// What broke, in words.
    pub broken: Vec<String>,
    /// The largest memory that was seen.
    pub peak: Memory,
}

/// Resident memory, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Of all nodes together.
    pub nodes: Option<u64>,
    /// Of the database server.
    pub server: Option<u64>,
}

/// Who works for the load, as far as that is known.
#[derive(Clone, Debug, Default)]
pub struct Workers {
    /// All nodes.
    pub nodes: Option<Watched>,
    /// The database server.
    pub server: Option<Watched>,
}

impl Workers {
    /// What they take now.
    pub fn memory(&self) -> Memory {
        let resident = |watched: &Option<Watched>| watched.as_ref().and_then(Watched::resident);
        Memory { nodes: resident(&self.nodes), server: resident(&self.server) }
    }
}

/// A time that never came.
pub const NEVER: u64 = u64::MAX;

/// One run.
pub struct Load {
    shared: Arc<Shared>,
    endpoints: Vec<Endpoint>,
    connections: usize,
    get_rate: f64,
    patience: Duration,
}

struct Shared {
    prepared: Arc<Vec<Prepared>>,
    start: Instant,
    /// Microseconds between two transactions, if there is a pace.
    pace: Option<f64>,
    /// For each node: how many of its transactions were taken up. Transaction `n` is for node `n` modulo their number.
    next: Vec<AtomicUsize>,
    posted: Vec<AtomicU64>,
    accepted: Vec<AtomicU64>,
    valid: Vec<AtomicU64>,
    accepted_count: AtomicUsize,
    valid_count: AtomicUsize,
    /// The transaction that became valid last at the first node; the count if none did.
    last_valid: AtomicUsize,
    stop: AtomicBool,
    resent: AtomicU64,
    failed_reads: AtomicU64,
    workers: Workers,
    /// Places of the transactions by id.
    numbers: HashMap<TxId, usize>,
    rare: Mutex<Rare>,
}

/// What happens seldom enough for a lock.
#[derive(Default)]
struct Rare {
    refused: Vec<(u16, usize)>,
    broken: Vec<String>,
    reads: Vec<u64>,
}

impl Load {
    /// Gets ready; nothing is sent. The transactions were prepared for these nodes in turn.
    pub fn new(options: &Options, endpoints: Vec<Endpoint>, prepared: Arc<Vec<Prepared>>, workers: Workers) -> Self {
        let never = || prepared.iter().map(|_| AtomicU64::new(NEVER)).collect::<Vec<_>>();
        let shared = Shared {
            start: Instant::now(),
            pace: options.rate.map(|rate| 1e6 / rate),
            next: endpoints.iter().map(|_| AtomicUsize::new(0)).collect(),
            posted: never(),
            accepted: never(),
            valid: never(),
            accepted_count: AtomicUsize::new(0),
            valid_count: AtomicUsize::new(0),
            last_valid: AtomicUsize::new(prepared.len()),
            stop: AtomicBool::new(false),
            resent: AtomicU64::new(0),
            failed_reads: AtomicU64::new(0),
            workers,
            numbers: prepared.iter().enumerate().map(|(number, prepared)| (prepared.id, number)).collect(),
            rare: Mutex::default(),
            prepared,
        };
        // At least one for each node.
        let connections = options.connections.max(endpoints.len());
        let (get_rate, patience) = (options.get_rate, options.patience);
        Self { shared: Arc::new(shared), endpoints, connections, get_rate, patience }
    }

    /// Posts everything and waits until all of it is valid where it was sent to, or until nothing happens any more.
    /// `stream_urls`: of the nodes, in their order.
    pub async fn run(mut self, stream_urls: &[String], bar: &ProgressBar) -> anyhow::Result<Outcome> {
        let mut streams = Vec::with_capacity(stream_urls.len());
        for url in stream_urls {
            streams.push(ValidStream::open(url).await?);
        }
        let mut connections = Vec::with_capacity(self.connections);
        for (node, endpoint) in self.endpoints.iter().enumerate().cycle().take(self.connections) {
            connections.push((node, Connection::open(endpoint.authority()).await?));
        }
        let first = self.endpoints.first().context("there is no node")?.clone();
        let reader = Connection::open(first.authority()).await?;
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.start = Instant::now();
        }
        let mut tasks = JoinSet::new();
        let shared = &self.shared;
        for (node, connection) in connections {
            tasks.spawn(post_all(shared.clone(), node, connection));
        }
        if self.get_rate > 0.0 {
            tasks.spawn(read_some(shared.clone(), reader, first, self.get_rate));
        }
        let mut followers = JoinSet::new();
        for (node, mut stream) in streams.into_iter().enumerate() {
            let shared = shared.clone();
            followers.spawn(async move {
                if let Err(error) = follow(&shared, node, &mut stream).await {
                    shared.broke(&error);
                }
            });
        }
        let peak = self.watch(bar, &mut followers).await;
        self.shared.stop.store(true, Relaxed);
        followers.shutdown().await;
        // Whoever still waits for an answer waits for nothing that counts.
        tasks.shutdown().await;
        Ok(self.outcome(peak))
    }

    async fn watch(&self, bar: &ProgressBar, followers: &mut JoinSet<()>) -> Memory {
        let shared = &self.shared;
        let mut peak = Memory::default();
        let mut last = (0, Instant::now());
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            let now = shared.workers.memory();
            peak = Memory { nodes: peak.nodes.max(now.nodes), server: peak.server.max(now.server) };
            let (accepted, valid) = (shared.accepted_count.load(Relaxed), shared.valid_count.load(Relaxed));
            bar.set_position(u64::try_from(accepted).unwrap_or_default());
            bar.set_message(format!("valid {valid}"));
            let refused = shared.rare.lock().map_or(0, |rare| rare.refused.len());
            if valid + refused >= shared.prepared.len() || followers.try_join_next().is_some() {
                return peak;
            }
            if last.0 != accepted + valid {
                last = (accepted + valid, Instant::now());
            } else if last.1.elapsed() > self.patience {
                shared.broke(&io::Error::other(format!("nothing happened for {} s", self.patience.as_secs())));
                return peak;
            }
        }
    }

    fn outcome(&self, peak: Memory) -> Outcome {
        let shared = &self.shared;
        let times = |times: &[AtomicU64]| times.iter().map(|time| time.load(Relaxed)).collect();
        let rare = shared.rare.lock().map(|mut rare| std::mem::take(&mut *rare)).unwrap_or_default();
        Outcome {
            posted: times(&shared.posted),
            accepted: times(&shared.accepted),
            valid: times(&shared.valid),
            reads: rare.reads,
            failed_reads: shared.failed_reads.load(Relaxed),
            resent: shared.resent.load(Relaxed),
            refused: rare.refused,
            broken: rare.broken,
            peak,
        }
    }
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(NEVER)
    }

    fn broke(&self, error: &io::Error) {
        if let Ok(mut rare) = self.rare.lock() {
            let text = error.to_string();
            if rare.broken.len() < 10 && !rare.broken.contains(&text) {
                rare.broken.push(text);
            }
        }
    }

    /// Waits for a transaction's turn. Tells when it is posted: when it was due if all connections were busy then, else
    /// now, so that a late timer of ours is not counted as the node's time.
    async fn turn(&self, number: usize) -> u64 {
        let Some(pace) = self.pace else { return self.now() };
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let due = (number as f64 * pace) as u64; // Far below 2^52 microseconds.
        if self.now() >= due {
            return due;
        }
        tokio::time::sleep_until((self.start + Duration::from_micros(due)).into()).await;
        self.now()
    }
}

async fn post_all(shared: Arc<Shared>, node: usize, mut connection: Connection) {
    let Some(next) = shared.next.get(node) else { return };
    while !shared.stop.load(Relaxed) {
        let number = next.fetch_add(1, Relaxed) * shared.next.len() + node;
        let (Some(prepared), Some(posted), Some(accepted)) =
            (shared.prepared.get(number), shared.posted.get(number), shared.accepted.get(number))
        else {
            return;
        };
        posted.store(shared.turn(number).await, Relaxed);
        let mut pause = Duration::from_millis(5);
        loop {
            match connection.exchange(&prepared.request).await {
                Ok(202) => {
                    accepted.store(shared.now(), Relaxed);
                    shared.accepted_count.fetch_add(1, Relaxed);
                }
                Ok(503) => {
                    shared.resent.fetch_add(1, Relaxed);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(200));
                    continue;
                }
                Ok(status) => {
                    if let Ok(mut rare) = shared.rare.lock() {
                        rare.refused.push((status, number));
                    }
                }
                Err(error) => {
                    shared.broke(&error);
                    return;
                }
            }
            break;
        }
    }
}

async fn read_some(shared: Arc<Shared>, mut connection: Connection, endpoint: Endpoint, rate: f64) {
    let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !shared.stop.load(Relaxed) {
        tick.tick().await;
        let Some(prepared) = shared.prepared.get(shared.last_valid.load(Relaxed)) else { continue };
        let path = endpoint.path(&format!("/api/v1/transactions/{}", prepared.id));
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", endpoint.authority());
        let before = shared.now();
        match connection.exchange(request.as_bytes()).await {
            Ok(200) => {
                let took = shared.now().saturating_sub(before);
                if let Ok(mut rare) = shared.rare.lock() {
                    rare.reads.push(took);
                }
            }
            Ok(_) => {
                shared.failed_reads.fetch_add(1, Relaxed);
            }
            Err(error) => {
                shared.broke(&error);
                return;
            }
        }
    }
}

async fn follow(shared: &Shared, node: usize, stream: &mut ValidStream) -> io::Result<()> {
    let mut batch = Vec::new();
    while !shared.stop.load(Relaxed) {
        stream.next(&mut batch).await?;
        let now = shared.now();
        for id in &batch {
            // Every node names every transaction; it counts where it was sent to.
            let number = shared.numbers.get(id).filter(|number| **number % shared.next.len() == node);
            let Some(&number) = number else { continue };
            let Some(valid) = shared.valid.get(number) else { continue };
            // A transaction that is named twice became valid the first time.
            if valid.compare_exchange(NEVER, now, Relaxed, Relaxed).is_ok() {
                shared.valid_count.fetch_add(1, Relaxed);
                if node == 0 {
                    shared.last_valid.store(number, Relaxed);
                }
            }
        }
    }
    Ok(())
}
