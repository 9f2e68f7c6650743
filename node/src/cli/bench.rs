//! `bench`: how fast is a node on this machine?

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{Context, Outcome};
use crate::bench::{self, Options, Target};
use crate::client::Endpoint;

/// Measure a node: accepted and valid transactions per second, latencies, memory
///
/// Signs CREATE transactions, posts them over HTTP, follows the WebSocket stream until all of them are valid, and prints
/// what came of it. Without --url it starts a node of its own in a temporary directory. Exits with 1 when not all
/// became valid.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bigchaindb bench --count 20000\n  \
                        bigchaindb bench --url http://localhost:9984 --rate 500 --json")]
pub struct Args {
    /// Measure this running node, which must be on this machine
    #[arg(long, value_name = "URL")]
    url: Option<Endpoint>,

    /// Allow a --url on another machine
    #[arg(long)]
    i_own_this_host: bool,

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
    let target = match args.url {
        Some(endpoint) => {
            anyhow::ensure!(
                args.i_own_this_host || is_loopback(&endpoint.host),
                "{endpoint} is not this machine. A benchmark is an attack on a host that is not yours; \
                 if it is, say so with --i-own-this-host."
            );
            Target::Running { endpoint, pid: args.pid }
        }
        None => Target::Own {
            executable: context.executable.clone(),
            parent: args.directory.unwrap_or_else(|| context.temporary_directory()),
        },
    };
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
        tokio::select! {
            report = bench::run(&options) => report,
            // Returning ends a node of our own and removes its directory.
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                anyhow::bail!("interrupted")
            }
        }
    })?;
    context.answer(&report, &report.json())?;
    Ok(if report.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
