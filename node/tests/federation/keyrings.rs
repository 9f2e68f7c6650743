//! Keyrings that change while nodes run, and keyrings that are wrong.

use std::path::{Path, PathBuf};

use bigchaindb::config::keyring::Keyring;
use serde_json::{Value, json};

use crate::mongod::Mongod;
use crate::nodes::{Alone, Running, clients, key, list, public, start, start_with, status, transfer, valid_everywhere};
use crate::rig::{Client, create, owner, until};

/// A keyring file that all nodes share.
struct Shared {
    directory: tempfile::TempDir,
}

impl Shared {
    fn new(keyring: &Value) -> Self {
        let shared = Self { directory: tempfile::tempdir().unwrap() };
        shared.write(keyring);
        shared
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("keyring.json")
    }

    /// At once, as Kubernetes swaps it.
    fn write(&self, keyring: &Value) {
        let new = self.directory.path().join("new");
        std::fs::write(&new, keyring.to_string()).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    async fn start(&self, server: &Mongod, n: u8) -> Running {
        start_with(server, n, read(&self.path()), Some(self.path())).await
    }
}

fn read(path: &Path) -> Keyring {
    Keyring::read(path).unwrap()
}

fn texts(keys: &[u8]) -> Vec<String> {
    public(keys).iter().map(ToString::to_string).collect()
}

async fn get(client: &mut Client, path: &str) -> Value {
    serde_json::from_slice(&client.get(path).await.body).unwrap()
}

async fn in_force(clients: &mut [Client], generation: u64) {
    for client in clients {
        until("the keyring", async || get(client, "/api/v1/federation").await["generation"] == generation).await;
    }
}

/// All statuses of the blocks that hold these transactions, as one node sees them.
async fn history(client: &mut Client, transactions: &[ledger::transaction::Transaction]) -> Vec<(String, Value)> {
    let mut history = Vec::new();
    for tx in transactions {
        for block in list(client, &format!("/api/v1/blocks?transaction_id={}", tx.id())).await {
            let block = block.as_str().unwrap().to_owned();
            let status = get(client, &format!("/api/v1/statuses?block_id={block}")).await["status"].clone();
            history.push((block, status));
        }
    }
    history
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_retired_while_the_nodes_run() {
    let Some(server) = Alone::start().await else { return };
    let keyring = json!({"generation": 1, "active": texts(&[0, 1, 2, 3])});
    let file = Shared::new(&keyring);
    let mut nodes = Vec::new();
    for n in 0..4 {
        nodes.push(file.start(&server, n).await);
    }
    let mut all = clients(&nodes).await;
    let before: Vec<_> = (0..8).map(|n| create(&owner(), n)).collect();
    for (n, tx) in before.iter().enumerate() {
        assert_eq!(all[n % 4].post(tx.bytes().clone()).await.status, 202);
    }
    for tx in &before {
        valid_everywhere(&mut all, tx).await;
    }
    let past = history(&mut all[0], &before).await;

    // Two go: what is sent now has two votes of four, and waits.
    drop(all.split_off(2));
    for node in nodes.split_off(2) {
        node.stop().await;
    }
    let hanging: Vec<_> = (10..20).map(|n| create(&owner(), n)).collect();
    for (n, tx) in hanging.iter().enumerate() {
        assert_eq!(all[n % 2].post(tx.bytes().clone()).await.status, 202);
    }
    for tx in &hanging {
        for client in &mut all {
            until("a block", async || status(client, tx).await.as_deref() == Some("undecided")).await;
        }
    }
    // Then one of them is retired, which is not enough yet to decide, then the other.
    let (first, last, known) = (texts(&[0, 1, 2, 3]), texts(&[0, 1, 2]), texts(&[0, 1, 2, 3]));
    file.write(&json!({"generation": 2, "previous": first, "active": last, "known": known}));
    in_force(&mut all, 2).await;
    file.write(
        &json!({"generation": 3, "previous": last, "active": texts(&[0, 1]), "former": [first], "known": known}),
    );
    in_force(&mut all, 3).await;
    // The one before last is gone for good: two of three.
    for tx in &hanging {
        valid_everywhere(&mut all, tx).await;
    }
    file.write(&json!({"generation": 4, "active": texts(&[0, 1]), "former": [first, last], "known": known}));
    in_force(&mut all, 4).await;
    let after: Vec<_> = before.iter().map(|asset| transfer(asset, 0)).collect();
    for (n, tx) in after.iter().enumerate() {
        assert_eq!(all[n % 2].post(tx.bytes().clone()).await.status, 202);
    }
    for tx in &after {
        valid_everywhere(&mut all, tx).await;
    }
    assert_eq!(history(&mut all[0], &before).await, past, "a retired key changes no history");
    assert_eq!(get(&mut all[0], "/").await["keyring"], json!(texts(&[1])));

    // What is no keyring, or an older one, changes nothing and is told.
    for (wrong, hint) in [
        (json!({"generation": 4, "active": texts(&[0]), "known": known}), "a higher one"),
        (json!({"generation": 5, "active": texts(&[0])}), "must go on naming"),
        (json!({"generation": 5, "active": ["x"]}), "entry 0"),
    ] {
        file.write(&wrong);
        until("a remark", async || {
            get(&mut all[0], "/readyz").await["checks"]["keyring"]["message"].as_str().unwrap().contains(hint)
        })
        .await;
        assert_eq!(get(&mut all[0], "/api/v1/federation").await["active"].as_array().unwrap().len(), 2);
    }
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_wrong_keyring_is_seen_and_does_no_harm() {
    let Some(server) = Alone::start().await else { return };
    let mut nodes = Vec::new();
    for n in 0..3 {
        nodes.push(start(&server, n).await);
    }
    // It knows nothing of node 1, and believes in one that is not there.
    let wrong = Keyring::fixed(key(3).public_key(), &public(&[0, 2, 9]));
    nodes.push(start_with(&server, 3, wrong, None).await);
    let mut all = clients(&nodes).await;
    let sent: Vec<_> = (0..40).map(|n| create(&owner(), n)).collect();
    for (n, tx) in sent.iter().enumerate() {
        assert_eq!(all[n % 4].post(tx.bytes().clone()).await.status, 202);
    }
    let (right, wrong) = all.split_at_mut(3);
    for tx in &sent {
        valid_everywhere(right, tx).await;
        let valid = format!("/api/v1/blocks?transaction_id={}&status=VALID", tx.id());
        assert_eq!(list(&mut right[0], &valid).await.len(), 1);
    }
    // Spent again, through every node: nothing that is valid at the others depends on the wrong one.
    let moved: Vec<_> = sent.iter().map(|asset| transfer(asset, 0)).collect();
    for (n, tx) in moved.iter().enumerate() {
        assert_eq!(right[n % 3].post(tx.bytes().clone()).await.status, 202);
    }
    for tx in &moved {
        valid_everywhere(right, tx).await;
    }
    for (client, hint) in [(&mut right[0], "theirs probably"), (&mut wrong[0], "this node's is probably the wrong one")]
    {
        let keyring = get(client, "/readyz").await["checks"]["keyring"].clone();
        assert_eq!(keyring["state"], "degraded");
        assert!(keyring["message"].as_str().unwrap().contains(hint), "{keyring}");
        let metrics = client.get("/metrics").await;
        assert!(!metrics.text().contains("bigchaindb_keyring_differing 0\n"), "the metric tells nothing");
    }
    let federation = get(&mut right[0], "/api/v1/federation").await;
    assert_eq!((&federation["nodes_seen"], &federation["nodes_differing"]), (&json!(3), &json!(1)));
    for node in nodes {
        node.stop().await;
    }
}
