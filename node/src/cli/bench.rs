//! `bench`: how fast is a node on this machine?

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;

use super::{Context, Outcome};
use crate::bench::fleet::{OwnDatabase, Plan};
use crate::bench::{self, Options, Target};
use crate::client::Endpoint;
use crate::secret::Secret;

/// Measure a node: accepted and valid transactions per second, latencies, memory
///
/// Signs CREATE transactions, posts them over HTTP, follows the WebSocket stream until all of them are valid, and prints
/// what came of it. Without --url it starts a node of its own in a temporary directory. Exits with 1 when not all
/// became valid.
///
/// With --backend mongodb it starts a server of MongoDB's protocol as well, or uses one that runs (--url mongodb://...), and
/// one node or several (--nodes) that share it; each transaction goes to the next node and counts as valid when that one
/// says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bigchaindb bench --count 20000\n  \
                        bigchaindb bench --url http://localhost:9984 --rate 500 --json\n  \
                        bigchaindb bench --backend mongodb --nodes 4 --count 5000")]
pub struct Args {
    /// Measure this running node, which must be on this machine; mongodb://...: use this running database server, in an
    /// empty database, which is removed afterwards
    #[arg(long, value_name = "URL")]
    url: Option<Url>,

    /// Allow a node's --url on another machine
    #[arg(long)]
    i_own_this_host: bool,

    /// Where nodes of our own keep their ledger
    #[arg(long, value_enum, default_value = "embedded")]
    backend: OwnBackend,

    /// Database server to start [default: BIGCHAINDB_TEST_MONGOD, else secantusd-rs or mongod of the PATH]
    #[arg(long, value_name = "PROGRAM", conflicts_with = "url")]
    mongod: Option<PathBuf>,

    /// Nodes of our own that share the database; more than one with --backend mongodb only
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    nodes: u8,

    /// Count the database's commands by name, which costs the nodes some time
    #[arg(long)]
    name_commands: bool,

    /// Process of the node at --url, to watch its memory and processor time
    #[arg(long, requires = "url")]
    pid: Option<u32>,

    /// Where to make the temporary directory of a node of our own [default: the system's place]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    directory: Option<PathBuf>,

    /// How many transactions
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    count: u32,

    /// Connections that post
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=4000))]
    connections: u16,

    /// Key pairs that sign, in turn
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    keys: u32,

    /// Post this many a second instead of as many as possible
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,

    /// Read this many transactions a second meanwhile; 0: none
    #[arg(long, default_value_t = 50.0, value_parser = not_negative)]
    get_rate: f64,

    /// Give up when nothing has happened for this many seconds
    #[arg(long, default_value_t = 30)]
    patience: u64,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OwnBackend {
    Embedded,
    Mongodb,
}

/// A node, or a database server.
#[derive(Clone, Debug)]
enum Url {
    Node(Endpoint),
    Database(Secret),
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("mongodb://") || text.starts_with("mongodb+srv://") {
            return Ok(Self::Database(Secret::new(text.to_owned())));
        }
        match text.parse::<Endpoint>()? {
            endpoint if endpoint.is_tls() => {
                Err(format!("`{text}`: the benchmark speaks plain HTTP only; use the node's own http:// address"))
            }
            endpoint => Ok(Self::Node(endpoint)),
        }
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && (0.0..=1e6).contains(&number) => Ok(number),
        _ => Err("expected a number from 0 to 1000000".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    not_negative(text).and_then(|number| if number > 0.0 { Ok(number) } else { Err("expected more than 0".to_owned()) })
}

pub fn run(args: Args, context: &Context) -> Outcome {
    let target = target(&args, context)?;
    let options = Options {
        target,
        count: usize::try_from(args.count)?,
        connections: usize::from(args.connections),
        keys: usize::try_from(args.keys.min(args.count))?,
        rate: args.rate,
        get_rate: args.get_rate,
        patience: Duration::from_secs(args.patience),
        progress: !args.quiet,
        salt: rand::random(),
    };
    // One thread: the load generator is to leave the cores to the node.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        // Nobody listening to Ctrl-C is no reason to stop.
        let interrupted = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
        };
        bench::run(&options, interrupted).await
    })?;
    context.answer(&report, &report.json())?;
    Ok(if report.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn target(args: &Args, context: &Context) -> anyhow::Result<Target> {
    let is_mongodb = args.backend == OwnBackend::Mongodb;
    let database = match &args.url {
        Some(Url::Node(endpoint)) => {
            ensure!(
                !is_mongodb && args.nodes == 1,
                "--url is a node here; with --backend and --nodes it must be mongodb://..."
            );
            ensure!(
                args.i_own_this_host || is_loopback(&endpoint.host),
                "{endpoint} is not this machine. A benchmark is an attack on a host that is not yours; \
                 if it is, say so with --i-own-this-host."
            );
            return Ok(Target::Running { endpoint: endpoint.clone(), pid: args.pid });
        }
        Some(Url::Database(url)) => {
            ensure!(is_mongodb, "--url is a database server here: say --backend mongodb as well");
            OwnDatabase::Url(url.clone())
        }
        None if is_mongodb => OwnDatabase::Server(database_server(args, context)?),
        None => {
            ensure!(args.nodes == 1, "The embedded store belongs to one node: say --backend mongodb for several.");
            ensure!(args.mongod.is_none(), "--mongod is a database server: say --backend mongodb as well");
            OwnDatabase::Embedded
        }
    };
    Ok(Target::Own(Plan {
        executable: context.executable.clone(),
        parent: args.directory.clone().unwrap_or_else(|| context.temporary_directory()),
        nodes: usize::from(args.nodes),
        database,
        name_commands: args.name_commands,
    }))
}

/// The program of the database server: an absolute path, as it is started elsewhere.
fn database_server(args: &Args, context: &Context) -> anyhow::Result<PathBuf> {
    let environment = &context.sources.environment;
    let variable = environment.get("BIGCHAINDB_TEST_MONGOD").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(program) = args.mongod.clone().or(variable) {
        return program
            .canonicalize()
            .with_context(|| format!("the database server `{}` is not there", program.display()));
    }
    let path = environment.get("PATH").map_or("", String::as_str);
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    let mut programs =
        folders.flat_map(|folder| ["secantusd-rs", "mongod"].map(|name| PathBuf::from(folder).join(name)));
    match programs.find(|program| program.is_file()) {
        Some(program) => Ok(program.canonicalize()?),
        None => bail!(
            "There is no database server to start. Install MongoDB (`mongod`), or `cargo install secantus-mdb` \
             (`secantusd-rs`; `make bench-mongodb` builds it), or name one with --mongod or BIGCHAINDB_TEST_MONGOD; or use one \
             that runs with --url mongodb://..."
        ),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, expected) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("10.0.0.1", false),
            ("example.com", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
