//! Whole nodes on MongoDB, each as the program runs it, talked to over HTTP. (Beside `http/rig.rs`, as `rig`.)
#![allow(dead_code)] // Each test program uses a part of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bigchaindb::app::database::DatabaseSettings;
use bigchaindb::app::{self, NodeSettings};
use bigchaindb::config::keyring::Keyring;
use bigchaindb::pipeline::Tuning;
use bigchaindb::store::Amount;
use bigchaindb::store::mongo::connect::Connection;
use bigchaindb::web::Limits;
use bigchaindb::ws::StreamLimits;
use ledger::build::{self, Recipient};
use ledger::crypto::PrivateKey;
use ledger::transaction::Transaction;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::rig::{Client, owner};

/// Key of a node.
pub fn key(n: u8) -> PrivateKey {
    PrivateKey::from_seed(&[n + 1; 32])
}

/// What a node of a federation of `nodes` is started with, quicker than usual.
pub fn settings(connection: Connection, n: u8, nodes: u8) -> NodeSettings {
    let keys: Vec<_> = (0..nodes).map(|n| key(n).public_key()).collect();
    let tuning = Tuning {
        block_wait: Duration::from_millis(5),
        reassign_delay: Duration::from_secs(2),
        stale_interval: Duration::from_millis(200),
        ..Tuning::default()
    };
    NodeSettings {
        database: DatabaseSettings::MongoDb { connection: Box::new(connection), compat: None },
        keyring: Keyring::fixed(key(n).public_key(), &keys),
        key: Arc::new(key(n)),
        rules: None,
        initialise: true,
        api_bind: "127.0.0.1:0".to_owned(),
        stream_bind: "127.0.0.1:0".to_owned(),
        stream_url: Box::new(|_| String::new()),
        statsd_host: None,
        limits: Limits::default(),
        stream_limits: StreamLimits::default(),
        tuning,
        backlog_limit: Amount { transactions: 10_000, bytes: 64 << 20 },
    }
}

/// A node that serves.
pub struct Running {
    pub api: SocketAddr,
    pub stream: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub async fn start(settings: NodeSettings) -> Self {
        let node = app::start(settings).await.unwrap();
        let (api, stream) = (node.api, node.stream);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(node.run_until(async {
            let _ = stopped.await;
        }));
        Self { api, stream, stop, serving }
    }

    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.serving.await.unwrap().unwrap();
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.api).await
    }
}

/// What a node says of a transaction; `None`: it knows of none.
pub async fn status(client: &mut Client, tx: &Transaction) -> Option<String> {
    let answer = client.get(&format!("/api/v1/statuses?transaction_id={}", tx.id())).await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    (answer.status == 200).then(|| body["status"].as_str().unwrap().to_owned())
}

/// What a node lists.
pub async fn list(client: &mut Client, path: &str) -> Vec<serde_json::Value> {
    serde_json::from_slice(&client.get(path).await.body).unwrap()
}

/// A TRANSFER of the only output of an asset that is the owner's.
pub fn transfer(asset: &Transaction, to: u8) -> Transaction {
    let to = [Recipient { public_keys: vec![key(to).public_key()], amount: 1 }];
    let unsigned = build::transfer(&[(asset, 0)], &to, None).unwrap();
    Transaction::from_value(&build::sign(&unsigned, &[owner()]).unwrap()).unwrap()
}
