//! `start`, `init`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use ledger::ids::PublicKey;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Context, Outcome, nodes};
use crate::app::database::{self, DatabaseSettings};
use crate::app::{self, NodeSettings};
use crate::config::level::Level;
use crate::config::{Config, KeyringSource};
use crate::listen;
use crate::pipeline::Tuning;
use crate::store::Amount;
use crate::telemetry;
use crate::web::Limits;
use crate::ws::StreamLimits;

/// What may wait for a block. So many transactions are, at 10,000 a second and with the default delay of 120 s, far from
/// being reassigned; so many bytes, and the parsed form of them, stay within the memory that a node may use.
const BACKLOG_LIMIT: Amount = Amount { transactions: 30_000, bytes: 64 << 20 };

/// Start the node; makes a key pair and a ledger where there are none
///
/// Raises its soft limit of open files (ulimit -n) to the hard one: each connection takes one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bigchaindb start\n  BIGCHAINDB_DATABASE_PATH=/var/lib/bigchaindb bigchaindb start\n  \
                        BIGCHAINDB_DATABASE_BACKEND=mongodb bigchaindb start --dev --nodes 4"
)]
pub struct StartArgs {
    /// For trying things out: forget any configuration file, use the defaults
    #[arg(long)]
    dev: bool,
    /// With --dev and a MongoDB server: so many nodes on one database, with keys of their own and a keyring of all, kept
    /// in ./bigchaindb-dev-nodes. Their APIs listen on the configured port and each second one after it, their streams
    /// likewise
    #[arg(long, value_name = "N", default_value_t = 1, requires = "dev", value_parser = clap::value_parser!(u16).range(1..=100))]
    nodes: u16,
    /// Do not make a ledger where there is none
    #[arg(long)]
    no_init: bool,
    /// Generate a random keypair on start (the embedded store does so anyway, and keeps it)
    #[arg(long)]
    dev_allow_temp_keypair: bool,
    /// Run RethinkDB on start (not with this program: it has no RethinkDB)
    #[arg(long)]
    dev_start_rethinkdb: bool,
}

/// Make the ledger
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb init")]
pub struct InitArgs {}

/// Runs a node until SIGINT or SIGTERM.
pub fn start(args: &StartArgs, context: &Context) -> Outcome {
    if args.dev_start_rethinkdb {
        bail!("Error starting RethinkDB, reason is: this program has no RethinkDB");
    }
    let (config, remarks) = context.config(args.dev)?;
    telemetry::start(&config, args.dev)?;
    remarks.tell();
    if let Err(error) = listen::raise_descriptor_limit() {
        tracing::warn!(%error, "the limit of open files (RLIMIT_NOFILE) stays as it is: many connections may reach it");
    }
    let (workers, console) = (config.server.workers, config.log.console.level);
    let configs = if args.nodes > 1 { nodes::configurations(&config, args.nodes)? } else { vec![config] };
    let settings = configs.into_iter().map(|config| node_settings(config, !args.no_init));
    let settings = settings.collect::<anyhow::Result<Vec<NodeSettings>>>()?;
    match super::runtime(workers)?.block_on(serve(settings, context)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            // To the log, which goes to standard error too: whoever looks for the reason looks there.
            tracing::error!("{error:#}");
            let told = console <= Level::Error && !context.json;
            if told { Ok(ExitCode::FAILURE) } else { Err(error) }
        }
    }
}

async fn serve(settings: Vec<NodeSettings>, context: &Context) -> anyhow::Result<()> {
    tracing::info!("BigchainDB Version {}", super::VERSION);
    // Before anybody is told that the node serves: a signal may follow at once.
    let mut signals = StopSignals::catch().context("cannot catch signals")?;
    let keys: Vec<PublicKey> = settings.iter().map(|settings| settings.key.public_key()).collect();
    // At once: those that found a ledger together agree on one of them.
    let starting = futures_util::future::try_join_all(settings.into_iter().map(app::start));
    let nodes = tokio::select! {
        nodes = starting => nodes?,
        // A database may keep a start waiting for long.
        () = signals.wait::<fn()>(&[]) => return Ok(()),
    };
    announce(&nodes, &keys, context);
    let rereads: Vec<_> = nodes.iter().filter_map(app::Node::reread_keyring).collect();
    let stop = watch::Sender::new(false);
    let mut running: JoinSet<anyhow::Result<()>> = nodes.into_iter().map(|node| node.run_until(told(&stop))).collect();
    let mut outcome = tokio::select! {
        () = signals.wait(&rereads) => Ok(()),
        // One that ends by itself ends the others.
        Some(ended) = running.join_next() => ended?,
    };
    stop.send_replace(true);
    while let Some(ended) = running.join_next().await {
        outcome = outcome.and(ended?);
    }
    outcome
}

