//! How much waits for a block, counted without asking the server.

use std::collections::HashMap;

use ledger::ids::TxId;
use parking_lot::Mutex;

use crate::store::Amount;

/// For an entry that another node wrote and nobody here has read, bytes.
const GUESS: usize = 1000;

#[derive(Default)]
struct Entries {
    bytes: HashMap<TxId, usize>,
    total: usize,
}

/// Entries of the backlog by id, and their size. This node's own writes are counted at once, those of others when
/// [`Waiting::agree`] is told of them.
#[derive(Default)]
pub struct Waiting(Mutex<Entries>);

impl Waiting {
    /// What waits.
    pub fn amount(&self) -> Amount {
        let entries = self.0.lock();
        Amount { transactions: entries.bytes.len(), bytes: entries.total }
    }

    /// An entry was written or read.
    pub fn add(&self, id: TxId, bytes: usize) {
        let mut entries = self.0.lock();
        let before = entries.bytes.insert(id, bytes).unwrap_or_default();
        entries.total = entries.total - before + bytes;
    }

    /// Entries are gone.
    pub fn remove<'a>(&self, ids: impl IntoIterator<Item = &'a TxId>) {
        let mut entries = self.0.lock();
        for id in ids {
            let bytes = entries.bytes.remove(id).unwrap_or_default();
            entries.total -= bytes;
        }
    }

    /// Takes over which entries the server has.
    pub fn agree(&self, ids: impl IntoIterator<Item = TxId>) {
        let mut entries = self.0.lock();
        let before = std::mem::take(&mut entries.bytes);
        entries.bytes = ids.into_iter().map(|id| (id, before.get(&id).copied().unwrap_or(GUESS))).collect();
        entries.total = entries.bytes.values().sum();
    }
}
