//! `drop`: removes a ledger.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

use super::{Context, Outcome, ask, require_supported};
use crate::app::database::{self, DatabaseSettings};

/// Drop the database
///
/// Asks first, unless -y is given. The node's key pair stays where it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb drop\n  bigchaindb -y drop")]
pub struct Args {}

pub fn run(context: &Context) -> Outcome {
    let config = context.load_config()?;
    require_supported(&config)?;
    let database = DatabaseSettings::new(&config.database);
    let name = database.name();
    let consent = context.yes || ask(&format!("Do you want to drop `{name}` database? [y/n]: "))? == "y";
    let dropped = consent && super::runtime(Some(1))?.block_on(database::drop(&database))?;
    if consent && !dropped {
        writeln!(io::stderr(), "Cannot drop '{name}'. The database does not exist.")?;
    }
    if context.json {
        context.answer("", &json!({"dropped": dropped}))?;
    }
    Ok(ExitCode::SUCCESS)
}
