//! Documents that do not read. They never stop a node: each is reported once and passed over.

use std::collections::HashSet;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocument;
use parking_lot::Mutex;

use super::documents::{self, Unreadable};

/// Documents that are known; further ones are reported each time they are met.
const MOST: usize = 10_000;

/// What was met so far.
#[derive(Default)]
pub struct Quarantine(Mutex<HashSet<ObjectId>>);

impl Quarantine {
    /// Reports a document of this collection, unless it was met before.
    pub fn put(&self, collection: &str, document: &RawDocument, reason: &Unreadable) {
        let id = documents::id_of(document).ok();
        if let Some(id) = id {
            let mut met = self.0.lock();
            if met.contains(&id) {
                return;
            }
            if met.len() < MOST {
                met.insert(id);
            }
        }
        let id = id.map(|id| id.to_hex()).unwrap_or_default();
        tracing::error!(collection, document = id, %reason, "a document does not read and is passed over");
    }

    /// All that are known.
    pub fn ids(&self) -> Vec<ObjectId> {
        self.0.lock().iter().copied().collect()
    }
}
