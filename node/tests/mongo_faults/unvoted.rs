//! A node that ends before its vote is written, or just after.

use std::sync::Arc;
use std::time::Duration;

use bigchaindb::config::keyring::Keyring;
use bigchaindb::pipeline::Tuning;
use bigchaindb::store::{Store as _, Taken};
use ledger::block::Block;
use mongodb::bson::{Document, doc};

use crate::load::World;
use crate::logs::Lines;
use crate::mongod::Mongod;
use crate::nodes::{
    Alone, Running, clients, key, public, settings, start, start_with, status, transfer, valid_everywhere, votes,
};
use crate::rig::{create, owner, until};
use crate::wire::proxy::{Fault, Proxy, Refusal};

/// Whether a place in the feed of blocks is kept, and not only its beginning.
async fn has_kept_a_token(server: &Mongod) -> bool {
    let kept = server.database().await.collection::<Document>("feeds").find_one(doc! {}).await.unwrap();
    kept.unwrap().get_document("blocks").unwrap().get_document("token").is_ok()
}

const SLOW: Refusal = Refusal { code: 50, name: "MaxTimeMSExpired", message: "operation exceeded time limit" };

/// It has decided by the votes of the others: the blocks are not open any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ended_before_its_vote_votes_when_it_comes_back() {
    let Some(server) = Alone::start().await else { return };
    let proxy = Proxy::start(server.port()).await;
    let mut nodes = Vec::new();
    for n in 0..3 {
        nodes.push(start(&server, n).await);
    }
    let mut others = clients(&nodes).await;
    let keyring = Keyring::fixed(key(3).public_key(), &public(&[0, 1, 2, 3]));
    let connection = proxy.before(server.connection(Duration::from_secs(5), 3));
    proxy.fault("insert", "votes", 1, usize::MAX, Fault::Refuse(SLOW));
    let last = Running::start(settings(connection, 3, keyring)).await;
    let mut client = last.client().await;
    let sent: Vec<_> = (0..3).map(|n| create(&owner(), n)).collect();
    for tx in &sent {
        assert_eq!(others[0].post(tx.bytes().clone()).await.status, 202);
        valid_everywhere(&mut others, tx).await;
        until("the decision of the fourth", async || status(&mut client, tx).await.as_deref() == Some("valid")).await;
        assert_eq!(votes(&mut client, tx).await, 3);
    }
    drop(client);
    last.stop().await;
    nodes.push(start(&server, 3).await);
    for tx in &sent {
        until("the vote of the fourth", async || votes(&mut others[0], tx).await == 4).await;
    }
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_stopped_while_it_judges_a_block_votes_when_it_comes_back() {
    let lines = Lines::collect();
    let patient = |tuning: &mut Tuning| tuning.input_wait = Duration::from_secs(600);
    let Some(world) = World::with(None, patient).await else { return };
    let store = world.store().await;
    let before = create(&owner(), 1);
    let mut client = world.node.client().await;
    assert_eq!(client.post(before.bytes().clone()).await.status, 202);
    until("the first vote", async || world.documents("votes").await.len() == 1).await;
    // What it spends is nowhere.
    let spender = Arc::new(transfer(&create(&owner(), 2), 0));
    let me = key(0).public_key();
    let block = Arc::new(Block::create(vec![spender], &[me], 1_500_000_001, &key(0)));
    store.write_block(block.clone(), &Taken::none(me)).await.unwrap();
    let id = block.id.to_string();
    until("a first look", async || !lines.with(&["a block cannot be judged yet", &id]).is_empty()).await;
    let (mut settings, server) = (world.settings(), world.server);
    world.node.stop().await;
    assert!(has_kept_a_token(&server).await, "the place after the first block");
    settings.tuning.input_wait = Duration::ZERO;
    let node = Running::start(settings).await;
    until("the vote", async || store.votes(&[block.id]).await.unwrap()[0].len() == 1).await;
    node.stop().await;
}

/// No block comes after the last one that it has voted on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_came_back_after_its_vote_decides_when_the_others_have_voted() {
    let Some(server) = Alone::start().await else { return };
    let keyring = |n| Keyring::fixed(key(n).public_key(), &public(&[0, 1]));
    let first = start_with(&server, 0, keyring(0), None).await;
    let mut client = first.client().await;
    let sent = create(&owner(), 1);
    assert_eq!(client.post(sent.bytes().clone()).await.status, 202);
    until("the first vote", async || has_kept_a_token(&server).await).await;
    assert_eq!(status(&mut client, &sent).await.as_deref(), Some("undecided"));
    drop(client);
    first.stop().await;
    let nodes = [start_with(&server, 0, keyring(0), None).await, start_with(&server, 1, keyring(1), None).await];
    valid_everywhere(&mut clients(&nodes).await, &sent).await;
    for node in nodes {
        node.stop().await;
    }
}
