//! `bench --backend mongodb`: that it measures, and what it leaves behind.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::mongod::{self, Mongod};
use crate::program::Place;

const LOAD: [&str; 10] =
    ["bench", "--backend", "mongodb", "--count", "200", "--connections", "8", "--get-rate", "10", "--quiet"];

fn place() -> Place {
    let mut place = Place::new();
    std::fs::create_dir(place.path("tmp")).unwrap();
    let directory = place.path("tmp");
    place.env("TMPDIR", directory.to_str().unwrap());
    place
}

/// Runs the load with these further arguments, on a server of the program's own; `None`: there is no such program.
fn report(place: &mut Place, arguments: &[&str]) -> Option<Value> {
    // Says loudly if it is not there.
    drop(Mongod::start(&[])?);
    place.env("BIGCHAINDB_TEST_MONGOD", mongod::program()?.to_str().unwrap());
    let report = place.run(&[&LOAD[..], &["--json"], arguments].concat()).ok();
    // Nothing of a server or a node is left.
    assert_eq!(std::fs::read_dir(place.path("tmp")).unwrap().count(), 0);
    Some(serde_json::from_str(&report).unwrap())
}

#[test]
fn a_node_on_a_server_of_its_own_is_measured() {
    let mut place = place();
    // A node of this shell is not the benchmark's.
    place.env("BIGCHAINDB_DATABASE_BACKEND", "mongodb").env("BIGCHAINDB_DATABASE_URL", "mongodb://127.0.0.1:1");
    let Some(report) = report(&mut place, &[]) else { return };
    assert_eq!((&report["accepted"], &report["valid"], &report["nodes"]), (&200.into(), &200.into(), &1.into()));
    for figure in [
        "accepted_per_second",
        "valid_per_second",
        "memory_peak",
        "server_memory_idle",
        "server_memory_peak",
        "server_cpu_us_per_transaction",
        "stored_bytes",
        "restart_seconds",
        "commands_per_block",
        "commands_per_transaction",
    ] {
        assert!(report[figure].as_f64().is_some_and(|number| number > 0.0), "{figure}: {report}");
    }
    assert!(report["blocks"].as_u64() > Some(0) && report["votes"].as_u64() > Some(0), "{report}");
    let commands: BTreeMap<String, u64> = serde_json::from_value(report["commands"].clone()).unwrap();
    assert_eq!(commands.keys().collect::<Vec<_>>(), ["any"]);
}

#[test]
fn nodes_that_share_a_database_are_measured_together() {
    let Some(report) = report(&mut place(), &["--nodes", "2", "--name-commands"]) else { return };
    assert_eq!((&report["accepted"], &report["valid"], &report["nodes"]), (&200.into(), &200.into(), &2.into()));
    // Nothing is valid without both votes. (A node counts a block and its vote a moment after they are written.)
    let (blocks, votes) = (report["blocks"].as_u64().unwrap(), report["votes"].as_u64().unwrap());
    assert!(votes > blocks && votes <= 2 * blocks + 2, "{report}");
    let commands: BTreeMap<String, u64> = serde_json::from_value(report["commands"].clone()).unwrap();
    for name in ["find", "getMore", "insert"] {
        assert!(commands[name] > 0 && !commands.contains_key("any"), "{commands:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_running_server_is_used_and_given_back_and_never_a_full_one() {
    let Some(server) = Mongod::start(&[]) else { return };
    let database = server.database().await;
    let before = database.client().list_database_names().await.unwrap();
    let place = place();
    let text = place.run(&[&LOAD[..], &["--url", &server.url()][..]].concat()).ok();
    assert!(text.contains("200 CREATEs over 8 connections") && text.contains("for a transaction"), "{text}");
    assert_eq!(database.client().list_database_names().await.unwrap(), before);
    // Also when somebody has had enough.
    let slow = ["bench", "--backend", "mongodb", "--url", &server.url(), "--count", "10000", "--rate", "10", "--quiet"];
    let mut bench = place.command(&slow).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while database.client().list_database_names().await.unwrap() == before {
        assert!(Instant::now() < deadline && bench.try_wait().unwrap().is_none());
    }
    kill_process(Pid::from_raw(i32::try_from(bench.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(1));
    assert_eq!(database.client().list_database_names().await.unwrap(), before);
    let precious = database.collection::<Document>("precious");
    precious.insert_one(doc! { "a": 1 }).await.unwrap();
    let url = format!("{}/{}", server.url(), database.name());
    place.run(&[&LOAD[..], &["--url", &url][..]].concat()).failed(1, "is not empty");
    assert_eq!(precious.count_documents(doc! {}).await.unwrap(), 1);
}

#[test]
fn what_cannot_be_measured_is_told() {
    let mut place = place();
    let said = place.run(&["bench", "--backend", "mongodb"]).failed(1, "There is no database server to start");
    for hint in ["`mongod`", "make bench-mongodb", "--mongod", "BIGCHAINDB_TEST_MONGOD", "--url mongodb://"] {
        assert!(said.contains(hint), "{said}");
    }
    place.run(&["bench", "--backend", "mongodb", "--mongod", "nowhere"]).failed(1, "`nowhere` is not there");
    // It ends without having said where it listens.
    place
        .run(&["bench", "--backend", "mongodb", "--mongod", "/bin/false"])
        .failed(1, "the database server did not start");
    place.run(&["bench", "--nodes", "2"]).failed(1, "The embedded store belongs to one node");
    place.run(&["bench", "--backend", "mongodb", "--url", "http://127.0.0.1:1"]).failed(1, "it must be mongodb://");
    place.run(&["bench", "--url", "mongodb://127.0.0.1:1"]).failed(1, "say --backend mongodb as well");
    // What is found in the PATH is started.
    let folder = place.path("tmp");
    std::os::unix::fs::symlink("/bin/false", folder.join("mongod")).unwrap();
    place.env("PATH", folder.to_str().unwrap());
    place.run(&["bench", "--backend", "mongodb"]).failed(1, "the database server did not start");
}
