//! Cases that BigchainDB 1.0.1 (or its libraries) judged, held against this crate.
//!
//! Judges every case of every file in `tests/data`, or in the folder that `BIGCHAINDB_VECTORS` names. A file that is
//! not there is reported. Fails on any difference and when nothing was judged. Arguments are libtest's as far as
//! `cargo test` passes them on: names to select files, `--list`, `--skip`, `--exact`.

mod blocks;
mod canonical;
mod conditions;
mod ed25519;
mod elections;
mod fulfillments;
mod input;
mod keys;
mod transactions;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Judges every case of a file's text. Gives their number and a line for each that came out differently.
type Judge = fn(&str) -> (usize, Vec<String>);

const FILES: [(&str, Judge); 8] = [
    ("transactions", transactions::judge),
    ("conditions", conditions::judge),
    ("crypto-conditions-draft02", fulfillments::judge),
    ("ed25519", ed25519::judge),
    ("blocks", blocks::judge),
    ("elections", elections::judge),
    ("keys", keys::judge),
    ("canonical-json", canonical::judge),
];

fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args().skip(1));
    if arguments.list {
        FILES.iter().filter(|(name, _)| arguments.selects(name)).for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let folder = folder();
    let (mut passed, mut failed, mut filtered_out) = (0, 0, 0);
    for (name, judge) in FILES {
        if !arguments.selects(name) {
            filtered_out += 1;
            continue;
        }
        let path = folder.join(format!("{name}.json"));
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let (judged, failures) = judge(&text);
                println!("judged {judged} {name}.json");
                failures.iter().for_each(|failure| println!("  FAILED {failure}"));
                passed += judged.saturating_sub(failures.len());
                failed += failures.len();
            }
            Err(error) => println!("missing {}: {error}", path.display()),
        }
    }
    let nothing = passed + failed == 0 && filtered_out < FILES.len();
    if nothing {
        println!("no case was judged: there is no file of cases in {}", folder.display());
    }
    let good = failed == 0 && !nothing;
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered_out} filtered out; \
         finished in {:.2}s",
        if good { "ok" } else { "FAILED" },
        start.elapsed().as_secs_f64()
    );
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A relative folder is looked for here and in the workspace's root: cargo starts tests in the package's folder.
fn folder() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    match std::env::var_os("BIGCHAINDB_VECTORS").filter(|folder| !folder.is_empty()) {
        None => package.join("tests/data"),
        Some(folder) if Path::new(&folder).is_dir() => folder.into(),
        Some(folder) => package.join("../..").join(folder),
    }
}

/// The part of libtest's arguments that means something here.
#[derive(Default)]
struct Arguments {
    list: bool,
    exact: bool,
    names: Vec<String>,
    skipped: Vec<String>,
}

impl Arguments {
    fn read(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut read = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => read.list = true,
                "--exact" => read.exact = true,
                "--skip" => read.skipped.extend(arguments.next()),
                // Options of libtest with a value of their own.
                "--test-threads" | "--format" | "--color" | "--logfile" | "--shuffle-seed" | "-Z" => {
                    arguments.next();
                }
                option if option.starts_with('-') => {}
                _ => read.names.push(argument),
            }
        }
        read
    }

    fn selects(&self, name: &str) -> bool {
        let matches = |wanted: &String| if self.exact { name == wanted } else { name.contains(wanted.as_str()) };
        (self.names.is_empty() || self.names.iter().any(matches)) && !self.skipped.iter().any(matches)
    }
}
