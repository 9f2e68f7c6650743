//! `tx sign`.

use std::path::PathBuf;
use std::process::ExitCode;

use ledger::build;

use super::{Context, KeyArgs, Outcome, parse_json, print_transaction, read_input};

/// Sign a transaction
///
/// Reads an unsigned transaction, as `tx create`, `tx transfer` or the Python driver's `prepare` make it, signs every
/// input that the keys suffice for, and prints it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb tx sign --key-file alice.json unsigned.json > signed.json")]
pub struct Args {
    #[command(flatten)]
    keys: KeyArgs,

    /// The transaction; `-`: standard input
    #[arg(default_value = "-")]
    file: PathBuf,
}

pub fn run(args: &Args, _: &Context) -> Outcome {
    let keys = args.keys.read()?;
    anyhow::ensure!(!keys.is_empty(), "Sign with what? Give --key-file.");
    let unsigned = parse_json(&read_input(&args.file)?, "the transaction")?;
    print_transaction(&build::sign(&unsigned, &keys)?)?;
    Ok(ExitCode::SUCCESS)
}
