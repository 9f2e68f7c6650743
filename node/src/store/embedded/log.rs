//! The log: records one after the other, in segment files that are named after the position of their first byte.
//!
//! A record's position is its byte offset over all segments; it is also its sequence number. Only the commit thread
//! appends; everybody reads.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::io::{Io, IoFile};
use super::record::{self, HEADER, MAX_PAYLOAD, Record, SYNCED_PAYLOAD};
use crate::store::{Result, StoreError};

/// Files that are kept open for reading.
const OPEN_FILES: usize = 64;

/// Bytes read at once where a record's length is not known: most records fit.
const FIRST_READ: usize = 2048;

/// Bytes read at once when everything is read in order.
const SCAN_READ: usize = 1 << 20;

/// A record as it stands in the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where.
    pub position: u64,
    /// Where the next one starts.
    pub next: u64,
    /// Its checksum.
    pub checksum: u32,
    /// Type and content.
    pub payload: Bytes,
}

impl Entry {
    /// The record.
    pub fn record(&self) -> Result<Record> {
        Record::read(&self.payload).ok_or_else(|| {
            StoreError::Damaged(format!(
                "the record at position {} of the log is of no kind that this version knows",
                self.position
            ))
        })
    }
}

impl Entry {
    /// The record if it is a decision; others are not read.
    pub fn decision(&self) -> Result<Option<Record>> {
        if record::is_decision(&self.payload) { self.record().map(Some) } else { Ok(None) }
    }
}

struct Segment {
    size: u64,
    file: Option<Arc<dyn IoFile>>,
}

/// A segment that was looked up.
struct Found {
    base: u64,
    size: u64,
    file: Arc<dyn IoFile>,
    last: bool,
}

/// See the module.
pub struct Log {
    io: Arc<dyn Io>,
    segment_bytes: u64,
    segments: RwLock<BTreeMap<u64, Segment>>,
}

impl Log {
    /// Finds the segments. Nothing is read or changed: see [`Log::recover`].
    pub fn open(io: Arc<dyn Io>, segment_bytes: u64) -> Result<Self> {
        let mut segments = BTreeMap::new();
        for name in io.list().map_err(|e| unreadable("list the log's files", &e))? {
            let Some(base) = base_of(&name) else { continue };
            let file = io.open(&name).map_err(|e| unreadable(&format!("open `{name}`"), &e))?;
            let size = file.size().map_err(|e| unreadable(&format!("read the size of `{name}`"), &e))?;
            segments.insert(base, Segment { size, file: None });
        }
        let mut end = 0;
        for (&base, segment) in &segments {
            if base != end {
                return Err(StoreError::Damaged(format!(
                    "the log goes on at position {base} where {end} was expected: a file of `log` is missing, cut or \
                     foreign; restore a backup"
                )));
            }
            end = base + segment.size;
        }
        Ok(Self { io, segment_bytes, segments: RwLock::new(segments) })
    }

    /// Where the next record goes.
    pub fn end(&self) -> u64 {
        let segments = self.segments.read();
        segments.last_key_value().map_or(0, |(base, segment)| base + segment.size)
    }

    /// Reads everything from a record's position on and cuts off what a power loss tore: a bad record in the last
    /// segment, unless a later record says that it had been synced, or `synced` does: everything before that position
    /// was.
    pub fn recover(&self, from: u64, synced: u64, visit: impl FnMut(Entry) -> Result<()>) -> Result<()> {
        let mut visit = visit;
        let end = self.scan(from, |entry| visit(entry).map(|()| true))?;
        if end < synced {
            return Err(damaged(end));
        }
        if end < self.end() {
            self.refuse_damage(end)?;
            let (base, file) = self.last_segment()?;
            tracing::warn!(position = end, bytes = self.end() - end, "cutting off what was not written to the end");
            file.set_size(end - base).map_err(|e| unwritable("cut the log", &e))?;
            if let Some(segment) = self.segments.write().get_mut(&base) {
                segment.size = end - base;
            }
        }
        // After a killed process the newest records may be in memory only; they count from now on.
        if self.end() > 0 { self.sync() } else { Ok(()) }
    }

    /// Reads records in order while the visitor says `true`; the answer is where it stopped: the end, or the first bad
    /// record. Bad records before the last segment are damage.
    pub fn scan(&self, from: u64, mut visit: impl FnMut(Entry) -> Result<bool>) -> Result<u64> {
        let mut position = from;
        while let Some(Found { base, size, file, last }) = self.segment_at(position)? {
            let mut window = Window { file: file.as_ref(), base, end: base + size, start: 0, bytes: Bytes::new() };
            while position < base + size {
                let Some(entry) = window.entry(position)? else {
                    if last {
                        return Ok(position);
                    }
                    return Err(damaged(position));
                };
                position = entry.next;
                if !visit(entry)? {
                    return Ok(position);
                }
            }
        }
        Ok(position)
    }

