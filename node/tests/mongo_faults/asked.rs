//! What a node asks of the server: how safely it writes, how exactly it reads, and how often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bigchaindb::app::wall_clock;
use bigchaindb::pipeline::Tuning;
use bigchaindb::store::mongo::{Compat, MongoStore};
use bigchaindb::store::{BacklogEntry, Store as _};
use ledger::ids::PublicKey;
use ledger::transaction::Transaction;
use mongodb::bson::{Bson, Document, doc};

use crate::load::World;
use crate::nodes::{key, status, transfer};
use crate::rig::{create, owner, until};
use crate::wire::proxy::{Asked, READS, WRITES};

/// Commands that neither change nor tell anything of the ledger, and `getMore`, which goes on with what was asked before.
const OTHERS: [&str; 5] = ["connectionStatus", "endSessions", "getMore", "killCursors", "ping"];

fn is_change_stream(asked: &Asked) -> bool {
    let pipeline = asked.command.get_array("pipeline").map(Vec::as_slice).unwrap_or_default();
    let first = pipeline.first().and_then(Bson::as_document);
    first.is_some_and(|stage| stage.contains_key("$changeStream"))
}

/// Writes are on disk with a majority when they are confirmed; reads are of the primary, of what a majority has, and of no
/// less than was read before.
fn check(asked: &Asked) {
    let (name, command) = (asked.name.as_str(), &asked.command);
    let at = || format!("{name} of `{}`: {command}", asked.collection);
    if WRITES.contains(&name) {
        let durable = doc! { "w": "majority", "j": true };
        assert_eq!(command.get_document("writeConcern").ok(), Some(&durable), "{}", at());
    } else if READS.contains(&name) {
        let preference = command.get_document("$readPreference").ok();
        let primary = preference.is_none_or(|preference| preference.get_str("mode").ok() == Some("primary"));
        assert!(primary, "{}", at());
        // Nothing of the ledger is told by how many documents there are, or by which collections. What is read of a lease is
        // compared when it is set.
        if ["count", "listCollections", "listIndexes"].contains(&name) || asked.collection == "leases" {
            return;
        }
        let empty = Document::new();
        let concern = command.get_document("readConcern").unwrap_or(&empty);
        assert_eq!(concern.get_str("level").ok(), Some("majority"), "{}", at());
        assert!(is_change_stream(asked) || concern.get_timestamp("afterClusterTime").is_ok(), "{}", at());
    } else {
        assert!(OTHERS.contains(&name), "{}: is it a write?", at());
    }
}

fn entries(transactions: &[Arc<Transaction>], assignee: PublicKey, assigned_at: u64) -> Vec<BacklogEntry> {
    let entry = |tx: &Arc<Transaction>| BacklogEntry { transaction: tx.clone(), assignee, assigned_at };
    transactions.iter().map(entry).collect()
}

