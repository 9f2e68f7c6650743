//! `start`, `init`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Context, Outcome};
use crate::app::database::{self, DatabaseSettings};
use crate::app::{self, NodeSettings};
use crate::config::Config;
use crate::config::level::Level;
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
#[command(after_help = "Example:\n  bigchaindb start\n  BIGCHAINDB_DATABASE_PATH=/var/lib/bigchaindb bigchaindb start")]
pub struct StartArgs {
    /// For trying things out: forget any configuration file, use the defaults
    #[arg(long)]
    dev: bool,
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
    let settings = node_settings(config, !args.no_init)?;
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

async fn serve(settings: NodeSettings, context: &Context) -> anyhow::Result<()> {
    tracing::info!("BigchainDB Version {}", super::VERSION);
    // Before anybody is told that the node serves: a signal may follow at once.
    let signals = StopSignals::catch().context("cannot catch signals")?;
    let node = app::start(settings).await?;
    // A node goes on without anybody who reads this.
    let _ = if context.json {
        context.answer("", &json!({"api": node.api.to_string(), "stream": node.stream.to_string()}))
    } else {
        // In one write, for scripts that read along.
        io::stderr().write_all(format!("Listening to client connections on: {}\n", node.api).as_bytes())
    };
    tracing::info!(api = %node.api, stream = %node.stream, "the node serves");
    node.run_until(signals.wait()).await
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

    /// Waits for one that stops the node.
    async fn wait(mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return tracing::info!("SIGINT: stopping"),
                _ = self.terminate.recv() => return tracing::info!("SIGTERM: stopping"),
                _ = self.hangup.recv() => tracing::warn!(
                    "SIGHUP: this version reads its configuration and its keyring at start only, nothing is read again \
                     and the node goes on; start it anew for a changed keyring"
                ),
            }
        }
    }
}
