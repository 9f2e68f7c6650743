//! Federations of nodes in simulated time: the pipelines, as they are, over a database in memory, with clients, and with
//! whatever may go wrong drawn from a seed. A seed is a schedule; it goes the same way each time.
//!
//! `BIGCHAINDB_SCHEDULES` (default 1,000) says how many there are, `BIGCHAINDB_SEED` where they begin;
//! `BIGCHAINDB_SCHEDULE` runs one alone and prints what happens in it.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

#[path = "simulation/corpus.rs"]
mod corpus;
#[path = "simulation/database.rs"]
mod database;
#[path = "simulation/feed.rs"]
mod feed;
#[path = "simulation/invariants.rs"]
mod invariants;
#[path = "simulation/keyring.rs"]
mod keyring;
#[path = "simulation/nodes.rs"]
mod nodes;
#[path = "simulation/plan.rs"]
mod plan;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/store.rs"]
mod store;
#[path = "simulation/world.rs"]
mod world;

/// Schedules that run at once, each on a thread.
const AT_ONCE: u64 = 2;

/// Failures after which no more are looked for.
const ENOUGH: usize = 5;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

#[test]
fn every_schedule_keeps_the_promises() {
    if let Some(seed) = setting("BIGCHAINDB_SCHEDULE") {
        return replay(seed);
    }
    let wanted = setting("BIGCHAINDB_SCHEDULES").unwrap_or(1000);
    // The seeds of one run are far from those of the next.
    let first = setting("BIGCHAINDB_SEED").unwrap_or(1) << 32;
    let next = AtomicU64::new(0);
    let (failures, counts) = (Mutex::new(Vec::new()), Mutex::new(run::Counts::default()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= wanted || failures.lock().unwrap().len() >= ENOUGH {
                        return;
                    }
                    let outcome = run::run(first + n, false);
                    *counts.lock().unwrap() += outcome.counts;
                    if let Some(failure) = outcome.failure {
                        eprintln!("BIGCHAINDB_SCHEDULE={}: {failure}", first + n);
                        failures.lock().unwrap().push((first + n, failure));
                    }
                }
            });
        }
    });
    let ran = next.into_inner().min(wanted);
    eprintln!("simulation: {ran} schedules from seed {first} on: {:?}", counts.into_inner().unwrap());
    let failures = failures.into_inner().unwrap();
    if let Some((seed, failure)) = failures.first() {
        panic!(
            "{failure}\nsee it happen: BIGCHAINDB_SCHEDULE={seed} cargo test -p bigchaindb --test simulation every_schedule"
        );
    }
}

/// Runs one schedule and tells all of it.
fn replay(seed: u64) {
    let outcome = run::run(seed, true);
    println!("{:#?}\n{}", plan::Plan::new(seed), outcome.trace);
    if let Some(failure) = outcome.failure {
        panic!("{failure}");
    }
}

#[test]
fn a_seed_goes_the_same_way_each_time() {
    for seed in 0..50 {
        let [one, two] = [false, true].map(|verbose| run::run(seed, verbose));
        assert_eq!((one.hash, one.failure), (two.hash, two.failure), "seed {seed}");
    }
    let hashes: std::collections::BTreeSet<u64> = (0..50).map(|seed| run::run(seed, false).hash).collect();
    assert_eq!(hashes.len(), 50, "each seed is another schedule");
}