    /// The record at a position.
    pub fn read(&self, position: u64) -> Result<Entry> {
        let Found { base, size, file, .. } = self.segment_at(position)?.ok_or_else(|| damaged(position))?;
        let offset = position - base;
        let failed = |e: io::Error| unreadable(&format!("read the log at position {position}"), &e);
        let mut first = vec![0; FIRST_READ.min((size - offset) as usize)];
        let n = file.read_at(offset, &mut first).map_err(failed)?;
        first.truncate(n);
        let Some(header) = first.first_chunk() else { return Err(damaged(position)) };
        let (length, checksum) = record::parse_header(header);
        if length > MAX_PAYLOAD || (HEADER + length) as u64 > size - offset {
            return Err(damaged(position));
        }
        if first.len() < HEADER + length {
            let had = first.len();
            first.resize(HEADER + length, 0);
            let n = file.read_at(offset + had as u64, &mut first[had..]).map_err(failed)?;
            first.truncate(had + n);
        }
        if first.len() < HEADER + length {
            return Err(damaged(position));
        }
        let payload = Bytes::from(first).slice(HEADER..HEADER + length);
        if record::checksum(position, &payload) != checksum {
            return Err(damaged(position));
        }
        Ok(Entry { position, next: position + (HEADER + length) as u64, checksum, payload })
    }

    /// Appends records that were made for [`Log::end`]; durable after [`Log::sync`]. After an error nothing more may
    /// be written: how much of it reached the disk is unknown.
    pub fn append(&self, data: &[u8]) -> Result<()> {
        let (base, size, file) = self.writable_segment()?;
        file.write_at(size, data).map_err(|e| unwritable("write to the log", &e))?;
        if let Some(segment) = self.segments.write().get_mut(&base) {
            segment.size += data.len() as u64;
        }
        Ok(())
    }

    /// Makes durable what was appended.
    pub fn sync(&self) -> Result<()> {
        let (_, file) = self.last_segment()?;
        file.sync().map_err(|e| unwritable("sync the log", &e))
    }

    /// The last segment, or a new one if it is full. Segments are only left when they are synced.
    fn writable_segment(&self) -> Result<(u64, u64, Arc<dyn IoFile>)> {
        let end = {
            let segments = self.segments.read();
            match segments.last_key_value() {
                Some((&base, Segment { size, file: Some(file) })) if *size < self.segment_bytes => {
                    return Ok((base, *size, file.clone()));
                }
                Some((base, segment)) => base + segment.size,
                None => 0,
            }
        };
        let full = self.segments.read().last_key_value().is_none_or(|(_, segment)| segment.size >= self.segment_bytes);
        if !full {
            let (base, file) = self.last_segment()?;
            return Ok((base, end - base, file));
        }
        let name = format!("{end:016x}.log");
        let failed = |e: io::Error| unwritable(&format!("make `log/{name}`"), &e);
        let file = self.io.open(&name).map_err(failed)?;
        self.io.sync_dir().map_err(failed)?;
        self.segments.write().insert(end, Segment { size: 0, file: Some(file.clone()) });
        Ok((end, 0, file))
    }

    fn last_segment(&self) -> Result<(u64, Arc<dyn IoFile>)> {
        let base = self.segments.read().last_key_value().map(|(base, _)| *base);
        let Some(base) = base else { return Err(StoreError::Damaged("the log is empty".to_owned())) };
        Ok((base, self.file(base)?))
    }

    /// The segment with this position; `None` at the end.
    fn segment_at(&self, position: u64) -> Result<Option<Found>> {
        let (base, size, last) = {
            let segments = self.segments.read();
            let Some((&base, segment)) = segments.range(..=position).next_back() else { return Ok(None) };
            let last = segments.last_key_value().is_some_and(|(last, _)| *last == base);
            (base, segment.size, last)
        };
        if position - base >= size {
            return Ok(None);
        }
        Ok(Some(Found { base, size, file: self.file(base)?, last }))
    }

