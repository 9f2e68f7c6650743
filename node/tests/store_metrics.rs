//! What `/metrics` tells of the store.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::sync::Arc;

use bigchaindb::app;
use bigchaindb::metrics::Metrics;
use bigchaindb::store::Store;
use bigchaindb::store::database::Database;
use bigchaindb::store::embedded::{EmbeddedStore, Options};

#[path = "crash/http.rs"]
#[allow(dead_code)] // Shared with the crash tests, which use all of it.
mod http;
#[path = "crash/node.rs"]
#[allow(dead_code)] // As above.
mod node;
#[path = "store_conformance/world.rs"]
#[allow(dead_code)] // Shared with the conformance suite, which uses all of it.
mod world;

use world::{block, create, entry, initialise, taken};

/// The value of a sample.
fn sample(text: &str, name: &str) -> f64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no sample `{name}` in:\n{text}")).parse().unwrap()
}

#[test]
fn what_waits_in_the_store_is_told_and_how_long_it_works() {
    world::run(async {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(directory.path(), Options::default()).unwrap());
        let metrics = Arc::new(Metrics::new());
        let watched: Arc<dyn Database> = store.clone();
        app::database::watch(&watched, &metrics);
        initialise(store.as_ref()).await;
        let [one, two, three] = ["1", "2", "3"].map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}")));
        store.write_backlog(vec![entry(&one, 1, 1), entry(&two, 1, 1), entry(&three, 1, 1)]).await.unwrap();
        store.write_block(block(&[&one], 1), &taken()).await.unwrap();
        store.locate(&[one.id()]).await.unwrap();
        let text = metrics.render();
        assert_eq!(sample(&text, "bigchaindb_backlog_transactions"), 2.0);
        assert_eq!(sample(&text, "bigchaindb_backlog_bytes"), (two.bytes().len() + three.bytes().len()) as f64);
        assert_eq!(sample(&text, "bigchaindb_undecided_blocks"), 1.0);
        assert_eq!(sample(&text, "bigchaindb_store_seconds_count{work=\"commit\"}"), 3.0);
        assert!(sample(&text, "bigchaindb_store_seconds_sum{work=\"commit\"}") > 0.0);
        assert_eq!(sample(&text, "bigchaindb_store_seconds_count{work=\"look_up\"}"), 1.0);
    });
}

#[test]
fn a_node_tells_it_to_whoever_scrapes() {
    let directory = tempfile::tempdir().unwrap();
    let node = node::Node::spawn(directory.path());
    let mut connection = http::Connection::open(node.wait_until_ready()).unwrap();
    let unknown = format!("/api/v1/statuses?transaction_id={}", "0".repeat(64));
    assert_eq!(connection.get(&unknown).unwrap().status, 404);
    let text = connection.get("/metrics").unwrap().body;
    for name in ["backlog_transactions", "backlog_bytes", "undecided_blocks"] {
        assert_eq!(sample(&text, &format!("bigchaindb_{name}")), 0.0);
    }
    // That of the genesis block may have come there already.
    assert!(sample(&text, "bigchaindb_unindexed_transactions") <= 1.0);
    assert!(sample(&text, "bigchaindb_store_seconds_count{work=\"look_up\"}") >= 1.0);
}
