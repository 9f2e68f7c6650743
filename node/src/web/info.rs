//! `/` and `/api/v1`: what the node is and where things are.

use bytes::Bytes;
use ledger::ids::PublicKey;
use ledger::json::Value;

use super::json;

/// What the index documents say.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// The version of BigchainDB Server whose API this is.
    pub version: &'static str,
    /// This node's key.
    pub public_key: Option<PublicKey>,
    /// Address of the stream of valid transactions, whole.
    pub streams_url: String,
}

impl NodeInfo {
    fn docs(&self) -> String {
        format!("https://docs.bigchaindb.com/projects/server/en/v{}/", self.version)
    }

    fn addresses(&self, prefix: &str) -> Value<'static> {
        let list = |name: &str| json::text(format!("{prefix}{name}/"));
        json::object([
            ("docs", json::text(self.docs() + "http-client-server-api.html")),
            ("transactions", list("transactions")),
            ("statuses", list("statuses")),
            ("assets", list("assets")),
            ("outputs", list("outputs")),
            ("streams", json::text(self.streams_url.clone())),
        ])
    }

    /// The document at `/`; `others`: the other nodes' keys, in the order of the keyring.
    pub fn index(&self, others: &[PublicKey], compact: bool) -> Bytes {
        let keyring = others.iter().map(|key| json::text(key.to_string())).collect();
        let index = json::object([
            ("api", json::object([("v1", self.addresses("/api/v1/"))])),
            ("docs", json::text(self.docs())),
            ("software", json::text("BigchainDB")),
            ("version", json::text(self.version)),
            ("public_key", self.public_key.map_or(Value::Null, |key| json::text(key.to_string()))),
            ("keyring", Value::Array(keyring)),
        ]);
        json::jsonify(&index, compact)
    }

    /// The document at `/api/v1`. (Its paths are relative to the API's root.)
    pub fn api_index(&self, compact: bool) -> Bytes {
        json::jsonify(&self.addresses("/"), compact)
    }
}
