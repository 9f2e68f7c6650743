//! The load: connections that post, one that reads, one that follows the stream, and somebody who watches.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

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
    /// The node's largest resident memory, bytes.
    pub peak_memory: Option<u64>,
}

/// A time that never came.
pub const NEVER: u64 = u64::MAX;

/// One run.
pub struct Load {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    connections: usize,
    get_rate: f64,
    patience: Duration,
}

struct Shared {
    prepared: Arc<Vec<Prepared>>,
    start: Instant,
    /// Microseconds between two transactions, if there is a pace.
    pace: Option<f64>,
    next: AtomicUsize,
    posted: Vec<AtomicU64>,
    accepted: Vec<AtomicU64>,
    valid: Vec<AtomicU64>,
    accepted_count: AtomicUsize,
    valid_count: AtomicUsize,
    /// The transaction that became valid last; the count if none did.
    last_valid: AtomicUsize,
    stop: AtomicBool,
    resent: AtomicU64,
    failed_reads: AtomicU64,
    watched: Option<Watched>,
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
    /// Gets ready; nothing is sent.
    pub fn new(options: &Options, endpoint: Endpoint, prepared: Arc<Vec<Prepared>>, watched: Option<Watched>) -> Self {
        let never = || prepared.iter().map(|_| AtomicU64::new(NEVER)).collect::<Vec<_>>();
        let shared = Shared {
            start: Instant::now(),
            pace: options.rate.map(|rate| 1e6 / rate),
            next: AtomicUsize::new(0),
            posted: never(),
            accepted: never(),
            valid: never(),
            accepted_count: AtomicUsize::new(0),
            valid_count: AtomicUsize::new(0),
            last_valid: AtomicUsize::new(prepared.len()),
            stop: AtomicBool::new(false),
            resent: AtomicU64::new(0),
            failed_reads: AtomicU64::new(0),
            watched,
            numbers: prepared.iter().enumerate().map(|(number, prepared)| (prepared.id, number)).collect(),
            rare: Mutex::default(),
            prepared,
        };
        let (connections, get_rate, patience) = (options.connections, options.get_rate, options.patience);
        Self { shared: Arc::new(shared), endpoint, connections, get_rate, patience }
    }

    /// Posts everything and waits until all of it is valid, or until nothing happens any more.
    pub async fn run(mut self, stream_url: &str, bar: &ProgressBar) -> anyhow::Result<Outcome> {
        let mut stream = ValidStream::open(stream_url).await?;
        let authority = self.endpoint.authority();
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::open(authority.clone()).await?);
        }
        let reader = Connection::open(authority).await?;
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.start = Instant::now();
        }
        let mut tasks = JoinSet::new();
        let shared = &self.shared;
        for connection in connections {
            tasks.spawn(post_all(shared.clone(), connection));
        }
        if self.get_rate > 0.0 {
            tasks.spawn(read_some(shared.clone(), reader, self.endpoint.clone(), self.get_rate));
        }
        let follower = tokio::spawn({
            let shared = shared.clone();
            async move {
                if let Err(error) = follow(&shared, &mut stream).await {
                    shared.broke(&error);
                }
            }
        });
        let peak_memory = self.watch(bar, &follower).await;
        self.shared.stop.store(true, Relaxed);
        follower.abort();
        // Whoever still waits for an answer waits for nothing that counts.
        tasks.shutdown().await;
        Ok(self.outcome(peak_memory))
    }

    async fn watch(&self, bar: &ProgressBar, follower: &tokio::task::JoinHandle<()>) -> Option<u64> {
        let shared = &self.shared;
        let mut peak_memory = None;
        let mut last = (0, Instant::now());
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            peak_memory = peak_memory.max(shared.watched.as_ref().and_then(Watched::resident));
            let (accepted, valid) = (shared.accepted_count.load(Relaxed), shared.valid_count.load(Relaxed));
            bar.set_position(u64::try_from(accepted).unwrap_or_default());
            bar.set_message(format!("valid {valid}"));
            let refused = shared.rare.lock().map_or(0, |rare| rare.refused.len());
            if valid + refused >= shared.prepared.len() || follower.is_finished() {
                return peak_memory;
            }
            if last.0 != accepted + valid {
                last = (accepted + valid, Instant::now());
            } else if last.1.elapsed() > self.patience {
                shared.broke(&io::Error::other(format!("nothing happened for {} s", self.patience.as_secs())));
                return peak_memory;
            }
        }
    }

    fn outcome(&self, peak_memory: Option<u64>) -> Outcome {
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
            peak_memory,
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

async fn post_all(shared: Arc<Shared>, mut connection: Connection) {
    while !shared.stop.load(Relaxed) {
        let number = shared.next.fetch_add(1, Relaxed);
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

async fn follow(shared: &Shared, stream: &mut ValidStream) -> io::Result<()> {
    let mut batch = Vec::new();
    while !shared.stop.load(Relaxed) {
        stream.next(&mut batch).await?;
        let now = shared.now();
        for id in &batch {
            let Some(&number) = shared.numbers.get(id) else { continue };
            let Some(valid) = shared.valid.get(number) else { continue };
            // A transaction that is named twice became valid the first time.
            if valid.compare_exchange(NEVER, now, Relaxed, Relaxed).is_ok() {
                shared.valid_count.fetch_add(1, Relaxed);
                shared.last_valid.store(number, Relaxed);
            }
        }
    }
    Ok(())
}
