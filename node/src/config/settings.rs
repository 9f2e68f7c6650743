//! The list of settings: path, type and default of each.
//!
//! Paths, types, defaults and order are those of BigchainDB Server 1.0.1 (manual, "Configuration Settings"); what it did
//! not have is marked [`Setting::added`]. The environment variable of a setting is derived from its path.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

/// Which database holds the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// One directory of this node.
    Embedded,
    /// MongoDB, as BigchainDB Server 1.0.1 uses it.
    MongoDb,
    /// RethinkDB, as BigchainDB Server 1.0.1 uses it.
    RethinkDb,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::MongoDb, Self::RethinkDb];

    /// The word in `database.backend`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::MongoDb => "mongodb",
            Self::RethinkDb => "rethinkdb",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|b| b.as_str() == text).ok_or_else(|| {
            format!("Backend `{text}` is not supported. BigchainDB currently supports embedded, mongodb and rethinkdb.")
        })
    }
}

/// The type of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Flag,
    /// A list of strings; `a:b` in an environment variable.
    List,
    /// Names and strings; a JSON object in an environment variable.
    Map,
}

/// The value that holds when none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Default {
    /// The setting is optional.
    Null,
    Text(&'static str),
    Integer(i64),
    False,
    EmptyList,
    EmptyMap,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its place in the file, joined by dots.
    pub path: &'static str,
    /// Its type.
    pub kind: Kind,
    default: Default,
    /// Shown as `x`s.
    pub secret: bool,
    /// BigchainDB Server 1.0.1 did not have it: `configure` leaves it out of the file.
    pub added: bool,
}

impl Setting {
    const fn new(path: &'static str, kind: Kind, default: Default) -> Self {
        Self { path, kind, default, secret: false, added: false }
    }

    const fn text(path: &'static str, default: &'static str) -> Self {
        Self::new(path, Kind::Text, Default::Text(default))
    }

    const fn integer(path: &'static str, default: i64) -> Self {
        Self::new(path, Kind::Integer, Default::Integer(default))
    }

    const fn optional(path: &'static str, kind: Kind) -> Self {
        Self::new(path, kind, Default::Null)
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn added(self) -> Self {
        Self { added: true, ..self }
    }

    /// The value that holds when none is given.
    pub fn default(&self) -> Value {
        match self.default {
            Default::Null => Value::Null,
            Default::Text(text) => json!(text),
            Default::Integer(number) => json!(number),
            Default::False => json!(false),
            Default::EmptyList => json!([]),
            Default::EmptyMap => json!({}),
        }
    }

    /// Whether the setting may be null.
    pub fn nullable(&self) -> bool {
        self.default == Default::Null
    }

    /// Name of the environment variable.
    pub fn variable(&self) -> String {
        format!("BIGCHAINDB_{}", self.path.replace('.', "_").to_uppercase())
    }
}

use Kind::{Flag, Integer, List, Map, Text};

const FRONT: &[Setting] = &[
    Setting::text("server.bind", "localhost:9984"),
    Setting::text("server.loglevel", "info"),
    Setting::optional("server.workers", Integer),
    Setting::text("wsserver.scheme", "ws"),
    Setting::text("wsserver.host", "localhost"),
    Setting::integer("wsserver.port", 9985),
    // BigchainDB Server 1.1
    Setting::optional("wsserver.advertised_scheme", Text).added(),
    Setting::optional("wsserver.advertised_host", Text).added(),
    Setting::optional("wsserver.advertised_port", Integer).added(),
];

const EMBEDDED: &[Setting] =
    &[Setting::text("database.backend", "embedded"), Setting::text("database.path", "./bigchaindb-data")];

const MONGODB: &[Setting] = &[
    Setting::text("database.backend", "mongodb"),
    Setting::integer("database.connection_timeout", 5000),
    Setting::integer("database.max_tries", 3),
    Setting::new("database.ssl", Flag, Default::False),
    Setting::optional("database.ca_cert", Text),
    Setting::optional("database.certfile", Text),
    Setting::optional("database.keyfile", Text),
    Setting::optional("database.keyfile_passphrase", Text).secret(),
    Setting::optional("database.crlfile", Text),
    Setting::text("database.host", "localhost"),
    Setting::integer("database.port", 27017),
    Setting::text("database.name", "bigchain"),
    Setting::text("database.replicaset", "bigchain-rs"),
    Setting::optional("database.login", Text),
    Setting::optional("database.password", Text).secret(),
    Setting::optional("database.url", Text).secret().added(),
    Setting::optional("database.compat", Text).added(),
    Setting::new("database.name_commands", Flag, Default::False).added(),
];

const RETHINKDB: &[Setting] = &[
    Setting::text("database.backend", "rethinkdb"),
    Setting::text("database.host", "localhost"),
    Setting::integer("database.port", 28015),
    Setting::text("database.name", "bigchain"),
    Setting::integer("database.connection_timeout", 5000),
    Setting::integer("database.max_tries", 3),
];

const LAYOUT: &str = "[%(asctime)s] [%(levelname)s] (%(name)s) %(message)s (%(processName)-10s - pid: %(process)d)";

const BACK: &[Setting] = &[
    Setting::optional("keypair.public", Text),
    Setting::optional("keypair.private", Text).secret(),
    Setting::optional("keypair.private_file", Text).added(),
    Setting::new("keyring", List, Default::EmptyList),
    Setting::optional("keyring_file", Text).added(),
    Setting::optional("validation", Text).added(),
    Setting::integer("backlog_reassign_delay", 120),
    Setting::text("log.file", "~/bigchaindb.log"),
    Setting::text("log.error_file", "~/bigchaindb-errors.log"),
    Setting::text("log.level_console", "info"),
    Setting::text("log.level_logfile", "info"),
    Setting::text("log.datefmt_console", "%Y-%m-%d %H:%M:%S"),
    Setting::text("log.datefmt_logfile", "%Y-%m-%d %H:%M:%S"),
    Setting::text("log.fmt_console", LAYOUT),
    Setting::text("log.fmt_logfile", LAYOUT),
    Setting::new("log.granular_levels", Map, Default::EmptyMap),
    Setting::text("log.format_console", "text").added(),
    Setting::text("log.format_logfile", "text").added(),
    Setting::text("graphite.host", "localhost"),
];

/// Settings that are read without a word and do nothing here: the port of the reference's logging process (1.2).
pub const WITHOUT_EFFECT: &[&str] = &["log.port"];

const fn database(backend: Backend) -> &'static [Setting] {
    match backend {
        Backend::Embedded => EMBEDDED,
        Backend::MongoDb => MONGODB,
        Backend::RethinkDb => RETHINKDB,
    }
}

