//! The benchmark: signs transactions beforehand, drives a node over real HTTP, follows its WebSocket stream and says what
//! came of it, beside the floor that no node can be below.

mod connection;
mod floor;
mod load;
mod node;
mod prepare;
mod process;
pub mod report;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::client::{self, Endpoint};
use load::{Load, Outcome};
use node::OwnNode;
use prepare::Plan;
use process::Watched;
use report::{Afterwards, Report};

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
    /// One of its own, in a temporary directory that is removed afterwards.
    Own {
        /// The program to start.
        executable: PathBuf,
        /// Where the temporary directory is made.
        parent: PathBuf,
    },
}

/// Runs the benchmark to its end.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let (own, endpoint, pid) = match &options.target {
        Target::Running { endpoint, pid } => (None, endpoint.clone(), *pid),
        Target::Own { executable, parent } => {
            let own = OwnNode::start(executable, parent).await?;
            let (endpoint, pid) = (own.endpoint.clone(), own.pid());
            (Some(own), endpoint, Some(pid))
        }
    };
    let outcome = measure(options, &endpoint, pid).await;
    let Some(mut own) = own else { return outcome };
    let mut report = outcome.map_err(|error| error.context(own.last_words()))?;
    let start_time = own.restart().await?;
    report.afterwards = Some(Afterwards {
        start_seconds: start_time.as_secs_f64(),
        memory: Watched::new(own.pid()).resident(),
        stored: size_of(own.directory()).unwrap_or_default(),
        stored_on: file_system(own.directory()).unwrap_or_default(),
    });
    own.stop().await?;
    Ok(report)
}

async fn measure(options: &Options, endpoint: &Endpoint, pid: Option<u32>) -> anyhow::Result<Report> {
    let watched = pid.map(Watched::new);
    let plan = Plan { count: options.count, keys: options.keys, salt: options.salt };
    let stream_url = stream_url(endpoint).await?;
    let idle_memory = watched.as_ref().and_then(Watched::resident);

    let bar = progress_bar(options, "signing");
    let signing = bar.clone();
    let target = endpoint.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare::prepare(&plan, &target, &signing)).await??;
    bar.finish_and_clear();
    let keys = plan.private_keys();
    let (prepared, floor_us) = tokio::task::spawn_blocking(move || {
        let floor = floor::measure(&prepared, &keys);
        (prepared, floor)
    })
    .await?;

    let bar = progress_bar(options, "posting");
    let before = cpu(watched.as_ref());
    let load = Load::new(options, endpoint.clone(), Arc::new(prepared), watched.clone());
    let outcome: Outcome = load.run(&stream_url, &bar).await?;
    let after = cpu(watched.as_ref());
    bar.finish_and_clear();
    Ok(Report::new(options, outcome, floor_us?, idle_memory, before.zip(after)))
}

/// Processor times up to one moment.
#[derive(Clone, Copy, Debug)]
pub struct CpuTimes {
    /// When they were read.
    pub at: Instant,
    /// Of everything that runs on this machine.
    pub machine: Option<Duration>,
    /// Of the node, if it can be watched.
    pub node: Option<Duration>,
    /// Of the load generator.
    pub generator: Duration,
}

fn cpu(node: Option<&Watched>) -> Option<CpuTimes> {
    let generator = Watched::new(std::process::id()).cpu()?;
    Some(CpuTimes { at: Instant::now(), machine: process::machine_cpu(), node: node.and_then(Watched::cpu), generator })
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
