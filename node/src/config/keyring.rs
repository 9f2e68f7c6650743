//! The federation's keys and the file that changes them while nodes run.

use std::collections::BTreeSet;
use std::path::Path;

use ledger::ids::PublicKey;
use serde_json::{Map, Value, json};

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
    /// Sets that were active before `previous`, oldest first. A node that joins later, or was away for long, needs
    /// them to tell old blocks from those of a stranger; `strict` ledgers only.
    pub former: Vec<Vec<PublicKey>>,
    /// Their blocks and votes count: everybody who ever belonged.
    pub known: Vec<PublicKey>,
}

const MEMBERS: [&str; 6] = ["generation", "previous", "active", "next", "former", "known"];

impl Keyring {
    /// A keyring that never changes: this node and the others of `keyring`.
    pub fn fixed(own: PublicKey, others: &[PublicKey]) -> Self {
        let mut active = vec![own];
        active.extend(others.iter().filter(|key| **key != own));
        let known = active.clone();
        Self { generation: 0, previous: Vec::new(), active, next: Vec::new(), former: Vec::new(), known }
    }

    /// The active keys without one's own.
    pub fn others(&self, own: &PublicKey) -> Vec<PublicKey> {
        self.active.iter().copied().filter(|key| key != own).collect()
    }

    /// The next generation, in which these keys are active.
    pub fn followed_by(&self, active: &[PublicKey]) -> Self {
        let mut former = self.former.clone();
        if !self.previous.is_empty() {
            former.push(self.previous.clone());
        }
        Self {
            generation: self.generation + 1,
            previous: self.active.clone(),
            active: active.to_vec(),
            next: Vec::new(),
            former,
            known: without_repeats(&[self.known.as_slice(), active].concat()),
        }
    }

    /// The file's text, as [`Self::parse`] reads it.
    pub fn to_json(&self) -> Value {
        let texts = |keys: &[PublicKey]| keys.iter().map(ToString::to_string).collect::<Vec<String>>();
        json!({
            "generation": self.generation,
            "previous": texts(&self.previous),
            "active": texts(&self.active),
            "next": texts(&self.next),
            "former": self.former.iter().map(|set| texts(set)).collect::<Vec<_>>(),
            "known": texts(&self.known),
        })
    }

    /// Reads the file; all its faults at once.
    pub fn read(path: &Path) -> Result<Self, Vec<String>> {
        let text = std::fs::read_to_string(path).map_err(|e| vec![format!("cannot be read: {e}")])?;
        Self::parse(&text)
    }

    /// Reads the file's text. `previous`, `next` and `former` may be missing; `known` too, and then stands for all others.
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
        let former = sets(&root, "former", &mut faults);
        let members: Vec<PublicKey> =
            [&active, &previous, &next].into_iter().chain(&former).flatten().copied().collect();
        let known = keys(&root, "known", &mut faults).unwrap_or_else(|| without_repeats(&members));
        if faults.is_empty() {
            if active.is_empty() {
                faults.push("`active` must name at least one key".to_owned());
            }
            faults.extend(
                without_repeats(&members).iter().filter(|key| !known.contains(key)).map(|key| {
                    format!("{key} is in `previous`, `active`, `next` or `former` and must be in `known` too")
                }),
            );
        }
        match generation {
            Some(generation) if faults.is_empty() => Ok(Self { generation, previous, active, next, former, known }),
            _ => Err(faults),
        }
    }
}

fn keys(root: &Map<String, Value>, name: &str, faults: &mut Vec<String>) -> Option<Vec<PublicKey>> {
    Some(key_list(root.get(name)?, &format!("`{name}`"), faults))
}

fn sets(root: &Map<String, Value>, name: &str, faults: &mut Vec<String>) -> Vec<Vec<PublicKey>> {
    match root.get(name) {
        None => Vec::new(),
        Some(Value::Array(sets)) => {
            sets.iter().enumerate().map(|(at, set)| key_list(set, &format!("`{name}`, entry {at}"), faults)).collect()
        }
        Some(_) => {
            faults.push(format!("`{name}` must be a list of lists of public keys"));
            Vec::new()
        }
    }
}

fn key_list(list: &Value, place: &str, faults: &mut Vec<String>) -> Vec<PublicKey> {
    let Some(items) = list.as_array() else {
        faults.push(format!("{place} must be a list of public keys"));
        return Vec::new();
    };
    let mut keys = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match item.as_str().map(str::parse) {
            Some(Ok(key)) if keys.contains(&key) => faults.push(format!("{place} names {key} twice")),
            Some(Ok(key)) => keys.push(key),
            Some(Err(e)) => faults.push(format!("{place}, entry {at}: {e}")),
            None => faults.push(format!("{place}, entry {at}: must be a text")),
        }
    }
    keys
}

fn without_repeats(keys: &[PublicKey]) -> Vec<PublicKey> {
    let mut seen = BTreeSet::new();
    keys.iter().copied().filter(|key| seen.insert(*key)).collect()
}
