//! The benchmark: signs transactions beforehand, drives a node over real HTTP, follows its WebSocket stream and says what
//! came of it, beside the floor that no node can be below. Or several nodes on one database.

mod connection;
mod counters;
pub mod fleet;
mod floor;
mod load;
mod node;
mod prepare;
mod process;
pub mod report;
mod server;
mod stream;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::client::{self, Endpoint};
use counters::Counters;
use fleet::{Borrowed, Fleet, OwnDatabase};
use load::{Load, Outcome, Workers};
use prepare::Plan;
use process::Watched;
use report::{Afterwards, Measured, Report};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which node.
    pub target: Target,
    /// How many transactions.
    pub count: usize,
    /// Connections that post.
    pub connections: usize,
    /// People that sign, in turn.
    pub keys: usize,
    /// Transactions a second; `None`: as fast as possible.
    pub rate: Option<f64>,
    /// Requests a second for one transaction by its id, while transactions are posted; 0: none.
    pub get_rate: f64,
    /// Give up when nothing has happened for this long.
    pub patience: Duration,
    /// Show progress on standard error.
    pub progress: bool,
    /// Random: two runs against one node must not post the same transactions.
    pub salt: u64,
}

/// Which node is measured.
#[derive(Clone, Debug)]
pub enum Target {
    /// One that runs already.
    Running {
        /// Its HTTP API.
        endpoint: Endpoint,
        /// Its process, if it is on this machine.
        pid: Option<u32>,
    },
    /// Nodes of its own, in temporary directories that are removed afterwards.
    Own(fleet::Plan),
}

/// Runs the benchmark to its end, or until `interrupted` is done; what it started ends in either case.
pub async fn run(options: &Options, interrupted: impl Future<Output = ()>) -> anyhow::Result<Report> {
    let run = async {
        tokio::select! {
            report = run_to_the_end(options) => report,
            () = interrupted => bail!("interrupted"),
        }
    };
    let Target::Own(fleet::Plan { database: OwnDatabase::Url(url), .. }) = &options.target else { return run.await };
    let borrowed = Borrowed::take(url, &fleet::database_name(options.salt)).await?;
    let report = run.await;
    borrowed.give_back().await.context("the database of the benchmark is not removed")?;
    report
}

async fn run_to_the_end(options: &Options) -> anyhow::Result<Report> {
    let plan = match &options.target {
        Target::Running { endpoint, pid } => {
            let workers = Workers { nodes: pid.map(|pid| Watched::new(&[pid])), server: None };
            return measure(options, std::slice::from_ref(endpoint), workers).await;
        }
        Target::Own(plan) => plan,
    };
    let mut fleet = Fleet::start(plan, options.salt).await?;
    let server = fleet.server_pid().map(|pid| Watched::new(&[pid]));
    let workers = Workers { nodes: Some(Watched::new(&fleet.pids())), server };
    let outcome = measure(options, &fleet.endpoints(), workers).await;
    let mut report = outcome.map_err(|error| error.context(fleet.last_words()))?;
    if let Some((start_time, pid)) = fleet.restart().await? {
        let directory = fleet.directory(&plan.database);
        report.afterwards = Some(Afterwards {
            start_seconds: start_time.as_secs_f64(),
            memory: Watched::new(&[pid]).resident(),
            stored: directory.and_then(|directory| size_of(directory).ok()),
            stored_on: directory.and_then(file_system),
        });
    }
    fleet.stop().await?;
    Ok(report)
}

async fn measure(options: &Options, endpoints: &[Endpoint], workers: Workers) -> anyhow::Result<Report> {
    let plan = Plan { count: options.count, keys: options.keys, salt: options.salt };
    let mut stream_urls = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        stream_urls.push(stream_url(endpoint).await?);
    }
    let idle = workers.memory();

    let bar = progress_bar(options, "signing");
    let signing = bar.clone();
    let targets = endpoints.to_vec();
    let prepared = tokio::task::spawn_blocking(move || prepare::prepare(&plan, &targets, &signing)).await??;
    bar.finish_and_clear();
    let keys = plan.private_keys();
    let (prepared, floor_us) = tokio::task::spawn_blocking(move || {
        let floor = floor::measure(&prepared, &keys);
        (prepared, floor)
    })
    .await?;

    let bar = progress_bar(options, "posting");
    let counted = Counters::read(endpoints).await;
    let before = cpu(&workers);
    let load = Load::new(options, endpoints.to_vec(), Arc::new(prepared), workers.clone());
    let outcome: Outcome = load.run(&stream_urls, &bar).await?;
    let after = cpu(&workers);
    let counters = Counters::read(endpoints).await.zip(counted).map(|(after, before)| after.since(&before));
    bar.finish_and_clear();
    let measured = Measured { nodes: endpoints.len(), floor_us: floor_us?, idle, cpu: before.zip(after), counters };
    Ok(Report::new(options, outcome, measured))
}

/// Processor times up to one moment.
#[derive(Clone, Copy, Debug)]
pub struct CpuTimes {
    /// When they were read.
    pub at: Instant,
    /// Of everything that runs on this machine.
    pub machine: Option<Duration>,
    /// Of the nodes, if they can be watched.
    pub nodes: Option<Duration>,
    /// Of the database server, if it can be watched.
    pub server: Option<Duration>,
    /// Of the load generator.
    pub generator: Duration,
}

fn cpu(workers: &Workers) -> Option<CpuTimes> {
    let of = |watched: &Option<Watched>| watched.as_ref().and_then(Watched::cpu);
    Some(CpuTimes {
        at: Instant::now(),
        machine: process::machine_cpu(),
        nodes: of(&workers.nodes),
        server: of(&workers.server),
        generator: Watched::new(&[std::process::id()]).cpu()?,
    })
}

/// The address of the WebSocket stream, as the node itself tells it.
async fn stream_url(endpoint: &Endpoint) -> anyhow::Result<String> {
    let answer = client::get(endpoint, "/api/v1/").await?;
    let url = answer.json()["streams"].as_str().map(str::to_owned);
    url.with_context(|| format!("{endpoint} is no BigchainDB node: its /api/v1/ names no stream"))
}

fn progress_bar(options: &Options, what: &'static str) -> ProgressBar {
    let target = if options.progress { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(u64::try_from(options.count).ok(), target);
    let template = "{prefix:>8} [{bar:40}] {pos}/{len} {per_sec:>12} {msg}";
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(what)
}

/// Bytes of all files below a directory.
fn size_of(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// What kind of file system a directory is on: a benchmark of durable writes means little in memory.
fn file_system(directory: &Path) -> Option<String> {
    const TMPFS: u64 = 0x0102_1994;
    const OVERLAY: u64 = 0x794c_7630;
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    let kind = u64::try_from(rustix::fs::statfs(directory).ok()?.f_type).ok()?;
    Some(match kind {
        TMPFS => "tmpfs (memory: writes cost nothing here)".to_owned(),
        OVERLAY => "overlayfs".to_owned(),
        EXT => "ext4".to_owned(),
        XFS => "xfs".to_owned(),
        other => format!("file system type {other:#x}"),
    })
}