fn told(stop: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stop = stop.subscribe();
    async move {
        // A sender that is gone also means: stop.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

fn addresses(node: &app::Node) -> Value {
    json!({"api": node.api.to_string(), "stream": node.stream.to_string()})
}

fn announce(nodes: &[app::Node], keys: &[PublicKey], context: &Context) {
    for (node, key) in nodes.iter().zip(keys) {
        tracing::info!(api = %node.api, stream = %node.stream, %key, "the node serves");
    }
    // A node goes on without anybody who reads this.
    let _ = match (context.json, nodes) {
        (true, [node]) => context.answer("", &addresses(node)),
        (true, nodes) => {
            let each = nodes.iter().zip(keys).map(|(node, key)| {
                let mut told = addresses(node);
                told["public_key"] = json!(key.to_string());
                told
            });
            context.answer("", &json!({"nodes": each.collect::<Vec<_>>()}))
        }
        // In one write, for scripts that read along.
        (false, nodes) => {
            let line = |node: &app::Node| format!("Listening to client connections on: {}\n", node.api);
            io::stderr().write_all(nodes.iter().map(line).collect::<String>().as_bytes())
        }
    };
}

/// Makes the ledger where there is none.
pub fn init(context: &Context) -> Outcome {
    let config = context.load_config()?;
    let settings = node_settings(config, true)?;
    super::runtime(None)?.block_on(async {
        let store = database::open(&settings.database, Some(settings.key.public_key())).await?;
        let made = app::initialise(store.as_ref(), settings.rules, &settings.key).await?;
        store.close().await?;
        if !made {
            let notice = "The database already exists.\nIf you wish to re-initialize it, first drop it.";
            writeln!(io::stderr(), "{notice}")?;
        }
        if made || context.json {
            context.answer("The ledger is ready.", &json!({"initialised": made}))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn node_settings(mut config: Config, initialise: bool) -> anyhow::Result<NodeSettings> {
    super::require_supported(&config)?;
    let keypair = config.ensure_keypair().context("cannot have a key pair")?;
    let Some(keypair) = keypair else {
        bail!("Can't start BigchainDB, no keypair found. Did you run `bigchaindb configure`?");
    };
    let websocket = config.websocket.clone();
    Ok(NodeSettings {
        database: DatabaseSettings::new(&config.database),
        keyring: config.keyring.keyring(keypair.public),
        keyring_file: match config.keyring {
            KeyringSource::File { path, .. } => Some(path),
            KeyringSource::Fixed(_) => None,
        },
        key: keypair.private,
        rules: config.validation,
        initialise,
        api_bind: config.server.bind.to_string(),
        stream_bind: config.websocket.bind.to_string(),
        stream_url: Box::new(move |port| websocket.advertised_url(port)),
        statsd_host: Some(config.graphite_host.clone()),
        limits: Limits::default(),
        stream_limits: StreamLimits::default(),
        tuning: Tuning { reassign_delay: config.backlog_reassign_delay, ..Tuning::default() },
        backlog_limit: BACKLOG_LIMIT,
    })
}

/// Ctrl-C, and what a process manager sends.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// Caught and never asked for: a file that may not grow is told by the write that meets it.
    _file_size: Signal,
}

impl StopSignals {
    /// From now on these signals do not end the process at once.
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Waits for one that stops the node. SIGHUP has the keyring file read again.
    async fn wait<F: Fn()>(&mut self, rereads: &[F]) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return tracing::info!("SIGINT: stopping"),
                _ = self.terminate.recv() => return tracing::info!("SIGTERM: stopping"),
                _ = self.hangup.recv() => {
                    if rereads.is_empty() {
                        tracing::warn!(
                            "SIGHUP: there is no keyring file (keyring_file, BIGCHAINDB_KEYRING_FILE), and nothing else is \
                             read again while the node runs; it goes on"
                        );
                    } else {
                        tracing::info!("SIGHUP: reading the keyring file again");
                        rereads.iter().for_each(|reread| reread());
                    }
                }
            }
        }
    }
}
