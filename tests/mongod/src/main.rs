//! Takes the place of MongoDB's `mongod` in tests: one member of a replica set whose data `secantusd-rs` keeps.

mod authorization;
mod backend;
mod commands;
mod compatibility;
mod config;
mod connection;
mod error;
mod files;
mod listener;
mod log;
mod login;
mod replica_set;
mod server;
mod subject;
mod tls;
mod users;
mod version;
mod wire;

use std::process::ExitCode;

use config::Settings;
use config::arguments::{self, Asked, HELP};
use version::Version;

/// MongoDB manual, "Exit Codes and Statuses": wrong options.
const BAD_OPTIONS: u8 = 2;

fn main() -> ExitCode {
    let all: Vec<String> = std::env::args().collect();
    if let [_, first, parent, program, rest @ ..] = all.as_slice()
        && first == backend::LAUNCH
    {
        eprintln!("{}", backend::launch(parent, program, rest));
        return ExitCode::FAILURE;
    }
    match asked(all) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(settings)) => {
            if let Some(file) = &settings.log
                && let Err(error) = log::open(file)
            {
                eprintln!("Failed to open {}: {error}", file.path.display());
                return ExitCode::FAILURE;
            }
            ExitCode::from(server::run(settings))
        }
        Err(sentence) => {
            eprintln!("{sentence}\ntry 'mongod --help' for more information");
            ExitCode::from(BAD_OPTIONS)
        }
    }
}

/// The settings of a server that is to run; `None`: what was asked for is printed.
fn asked(all: Vec<String>) -> Result<Option<Settings>, String> {
    let version = std::env::var(version::VARIABLE).map_or(Ok(Version::DEFAULT), |text| Version::parse(&text))?;
    let flags = match arguments::read(all.get(1..).unwrap_or_default())? {
        Asked::Help => {
            println!("{HELP}");
            return Ok(None);
        }
        Asked::Version => {
            println!("db version v{version}");
            return Ok(None);
        }
        Asked::Run(flags) => flags,
    };
    let file = match &flags.config {
        Some(path) => Some(
            std::fs::read_to_string(path).map_err(|error| format!("Error opening config file '{path}': {error}"))?,
        ),
        None => None,
    };
    config::read(&flags, file.as_deref(), all, version).map(Some)
}