    fn file(&self, base: u64) -> Result<Arc<dyn IoFile>> {
        if let Some(Segment { file: Some(file), .. }) = self.segments.read().get(&base) {
            return Ok(file.clone());
        }
        let name = format!("{base:016x}.log");
        let file = self.io.open(&name).map_err(|e| unreadable(&format!("open `log/{name}`"), &e))?;
        let mut segments = self.segments.write();
        let last = segments.last_key_value().map_or(0, |(base, _)| *base);
        if segments.values().filter(|s| s.file.is_some()).count() >= OPEN_FILES {
            // Any one but the one that is written to: re-opening is cheap.
            let victim = segments.iter_mut().find(|(b, s)| **b != last && s.file.is_some());
            if let Some((_, segment)) = victim {
                segment.file = None;
            }
        }
        if let Some(segment) = segments.get_mut(&base) {
            segment.file = Some(file.clone());
        }
        Ok(file)
    }

    /// An error if a later record attests that the bytes at this position, where [`Log::scan`] stopped, had been synced:
    /// then they were not torn but damaged, and without them something confirmed would be lost.
    pub fn refuse_damage(&self, position: u64) -> Result<()> {
        let Some(Found { base, size, file, .. }) = self.segment_at(position)? else { return Ok(()) };
        let mut rest = vec![0; (base + size - position) as usize];
        let n = file.read_at(position - base, &mut rest).map_err(|e| unreadable("read the end of the log", &e))?;
        rest.truncate(n);
        for (i, window) in rest.windows(HEADER + SYNCED_PAYLOAD).enumerate() {
            let Some((header, payload)) = window.split_first_chunk() else { break };
            let (length, checksum) = record::parse_header(header);
            if length != SYNCED_PAYLOAD || record::checksum(position + i as u64, payload) != checksum {
                continue;
            }
            if let Some(Record::Synced(synced)) = Record::read(&Bytes::copy_from_slice(payload))
                && synced > position
            {
                return Err(damaged(position));
            }
        }
        Ok(())
    }
}

/// A stretch of one segment, read ahead.
struct Window<'a> {
    file: &'a dyn IoFile,
    base: u64,
    end: u64,
    start: u64,
    bytes: Bytes,
}

impl Window<'_> {
    /// The record at a position, `None` if it is bad. Its bytes are its own: they outlive the window cheaply.
    fn entry(&mut self, position: u64) -> Result<Option<Entry>> {
        let Some(header) = self.at(position, HEADER)? else { return Ok(None) };
        let Some(header) = header.first_chunk() else { return Ok(None) };
        let (length, checksum) = record::parse_header(header);
        if length == 0 || length > MAX_PAYLOAD {
            return Ok(None);
        }
        let Some(payload) = self.at(position + HEADER as u64, length)? else { return Ok(None) };
        if record::checksum(position, &payload) != checksum {
            return Ok(None);
        }
        let payload = Bytes::copy_from_slice(&payload);
        Ok(Some(Entry { position, next: position + (HEADER + length) as u64, checksum, payload }))
    }

    fn at(&mut self, position: u64, length: usize) -> Result<Option<Bytes>> {
        let wanted = position + length as u64;
        if wanted > self.end {
            return Ok(None);
        }
        if position < self.start || wanted > self.start + self.bytes.len() as u64 {
            let size = length.max(SCAN_READ).min((self.end - position) as usize);
            let mut bytes = vec![0; size];
            let read = self.file.read_at(position - self.base, &mut bytes);
            let n = read.map_err(|e| unreadable(&format!("read the log at position {position}"), &e))?;
            bytes.truncate(n);
            self.start = position;
            self.bytes = bytes.into();
        }
        let from = (position - self.start) as usize;
        Ok((from + length <= self.bytes.len()).then(|| self.bytes.slice(from..from + length)))
    }
}

fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

fn damaged(position: u64) -> StoreError {
    StoreError::Damaged(format!(
        "the log does not read at position {position} although it was written there; restore a backup, or copy the \
         directory for a rescue before anything else"
    ))
}

fn unreadable(what: &str, error: &io::Error) -> StoreError {
    StoreError::Damaged(format!("cannot {what}: {error}"))
}

/// Whether the system does not let anything be written there, which says nothing about what was written before.
pub fn refuses_writes(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge | PermissionDenied | ReadOnlyFilesystem)
}

/// A failed write, in words for people.
pub fn unwritable(what: &str, error: &io::Error) -> StoreError {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space and start again",
        io::ErrorKind::FileTooLarge => "; raise the limit on the size of files (`ulimit -f`) and start again",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; make the directory writable for this user and start again"
        }
        _ => "",
    };
    StoreError::Unwritable(format!("cannot {what}: {error}{hint}"))
}
