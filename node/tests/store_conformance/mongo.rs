//! The MongoDB store on a server of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bigchaindb::store::Store;
use bigchaindb::store::mongo::{self, Compat, MongoStore, Options};
use futures_util::TryStreamExt as _;
use mongodb::bson::{Document, doc};

use crate::Backend;
use crate::mongod::Mongod;
use crate::world::{CAUGHT_UP, public};

/// A database on a server.
pub struct Mongo {
    compat: Option<Compat>,
    store: Option<Arc<MongoStore>>,
    server: Mongod,
}

impl Mongo {
    /// `None`: there is no such server on this machine.
    pub async fn new(compat: Option<Compat>) -> Option<Self> {
        let server = Mongod::start(&["--sync-on-commit"])?;
        let mut backend = Self { compat, store: None, server };
        backend.open().await;
        Some(backend)
    }

    /// The same ledger, as another node sees it.
    pub async fn another(&self, node: u8) -> MongoStore {
        let options = Options { node: public(node), compat: self.compat, wait: Duration::from_millis(5) };
        MongoStore::open(self.server.database().await, options).await.unwrap()
    }

    /// What is kept of places in feeds.
    pub async fn kept(&self) -> Vec<Document> {
        let feeds = self.server.database().await.collection::<Document>("feeds");
        feeds.find(doc! {}).await.unwrap().try_collect().await.unwrap()
    }

    /// As it was.
    pub async fn keep(&self, kept: Vec<Document>) {
        self.server.database().await.collection::<Document>("feeds").insert_many(kept).await.unwrap();
    }

    /// An empty database in its place.
    pub async fn drop_database(&mut self) {
        CAUGHT_UP.set(None);
        self.store = None;
        assert!(mongo::drop_database(&self.server.database().await).await.unwrap());
        self.open().await;
    }

    async fn open(&mut self) {
        let store = Arc::new(self.another(1).await);
        let feeds = store.clone();
        self.store = Some(store);
        CAUGHT_UP.set(Some(Box::new(move || {
            let feeds = feeds.clone();
            Box::pin(async move { feeds.caught_up().await })
        })));
    }
}

#[async_trait]
impl Backend for Mongo {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().unwrap()
    }

    /// What the store knows is gone either way: an orderly end leaves no more behind than another.
    async fn reopen(&mut self, orderly: bool) {
        CAUGHT_UP.set(None);
        let store = Arc::into_inner(self.store.take().unwrap()).expect("a test holds the store while it reopens");
        drop(store);
        if !orderly {
            self.server.restart();
        }
        self.open().await;
    }
}
