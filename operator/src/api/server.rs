//! `spec.server`: the BigchainDB server.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::common::{Resources, SecretReference};
use super::rules::{host, naming};
use crate::desired::environment::OWN_VARIABLES;

/// The BigchainDB server.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerSpec {
    /// Container image of the server. Absent: the one that the operator was installed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// What the server's container may use. Absent: requests of 250m and 512Mi, a limit of 2Gi of memory.
    #[serde(default = "server_resources")]
    pub resources: Resources,
    /// Secret with the node's key pair: `private.key` holds the private key in base58, or the key pair in JSON as
    /// `bigchaindb key new` writes it. Absent: the operator makes a key pair and keeps it in the Secret `<node>-keys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_pair_secret_ref: Option<SecretReference>,
    /// Seconds after which a transaction that waits for a block is given to another node.
    #[serde(default = "reassign_delay")]
    #[schemars(range(min = 1, max = 86400))]
    pub backlog_reassign_delay: i32,
    /// The server logs what is of this level, or worse.
    #[serde(default)]
    pub log_level: LogLevel,
    /// Threads that serve the HTTP API. Absent: one for each processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<i32>,
    /// Rules of the ledger. Absent: what the ledger records, `strict` for a new one. They never change for a ledger that
    /// exists: the server refuses to start with others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationRules>,
    /// The address of the WebSocket API as clients are told it, part by part. Absent: the gateway's, by its server name
    /// or else by the name of its Service.
    #[serde(default)]
    pub advertised: Advertised,
    /// Further environment variables of the server, for settings that have no field of their own. A variable that the
    /// operator sets itself is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub extra_env: Vec<Variable>,
}

/// An environment variable.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct Variable {
    /// Name: `BIGCHAINDB_GRAPHITE_HOST`.
    #[schemars(length(max = 128))]
    #[x_kube(
        validation = naming(
            "self.matches('^[A-Za-z_][A-Za-z0-9_]*$')",
            "'`' + self + '` cannot be the name of a variable: use only letters, digits and _, and begin with no digit'",
        ),
        validation = naming(
            format!("!(self in {OWN_VARIABLES:?})"),
            "'the operator sets ' + self + ' itself: remove it, and use the field that stands for it'",
        )
        .reason(Reason::FieldValueForbidden)
    )]
    pub name: String,
    /// Value. Everybody who may read the resource can read it: not for secrets.
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, schemars::JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Debug,
    #[default]
    Info,
    Warning,
    Error,
    Critical,
}

impl LogLevel {
    /// As the server's settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// Consensus rules.
#[derive(Clone, Copy, Debug, Deserialize, Eq, schemars::JsonSchema, PartialEq, Serialize)]
pub enum ValidationRules {
    #[serde(rename = "strict")]
    Strict,
    #[serde(rename = "v1.0.1")]
    V101,
}

impl ValidationRules {
    /// As the server's settings write them.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::V101 => "v1.0.1",
        }
    }
}

/// Parts of an address.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct Advertised {
    /// `ws` or `wss`. Absent: `wss` behind a gateway that speaks HTTPS, else `ws`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<WebSocketScheme>,
    /// A host's name. Absent: the gateway's server name, or else the name of its Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = host())]
    pub host: Option<String>,
    /// A port. Absent: the gateway's API port, which serves the WebSocket API too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// Scheme of a WebSocket address.
#[derive(Clone, Copy, Debug, Deserialize, Eq, schemars::JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WebSocketScheme {
    Ws,
    Wss,
}

impl WebSocketScheme {
    /// As an address begins.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

fn server_resources() -> Resources {
    Resources::sized("250m", "512Mi", "2Gi")
}

fn reassign_delay() -> i32 {
    120
}

impl Default for ServerSpec {
    fn default() -> Self {
        Self {
            image: None,
            resources: server_resources(),
            key_pair_secret_ref: None,
            backlog_reassign_delay: reassign_delay(),
            log_level: LogLevel::default(),
            workers: None,
            validation: None,
            advertised: Advertised::default(),
            extra_env: Vec::new(),
        }
    }
}
