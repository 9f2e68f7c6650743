//! The federation's keys and the file that changes them while nodes run.

use std::collections::BTreeSet;
use std::path::Path;

use ledger::ids::PublicKey;
use serde_json::{Map, Value};

/// The keys of the whole federation, one's own included, so that all nodes can share one file.
///
/// Key changes go in generations: `next` becomes `active`, `active` becomes `previous`. `known` only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    /// Counts the changes.
    pub generation: u64,
    /// The set before.
    pub previous: Vec<PublicKey>,
    /// Assigned to and listed as voters.
    pub active: Vec<PublicKey>,
    /// The set after.
    pub next: Vec<PublicKey>,
    /// Their blocks and votes count: everybody who ever belonged.
    pub known: Vec<PublicKey>,
}

const MEMBERS: [&str; 5] = ["generation", "previous", "active", "next", "known"];

impl Keyring {
    /// A keyring that never changes: this node and the others of `keyring`.
    pub fn fixed(own: PublicKey, others: &[PublicKey]) -> Self {
        let mut active = vec![own];
        active.extend(others.iter().filter(|key| **key != own));
        Self { generation: 0, previous: Vec::new(), known: active.clone(), active, next: Vec::new() }
    }

    /// The active keys without one's own.
    pub fn others(&self, own: &PublicKey) -> Vec<PublicKey> {
        self.active.iter().copied().filter(|key| key != own).collect()
    }

    /// Reads the file; all its faults at once.
    pub fn read(path: &Path) -> Result<Self, Vec<String>> {
        let text = std::fs::read_to_string(path).map_err(|e| vec![format!("cannot be read: {e}")])?;
        Self::parse(&text)
    }

    /// Reads the file's text. `previous` and `next` may be missing; `known` too, and then stands for the other three.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let root = match serde_json::from_str(text) {
            Ok(Value::Object(root)) => root,
            Ok(_) => return Err(vec!["holds JSON, but no object".to_owned()]),
            Err(e) => return Err(vec![format!("is no JSON: {e}")]),
        };
        let mut faults: Vec<String> = root
            .keys()
            .filter(|name| !MEMBERS.contains(&name.as_str()))
            .map(|name| format!("`{name}` is not a member of a keyring file: it has {}", MEMBERS.join(", ")))
            .collect();
        let generation = root.get("generation").and_then(Value::as_u64);
        if generation.is_none() {
            faults.push("`generation` must be a whole number from 0".to_owned());
        }
        let previous = keys(&root, "previous", &mut faults).unwrap_or_default();
        let active = keys(&root, "active", &mut faults).unwrap_or_default();
        let next = keys(&root, "next", &mut faults).unwrap_or_default();
        let members: Vec<PublicKey> = [&active, &previous, &next].into_iter().flatten().copied().collect();
        let known = keys(&root, "known", &mut faults).unwrap_or_else(|| without_repeats(&members));
        if faults.is_empty() {
            if active.is_empty() {
                faults.push("`active` must name at least one key".to_owned());
            }
            faults.extend(
                without_repeats(&members)
                    .iter()
                    .filter(|key| !known.contains(key))
                    .map(|key| format!("{key} is in `previous`, `active` or `next` and must be in `known` too")),
            );
        }
        match generation {
            Some(generation) if faults.is_empty() => Ok(Self { generation, previous, active, next, known }),
            _ => Err(faults),
        }
    }
}

fn keys(root: &Map<String, Value>, name: &str, faults: &mut Vec<String>) -> Option<Vec<PublicKey>> {
    let Some(items) = root.get(name)?.as_array() else {
        faults.push(format!("`{name}` must be a list of public keys"));
        return Some(Vec::new());
    };
    let mut keys = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match item.as_str().map(str::parse) {
            Some(Ok(key)) if keys.contains(&key) => faults.push(format!("`{name}` names {key} twice")),
            Some(Ok(key)) => keys.push(key),
            Some(Err(e)) => faults.push(format!("`{name}`, entry {at}: {e}")),
            None => faults.push(format!("`{name}`, entry {at}: must be a text")),
        }
    }
    Some(keys)
}

fn without_repeats(keys: &[PublicKey]) -> Vec<PublicKey> {
    let mut seen = BTreeSet::new();
    keys.iter().copied().filter(|key| seen.insert(*key)).collect()
}
