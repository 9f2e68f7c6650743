//! Nodes of the benchmark's own, and the database that they share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use ledger::crypto::{PrivateKey, sha3_256};

use super::node::OwnNode;
use super::server::OwnServer;
use crate::app::database::{self, DatabaseSettings};
use crate::app::mongo;
use crate::client::Endpoint;
use crate::secret::Secret;

/// Where the nodes keep their ledger.
#[derive(Clone, Debug)]
pub enum OwnDatabase {
    /// In a directory; of one node.
    Embedded,
    /// On a MongoDB server that is started by this program.
    Server(PathBuf),
    /// On a server that runs, in a database that is empty, and is removed afterwards.
    Url(Secret),
}

/// What is started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program of the nodes.
    pub executable: PathBuf,
    /// Where temporary directories are made.
    pub parent: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// Where they keep their ledger.
    pub database: OwnDatabase,
    /// Whether they count the database's commands by name.
    pub name_commands: bool,
}

/// They run; killed when dropped.
pub struct Fleet {
    nodes: Vec<OwnNode>,
    server: Option<OwnServer>,
}

/// A database on somebody else's server, which was empty.
pub struct Borrowed {
    settings: DatabaseSettings,
}

impl Borrowed {
    /// Refuses one with something in it. `name`: of the database, unless the connection string has one.
    pub async fn take(url: &Secret, name: &str) -> anyhow::Result<Self> {
        let settings = mongo::at_url(url.clone(), name);
        ensure!(
            database::is_empty(&settings).await?,
            "The database of this connection string is not empty: the benchmark would remove what is in it. Name another one, \
             or none."
        );
        Ok(Self { settings })
    }

    /// Removes what the nodes have written.
    pub async fn give_back(self) -> anyhow::Result<()> {
        database::drop(&self.settings).await.map(drop)
    }
}

/// The database's name on a server that runs.
pub fn database_name(salt: u64) -> String {
    format!("bigchaindb-bench-{salt:016x}")
}

impl Fleet {
    /// Starts the server, then one node after the other: the first founds the ledger.
    pub async fn start(plan: &Plan, salt: u64) -> anyhow::Result<Self> {
        let mut fleet = Self { nodes: Vec::new(), server: None };
        let mut shared = match &plan.database {
            OwnDatabase::Embedded => vec![("DATABASE_BACKEND", "embedded".to_owned())],
            OwnDatabase::Server(program) => {
                let server = fleet.server.insert(OwnServer::start(program, &plan.parent).await?);
                vec![
                    ("DATABASE_BACKEND", "mongodb".to_owned()),
                    ("DATABASE_HOST", "127.0.0.1".to_owned()),
                    ("DATABASE_PORT", server.port.to_string()),
                    ("DATABASE_REPLICASET", server.replica_set.to_owned()),
                ]
            }
            OwnDatabase::Url(url) => vec![
                ("DATABASE_BACKEND", "mongodb".to_owned()),
                ("DATABASE_URL", url.reveal().to_owned()),
                ("DATABASE_NAME", database_name(salt)),
            ],
        };
        if plan.name_commands {
            shared.push(("DATABASE_NAME_COMMANDS", "true".to_owned()));
        }
        let key = |n: usize| {
            PrivateKey::from_seed(&sha3_256(&[b"bigchaindb bench node", &salt.to_be_bytes(), &n.to_be_bytes()]))
        };
        let keys: Vec<PrivateKey> =
            (0..).map(key).filter(|key| key.public_key().fits_schema()).take(plan.nodes).collect();
        for own in &keys {
            let others = keys.iter().map(PrivateKey::public_key).filter(|key| *key != own.public_key());
            let others: Vec<String> = others.map(|key| key.to_string()).collect();
            let mut environment = shared.clone();
            environment.push(("KEYPAIR_PRIVATE", own.to_base58().to_string()));
            environment.push(("KEYRING", others.join(":")));
            let started = OwnNode::start(&plan.executable, &plan.parent, environment).await;
            fleet.nodes.push(started.map_err(|error| error.context(fleet.last_words()))?);
        }
        Ok(fleet)
    }

    /// The nodes' HTTP APIs.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.nodes.iter().map(|node| node.endpoint.clone()).collect()
    }

    /// The nodes' processes.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(OwnNode::pid).collect()
    }

    /// The server's process, if it is ours.
    pub fn server_pid(&self) -> Option<u32> {
        self.server.as_ref().map(OwnServer::pid)
    }

    /// Where the ledger is, if that is known.
    pub fn directory(&self, database: &OwnDatabase) -> Option<&Path> {
        match database {
            OwnDatabase::Embedded => self.nodes.first().map(OwnNode::directory),
            OwnDatabase::Server(_) => self.server.as_ref().map(OwnServer::directory),
            OwnDatabase::Url(_) => None,
        }
    }

    /// Stops all nodes and starts the first again; how long that start took, and its process.
    pub async fn restart(&mut self) -> anyhow::Result<Option<(Duration, u32)>> {
        self.stop().await?;
        let Some(first) = self.nodes.first_mut() else { return Ok(None) };
        Ok(Some((first.start_again().await?, first.pid())))
    }

    /// Stops the nodes that run, as an operator would.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            node.stop().await?;
        }
        Ok(())
    }

    /// The ends of all logs, for an error's text.
    pub fn last_words(&self) -> String {
        let nodes = self.nodes.iter().map(OwnNode::last_words);
        nodes.chain(self.server.as_ref().map(OwnServer::last_words)).collect::<Vec<_>>().join("\n")
    }
}
