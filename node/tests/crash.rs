//! Kills a loaded node with `kill -9` again and again: nothing that was answered with 202 may be lost.
//!
//! `CRASH_ROUNDS` (default 100) and `CRASH_SEED` (default: a new one, printed) choose the run. The seed fixes what is
//! posted and when the node is killed; how the machine schedules the processes it does not fix.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ledger::ids::TxId;
use ledger::transaction::Transaction;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

#[path = "crash/http.rs"]
mod http;
#[path = "crash/load.rs"]
mod load;
#[path = "crash/node.rs"]
#[allow(dead_code)] // Shared with the test of full disks, which uses the rest of it.
mod node;

use http::Connection;
use load::{Maker, Outcome, Work};
use node::Node;

const VERDICT_TIMEOUT: Duration = Duration::from_secs(60);

/// A round ends after 1 to so many answers.
const MAX_ANSWERS: usize = 200;

/// A round that has not got its answers by then is killed all the same.
const LOAD_TIMEOUT: Duration = Duration::from_secs(2);

#[test]
fn nothing_accepted_is_lost_when_the_node_is_killed() {
    let rounds: usize = setting("CRASH_ROUNDS").unwrap_or(100);
    let seed: u64 = setting("CRASH_SEED").unwrap_or_else(rand::random);
    eprintln!("crash: {rounds} rounds, CRASH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(&mut random);
    let mut valid = Vec::new();

    let mut node = Node::spawn(directory.path());
    let mut address = node.wait_until_ready();
    for round in 1..=rounds {
        let posted = load_and_kill(node, address, maker.round(&mut random), &mut random);
        if random.random_bool(0.3) {
            kill_while_starting(directory.path(), &mut random);
        }
        node = Node::spawn(directory.path());
        address = node.wait_until_ready();
        for tx in verdicts(address, posted) {
            valid.push(tx.id());
            maker.is_valid(tx);
        }
        if round % 10 == 0 {
            settle(address);
            node.kill();
            verify(directory.path());
            node = Node::spawn(directory.path());
            address = node.wait_until_ready();
            eprintln!("crash: round {round} of {rounds}, {} transactions valid", valid.len());
        }
    }
    assert!(valid.len() >= rounds, "only {} transactions in {rounds} rounds: that is no load", valid.len());
    let mut ledger = Connection::open(address).unwrap();
    for id in &valid {
        assert_eq!(status(&mut ledger, "transaction_id", id).as_deref(), Some("valid"), "{id} is no longer valid");
    }
    settle(address);
    node.kill();
    verify(directory.path());
    eprintln!("crash: {} transactions, all of them valid still; the ledger is clean", valid.len());
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Kills the node in the middle of what it is told, or shortly after, when blocks and votes are written.
fn load_and_kill(node: Node, address: SocketAddr, queues: Vec<Vec<Work>>, random: &mut StdRng) -> Vec<(Work, Outcome)> {
    let enough = random.random_range(1..=MAX_ANSWERS);
    let pause = Duration::from_micros(random.random_range(0..=30_000));
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        let load = scope.spawn(|| load::post(address, queues, &answered));
        let deadline = Instant::now() + LOAD_TIMEOUT;
        while answered.load(Ordering::Relaxed) < enough && Instant::now() < deadline {
            thread::yield_now();
        }
        thread::sleep(pause);
        let console = node.kill();
        assert!(!console.iter().any(|line| line.contains("panicked")), "{}", console.join("\n"));
        load.join().unwrap()
    })
}

/// Recovery is interrupted too.
fn kill_while_starting(directory: &Path, random: &mut StdRng) {
    let node = Node::spawn(directory);
    thread::sleep(Duration::from_micros(random.random_range(0..=60_000)));
    node.kill();
}

/// Waits for the verdict on everything that was posted and gives the valid ones. Panics when an accepted transaction
/// is lost.
fn verdicts(address: SocketAddr, posted: Vec<(Work, Outcome)>) -> Vec<Transaction> {
    let mut ledger = Connection::open(address).unwrap();
    let mut valid = Vec::new();
    let mut blocks = BTreeSet::new();
    for (work, outcome) in posted {
        if outcome == Outcome::Refused {
            continue;
        }
        let id = work.tx.id();
        let rival_valid = |ledger: &mut Connection| work.rival.is_some_and(|rival| is_valid_at_last(ledger, &rival));
        if is_valid_at_last(&mut ledger, &id) {
            assert!(!rival_valid(&mut ledger), "{id} and a rival are both valid: a double spend");
            blocks.extend(blocks_of(&mut ledger, &id));
            valid.push(work.tx);
        } else if outcome == Outcome::Accepted {
            assert!(rival_valid(&mut ledger), "{id} was answered with 202 and is lost");
        }
    }
    for block in blocks {
        assert_eq!(status(&mut ledger, "block_id", &block).as_deref(), Some("valid"), "block {block}");
        assert_ne!(list(&mut ledger, &format!("/api/v1/votes?block_id={block}")).len(), 0, "block {block} has no vote");
    }
    valid
}

/// Whether a transaction ends up valid (`true`) or unknown (`false`).
fn is_valid_at_last(ledger: &mut Connection, id: &TxId) -> bool {
    let deadline = Instant::now() + VERDICT_TIMEOUT;
    loop {
        match status(ledger, "transaction_id", id).as_deref() {
            Some("valid") => return true,
            None => return false,
            Some(waiting) => assert!(Instant::now() < deadline, "{id} is still {waiting}"),
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn status(ledger: &mut Connection, of: &str, id: &impl Display) -> Option<String> {
    let answer = ledger.get(&format!("/api/v1/statuses?{of}={id}")).unwrap();
    if answer.status == 404 {
        return None;
    }
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    Some(body["status"].as_str().unwrap().to_owned())
}

fn blocks_of(ledger: &mut Connection, id: &TxId) -> Vec<String> {
    let blocks = list(ledger, &format!("/api/v1/blocks?transaction_id={id}"));
    blocks.iter().map(|block| block.as_str().unwrap().to_owned()).collect()
}

fn list(ledger: &mut Connection, path: &str) -> Vec<serde_json::Value> {
    let answer = ledger.get(path).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// Waits until nothing is left to be decided: a transaction whose client got no answer may stand in a second block.
fn settle(address: SocketAddr) {
    let mut ledger = Connection::open(address).unwrap();
    let deadline = Instant::now() + VERDICT_TIMEOUT;
    loop {
        let text = ledger.get("/metrics").unwrap().body;
        let is_zero = |name: &str| text.lines().any(|line| line == format!("bigchaindb_{name} 0"));
        if is_zero("backlog_transactions") && is_zero("undecided_blocks") {
            return;
        }
        assert!(Instant::now() < deadline, "something is not decided:\n{text}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The whole ledger is in order, and every block in it is decided.
fn verify(directory: &Path) {
    let output = node::command(directory, &["--json", "verify"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`bigchaindb verify` failed:\n{said}\n{errors}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["clean"], true, "{report}");
    assert_eq!(report["undecided"], 0, "{report}");
}