/// Has a node do everything that it ever asks the database for.
async fn check_all(compat: Compat) {
    let Some(world) = World::with(Some(compat), |_| ()).await else { return };
    let mut client = world.node.client().await;
    let asset = create(&owner(), 1);
    assert_eq!(client.post(asset.bytes().clone()).await.status, 202);
    until("the asset", async || status(&mut client, &asset).await.as_deref() == Some("valid")).await;
    // One is refused; the assignee of the other does not exist.
    let store = world.store().await;
    let rivals = [0, 1].map(|to| Arc::new(transfer(&asset, to)));
    store.write_backlog(entries(&rivals, key(0).public_key(), wall_clock()())).await.unwrap();
    let left = Arc::new(create(&owner(), 2));
    store.write_backlog(entries(std::slice::from_ref(&left), key(9).public_key(), 0)).await.unwrap();
    for path in ["/api/v1/assets?search=a", "/api/v1/outputs?public_key="] {
        client.get(&format!("{path}{}", owner().public_key())).await;
    }
    until("a rejection", async || world.documents("rejections").await.len() == 1).await;
    until("what was left", async || status(&mut client, &left).await.as_deref() == Some("valid")).await;
    world.node.stop().await;
    let asked: Vec<Asked> = world.proxy.take_asked().into_iter().filter(|a| a.database == "bigchain").collect();
    let first = asked.iter().position(|a| a.name == "find").unwrap();
    for (n, asked) in asked.iter().enumerate() {
        // The first read can know of nothing before it.
        if n != first {
            check(asked);
        }
    }
    let seen: BTreeSet<(&str, &str)> = asked.iter().map(|a| (a.name.as_str(), a.collection.as_str())).collect();
    for write in [
        ("createIndexes", "bigchain"),
        ("insert", "ledger"),
        ("insert", "backlog"),
        ("insert", "assets"),
        ("insert", "bigchain"),
        ("insert", "votes"),
        ("insert", "decisions"),
        ("update", "rejections"),
        ("update", "backlog"),
        ("delete", "backlog"),
        ("insert", "leases"),
        ("findAndModify", "leases"),
        ("update", "leases"),
        ("update", "feeds"),
    ] {
        assert!(seen.contains(&write), "{write:?} is not among {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_is_safe_and_every_read_exact() {
    check_all(Compat::Rust).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_is_safe_and_every_read_exact_beside_python_nodes() {
    check_all(Compat::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_event_tells_of_is_read_as_of_its_time() {
    let Some(world) = World::new().await else { return };
    world.proxy.events();
    let mut client = world.node.client().await;
    let store = world.store().await;
    // Half of them by another node: this one has not seen them.
    for n in 0..20 {
        let tx = Arc::new(create(&owner(), n));
        match n % 2 {
            0 => assert_eq!(client.post(tx.bytes().clone()).await.status, 202),
            _ => store.write_backlog(entries(&[tx], key(0).public_key(), wall_clock()())).await.unwrap(),
        }
    }
    until("votes", async || world.documents("backlog").await.is_empty()).await;
    world.node.stop().await;
    let reads = world.proxy.events().reads();
    assert!(reads.early.is_empty(), "without the event's time: {:?}", reads.early);
    assert!(reads.causal > 20, "{reads:?}");
}

/// What is asked from the moment when these wait for a block until the last of them is valid, by command and collection.
async fn commands_for(world: &World, store: &MongoStore, transactions: &[Arc<Transaction>]) -> BTreeMap<String, usize> {
    world.proxy.take_asked();
    store.write_backlog(entries(transactions, key(0).public_key(), wall_clock()())).await.unwrap();
    let decided = async || {
        let last = store.locate(&[transactions.last().unwrap().id()]).await.unwrap().pop().flatten();
        last.is_some_and(|located| !located.in_backlog && world.proxy.count("insert", "decisions") > 0)
    };
    until("a decision", decided).await;
    let mut times = BTreeMap::new();
    for asked in world.proxy.take_asked().into_iter().filter(|a| a.database == "bigchain") {
        *times.entry(format!("{} {}", asked.name, asked.collection)).or_default() += 1;
    }
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_takes_queries_by_the_block_not_by_the_transaction() {
    const TRANSACTIONS: i64 = 1000;
    // One block, however long it takes: nothing is renewed meanwhile, which is an update for each.
    let patient = |tuning: &mut Tuning| {
        *tuning = Tuning { block_wait: Duration::from_secs(600), ..Tuning::default() };
    };
    let Some(world) = World::with(Some(Compat::Rust), patient).await else { return };
    let store = world.store().await;
    let creates: Vec<_> = (0..TRANSACTIONS).map(|n| Arc::new(create(&owner(), n))).collect();
    let transfers: Vec<_> = creates.iter().map(|asset| Arc::new(transfer(asset, 0))).collect();
    let mut table: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for (n, transactions) in [creates, transfers].iter().enumerate() {
        for (command, times) in commands_for(&world, &store, transactions).await {
            table.entry(command).or_default()[n] = times;
        }
    }
    println!("{:<28} {:>8} {:>10}", "for 1,000 transactions", "CREATE", "TRANSFER");
    for (command, [creates, transfers]) in &table {
        println!("{command:<28} {creates:>8} {transfers:>10}");
    }
    for (command, times) in table {
        assert!(times.into_iter().all(|times| times < 100), "{command}: {times:?}");
    }
    world.node.stop().await;
}
