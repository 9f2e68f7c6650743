//! Several processes with one key.

use crate::nodes::{Alone, clients, list, start, status, valid_everywhere};
use crate::rig::{Client, create, owner, until};

/// What a node says of itself.
async fn duty(client: &mut Client) -> String {
    let ready: serde_json::Value = serde_json::from_slice(&client.get("/readyz").await.body).unwrap();
    ready["checks"]["duty"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_with_one_key_one_works_and_the_other_takes_over() {
    let Some(server) = Alone::start().await else { return };
    let mut nodes = Vec::new();
    for n in [0, 1, 2, 3, 0] {
        nodes.push(start(&server, n).await);
    }
    let mut all = clients(&nodes).await;
    assert_eq!(duty(&mut all[0]).await, "this process makes blocks and votes");
    let second = duty(&mut all[4]).await;
    assert!(second.starts_with("stands by: process ") && second.contains("with this node's key"), "{second}");
    let mut stream = nodes[4].subscribe().await;

    // CREATEs stay with the key that took them in: both processes' are for the first.
    let sent: Vec<_> = (0..20).map(|n| create(&owner(), n)).collect();
    for (n, tx) in sent.iter().enumerate() {
        assert_eq!(all[[0, 4][n % 2]].post(tx.bytes().clone()).await.status, 202);
    }
    for tx in &sent {
        valid_everywhere(&mut all, tx).await;
        let blocks = list(&mut all[1], &format!("/api/v1/blocks?transaction_id={}", tx.id())).await;
        assert_eq!(blocks.len(), 1, "two processes put {} into a block each", tx.id());
    }
    let mut told = Vec::new();
    while told.len() < sent.len() {
        told.push(stream.next().await);
    }
    assert!(sent.iter().all(|tx| told.contains(&tx.id().to_string())), "the subscribers of the second are told");

    let first = nodes.remove(0);
    drop(all.remove(0));
    first.stop().await;
    let after: Vec<_> = (20..30).map(|n| create(&owner(), n)).collect();
    for tx in &after {
        assert_eq!(all[3].post(tx.bytes().clone()).await.status, 202);
    }
    for tx in &after {
        valid_everywhere(&mut all, tx).await;
    }
    assert_eq!(duty(&mut all[3]).await, "this process makes blocks and votes");
    for tx in sent.iter().chain(&after) {
        until("the votes of all", async || crate::votes(&mut all[0], tx).await == 4).await;
        assert_eq!(status(&mut all[3], tx).await.as_deref(), Some("valid"));
    }
    for node in nodes {
        node.stop().await;
    }
}
