//! What change streams told of, and whether a client asks for it as of that time or later.

use std::collections::HashMap;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, Timestamp};
use parking_lot::Mutex;

/// Events and reads of what they are about.
#[derive(Default)]
pub struct Events {
    told: Mutex<HashMap<ObjectId, Timestamp>>,
    reads: Mutex<Reads>,
}

/// Reads of documents that an event told of before.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Of documents that their event's time was asked for with.
    pub causal: usize,
    /// Commands that did not ask for it: another primary might not have the document yet.
    pub early: Vec<Document>,
}

impl Events {
    /// Takes note of events in an answer, and takes the server's own time out of it: a client learns of the time by
    /// events only.
    pub fn note(&self, answer: &mut Document) {
        answer.remove("operationTime");
        answer.remove("$clusterTime");
        let cursor = answer.get_document("cursor");
        let batch = cursor.and_then(|cursor| cursor.get_array("nextBatch").or_else(|_| cursor.get_array("firstBatch")));
        for event in batch.into_iter().flatten().filter_map(Bson::as_document) {
            let key = event.get_document("documentKey").and_then(|key| key.get_object_id("_id"));
            if let (Ok(id), Ok(time)) = (key, event.get_timestamp("clusterTime")) {
                self.told.lock().insert(id, time);
            }
        }
    }

    /// Looks at a query by `_id`.
    pub fn look(&self, command: &Document) {
        let filter = command.get_document("filter").and_then(|filter| filter.get_document("_id"));
        let ids = filter.and_then(|filter| filter.get_array("$in")).map(Vec::as_slice).unwrap_or_default();
        let concern = command.get_document("readConcern");
        let asked = concern.and_then(|concern| concern.get_timestamp("afterClusterTime")).ok();
        let told = self.told.lock();
        for time in ids.iter().filter_map(|id| told.get(&id.as_object_id()?)) {
            if asked >= Some(*time) {
                self.reads.lock().causal += 1;
            } else {
                self.reads.lock().early.push(command.clone());
            }
        }
    }

    /// What was read since the start.
    pub fn reads(&self) -> Reads {
        self.reads.lock().clone()
    }
}
