//! Nodes of a federation, and what is asked of them.

use std::net::SocketAddr;
use std::path::PathBuf;
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
use futures_util::StreamExt;
use ledger::build::{self, Recipient};
use ledger::crypto::PrivateKey;
use ledger::ids::PublicKey;
use ledger::transaction::Transaction;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::mongod::Mongod;
use crate::rig::{Client, owner, until};

pub const NODES: u8 = 4;

/// A federation takes all that a small machine has: one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// A server for a federation, which has the machine to itself as long as it lives.
pub struct Alone {
    server: Mongod,
    _turn: MutexGuard<'static, ()>,
}

impl Alone {
    /// `None`: there is no such server on this machine.
    pub async fn start() -> Option<Self> {
        let turn = TURN.lock().await;
        Some(Self { server: Mongod::start(&[])?, _turn: turn })
    }
}

impl std::ops::Deref for Alone {
    type Target = Mongod;

    fn deref(&self) -> &Mongod {
        &self.server
    }
}

pub fn key(n: u8) -> PrivateKey {
    PrivateKey::from_seed(&[n + 1; 32])
}

pub struct Running {
    pub api: SocketAddr,
    pub stream: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<anyhow::Result<()>>,
}

pub fn public(keys: &[u8]) -> Vec<PublicKey> {
    keys.iter().map(|n| key(*n).public_key()).collect()
}

/// A node of the federation of all.
pub async fn start(server: &Mongod, n: u8) -> Running {
    start_with(server, n, Keyring::fixed(key(n).public_key(), &public(&[0, 1, 2, 3])), None).await
}

/// A node that knows others, from a file maybe.
pub async fn start_with(server: &Mongod, n: u8, keyring: Keyring, keyring_file: Option<PathBuf>) -> Running {
    let connection = server.connection(Duration::from_secs(5), 3);
    Running::start(NodeSettings { keyring_file, ..settings(connection, n, keyring) }).await
}

/// What a node is started with, quicker than usual.
pub fn settings(connection: Connection, n: u8, keyring: Keyring) -> NodeSettings {
    let tuning = Tuning {
        block_wait: Duration::from_millis(5),
        reassign_delay: Duration::from_secs(2),
        stale_interval: Duration::from_millis(200),
        ..Tuning::default()
    };
    NodeSettings {
        database: DatabaseSettings::MongoDb { connection: Box::new(connection), compat: None },
        keyring,
        keyring_file: None,
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

    /// Subscribes to what becomes valid.
    pub async fn subscribe(&self) -> Subscription {
        let url = format!("ws://{}/api/v1/streams/valid_transactions", self.stream);
        Subscription(tokio_tungstenite::connect_async(url).await.unwrap().0)
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.api).await
    }
}

/// A stream of what becomes valid.
pub struct Subscription(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Subscription {
    /// The id of the next transaction.
    pub async fn next(&mut self) -> String {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(20), self.0.next()).await;
            if let Message::Text(text) = message.expect("nothing comes any more").unwrap().unwrap() {
                let event: serde_json::Value = serde_json::from_str(&text).unwrap();
                return event["transaction_id"].as_str().unwrap().to_owned();
            }
        }
    }
}

pub async fn start_all(server: &Mongod) -> Vec<Running> {
    // At once: one of them founds the ledger.
    let nodes = futures_util::future::join_all((0..NODES).map(|n| start(server, n)));
    nodes.await
}

pub async fn status(client: &mut Client, tx: &Transaction) -> Option<String> {
    let answer = client.get(&format!("/api/v1/statuses?transaction_id={}", tx.id())).await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    (answer.status == 200).then(|| body["status"].as_str().unwrap().to_owned())
}

pub async fn valid_everywhere(clients: &mut [Client], tx: &Transaction) {
    for client in clients {
        until(&tx.id().to_string(), async || status(client, tx).await.as_deref() == Some("valid")).await;
    }
}

pub async fn list(client: &mut Client, path: &str) -> Vec<serde_json::Value> {
    serde_json::from_slice(&client.get(path).await.body).unwrap()
}

/// A TRANSFER of the only output of an asset that is the owner's.
pub fn transfer(asset: &Transaction, to: u8) -> Transaction {
    let to = [Recipient { public_keys: vec![key(to).public_key()], amount: 1 }];
    let unsigned = build::transfer(&[(asset, 0)], &to, None).unwrap();
    Transaction::from_value(&build::sign(&unsigned, &[owner()]).unwrap()).unwrap()
}

/// How many nodes have voted on the valid block that holds a transaction; it is one block.
pub async fn votes(client: &mut Client, tx: &Transaction) -> usize {
    let blocks = list(client, &format!("/api/v1/blocks?transaction_id={}&status=VALID", tx.id())).await;
    assert_eq!(blocks.len(), 1, "{} is in the valid blocks {blocks:?}", tx.id());
    list(client, &format!("/api/v1/votes?block_id={}", blocks[0].as_str().unwrap())).await.len()
}

pub async fn clients(nodes: &[Running]) -> Vec<Client> {
    futures_util::future::join_all(nodes.iter().map(Running::client)).await
}
