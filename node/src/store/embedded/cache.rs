//! Transactions that were read back from the log lately, so that a transfer's input is parsed once and not at every
//! stage.

use std::collections::HashMap;
use std::sync::Arc;

use ledger::transaction::Transaction;
use parking_lot::Mutex;

/// Bytes of canonical JSON in one generation; the parsed form takes a few times that.
const GENERATION: usize = 2 << 20;

#[derive(Default)]
struct Generations {
    new: HashMap<u64, Arc<Transaction>>,
    old: HashMap<u64, Arc<Transaction>>,
    bytes: usize,
}

/// Keyed by the position of the record. When a generation is full, the one before is forgotten.
#[derive(Default)]
pub struct Cache(Mutex<Generations>);

impl Cache {
    /// The transaction, if it is remembered.
    pub fn get(&self, body: u64) -> Option<Arc<Transaction>> {
        let mut generations = self.0.lock();
        if let Some(transaction) = generations.new.get(&body) {
            return Some(transaction.clone());
        }
        let transaction = generations.old.remove(&body)?;
        generations.put(body, transaction.clone());
        Some(transaction)
    }

    /// Remembers a transaction.
    pub fn put(&self, body: u64, transaction: Arc<Transaction>) {
        self.0.lock().put(body, transaction);
    }
}

impl Generations {
    fn put(&mut self, body: u64, transaction: Arc<Transaction>) {
        self.bytes += transaction.bytes().len();
        self.new.insert(body, transaction);
        if self.bytes > GENERATION {
            self.old = std::mem::take(&mut self.new);
            self.bytes = 0;
        }
    }
}
