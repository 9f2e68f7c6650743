//! `key`: key pairs of people, not of the node.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::{Context, Outcome};
use crate::config::keypair::Keypair;

/// Make key pairs
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  bigchaindb key new --output alice.json")]
pub enum Command {
    New(NewArgs),
}

/// Make a key pair
///
/// Prints both keys as JSON, or, with --output, writes them to a new file that only you can read and prints the public
/// one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb key new --output alice.json")]
pub struct NewArgs {
    /// Write to this file, which must not exist
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(command: &Command, context: &Context) -> Outcome {
    let Command::New(args) = command;
    let pair = Keypair::generate()?;
    match &args.output {
        Some(path) => {
            pair.write_new(path)?;
            context.answer(pair.public, &json!({"public": pair.public.to_string(), "path": path.to_string_lossy()}))?;
        }
        None => context.answer(format!("{:#}", pair.to_json()), &pair.to_json())?,
    }
    Ok(ExitCode::SUCCESS)
}
