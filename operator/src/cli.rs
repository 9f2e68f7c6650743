//! The command line.
//!
//! Exit codes: 0 done, 1 failed (the reason is on standard error), 2 wrong usage.

mod crd;
mod render;
pub mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs BigchainDB nodes on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "bigchaindb-operator", version, after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the custom resource definitions
    Crd {
        /// Write a file for each into this directory instead
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Print what would be applied for the nodes of a file, with no cluster; secrets as `<generated>`
    #[command(after_help = "Example:\n  bigchaindb-operator render -f node.yaml | kubectl diff -f -")]
    Render(render::Arguments),
    Run(run::Arguments),
}

/// Runs a command.
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Crd { out } => crd::run(out.as_deref()),
        Command::Render(arguments) => render::run(&arguments),
        Command::Run(arguments) => crate::run::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
