//! The index as a map in memory, for tests by the ten thousand.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::RwLock;

use super::Index;
use crate::store::Result;

/// See the module.
#[derive(Default)]
pub struct MemoryIndex(RwLock<BTreeMap<Vec<u8>, Bytes>>);

impl MemoryIndex {
    /// A copy as it is now: what a killed process would leave behind.
    pub fn snapshot(&self) -> Self {
        Self(RwLock::new(self.0.read().clone()))
    }
}

impl Index for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.0.read().get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        let map = self.0.read();
        let range = map.range(from.to_vec()..to.to_vec()).take(limit);
        Ok(range.map(|(key, value)| (Bytes::copy_from_slice(key), value.clone())).collect())
    }

    fn write(&self, batch: Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        self.0.write().extend(batch.into_iter().map(|(key, value)| (key, Bytes::from(value))));
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}
