//! `tx status`.

use std::time::{Duration, Instant};

use ledger::ids::TxId;

use super::send::{progress, wait_for};
use super::{Context, Outcome, block_on, endpoint_or_default};
use crate::client::Endpoint;

/// Ask how far a transaction is
///
/// `valid`, `undecided`, `backlog`, `rejected` with the broken rule, or `unknown`. Exits with 0 only when it is valid.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb tx status 5e1b0d2a... --wait")]
pub struct Args {
    /// The transaction
    id: TxId,

    /// Ask this node [default: $BIGCHAINDB_URL or http://localhost:9984]
    #[arg(long, value_name = "URL")]
    url: Option<Endpoint>,

    /// Wait until it is valid or rejected
    #[arg(long)]
    wait: bool,

    /// How long to wait, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

pub fn run(args: &Args, context: &Context) -> Outcome {
    let endpoint = endpoint_or_default(args.url.as_ref(), context)?;
    let progress = block_on(async {
        if args.wait {
            wait_for(&endpoint, &args.id, Instant::now(), Duration::from_secs(args.timeout)).await
        } else {
            progress(&endpoint, &args.id).await
        }
    })?;
    context.answer(&progress, &progress.json(&args.id))?;
    Ok(progress.exit_code(true))
}
