//! JSON schemas of what is sent and answered.

use serde_json::{Value, json};

use super::Content;

/// The media type and schema of an answer.
pub fn of(content: Content) -> (&'static str, Value) {
    let named = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let list = |name: &str| json!({"type": "array", "items": named(name)});
    let schema = match content {
        Content::Index => named("Index"),
        Content::ApiIndex => named("ApiIndex"),
        Content::Transaction => named("Transaction"),
        Content::Transactions => list("Transaction"),
        Content::Outputs => list("OutputLocation"),
        Content::Status => named("Status"),
        Content::Assets => list("FoundAsset"),
        Content::Block => named("Block"),
        Content::Ids => list("Id"),
        Content::Votes => list("Vote"),
        Content::Rejection => named("Rejection"),
        Content::Federation => named("Federation"),
        Content::Health => named("Health"),
        Content::Ready => named("Ready"),
        Content::Any => json!({"type": "object"}),
        Content::Metrics => {
            return ("application/openmetrics-text", json!({"type": "string"}));
        }
    };
    ("application/json", schema)
}

/// An object with exactly these members, all required.
fn exact(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().map(|p| p.keys().collect()).unwrap_or_default();
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
}

/// All schemas by name.
pub fn all() -> Value {
    let id = json!({"$ref": "#/components/schemas/Id"});
    let text = json!({"type": "string"});
    let key = json!({"type": "string", "pattern": "^[1-9a-zA-Z^OIl]{43,44}$"});
    let keys = json!({"type": "array", "nullable": true, "items": key});
    let sorted_keys = json!({"type": "array", "items": {"type": "string"}});
    let any_object = json!({"type": "object", "nullable": true});
    let addresses = json!({
        "assets": text, "docs": text, "outputs": text, "statuses": text, "streams": text, "transactions": text,
    });
    json!({
        "Id": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "Error": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "message": {"anyOf": [
                    {"type": "string"},
                    {"type": "object", "additionalProperties": {"type": "string"}},
                ]},
                "status": {"type": "integer"},
            },
            "additionalProperties": false,
        },
        "Index": exact(json!({
            "api": exact(json!({"v1": {"$ref": "#/components/schemas/ApiIndex"}})),
            "docs": text,
            "keyring": {"type": "array", "items": text},
            "public_key": {"type": "string", "nullable": true},
            "software": {"type": "string", "enum": ["BigchainDB"]},
            "version": text,
        })),
        "ApiIndex": exact(addresses),
        "Transaction": exact(json!({
            "id": id,
            "version": {"type": "string", "enum": ["1.0"]},
            "operation": {"type": "string", "enum": ["CREATE", "TRANSFER", "GENESIS"]},
            "asset": {"type": "object", "properties": {"id": id, "data": any_object}, "additionalProperties": false},
            "metadata": {"type": "object", "nullable": true, "minProperties": 1},
            "inputs": {"type": "array", "items": exact(json!({
                "owners_before": keys,
                "fulfills": {
                    "type": "object",
                    "nullable": true,
                    "required": ["output_index", "transaction_id"],
                    "properties": {"output_index": {"type": "integer", "minimum": 0}, "transaction_id": id},
                    "additionalProperties": false,
                },
                "fulfillment": {"anyOf": [
                    {"type": "string", "pattern": "^[a-zA-Z0-9_-]*$"},
                    {"$ref": "#/components/schemas/Details"},
                ]},
            }))},
            "outputs": {"type": "array", "items": exact(json!({
                "public_keys": keys,
                "condition": exact(json!({"details": {"$ref": "#/components/schemas/Details"}, "uri": text})),
                "amount": {"type": "string", "pattern": "^[0-9]{1,20}$"},
            }))},
        })),
        "Details": {"anyOf": [
            exact(json!({"type": {"type": "string", "enum": ["ed25519-sha-256"]}, "public_key": key})),
            exact(json!({
                "type": {"type": "string", "enum": ["threshold-sha-256"]},
                "threshold": {"type": "integer", "minimum": 1, "maximum": 100},
                "subconditions": {"type": "array", "items": {"$ref": "#/components/schemas/Details"}},
            })),
        ]},
        "OutputLocation": exact(json!({"transaction_id": id, "output_index": {"type": "integer", "minimum": 0}})),
        "Status": exact(json!({
            "status": {"type": "string", "enum": ["valid", "invalid", "undecided", "backlog"]},
        })),
        "FoundAsset": exact(json!({"data": {"type": ["object", "null"]}, "id": id})),
        "Block": exact(json!({
            "id": id,
            "block": exact(json!({
                "timestamp": text,
                "transactions": {"type": "array", "items": {"$ref": "#/components/schemas/Transaction"}},
                "node_pubkey": text,
                "voters": {"type": "array", "items": text},
            })),
            "signature": text,
        })),
        "Vote": {"type": "object"},
        "Rejection": exact(json!({
            "transaction_id": id, "class": text, "message": text, "at": {"type": "integer", "minimum": 0},
        })),
        "Federation": exact(json!({
            "public_key": text,
            "generation": {"type": "integer", "minimum": 0},
            "previous": sorted_keys, "active": sorted_keys, "next": sorted_keys, "known": sorted_keys,
            "former": {"type": "array", "items": sorted_keys},
            "nodes_seen": {"type": "integer", "minimum": 0},
            "nodes_differing": {"type": "integer", "minimum": 0},
        })),
        "Health": exact(json!({"healthy": {"type": "boolean"}})),
        "Ready": exact(json!({
            "ready": {"type": "boolean"},
            "checks": {"type": "object", "additionalProperties": exact(json!({
                "state": {"type": "string", "enum": ["ok", "degraded", "failed"]},
                "message": text,
            }))},
        })),
    })
}
