//! `show-config`, `export-my-pubkey`: what the node knows about itself.

use std::process::ExitCode;

use serde_json::json;

use super::{Context, Outcome};
use crate::config::file;

/// Show the current configuration
///
/// Everything that is in force, from defaults, file, environment and options. Secrets are shown as 45 `x`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb -c node.json show-config")]
pub struct ConfigArgs {}

/// Export this node's public key
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb export-my-pubkey")]
pub struct PubkeyArgs {}

pub fn config(context: &Context) -> Outcome {
    let value = file::sorted(&context.load_config()?.to_masked_json());
    context.answer(file::to_text(&value), &value)?;
    Ok(ExitCode::SUCCESS)
}

pub fn pubkey(context: &Context) -> Outcome {
    match context.load_config()?.public_key {
        Some(key) => {
            context.answer(key, &json!({"public_key": key.to_string()}))?;
            Ok(ExitCode::SUCCESS)
        }
        None => anyhow::bail!("This node's public key wasn't set anywhere so it can't be exported"),
    }
}
