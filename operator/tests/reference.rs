//! The pages of `docs/reference/generated` are what the program says of itself.
//!
//! `REGENERATE=1` writes them anew.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use bigchaindb_operator::metrics::{Action, Kind, Metrics, Outcome, Resource};

#[path = "reference/reasons.rs"]
mod reasons;
#[path = "reference/resources.rs"]
mod resources;
#[path = "schema/mod.rs"]
mod schema;

fn check(name: &str, fresh: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/generated").join(name);
    if std::env::var_os("REGENERATE").is_some() {
        fs::write(&path, fresh).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "docs/reference/generated/{name} is out of date: run this test with REGENERATE=1");
}

#[test]
fn metrics() {
    let metrics = Metrics::new();
    // What has labels shows itself only once it was counted.
    for &resource in Resource::ALL {
        for &outcome in Outcome::ALL {
            metrics.reconciled(resource, outcome, Duration::from_millis(1));
        }
    }
    for &kind in Kind::ALL {
        for &action in Action::ALL {
            metrics.applied(kind, action);
        }
    }
    let text = metrics.render();
    let mut page = "| metric | type | labels | what |\n|---|---|---|---|\n".to_owned();
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, help) = line.split_once(' ').unwrap();
        let kind = text.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap();
        // Counters are scraped under this name.
        let suffix = if kind == "counter" { "_total" } else { "" };
        let labels: Vec<_> =
            labels(&text, name).into_iter().map(|(label, values)| format!("`{label}`: {values}")).collect();
        writeln!(page, "| `{name}{suffix}` | {kind} | {} | {} |", labels.join("; "), help.trim_end_matches('.'))
            .unwrap();
    }
    check("operator-metrics.md", &page);
}

/// The labels in a metric's samples with their values, but for the one that makes a histogram.
fn labels(text: &str, metric: &str) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with(metric)) {
        let set = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(set, _)| set);
        for (label, value) in set.split(',').filter_map(|pair| pair.split_once('=')).filter(|(label, _)| *label != "le")
        {
            labels.entry(label).or_default().insert(format!("`{}`", value.trim_matches('"')));
        }
    }
    labels.into_iter().map(|(label, values)| (label.to_owned(), Vec::from_iter(values).join(", "))).collect()
}
