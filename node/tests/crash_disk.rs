//! What disks do to a running node. One that takes no more: the node says so and ends, and what it had answered with
//! 202 is there at the next start. One that damages the text index: the node says so and does everything else.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::{Duration, Instant};

use ledger::build::{self, Recipient};
use ledger::crypto::PrivateKey;
use ledger::ids::TxId;
use ledger::json;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustix::process::{Resource, Rlimit, prlimit};

#[path = "crash/http.rs"]
mod http;
#[path = "crash/load.rs"]
#[allow(dead_code)] // Shared with the test that kills nodes, which uses all of it.
mod load;
#[path = "crash/node.rs"]
#[allow(dead_code)] // As above.
mod node;

use http::Connection;
use load::{Maker, Outcome};
use node::Node;

const DEADLINE: Duration = Duration::from_secs(60);

/// Posts until the node ends; gives what was accepted.
fn post_until_it_ends(node: &mut Node, address: SocketAddr) -> Vec<TxId> {
    let mut random = StdRng::seed_from_u64(1);
    let mut maker = Maker::new(&mut random);
    let mut accepted = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while node.exit_code().is_none() {
        assert!(Instant::now() < deadline, "the node went on for {} transactions", accepted.len());
        let posted = load::post(address, maker.round(&mut random), &AtomicUsize::new(0));
        accepted.extend(posted.iter().filter(|(_, o)| *o == Outcome::Accepted).map(|(work, _)| work.tx.id()));
    }
    accepted
}

/// The node ended by itself with an error in words; started again, it has everything.
fn nothing_is_lost(mut node: Node, data: &Path, accepted: &[TxId], words: &str, lift: impl FnOnce()) {
    assert_eq!(node.exit_code(), Some(1));
    let console = node.kill().join("\n");
    assert!(console.contains("the database cannot be written: cannot write to the"), "{console}");
    assert!(console.contains(words) && console.contains("nothing that was confirmed is lost"), "{console}");
    assert!(!console.contains("panicked") && !console.contains("damaged"), "{console}");
    lift();
    let node = Node::spawn(data);
    let address = node.wait_until_ready();
    let mut connection = Connection::open(address).unwrap();
    let deadline = Instant::now() + DEADLINE;
    for id in accepted {
        while connection.get(&format!("/api/v1/transactions/{id}")).unwrap().status != 200 {
            assert!(Instant::now() < deadline, "{id} was answered with 202 and is not valid");
            thread::sleep(Duration::from_millis(1));
        }
    }
    drop(connection);
    let console = node.kill().join("\n");
    assert!(!console.contains("rebuilding the index"), "{console}");
    let verified = node::command(data, &["verify"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn a_log_that_may_not_grow_ends_the_node_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = Node::spawn(directory.path());
    let address = node.wait_until_ready();
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: None };
    prlimit(Some(node.pid()), Resource::Fsize, limit(300_000)).unwrap();
    let accepted = post_until_it_ends(&mut node, address);
    assert!(accepted.len() > 100, "{} transactions in 300 kB", accepted.len());
    nothing_is_lost(node, directory.path(), &accepted, "raise the limit on the size of files", || ());
}

#[test]
fn a_damaged_text_index_degrades_the_node_until_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::spawn(directory.path());
    let mut connection = Connection::open(node.wait_until_ready()).unwrap();
    let key = PrivateKey::from_seed(&[7; 32]);
    let asset = json::parse(br#"{"kind":"bicycle"}"#).unwrap();
    let recipient = Recipient { public_keys: vec![key.public_key()], amount: 1 };
    let prepared = build::create(&[key.public_key()], &[recipient], Some(asset), None).unwrap();
    let signed = build::sign(&prepared, &[key]).unwrap().to_canonical();
    assert_eq!(connection.post("/api/v1/transactions", &signed).unwrap().status, 202);
    let deadline = Instant::now() + DEADLINE;
    let found = |connection: &mut Connection| loop {
        let answer = connection.get("/api/v1/assets?search=bicycle").unwrap();
        if answer.status != 200 || answer.body.contains("bicycle") {
            return answer.status;
        }
        assert!(Instant::now() < deadline, "the asset is not found");
    };
    assert_eq!(found(&mut connection), 200);
    assert!(check(&mut connection, "search").contains("assets can be searched"));
    node.kill();

    let files = fs::read_dir(directory.path().join("data/search")).unwrap().map(|entry| entry.unwrap().path());
    let terms = files.filter(|path| path.extension().is_some_and(|e| e == "term"));
    for file in terms {
        let mut bytes = fs::read(&file).unwrap();
        bytes[3] ^= 1;
        fs::write(file, bytes).unwrap();
    }
    let node = Node::spawn(directory.path());
    let mut connection = Connection::open(node.wait_until_ready()).unwrap();
    // The files are checked after the start.
    let deadline = Instant::now() + DEADLINE;
    while !check(&mut connection, "search").contains("degraded") {
        assert!(Instant::now() < deadline, "the damage is not met");
        thread::sleep(Duration::from_millis(1));
    }
    let said = check(&mut connection, "search");
    assert!(said.contains("made anew at the next start"), "{said}");
    assert_eq!(found(&mut connection), 503);
    node.kill();

    let node = Node::spawn(directory.path());
    let mut connection = Connection::open(node.wait_until_ready()).unwrap();
    assert_eq!(found(&mut connection), 200);
    assert!(check(&mut connection, "search").contains("assets can be searched"));
}

/// One check of `/readyz`, from a node that is ready.
fn check(connection: &mut Connection, name: &str) -> String {
    let answer = connection.get("/readyz").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    body["checks"][name].to_string()
}

/// A file system in memory, of so many bytes; needs to be root.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(at).status();
        status.is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The node in it is dead by now, and if not: lazily.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_the_node_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(directory.path(), "size=3m") else {
        // Past the harness, which shows only the output of tests that fail.
        let _ = writeln!(std::io::stderr(), "0 passed, 0 failed, 1 skipped: a full disk needs the right to mount one");
        return;
    };
    let mut node = Node::spawn(&disk.0);
    let address = node.wait_until_ready();
    let accepted = post_until_it_ends(&mut node, address);
    assert!(accepted.len() > 100, "{} transactions in 3 MB", accepted.len());
    nothing_is_lost(node, &disk.0, &accepted, "free some space and start again", || {
        let larger = Command::new("mount").args(["-o", "remount,size=300m"]).arg(&disk.0).status().unwrap();
        assert!(larger.success());
    });
    fs::metadata(disk.0.join("data/FORMAT")).unwrap();
}
