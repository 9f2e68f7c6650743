//! The database server dies under load and comes back: nothing that was accepted is lost, and nobody restarts the node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bigchaindb::store::database::Database;
use bigchaindb::store::mongo::{MongoStore, Options};
use ledger::crypto::PrivateKey;
use ledger::rules::Rules;

use crate::mongod::Mongod;
use crate::rig::{Node, Setup, create, owner, until};

/// Transactions of each of the clients.
const EACH: i64 = 150;
const CLIENTS: i64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_the_server_is_killed() {
    // Without it this server confirms what it has not synced.
    let Some(mut server) = Mongod::start(&["--sync-on-commit"]) else { return };
    let node = PrivateKey::from_seed(&[1; 32]).public_key();
    let options = Options { node, compat: None, wait: Duration::from_millis(100) };
    let store = Arc::new(MongoStore::open(server.database().await, options).await.unwrap());
    let node = Node::start(Setup { rules: Rules::Strict, store: Some(store.clone()), ..Setup::default() }).await;
    let accepted = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for task in 0..CLIENTS {
        let (mut client, accepted) = (node.client().await, accepted.clone());
        clients.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            let mut refusals = 0;
            for n in 0..EACH {
                let transaction = create(&owner(), task * EACH + n);
                loop {
                    let answer = client.post(transaction.bytes().clone()).await;
                    match answer.status {
                        202 => break,
                        503 => refusals += 1,
                        other => panic!("{other}: {}", answer.text()),
                    }
                }
                accepted.fetch_add(1, Ordering::Relaxed);
                ids.push(transaction.id().to_string());
            }
            (ids, refusals)
        }));
    }
    until("a third of them", async || accepted.load(Ordering::Relaxed) > 200).await;
    server.kill9();
    until("the node to notice", async || store.failure().is_some()).await;
    server.restart();
    until("the node to notice", async || store.failure().is_none()).await;
    let (mut ids, mut refusals) = (Vec::new(), 0);
    for client in clients {
        let (accepted, refused) = client.await.unwrap();
        ids.extend(accepted);
        refusals += refused;
    }
    println!("{} accepted, {refusals} answered 503 meanwhile", ids.len());
    assert!(refusals > 0, "nobody met the server away");
    for id in ids {
        until(&id, async || node.is_valid(&id).await).await;
    }
    node.stop().await;
}
