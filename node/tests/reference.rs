//! The pages of `docs/reference/generated` are what the program says of itself.
//!
//! `make generate` (`REGENERATE=1`) writes them anew.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bigchaindb::cli::Cli;
use bigchaindb::config::settings::{Backend, settings};
use bigchaindb::metrics::Metrics;
use bigchaindb::metrics::database::Depths;
use bigchaindb::web::openapi;
use clap::CommandFactory;

fn check(name: &str, fresh: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/generated").join(name);
    if std::env::var_os("REGENERATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, fresh).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "docs/reference/generated/{name} is out of date: run `make generate` and commit it");
}

#[test]
fn openapi_document() {
    check("openapi.json", &(serde_json::to_string_pretty(&openapi::document()).unwrap() + "\n"));
}

#[test]
fn command_line() {
    let mut page = String::new();
    let mut program = Cli::command().term_width(100);
    program.build();
    describe(&mut program, "bigchaindb", &mut page);
    check("cli.md", &page);
}

fn describe(command: &mut clap::Command, name: &str, page: &mut String) {
    write!(page, "## {name}\n\n```text\n").unwrap();
    for line in command.render_long_help().to_string().trim_end().lines() {
        writeln!(page, "{}", line.trim_end()).unwrap();
    }
    page.push_str("```\n\n");
    for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
        let name = format!("{name} {}", inner.get_name());
        describe(inner, &name, page);
    }
}

#[test]
fn configuration() {
    let table = |backend: Backend, beginning: &str| {
        let mut page = "| setting | environment variable | default |\n|---|---|---|\n".to_owned();
        for setting in settings(backend).filter(|setting| setting.path.starts_with(beginning)) {
            let default = setting.default();
            writeln!(page, "| `{}` | `{}` | `{default}` |", setting.path, setting.variable()).unwrap();
        }
        page
    };
    check("configuration.md", &table(Backend::Embedded, ""));
    check("configuration-mongodb.md", &table(Backend::MongoDb, "database."));
}

#[test]
fn metrics() {
    let metrics = Metrics::new();
    // What has labels shows itself only once it was counted.
    let took = Duration::from_millis(1);
    metrics.clients.answered("/", 200, took);
    metrics.clients.refused("DoubleSpend");
    metrics.database.committed(took);
    metrics.database.watch(|| Depths { commands: vec![("find", 1)], ..Depths::default() });
    metrics.voted(true, 1);
    metrics.worked("vote", took);
    metrics.decided(true, 1);
    metrics.rejected("DoubleSpend");
    let text = metrics.render();
    let mut page = "| metric | type | labels | what |\n|---|---|---|---|\n".to_owned();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let help = text.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} ")));
        let help = help.unwrap_or_else(|| panic!("{name} says nothing of itself")).trim_end_matches('.');
        // Counters are scraped under this name.
        let suffix = if kind == "counter" { "_total" } else { "" };
        let labels = labels(&text, name).join(", ");
        writeln!(page, "| `{name}{suffix}` | {kind} | {labels} | {help} |").unwrap();
    }
    check("metrics.md", &page);
}

/// Names of the labels in a metric's samples, but for the one that makes a histogram.
fn labels(text: &str, metric: &str) -> Vec<String> {
    let samples = text.lines().filter(|line| line.starts_with(metric));
    let sets = samples.filter_map(|line| Some(line.split_once('{')?.1.split_once('}')?.0));
    let names = sets.flat_map(|set| set.split(',')).filter_map(|label| Some(label.split_once('=')?.0));
    let names: BTreeSet<&str> = names.filter(|name| *name != "le").collect();
    names.into_iter().map(|name| format!("`{name}`")).collect()
}
