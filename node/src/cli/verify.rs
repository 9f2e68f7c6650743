//! `verify`: judges a whole ledger again.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;
use ledger::ids::PublicKey;
use serde_json::json;

use super::{Context, Outcome};
use crate::app;
use crate::app::database::{self, DatabaseSettings};
use crate::config::Config;
use crate::federation::Federation;
use crate::store::{Amount, Store};
use crate::verify;

/// Check a whole ledger again: ids, signatures, rules, votes, double spends
///
/// Reads the ledger of the configuration; no node may be running on an embedded store. Exits with 1 when anything is
/// wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  BIGCHAINDB_DATABASE_PATH=/var/lib/bigchaindb bigchaindb verify")]
pub struct Args {}

pub fn run(context: &Context) -> Outcome {
    let config = context.load_config()?;
    context.require_ledger(&config)?;
    super::runtime(None)?.block_on(async {
        let store = database::open(&DatabaseSettings::new(&config.database), config.public_key).await?;
        let rules = app::recorded_rules(store.as_ref(), config.validation).await?;
        let federation = federation(&config, store.as_ref()).await?;
        let shared: Arc<dyn Store> = store.clone();
        let chain = app::chain(shared, rules, federation, Amount::default());
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        let report = verify::run(&chain, |so_far| {
            bar.set_message(format!("{} blocks, {} transactions", so_far.blocks, so_far.transactions));
        })
        .await;
        bar.finish_and_clear();
        let report = report?;
        store.close().await?;
        let mut lines = report.listed.clone();
        lines.push(format!(
            "{} blocks ({} undecided), {} transactions, {} votes: {}",
            report.blocks,
            report.undecided,
            report.transactions,
            report.votes,
            match report.faults {
                0 => "clean".to_owned(),
                1 => "1 fault".to_owned(),
                n => format!("{n} faults"),
            }
        ));
        let answer = json!({
            "clean": report.faults == 0,
            "rules": rules.to_string(),
            "blocks": report.blocks,
            "undecided": report.undecided,
            "transactions": report.transactions,
            "votes": report.votes,
            "faults": report.faults,
            "listed": report.listed,
        });
        context.answer(lines.join("\n"), &answer)?;
        Ok(if report.faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Everybody whose blocks and votes count: the configured keyring, and whoever made the ledger, whose key need not be
/// here (a restored backup holds none).
async fn federation(config: &Config, store: &dyn Store) -> anyhow::Result<Federation> {
    let genesis = store.genesis().await?;
    let founder: PublicKey = genesis.header.node_pubkey.parse().context("the first block names no public key")?;
    let own = config.public_key.unwrap_or(founder);
    let mut keyring = config.keyring.keyring(own);
    keyring.known.push(founder);
    Ok(Federation::of(own, &keyring))
}