/// The settings that count with this backend, in the order of 1.0.1's file.
pub fn settings(backend: Backend) -> impl Iterator<Item = &'static Setting> {
    FRONT.iter().chain(database(backend)).chain(BACK)
}

/// Whether some other backend than this one has the setting.
pub fn belongs_to_other_backend(backend: Backend, path: &str) -> bool {
    Backend::ALL
        .into_iter()
        .filter(|other| *other != backend)
        .any(|other| database(other).iter().any(|s| s.path == path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_the_manual_has_its_setting() {
        // Manual of 1.0.1, "Configuration Settings"; BIGCHAINDB_CONFIG_PATH and BIGCHAINDB_LOG are no leaves.
        let manual = "KEYPAIR_PUBLIC KEYPAIR_PRIVATE KEYRING DATABASE_BACKEND DATABASE_HOST DATABASE_PORT DATABASE_NAME \
            DATABASE_REPLICASET DATABASE_CONNECTION_TIMEOUT DATABASE_MAX_TRIES SERVER_BIND SERVER_LOGLEVEL SERVER_WORKERS \
            WSSERVER_SCHEME WSSERVER_HOST WSSERVER_PORT BACKLOG_REASSIGN_DELAY LOG_FILE LOG_ERROR_FILE LOG_LEVEL_CONSOLE \
            LOG_LEVEL_LOGFILE LOG_DATEFMT_CONSOLE LOG_DATEFMT_LOGFILE LOG_FMT_CONSOLE LOG_FMT_LOGFILE LOG_GRANULAR_LEVELS \
            DATABASE_SSL DATABASE_LOGIN DATABASE_PASSWORD DATABASE_CA_CERT DATABASE_CERTFILE DATABASE_KEYFILE \
            DATABASE_KEYFILE_PASSPHRASE DATABASE_CRLFILE GRAPHITE_HOST";
        let ours: Vec<String> = settings(Backend::MongoDb).filter(|s| !s.added).map(Setting::variable).collect();
        let mut missing: Vec<&str> =
            manual.split_whitespace().filter(|v| !ours.contains(&format!("BIGCHAINDB_{v}"))).collect();
        missing.sort_unstable();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(ours.len(), manual.split_whitespace().count());
    }
}
