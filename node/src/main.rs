//! The `bigchaindb` program: takes arguments and environment, and hands over.

use std::process::ExitCode;

use bigchaindb::cli::{self, Cli, Process};
use clap::Parser;

/// Many small allocations on many threads: the system's allocator is the slower one here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The one place that reads the process environment.
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
    let executable = std::env::current_exe().unwrap_or_else(|_| "bigchaindb".into());
    cli::run(Cli::parse(), Process { environment, executable })
}
