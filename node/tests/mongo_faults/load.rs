//! A node behind the proxy, clients that send all along, and what must be true of everything that was accepted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bigchaindb::app::NodeSettings;
use bigchaindb::app::database::DatabaseSettings;
use bigchaindb::config::keyring::Keyring;
use bigchaindb::pipeline::Tuning;
use bigchaindb::store::mongo::{Compat, MongoStore, Options};
use futures_util::TryStreamExt as _;
use ledger::transaction::Transaction;
use mongodb::bson::{Document, doc};
use tokio::task::JoinHandle;

use crate::mongod::Mongod;
use crate::nodes::{Running, Subscription, key, settings, status};
use crate::rig::{Client, create, owner, until};
use crate::wire::proxy::Proxy;

/// How long the driver looks for a primary before it says that there is none.
const PATIENCE: Duration = Duration::from_secs(1);

/// A node behind a proxy.
pub struct World {
    pub server: Mongod,
    pub proxy: Proxy,
    pub node: Running,
    compat: Option<Compat>,
    change: fn(&mut Tuning),
    /// What is announced as valid.
    announced: Subscription,
}

impl World {
    /// `None`: there is no such server on this machine.
    pub async fn new() -> Option<Self> {
        Self::with(None, |_| ()).await
    }

    /// With other settings.
    pub async fn with(compat: Option<Compat>, change: fn(&mut Tuning)) -> Option<Self> {
        let server = Mongod::start(&[])?;
        let proxy = Proxy::start(server.port()).await;
        let node = Running::start(of(&server, &proxy, compat, change)).await;
        let announced = node.subscribe().await;
        let mut client = node.client().await;
        until("a subscriber", async || client.get("/metrics").await.text().contains("_subscribers 1\n")).await;
        Some(Self { server, proxy, node, compat, change, announced })
    }

    /// The same database past the proxy, for what other nodes would write.
    pub async fn store(&self) -> MongoStore {
        let options = Options { node: key(0).public_key(), compat: self.compat, wait: Duration::from_millis(100) };
        MongoStore::open(self.server.database().await, options).await.unwrap()
    }

    /// To start the same node again.
    pub fn settings(&self) -> NodeSettings {
        of(&self.server, &self.proxy, self.compat, self.change)
    }

    /// What stands in a collection, asked of the server itself.
    pub async fn documents(&self, collection: &str) -> Vec<Document> {
        let collection = self.server.database().await.collection::<Document>(collection);
        collection.find(doc! {}).await.unwrap().try_collect().await.unwrap()
    }

    /// Every one of these becomes valid, in one valid block, and is announced once; the node is ready then.
    pub async fn all_valid_once(&mut self, sent: &[Transaction]) {
        let mut client = self.node.client().await;
        for tx in sent {
            until(&tx.id().to_string(), async || status(&mut client, tx).await.as_deref() == Some("valid")).await;
        }
        until("an empty backlog", async || self.documents("backlog").await.is_empty()).await;
        let decided: HashMap<String, bool> = self.documents("decisions").await.iter().map(decision).collect();
        let mut times: HashMap<String, usize> = HashMap::new();
        for block in self.documents("bigchain").await {
            let valid = decided.get(block.get_str("id").unwrap()).copied();
            for tx in block.get_document("block").unwrap().get_array("transactions").unwrap() {
                let id = tx.as_document().unwrap().get_str("id").unwrap();
                *times.entry(id.to_owned()).or_default() += usize::from(valid == Some(true));
            }
        }
        for tx in sent {
            assert_eq!(times.get(&tx.id().to_string()), Some(&1), "valid blocks with {}", tx.id());
        }
        until("a ready node", async || client.get("/readyz").await.status == 200).await;
        let last = create(&owner(), -1);
        assert_eq!(client.post(last.bytes().clone()).await.status, 202);
        let mut announced: HashMap<String, usize> = HashMap::new();
        while !announced.contains_key(&last.id().to_string()) {
            *announced.entry(self.announced.next().await).or_default() += 1;
        }
        for tx in sent {
            assert_eq!(announced.get(&tx.id().to_string()), Some(&1), "announcements of {}", tx.id());
        }
    }
}

fn of(server: &Mongod, proxy: &Proxy, compat: Option<Compat>, change: fn(&mut Tuning)) -> NodeSettings {
    let connection = Box::new(proxy.before(server.connection(PATIENCE, 5)));
    let alone = Keyring::fixed(key(0).public_key(), &[]);
    let mut settings = settings(connection.as_ref().clone(), 0, alone);
    settings.database = DatabaseSettings::MongoDb { connection, compat };
    change(&mut settings.tuning);
    settings
}

fn decision(document: &Document) -> (String, bool) {
    (document.get_str("block").unwrap().to_owned(), document.get_bool("valid").unwrap())
}

/// Clients that send one transaction after the other, each again until it is accepted.
pub struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<Transaction>>>,
}

impl Load {
    pub async fn start(node: &Running, clients: i64) -> Self {
        let mut load =
            Self { stop: Arc::default(), accepted: Arc::default(), refused: Arc::default(), clients: Vec::new() };
        for n in 0..clients {
            let (client, stop) = (node.client().await, load.stop.clone());
            let (accepted, refused) = (load.accepted.clone(), load.refused.clone());
            load.clients.push(tokio::spawn(send(client, n << 32, stop, accepted, refused)));
        }
        load
    }

    /// Waits until so many more were accepted.
    pub async fn goes_on(&self, more: usize) {
        let enough = self.accepted.load(Ordering::Relaxed) + more;
        until("more accepted", async || self.accepted.load(Ordering::Relaxed) >= enough).await;
    }

    /// Answers of 503.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Ends when all that was sent was accepted; gives it.
    pub async fn stop(self) -> Vec<Transaction> {
        self.stop.store(true, Ordering::Relaxed);
        let mut sent = Vec::new();
        for client in self.clients {
            sent.extend(client.await.unwrap());
        }
        sent
    }
}

async fn send(
    mut client: Client,
    first: i64,
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
) -> Vec<Transaction> {
    let mut sent = Vec::new();
    for n in first.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let tx = create(&owner(), n);
        loop {
            let answer = client.post(tx.bytes().clone()).await;
            match answer.status {
                202 => break,
                503 => refused.fetch_add(1, Ordering::Relaxed),
                other => panic!("{other}: {}", answer.text()),
            };
        }
        accepted.fetch_add(1, Ordering::Relaxed);
        sent.push(tx);
    }
    sent
}
