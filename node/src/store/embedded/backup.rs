//! Backup, restore and removal of a ledger's directory.
//!
//! A backup is a stream: a line that names format and version, the log's records as they stand in the log (length,
//! checksum over position and payload, payload), and an end mark with their number, checksummed like a record. Records
//! keep their positions, so a restored log is the same to the byte. The index is not in it: it is rebuilt.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::files::{self, Presence};
use super::io::{Directory, Io};
use super::log::{Log, unwritable};
use super::record::{self, HEADER, MAX_PAYLOAD};
use super::state::{State, Trust};
use crate::store::{Result, StoreError};

/// First line of a backup of this version.
const MAGIC: &[u8] = b"bigchaindb backup 1\n";

/// What that line begins with in every version.
const MAGIC_ANY: &[u8] = b"bigchaindb backup ";

/// Type of the end mark; no record has it.
const END: u8 = 0xff;

/// Payload of the end mark: type, number of records.
const END_PAYLOAD: usize = 9;

/// Size of a restored log's segments, and of the pieces in which it is written.
const SEGMENT_BYTES: u64 = 64 << 20;
const PIECE: usize = 1 << 20;

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Records of the log.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Writes a backup of the store in a directory, also while a node runs on it: the log as far as it goes now. What was
/// confirmed before this begins is in it. `progress` is told the bytes done and the bytes there are.
///
/// # Errors
///
/// [`StoreError::NotInitialised`] if there is no ledger, [`StoreError::Damaged`] if the log does not read,
/// [`StoreError::Unwritable`] if `out` does not take it.
pub fn backup(dir: &Path, mut out: impl Write, mut progress: impl FnMut(u64, u64)) -> Result<Copied> {
    match files::presence(dir)? {
        Presence::Ledger => {}
        Presence::Nothing => return Err(StoreError::NotInitialised),
        Presence::Fragment => return Err(files::fragment(dir)),
    }
    let io = Directory::existing(&dir.join("log")).map_err(|e| unreadable(dir, &e))?;
    let log = Log::open(Arc::new(io), SEGMENT_BYTES)?;
    let (all, mut records) = (log.end(), 0_u64);
    let failed = |e: io::Error| unwritable("write the backup", &e);
    out.write_all(MAGIC).map_err(failed)?;
    let end = log.scan(0, |entry| {
        let length = entry.payload.len() as u32;
        out.write_all(&length.to_le_bytes()).map_err(failed)?;
        out.write_all(&entry.checksum.to_le_bytes()).map_err(failed)?;
        out.write_all(&entry.payload).map_err(failed)?;
        records += 1;
        if records.is_multiple_of(1024) {
            progress(entry.next, all);
        }
        Ok(true)
    })?;
    // A running node may have been in the midst of a write; anything else that does not read is damage.
    log.refuse_damage(end)?;
    let mut payload = vec![END];
    payload.extend_from_slice(&records.to_le_bytes());
    out.write_all(&(END_PAYLOAD as u32).to_le_bytes()).map_err(failed)?;
    out.write_all(&record::checksum(end, &payload).to_le_bytes()).map_err(failed)?;
    out.write_all(&payload).map_err(failed)?;
    out.flush().map_err(failed)?;
    progress(end, end);
    Ok(Copied { records, bytes: end })
}

/// Makes a store from a backup, in a directory without one. `progress` is told the bytes done. Durable when this
/// returns; after an error nothing is left behind.
///
/// # Errors
///
/// [`StoreError::AlreadyInitialised`] if there is a ledger, [`StoreError::Damaged`] if the backup does not read to its
/// end, [`StoreError::Unwritable`].
pub fn restore(input: impl Read, dir: &Path, progress: impl FnMut(u64)) -> Result<Copied> {
    if files::presence(dir)? != Presence::Nothing {
        return Err(StoreError::AlreadyInitialised);
    }
    fs::create_dir_all(dir).map_err(|e| unwritable(&format!("make `{}`", dir.display()), &e))?;
    let _lock = files::lock(dir)?;
    let restored = copy_in(input, dir, progress);
    if restored.is_err()
        && let Err(error) = files::remove(dir)
    {
        tracing::warn!(%error, "cannot tidy up after the failed restore");
    }
    restored
}

fn copy_in(mut input: impl Read, dir: &Path, mut progress: impl FnMut(u64)) -> Result<Copied> {
    let mut magic = [0; MAGIC.len()];
    let begun = input.read_exact(&mut magic);
    if begun.is_err() || magic != MAGIC {
        let reason = if magic.starts_with(MAGIC_ANY) { "of another version" } else { "no backup of a ledger" };
        return Err(StoreError::Damaged(format!("the input is {reason}")));
    }
    let io: Arc<dyn Io> = Arc::new(
        Directory::open(&dir.join("log")).map_err(|e| unwritable(&format!("make `log` in `{}`", dir.display()), &e))?,
    );
    let log = Log::open(io.clone(), SEGMENT_BYTES)?;
    let (mut position, mut records, mut piece) = (0_u64, 0_u64, Vec::with_capacity(2 * PIECE));
    loop {
        let mut header = [0; HEADER];
        input.read_exact(&mut header).map_err(|e| cut(records, &e))?;
        let (length, checksum) = record::parse_header(&header);
        if length == 0 || length > MAX_PAYLOAD {
            return Err(torn(position));
        }
        let start = piece.len();
        piece.extend_from_slice(&header);
        let read = input.by_ref().take(length as u64).read_to_end(&mut piece).map_err(|e| cut(records, &e))?;
        let payload = &piece[start + HEADER..];
        if read < length || record::checksum(position, payload) != checksum {
            return Err(torn(position));
        }
        if payload.first() == Some(&END) {
            let count = payload.last_chunk().map(|bytes| u64::from_le_bytes(*bytes));
            if length != END_PAYLOAD || count != Some(records) {
                return Err(torn(position));
            }
            piece.truncate(start);
            break;
        }
        records += 1;
        position += (HEADER + length) as u64;
        if piece.len() >= PIECE {
            log.append(&piece)?;
            piece.clear();
            progress(position);
        }
    }
    if !piece.is_empty() {
        log.append(&piece)?;
    }
    if position > 0 {
        log.sync()?;
    }
    State { synced: position, index: Trust::Rebuild }.write(&io)?;
    // Last: what has no version is no ledger yet.
    files::write_format(dir)?;
    progress(position);
    Ok(Copied { records, bytes: position })
}

/// Removes the ledger of a directory; other files stay (the node's key pair among them). `false`: there was none.
///
/// # Errors
///
/// [`StoreError::Unavailable`] if a process has it open, [`StoreError::Unwritable`].
pub fn drop_ledger(dir: &Path) -> Result<bool> {
    if files::presence(dir)? == Presence::Nothing {
        return Ok(false);
    }
    let _lock = files::lock(dir)?;
    files::remove(dir)?;
    Ok(true)
}

fn cut(records: u64, error: &io::Error) -> StoreError {
    StoreError::Damaged(format!("the backup ends after {records} records, before its end mark: {error}"))
}

fn torn(position: u64) -> StoreError {
    StoreError::Damaged(format!("the backup is damaged at position {position} of the log: use another one"))
}

fn unreadable(dir: &Path, error: &io::Error) -> StoreError {
    StoreError::Damaged(format!("cannot read `{}`: {error}", dir.display()))
}
