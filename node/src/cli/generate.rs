//! `openapi`, `completions`: texts made from the program itself.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

use super::{Cli, Context, Outcome};
use crate::web::openapi;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  bigchaindb completions bash > ~/.local/share/bash-completion/completions/bigchaindb"
)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the description of the HTTP API (OpenAPI, in JSON)
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb openapi > openapi.json")]
pub struct OpenapiArgs {}

pub fn openapi() -> Outcome {
    let mut out = io::stdout();
    out.write_all(&openapi::text())?;
    writeln!(out)?;
    Ok(ExitCode::SUCCESS)
}

pub fn completions(args: &CompletionsArgs, context: &Context) -> Outcome {
    // Into memory first: clap_complete panics when its writer fails, and a closed pipe is no reason for that.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "bigchaindb", &mut script);
    if context.json {
        let answer = json!({"shell": args.shell.to_string(), "script": String::from_utf8_lossy(&script)});
        writeln!(io::stdout(), "{answer}")?;
    } else {
        io::stdout().write_all(&script)?;
    }
    Ok(ExitCode::SUCCESS)
}
