//! The `bigchaindb-operator` program: takes arguments and hands over.

use std::process::ExitCode;

use bigchaindb_operator::cli::{self, Cli};
use clap::Parser;

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
