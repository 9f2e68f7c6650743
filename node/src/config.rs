//! What a node is told: defaults < file < environment < options, checked as a whole.
//!
//! The JSON file and the variables are those of BigchainDB Server 1.0.1 (manual, "Configuration Settings"). Nothing here
//! reads the process environment: `main` passes it in.

pub mod fault;
pub mod file;
pub mod keypair;
pub mod keyring;
pub mod level;
pub mod mongo;
pub mod settings;
pub mod sources;
mod typed;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ledger::ids::PublicKey;
use ledger::rules::Rules;

use fault::ConfigError;
use keypair::Keypair;
use keyring::Keyring;
use level::Level;
use mongo::MongoDb;
use settings::Backend;
use sources::{Findings, Sources, Tree};

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The HTTP API.
    pub server: Server,
    /// The WebSocket API.
    pub websocket: WebSocket,
    /// Where the ledger is kept.
    pub database: Database,
    /// The node's public key, if one is known; without a private one a node can show it but not start.
    pub public_key: Option<PublicKey>,
    /// The node's key pair. `None`: an embedded store makes one at its first start ([`Config::ensure_keypair`]).
    pub keypair: Option<Keypair>,
    /// The other nodes.
    pub keyring: KeyringSource,
    /// Consensus rules that the ledger must have; `None`: whatever it records, `strict` for a new one.
    pub validation: Option<Rules>,
    /// How long a transaction may wait in the backlog before it is given to another node.
    pub backlog_reassign_delay: Duration,
    /// Logs.
    pub log: Log,
    /// Host of the statsd collector (UDP port 8125).
    pub graphite_host: String,
    tree: Tree,
}

/// The HTTP API's settings.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where to listen.
    pub bind: BindAddress,
    /// Level of the HTTP server's own messages: about its connections.
    pub loglevel: Level,
    /// Threads that serve; `None`: the node decides.
    pub workers: Option<usize>,
}

/// The WebSocket API's settings.
#[derive(Clone, Debug)]
pub struct WebSocket {
    /// Where to listen.
    pub bind: BindAddress,
    scheme: String,
    advertised_scheme: Option<String>,
    advertised_host: Option<String>,
    advertised_port: Option<u16>,
}

impl WebSocket {
    /// Address of the stream as clients are told, given the port that was bound: the advertised one, part by part, or
    /// else where it listens.
    pub fn advertised_url(&self, bound_port: u16) -> String {
        let scheme = self.advertised_scheme.as_deref().unwrap_or(&self.scheme);
        let host = self.advertised_host.as_deref().unwrap_or(&self.bind.host);
        let port = self.advertised_port.unwrap_or(bound_port);
        format!("{scheme}://{}/api/v1/streams/valid_transactions", BindAddress { host: host.to_owned(), port })
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// Name or address, an IPv6 one without brackets.
    pub host: String,
    /// 0: the system chooses.
    pub port: u16,
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where the ledger is kept.
#[derive(Clone, Debug)]
pub struct Database {
    /// Which database.
    pub backend: Backend,
    /// The embedded store's directory.
    pub path: PathBuf,
    /// The MongoDB store's settings, if it is the one.
    pub mongodb: Option<MongoDb>,
}

/// How the other nodes are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyringSource {
    /// `keyring`: the others' keys; they stay as they are while the node runs.
    Fixed(Vec<PublicKey>),
    /// `keyring_file`, as it was read at the start; a running node reads it again when it changes.
    File {
        /// Where it is.
        path: PathBuf,
        /// What it said.
        keyring: Keyring,
    },
}

impl KeyringSource {
    /// The keyring in force, given the node's own key.
    pub fn keyring(&self, own: PublicKey) -> Keyring {
        match self {
            Self::Fixed(others) => Keyring::fixed(own, others),
            Self::File { keyring, .. } => keyring.clone(),
        }
    }
}

/// Settings of the logs.
#[derive(Clone, Debug)]
pub struct Log {
    /// Standard error.
    pub console: LogSink,
    /// The log file's lines; the errors file's too, except for the level.
    pub logfile: LogSink,
    /// The log file; `None`: there is no home directory for the default one.
    pub file: Option<LogPath>,
    /// The errors file.
    pub error_file: Option<LogPath>,
    /// Levels by module, as configured: `bigchaindb.web`.
    pub granular_levels: BTreeMap<String, Level>,
}

/// A log file's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPath {
    /// Where.
    pub path: PathBuf,
    /// Somebody asked for it: a failure to open it is then an error and no note.
    pub configured: bool,
}

/// How lines look in one place.
#[derive(Clone, Debug)]
pub struct LogSink {
    /// What is left out.
    pub level: Level,
    /// `strftime` form of `%(asctime)s`.
    pub date: String,
    /// Python's `logging` form of a line.
    pub line: String,
    /// One JSON object a line instead.
    pub json: bool,
}

/// What came with a configuration that is good.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    /// What is strange but harmless, in words.
    pub warnings: Vec<String>,
    /// What a start-up log should say, in words.
    pub notes: Vec<String>,
}

impl Remarks {
    /// Logs them.
    pub fn tell(&self) {
        self.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        self.notes.iter().for_each(|note| tracing::info!("{note}"));
    }
}

impl Config {
    /// Collects and checks.
    pub fn load(sources: &Sources) -> Result<(Self, Remarks), ConfigError> {
        let mut findings = Findings::default();
        let tree = Tree::collect(sources, &mut findings);
        let config = typed::check(tree, &mut findings);
        if findings.faults.is_empty() {
            Ok((config, Remarks { warnings: findings.warnings, notes: findings.notes }))
        } else {
            Err(ConfigError { faults: findings.faults })
        }
    }

    /// The faults of a tree that is being put together.
    pub fn faults_of(tree: Tree) -> Vec<fault::Fault> {
        let mut findings = Findings::default();
        typed::check(tree, &mut findings);
        findings.faults
    }

    /// Everything in force as one JSON object, secrets masked.
    pub fn to_masked_json(&self) -> serde_json::Value {
        self.tree.to_masked_json()
    }

    /// The key pair, made and written to the embedded store's directory if there is none yet. `None` with other
    /// backends without a configured one.
    pub fn ensure_keypair(&mut self) -> Result<Option<Keypair>, keypair::KeypairError> {
        if self.keypair.is_none() && self.public_key.is_none() && self.database.backend == Backend::Embedded {
            let keypair = keypair::load_or_generate(&self.database.path)?;
            self.public_key = Some(keypair.public);
            self.keypair = Some(keypair);
        }
        Ok(self.keypair.clone())
    }
}
