//! The conversation that was held with BigchainDB Server 1.0.1, held with this node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bigchaindb::store::mongo::{MongoStore, Options};
use ledger::crypto::PrivateKey;

use serde_json::{Map, Value, json};

use crate::mongod::Mongod;
use crate::rig::{Answer, Client, Node, Setup, until};

const CONVERSATION: &str = include_str!("../data/conversation.json");
const DEVIATIONS: &str = include_str!("../deviations.toml");

/// The headers that are compared.
const HEADERS: [&str; 4] = ["content-type", "location", "access-control-allow-origin", "allow"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_answer_is_given_save_the_declared_ones() {
    hold_all(Node::start(Setup::default()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_answer_is_given_on_mongodb() {
    let Some(server) = Mongod::start(&[]) else { return };
    let node = PrivateKey::from_seed(&[1; 32]).public_key();
    let options = Options { node, compat: None, wait: Duration::from_millis(100) };
    let store = MongoStore::open(server.database().await, options).await.unwrap();
    hold_all(Node::start(Setup { store: Some(Arc::new(store)), ..Setup::default() }).await).await;
}

async fn hold_all(mut node: Node) {
    let conversation: Value = serde_json::from_str(CONVERSATION).unwrap();
    let steps = conversation["steps"].as_array().unwrap();
    let mut deviations = deviations();
    // The reference took a second to make a block, and what was asked within it saw the transaction still waiting. So
    // here blocks are made only while a step waits for one.
    node.stop_pipelines().await;
    let mut client = node.client().await;
    let (mut faults, mut compared) = (Vec::new(), 0);
    for step in steps {
        let name = step["name"].as_str().unwrap();
        if let Some(id) = step["wait_for"].as_str()
            && !node.is_valid(id).await
        {
            node.start_pipelines();
            until(name, async || node.is_valid(id).await).await;
            node.stop_pipelines().await;
        }
        let answer = hold(&mut client, step).await;
        let status = answer["status"].as_u64().unwrap();
        // The test server of MongoDB's protocol has no text index: see the page on MongoDB.
        let no_search = status == 503 && step.to_string().contains("search");
        if status >= 500 && !no_search {
            faults.push(format!("{name}: {status}"));
        }
        let expected = &step["answer"];
        let deviates = deviations.remove(name);
        if expected.is_null() {
            assert!(!deviates, "`{name}` of deviations.toml was not recorded");
            continue;
        }
        compared += 1;
        match (sorted(expected) == sorted(&answer), deviates) {
            (true, true) => faults.push(format!("{name}: declared as a deviation, and answered as recorded")),
            (false, false) => faults.push(format!("{name}:\n  recorded {expected}\n  answered {answer}")),
            _ => {}
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(deviations.is_empty(), "deviations without a request of that name: {deviations:?}");
    assert_eq!(compared, 417, "answers were compared");
    node.stop().await;
}

/// The declared names; each must have a reason.
fn deviations() -> Names {
    let mut names = BTreeMap::new();
    let mut last = None;
    for line in DEVIATIONS.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("[\"").and_then(|rest| rest.strip_suffix("\"]")) {
            let name = name.replace("\\\"", "\"");
            names.insert(name.clone(), false);
            last = Some(name);
        } else {
            assert!(line.starts_with("reason = \"") && line.len() > 20, "deviations.toml: {line}");
            names.insert(last.take().expect("a name before the reason"), true);
        }
    }
    assert!(names.values().all(|has_reason| *has_reason), "a deviation without a reason: {names:?}");
    Names(names.into_keys().collect())
}

#[derive(Debug)]
struct Names(std::collections::BTreeSet<String>);

impl Names {
    fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

async fn hold(client: &mut Client, step: &Value) -> Value {
    let name = step["name"].as_str().unwrap();
    let headers: Vec<(&str, &str)> = match &step["headers"] {
        Value::Object(headers) => {
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
        }
        _ => Vec::new(),
    };
    let body = match (&step["body"], &step["body_hex"]) {
        (Value::String(text), _) => text.clone().into_bytes(),
        (_, Value::String(digits)) => digits
            .as_bytes()
            .chunks(2)
            .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
            .collect(),
        _ => Vec::new(),
    };
    let answer = client.ask(step["method"].as_str().unwrap(), step["path"].as_str().unwrap(), &headers, body).await;
    recorded(name, &answer)
}

/// An answer as the recording has it.
fn recorded(name: &str, answer: &Answer) -> Value {
    let mut headers = Map::new();
    for header in HEADERS {
        if let Some(value) = answer.header(header) {
            let mut parts: Vec<&str> = value.split(", ").collect();
            if header == "allow" {
                parts.sort_unstable();
            }
            headers.insert(header.to_owned(), json!(parts.join(", ")));
        }
    }
    let body = serde_json::from_slice(&answer.body).unwrap_or_else(|_| {
        let text: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
        json!({"(not json)": text})
    });
    let body = match masked(body) {
        Value::Array(items) if name.starts_with("blocks of base") => json!(vec!["*"; items.len()]),
        body => body,
    };
    json!({"status": answer.status, "headers": headers, "body": body})
}

/// Without what is different from node to node.
fn masked(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let is_index = members.contains_key("software");
            let mask = |(name, value): (String, Value)| {
                let value = match (name.as_str(), &value) {
                    ("public_key" | "keyring", _) if is_index => json!("*"),
                    ("streams", Value::String(url)) => {
                        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
                        json!(format!("ws://*/{path}"))
                    }
                    _ => masked(value),
                };
                (name, value)
            };
            Value::Object(members.into_iter().map(mask).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(masked).collect()),
        other => other,
    }
}

/// With lists of objects in an order that does not depend on the node.
fn sorted(answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let Value::Array(items) = &mut answer["body"]
        && items.iter().all(Value::is_object)
    {
        items.sort_by_key(|item| {
            let mut item = item.clone();
            item.sort_all_objects();
            item.to_string()
        });
    }
    answer.sort_all_objects();
    answer
}
