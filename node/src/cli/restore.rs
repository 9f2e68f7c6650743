//! `restore`: a ledger from a backup.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::backup::bytes_bar;
use super::{Context, Outcome, require_embedded};
use crate::store::StoreError;
use crate::store::embedded::backup::restore;

/// Make a ledger from a backup, in a directory that has none
///
/// The directory is the configuration's `database.path`. Never start the copy while the original still runs with the
/// same key: both would vote.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  BIGCHAINDB_DATABASE_PATH=/srv/ledger bigchaindb restore ledger.backup")]
pub struct Args {
    /// The backup; `-`: standard input
    file: PathBuf,
}

pub fn run(args: &Args, context: &Context) -> Outcome {
    let config = context.load_config()?;
    require_embedded(&config)?;
    let (input, length): (Box<dyn Read>, Option<u64>) = if args.file == Path::new("-") {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(&args.file).with_context(|| format!("`{}` cannot be read", args.file.display()))?;
        let length = file.metadata()?.len();
        (Box::new(file), Some(length))
    };
    let path = &config.database.path;
    let bar = bytes_bar();
    if let Some(length) = length {
        bar.set_length(length);
    }
    let copied = restore(BufReader::with_capacity(1 << 20, input), path, |done| bar.set_position(done));
    bar.finish_and_clear();
    let copied = match copied {
        Err(StoreError::AlreadyInitialised) => anyhow::bail!(
            "There is a ledger in `{}` already. Restore to another directory (BIGCHAINDB_DATABASE_PATH), or drop this one \
             first.",
            path.display()
        ),
        copied => copied?,
    };
    context.answer(
        format!("The ledger is in `{}`. `bigchaindb verify` checks it.", path.display()),
        &json!({"path": path.to_string_lossy(), "bytes": copied.bytes, "records": copied.records}),
    )?;
    Ok(ExitCode::SUCCESS)
}
