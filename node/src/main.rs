//! The `bigchaindb` program: takes arguments and environment, and hands over.

use std::process::ExitCode;

use bigchaindb::cli::{self, Cli, Process};
use clap::Parser;

/// Many small allocations on many threads: the system's allocator is the slower one here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for pages of 2 MB, of which an idle node would hold more than it uses. A refusal costs memory,
    // nothing else.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // The one place that reads the process environment.
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
    let executable = std::env::current_exe().unwrap_or_else(|_| "bigchaindb".into());
    cli::run(Cli::parse(), Process { environment, executable })
}
