//! The OpenAPI document, made from the table that the dispatcher goes by.

mod schemas;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::query::Described;
use super::route::{Endpoint, Handler, ROUTES, Route};

/// What a parameter accepts.
#[derive(Clone, Copy, Debug)]
pub enum Schema {
    /// Any text.
    Text,
    /// Text that is not empty.
    SearchText,
    /// 64 hexadecimal digits.
    TransactionId,
    /// Base58.
    PublicKey,
    /// `true`, `false`.
    Boolean,
    /// `CREATE`, `TRANSFER`.
    Operation,
    /// `valid`, `invalid`, `undecided`.
    BlockStatus,
    /// A whole number.
    Limit,
}

/// What an answer holds.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// The document at `/`.
    Index,
    /// The document at `/api/v1`.
    ApiIndex,
    /// A transaction.
    Transaction,
    /// A list of them.
    Transactions,
    /// A list of outputs.
    Outputs,
    /// A status.
    Status,
    /// A list of assets.
    Assets,
    /// A block.
    Block,
    /// A list of block ids.
    Ids,
    /// A list of votes.
    Votes,
    /// Why a transaction was dropped.
    Rejection,
    /// The keyring in force.
    Federation,
    /// Prometheus' text.
    Metrics,
    /// `/healthz`
    Health,
    /// `/readyz`
    Ready,
    /// JSON of any kind.
    Any,
}

impl Schema {
    fn json(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::SearchText => json!({"type": "string", "minLength": 1}),
            Self::TransactionId => json!({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}),
            Self::PublicKey => json!({"type": "string", "pattern": "^[1-9A-HJ-NP-Za-km-z]{43,44}$"}),
            Self::Boolean => json!({"type": "boolean"}),
            Self::Operation => json!({"type": "string", "enum": ["CREATE", "TRANSFER"]}),
            Self::BlockStatus => json!({"type": "string", "enum": ["valid", "invalid", "undecided"]}),
            Self::Limit => json!({"type": "integer"}),
        }
    }
}

/// The document.
pub fn document() -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in &ROUTES {
        let methods = paths.entry(route.path).or_default();
        methods.insert("get".to_owned(), operation(route, &route.get));
        if let Some(post) = &route.post {
            methods.insert("post".to_owned(), operation(route, post));
        }
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "BigchainDB HTTP API",
            "version": "1.0.1",
            "description": "The API of BigchainDB Server 1.0.1 and what this node adds to it. Every path may also be \
                            written with one slash at its end; HEAD is answered wherever GET is.",
            "license": {"name": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": schemas::all()},
    })
}

/// The document as text, made once.
pub fn text() -> Bytes {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let make = || {
        let mut text = serde_json::to_vec_pretty(&document()).unwrap_or_default();
        text.push(b'\n');
        Bytes::from(text)
    };
    TEXT.get_or_init(make).clone()
}

fn operation(route: &Route, endpoint: &Endpoint) -> Value {
    let mut parameters = Vec::new();
    if let Some(name) = route.id_name() {
        parameters.push(json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": "64 lower-case hexadecimal digits; anything else names nothing",
            "schema": {"type": "string"},
        }));
    }
    parameters.extend(endpoint.parameters.iter().map(|p| parameter(*p)));

    let (status, content) = endpoint.success;
    let mut answers = Map::new();
    answers.insert(status.to_string(), success(status, content));
    for status in endpoint.refusals.iter().chain(&[405, 503]) {
        answers.insert(status.to_string(), refusal(*status));
    }
    if matches!(content, Content::Ready) {
        answers.insert("503".to_owned(), success(503, content));
    }
    let mut operation = json!({
        "operationId": format!("{:?}", endpoint.handler),
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": answers,
    });
    if status == 202 {
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Transaction"}}},
        });
    }
    operation
}

fn parameter(parameter: &dyn Described) -> Value {
    json!({
        "name": parameter.name(),
        "in": "query",
        "required": parameter.required(),
        "description": parameter.about(),
        "schema": parameter.schema().json(),
    })
}

fn success(status: u16, content: Content) -> Value {
    let (media_type, schema) = schemas::of(content);
    let mut answer = json!({
        "description": match status {
            202 => "Stored; the verdict follows. Ask the address in `Location` for it",
            503 => "Something that must work does not",
            _ => "The answer",
        },
        "content": {media_type: {"schema": schema}},
    });
    if status == 202 {
        answer["headers"] = json!({"Location": {
            "description": "Where the transaction's status is told, relative to this path",
            "schema": {"type": "string"},
        }});
        answer["links"] = links();
    }
    answer
}

/// What can be asked with the id of a transaction that was taken in.
fn links() -> Value {
    let id = "$response.body#/id";
    let link = |handler: Handler, parameter: &str| json!({"operationId": format!("{handler:?}"), "parameters": {parameter: id}});
    json!({
        "status": link(Handler::Statuses, "query.transaction_id"),
        "transaction": link(Handler::Transaction, "path.transaction_id"),
        "rejection": link(Handler::Rejection, "path.transaction_id"),
        "blocks": link(Handler::Blocks, "query.transaction_id"),
    })
}

fn refusal(status: u16) -> Value {
    let description = match status {
        400 => "The request is not understood, or the transaction breaks a rule; the message says which",
        404 => "Nothing has this id, or it is not valid (yet)",
        405 => "The path has no such method",
        408 => "The body did not arrive in time",
        413 => "The body is larger than 1 MiB",
        503 => "The node cannot tell now; asking again is safe",
        _ => "Refused",
    };
    let mut content = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}});
    if status == 404 {
        // What an id with a slash in it leads to.
        content["text/html"] = json!({"schema": {"type": "string"}});
    }
    let mut answer = json!({"description": description, "content": content});
    if status == 503 {
        answer["headers"] = json!({"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}});
    }
    if status == 405 {
        answer["headers"] = json!({"Allow": {"schema": {"type": "string"}}});
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_and_every_schema_it_names_is_in_the_document() {
        let document = document();
        for route in &ROUTES {
            let path = &document["paths"][route.path];
            assert!(path["get"]["responses"]["200"].is_object(), "{}", route.path);
            assert_eq!(path["post"]["responses"]["202"].is_object(), route.post.is_some(), "{}", route.path);
        }
        let text = document.to_string();
        for (at, _) in text.match_indices("#/components/schemas/") {
            let name: String =
                text[at..].trim_start_matches("#/components/schemas/").chars().take_while(|c| *c != '"').collect();
            assert!(document["components"]["schemas"][&name].is_object(), "{name}");
        }
    }
}
