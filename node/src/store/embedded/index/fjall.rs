//! The index on fjall, an LSM tree.
//!
//! Two keyspaces: keys that are looked up one by one, of which most are not there (a new transaction, an unspent
//! output), so that filters answer; and keys that are read as ranges.

use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::Bytes;
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::super::log::{refuses_writes, unwritable};
use super::{Index, broken};
use crate::store::{Result, StoreError};

/// Bytes of blocks kept in memory; the system's page cache does the rest.
const CACHE: u64 = 8 << 20;

/// See the module.
pub struct FjallIndex {
    database: Database,
    points: Keyspace,
    ranges: Keyspace,
}

impl FjallIndex {
    /// Opens or makes the database in a directory. `memtable_bytes`: what each keyspace gathers in memory before it
    /// writes a table.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`]: the directory is of no use; [`StoreError::Unwritable`]: it may be, once it can be
    /// written.
    pub fn open(path: &Path, memtable_bytes: u64) -> Result<Self> {
        // What a power loss has torn makes fjall panic in places.
        catch_unwind(AssertUnwindSafe(|| Self::try_open(path, memtable_bytes)))
            .map_err(|_| broken(&"it does not open"))?
            .map_err(|e| failed(&e))
    }

    fn try_open(path: &Path, memtable_bytes: u64) -> fjall::Result<Self> {
        let database = Database::builder(path)
            .cache_size(CACHE)
            .max_journaling_size(64 << 20)
            .manual_journal_persist(false)
            .worker_threads(1)
            .max_cached_files(Some(64))
            .open()?;
        let filter = FilterPolicy::all(FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0)));
        // Filters stay in memory, 10 bits for each key: one that is not in the cache is read and checksummed whole for a
        // single look-up, which with a million transactions cost more than everything else together.
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(memtable_bytes)
                .filter_block_pinning_policy(PinningPolicy::all(true))
                .index_block_pinning_policy(PinningPolicy::all(true))
        };
        let points = database.keyspace("points", || options().filter_policy(filter))?;
        let ranges = database.keyspace("ranges", || options().filter_policy(FilterPolicy::disabled()))?;
        Ok(Self { database, points, ranges })
    }

    fn keyspace(&self, key: &[u8]) -> &Keyspace {
        match key.first() {
            Some(b'P' | b'A' | b'O' | b'V' | b'F') => &self.ranges,
            _ => &self.points,
        }
    }

    /// fjall panics on some kinds of damage; a reader must get an error instead.
    fn guarded<T>(&self, read: impl FnOnce() -> fjall::Result<T>) -> Result<T> {
        catch_unwind(AssertUnwindSafe(read)).map_err(|_| broken(&"a table is damaged"))?.map_err(|e| failed(&e))
    }
}

/// Tells a disk that takes no writes from damage. What was written before the error stays good: a batch that was cut
/// off does not count.
fn failed(error: &fjall::Error) -> StoreError {
    if matches!(error, fjall::Error::Poisoned) {
        return StoreError::Unwritable(
            "a table of the index could not be written in the background; see whether the disk is full, and start again"
                .to_owned(),
        );
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(reason) = cause {
        if let Some(reason) = reason.downcast_ref::<io::Error>()
            && refuses_writes(reason)
        {
            return unwritable("write to the directory `index`", reason);
        }
        cause = reason.source();
    }
    broken(error)
}

impl Index for FjallIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.guarded(|| self.keyspace(key).get(key))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        self.guarded(|| {
            let range = self.keyspace(from).range(from..to).take(limit);
            range
                .map(|guard| {
                    let (key, value) = guard.into_inner()?;
                    Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
                })
                .collect()
        })
    }

    fn write(&self, pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        self.guarded(|| {
            let mut batch = self.database.batch();
            for (key, value) in pairs {
                let keyspace = self.keyspace(&key);
                batch.insert(keyspace, key, value);
            }
            batch.commit()
        })
    }

    fn sync(&self) -> Result<()> {
        self.guarded(|| self.database.persist(PersistMode::SyncAll))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_damage() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        for error in [fjall::Error::Io(full()), fjall::Error::Storage(full().into()), fjall::Error::Poisoned] {
            assert!(matches!(failed(&error), StoreError::Unwritable(_)), "{error}");
        }
        assert!(failed(&fjall::Error::Storage(full().into())).to_string().contains("free some space"));
        let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
        for error in [fjall::Error::Io(cut), fjall::Error::Unrecoverable] {
            assert!(matches!(failed(&error), StoreError::Damaged(_)), "{error}");
        }
    }
}
