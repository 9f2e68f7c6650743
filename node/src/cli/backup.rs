//! `backup`: a copy of a ledger, also while a node runs on it.

use std::fs::OpenOptions;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Context, Outcome};
use crate::store::embedded::backup::{Copied, backup};

/// Copy a ledger to a file, also while a node runs on it
///
/// What was answered with 202 before the command began is in the copy. The node's key pair is not: keep it apart.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bigchaindb backup ledger.backup\n  bigchaindb backup - | zstd > ledger.backup.zst"
)]
pub struct Args {
    /// The new file; `-`: standard output
    file: PathBuf,
}

pub fn run(args: &Args, context: &Context) -> Outcome {
    let config = context.load_config()?;
    super::require_embedded(&config)?;
    context.require_ledger(&config)?;
    let directory = &config.database.path;
    if args.file == Path::new("-") {
        copy(directory, io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = args.file.display().to_string();
    let file = OpenOptions::new().write(true).create_new(true).open(&args.file);
    let file = file.with_context(|| format!("`{shown}` cannot be made"))?;
    let copied = copy(directory, BufWriter::with_capacity(1 << 20, &file)).and_then(|copied| {
        file.sync_all().with_context(|| format!("`{shown}` cannot be written"))?;
        Ok(copied)
    });
    let copied = match copied {
        Ok(copied) => copied,
        Err(error) => {
            // Half a backup is none.
            std::fs::remove_file(&args.file).with_context(|| format!("`{shown}` is left over"))?;
            return Err(error);
        }
    };
    context.answer(
        format!("{} bytes of ledger are in {shown}.", copied.bytes),
        &json!({"file": shown, "bytes": copied.bytes, "records": copied.records}),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn copy(directory: &Path, out: impl io::Write) -> anyhow::Result<Copied> {
    let bar = bytes_bar();
    let copied = backup(directory, out, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    Ok(copied?)
}

/// Progress in bytes, on standard error if somebody looks at it.
pub fn bytes_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("[{bar:40}] {bytes}/{total_bytes} {bytes_per_sec}");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
