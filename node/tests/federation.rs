//! Nodes on one MongoDB database, each as the program runs it, talked to over HTTP.
//!
//! `BIGCHAINDB_CONFLICTS` (default 50) says how many pairs of conflicting transactions are sent.
#![allow(clippy::unwrap_used)] // A test may panic.

#[path = "mongod/mod.rs"]
mod mongod;
#[path = "http/rig.rs"]
#[allow(dead_code)] // Shared with the tests of the HTTP API, which use all of it.
mod rig;

#[path = "federation/keyrings.rs"]
mod keyrings;
#[path = "federation/leases.rs"]
mod leases;
#[path = "federation/nodes.rs"]
mod nodes;

use ledger::transaction::Transaction;

use mongod::Mongod;
use nodes::{Alone, clients, list, start, start_all, status, transfer, valid_everywhere, votes};
use rig::{create, owner, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_to_any_node_is_valid_at_all_once() {
    let Some(server) = Alone::start().await else { return };
    let nodes = start_all(&server).await;
    let mut clients = clients(&nodes).await;
    let sent: Vec<Transaction> = (0..60).map(|n| create(&owner(), n)).collect();
    for (n, tx) in sent.iter().enumerate() {
        assert_eq!(clients[n % 4].post(tx.bytes().clone()).await.status, 202);
    }
    for tx in &sent {
        valid_everywhere(&mut clients, tx).await;
        until("all votes", async || votes(&mut clients[0], tx).await == 4).await;
    }
    assert_eq!(foundings(&server).await, 1, "one node founds the ledger");
    for node in nodes {
        node.stop().await;
    }
}

async fn foundings(server: &Mongod) -> u64 {
    let blocks = server.database().await.collection::<mongodb::bson::Document>("bigchain");
    blocks.count_documents(mongodb::bson::doc! { "block.transactions.operation": "GENESIS" }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_behind_votes_against_nothing() {
    let Some(server) = Alone::start().await else { return };
    let nodes = start_all(&server).await;
    let mut clients = clients(&nodes).await;
    for n in 0..60 {
        let client = &mut clients[n % 4];
        let asset = create(&owner(), n as i64);
        assert_eq!(client.post(asset.bytes().clone()).await.status, 202);
        until("the asset", async || status(client, &asset).await.as_deref() == Some("valid")).await;
        // At once: the others may not have decided on the asset's block yet.
        let moved = transfer(&asset, 0);
        assert_eq!(client.post(moved.bytes().clone()).await.status, 202);
        valid_everywhere(&mut clients, &moved).await;
        let blocks = list(&mut clients[0], &format!("/api/v1/blocks?transaction_id={}", moved.id())).await;
        assert_eq!(blocks.len(), 1, "a block with it was decided invalid: {blocks:?}");
        for block in &blocks {
            for vote in list(&mut clients[0], &format!("/api/v1/votes?block_id={}", block.as_str().unwrap())).await {
                assert_eq!(vote["vote"]["is_block_valid"], true, "{vote}");
            }
        }
    }
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_conflicting_transactions_exactly_one_wins() {
    let Some(server) = Alone::start().await else { return };
    let nodes = start_all(&server).await;
    let mut clients = clients(&nodes).await;
    let pairs = std::env::var("BIGCHAINDB_CONFLICTS").map_or(50, |text| text.parse().unwrap());
    let assets: Vec<Transaction> = (0..pairs).map(|n| create(&owner(), n)).collect();
    for (n, asset) in assets.iter().enumerate() {
        assert_eq!(clients[n % 4].post(asset.bytes().clone()).await.status, 202);
    }
    for asset in &assets {
        valid_everywhere(&mut clients, asset).await;
    }
    let mut undecided = Vec::new();
    for (n, asset) in assets.iter().enumerate() {
        let rivals = [0, 1].map(|to| transfer(asset, to));
        let (one, other) = clients.split_at_mut(2);
        let (one, other) = (&mut one[n % 2], &mut other[(n / 2) % 2]);
        let (first, second) = tokio::join!(one.post(rivals[0].bytes().clone()), other.post(rivals[1].bytes().clone()));
        // A node that knows of the one refuses the other.
        let taken: Vec<bool> = [first.status, second.status].iter().map(|status| *status == 202).collect();
        assert!(taken.contains(&true), "both were refused: {} {}", first.text(), second.text());
        undecided.push((rivals, taken));
    }
    let mut both = 0;
    for (rivals, taken) in &undecided {
        let mut won = None;
        until("one of two rivals", async || {
            for (n, rival) in rivals.iter().enumerate() {
                if status(&mut clients[0], rival).await.as_deref() == Some("valid") {
                    won = Some(n);
                }
            }
            won.is_some()
        })
        .await;
        let won = won.unwrap();
        valid_everywhere(&mut clients, &rivals[won]).await;
        if taken[1 - won] {
            both += 1;
            let lost = rivals[1 - won].id();
            for client in &mut clients {
                let path = format!("/api/v1/rejections/{lost}");
                until("the reason", async || client.get(&path).await.status == 200).await;
                assert!(client.get(&path).await.text().contains("DoubleSpend"));
                assert_eq!(status(client, &rivals[1 - won]).await, None);
            }
        }
    }
    println!("{both} of {} pairs were both accepted at first", undecided.len());
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_of_four_decide_and_the_fourth_catches_up() {
    let Some(server) = Alone::start().await else { return };
    let mut nodes = start_all(&server).await;
    let mut all = clients(&nodes).await;
    let before = create(&owner(), 1);
    assert_eq!(all[3].post(before.bytes().clone()).await.status, 202);
    valid_everywhere(&mut all, &before).await;
    drop(all.pop());
    nodes.pop().unwrap().stop().await;
    // TRANSFERs are assigned by their asset: some of these to the node that is gone.
    let sent: Vec<Transaction> = (10..50).map(|n| create(&owner(), n)).collect();
    let moved: Vec<Transaction> = sent.iter().map(|asset| transfer(asset, 0)).collect();
    for (n, tx) in sent.iter().enumerate() {
        assert_eq!(all[n % 3].post(tx.bytes().clone()).await.status, 202);
    }
    for tx in &sent {
        valid_everywhere(&mut all, tx).await;
    }
    for (n, tx) in moved.iter().enumerate() {
        let answer = all[n % 3].post(tx.bytes().clone()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    for tx in &moved {
        valid_everywhere(&mut all, tx).await;
    }
    nodes.push(start(&server, 3).await);
    all.push(nodes[3].client().await);
    for tx in sent.iter().chain(&moved) {
        valid_everywhere(&mut all, tx).await;
        until("the vote of the one that was away", async || votes(&mut all[0], tx).await == 4).await;
    }
    for node in nodes {
        node.stop().await;
    }
}
