//! Whichever database the configuration names: opened and watched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ledger::ids::PublicKey;

use super::mongo;
use crate::config;
use crate::metrics::{Metrics, database};
use crate::store::database::{Database, Observer, StoreWork};
use crate::store::embedded::{self, EmbeddedStore};
use crate::store::mongo::connect::{self, Connection};
use crate::store::mongo::{Compat, MongoStore, Options, drop_database, is_empty_database};

/// How long a MongoDB server waits before it says that a feed has nothing.
const FEED_WAIT: Duration = Duration::from_secs(1);

/// Which database holds the ledger.
#[derive(Clone, Debug)]
pub enum DatabaseSettings {
    /// This directory, which belongs to this node alone.
    Embedded(PathBuf),
    /// A MongoDB replica set, which the nodes of a federation share.
    MongoDb {
        /// How to reach it.
        connection: Box<Connection>,
        /// Who else writes there; `None`: what the ledger's rules say.
        compat: Option<Compat>,
    },
}

impl DatabaseSettings {
    /// How people call it.
    pub fn name(&self) -> String {
        match self {
            Self::Embedded(directory) => directory.display().to_string(),
            Self::MongoDb { connection, .. } => connection.database.clone(),
        }
    }

    /// From the configuration.
    pub fn new(configured: &config::Database) -> Self {
        match &configured.mongodb {
            None => Self::Embedded(configured.path.clone()),
            Some(mongodb) => Self::MongoDb {
                connection: Box::new(mongo::connection(mongodb)),
                compat: mongodb.compat.map(|compat| match compat {
                    config::mongo::Compat::Python => Compat::Python,
                    config::mongo::Compat::Rust => Compat::Rust,
                }),
            },
        }
    }
}

/// Opens the database. `node`: whose decisions count; a shared database holds those of every node.
pub async fn open(settings: &DatabaseSettings, node: Option<PublicKey>) -> anyhow::Result<Arc<dyn Database>> {
    match settings {
        DatabaseSettings::Embedded(directory) => Ok(open_embedded(directory)?),
        DatabaseSettings::MongoDb { connection, compat } => {
            let node = node.context(
                "a shared database holds every node's decisions, and this node's key is not known: set `keypair.public` \
                 (BIGCHAINDB_KEYPAIR_PUBLIC)",
            )?;
            let connected = connect::connect(connection).await?;
            let options = Options { node, compat: *compat, wait: FEED_WAIT };
            let mut store = MongoStore::open(connected.database, options).await?;
            store.tell_commands(connected.commands);
            if connection.tls.crl.is_some() {
                store.watch_certificates(connection.as_ref().clone());
            }
            Ok(Arc::new(store))
        }
    }
}

/// Whether there is nothing at all in the database.
pub async fn is_empty(settings: &DatabaseSettings) -> anyhow::Result<bool> {
    match settings {
        DatabaseSettings::Embedded(directory) => Ok(!directory.exists()),
        DatabaseSettings::MongoDb { connection, .. } => {
            Ok(is_empty_database(&connect::connect(connection).await?.database).await?)
        }
    }
}

/// Removes the ledger; `false`: there is none.
pub async fn drop(settings: &DatabaseSettings) -> anyhow::Result<bool> {
    match settings {
        DatabaseSettings::Embedded(directory) => Ok(embedded::backup::drop_ledger(directory)?),
        DatabaseSettings::MongoDb { connection, .. } => {
            Ok(drop_database(&connect::connect(connection).await?.database).await?)
        }
    }
}

/// Opens the embedded store of a directory.
pub fn open_embedded(directory: &Path) -> anyhow::Result<Arc<EmbeddedStore>> {
    let store = EmbeddedStore::open(directory, embedded::Options::default());
    Ok(Arc::new(store.with_context(|| format!("cannot open the database in `{}`", directory.display()))?))
}

/// Has the metrics tell what waits in a store and how long it works.
pub fn watch(store: &Arc<dyn Database>, metrics: &Arc<Metrics>) {
    store.observe(Arc::new(Times(metrics.clone())));
    // Weak, as the store holds the metrics.
    let store = Arc::downgrade(store);
    metrics.database.watch(move || {
        let Some(store) = store.upgrade() else { return database::Depths::default() };
        let depths = store.depths();
        database::Depths {
            backlog_transactions: depths.backlog.transactions,
            backlog_bytes: depths.backlog.bytes,
            undecided_blocks: depths.undecided_blocks,
            unindexed_transactions: depths.unindexed.transactions,
            commands: store.commands(),
        }
    });
}

struct Times(Arc<Metrics>);

impl Observer for Times {
    fn took(&self, work: StoreWork, time: Duration) {
        match work {
            StoreWork::Commit => self.0.database.committed(time),
            StoreWork::Index => self.0.database.indexed(time),
            StoreWork::LookUp => self.0.database.looked_up(time),
        }
    }
}
