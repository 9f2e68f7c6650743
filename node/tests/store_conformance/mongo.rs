//! The MongoDB store on a server of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bigchaindb::store::Store;
use bigchaindb::store::mongo::{Compat, MongoStore, Options};

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
