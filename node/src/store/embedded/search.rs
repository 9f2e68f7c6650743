//! Text search of assets with the meaning of MongoDB's `$text`: an inverted index (tantivy) finds candidates, which are
//! then scored as MongoDB does.
//!
//! The thread of this module follows the log, off the commit path and at a low priority, and indexes the assets of
//! valid CREATE transactions that hold any text. How far it has come stands in the index's commits. An index that does
//! not open is made anew; one that is found damaged later is marked, and made anew at the next start.

pub mod query;
pub mod text;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use ledger::ids::TxId;
use ledger::json;
use parking_lot::{Condvar, Mutex};
use tantivy::collector::{Count, DocSetCollector, TopDocs};
use tantivy::directory::error::OpenWriteError;
use tantivy::indexer::IndexWriterOptions;
use tantivy::query::{BooleanQuery, Occur, TermQuery};
use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{PreTokenizedString, Token};
use tantivy::{
    DocAddress, Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, TantivyError, Term,
};

use self::query::{Query, fields};
use self::text::Language;
use super::log::refuses_writes;
use super::record::Record;
use super::shared::Shared;
use crate::store::{FoundAsset, Result, StoreError};

/// The writer's memory, bytes: the least that tantivy takes.
const WRITER_BYTES: usize = 15_000_000;

/// Hits that are scored; the rest follows in the order of the log.
const SCORED: usize = 10_000;

/// How long a search waits for what was decided before it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Quiet time after which assets are committed unasked and the writer's memory is given back.
const IDLE: Duration = Duration::from_secs(5);

/// Assets and bytes of log after which the index is committed unasked.
const COMMIT_ASSETS: usize = 50_000;
const COMMIT_LOG: u64 = 256 << 20;

/// Priority of the thread: the node's own work comes first.
const NICE: i32 = 10;

/// A file of the directory that says: make it anew.
const DAMAGED: &str = "damaged";

/// See the module.
pub struct Search {
    directory: PathBuf,
    index: Index,
    reader: IndexReader,
    text: Field,
    body: Field,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// A search waits for the log up to here.
    asked: u64,
    /// Searches see the log up to here.
    visible: u64,
    /// The index's files are what was written.
    checked: bool,
    /// Something was decided.
    news: bool,
    stop: bool,
    failed: Option<String>,
}

impl Search {
    /// Opens or makes the index in a directory.
    pub fn open(dir: &Path) -> tantivy::Result<Self> {
        // tantivy panics on some kinds of damage.
        catch_unwind(|| Self::try_open(dir))
            .unwrap_or_else(|_| Err(TantivyError::InternalError("a file of it is damaged".to_owned())))
    }

    fn try_open(dir: &Path) -> tantivy::Result<Self> {
        let mut schema = Schema::builder();
        let indexing = TextFieldIndexing::default().set_index_option(IndexRecordOption::WithFreqs);
        let text = schema.add_text_field("text", TextOptions::default().set_indexing_options(indexing));
        let body = schema.add_u64_field("body", FAST);
        if dir.join(DAMAGED).try_exists()? {
            tracing::warn!("the text index was found damaged: making a new one");
            std::fs::remove_dir_all(dir)?;
        }
        std::fs::create_dir_all(dir)?;
        let directory = tantivy::directory::MmapDirectory::open(dir)?;
        let index = Index::open_or_create(directory, schema.build())?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let position = index.load_metas()?.payload.map_or(Some(0), |payload| position_in(&payload));
        let position = position.ok_or_else(|| TantivyError::InvalidArgument("its position is damaged".to_owned()))?;
        let state = Mutex::new(State { visible: position, ..State::default() });
        Ok(Self { directory: dir.to_owned(), index, reader, text, body, state, changed: Condvar::new() })
    }

    /// The log's position up to which assets are in the index.
    pub fn position(&self) -> u64 {
        self.state.lock().visible
    }

    /// Why assets cannot be searched; `None` while all is well.
    pub fn failure(&self) -> Option<String> {
        self.state.lock().failed.clone()
    }

    /// Refuses all searches from now on. The first reason stays.
    fn fail(&self, reason: String) {
        tracing::error!(reason, "assets cannot be searched any more");
        self.state.lock().failed.get_or_insert(reason);
        self.changed.notify_all();
    }

    /// The index is of no use: it is made anew at the next start.
    fn give_up(&self, error: &dyn std::fmt::Display) -> StoreError {
        if let Err(error) = std::fs::write(self.directory.join(DAMAGED), "") {
            tracing::error!(%error, "cannot note that the text index is damaged; remove the directory `search` by hand");
        }
        let reason = format!("the text index does not read ({error}); it is made anew at the next start");
        self.fail(reason.clone());
        StoreError::Unavailable(reason)
    }

    /// Says that something was decided.
    pub fn wake(&self) {
        self.state.lock().news = true;
        self.changed.notify_all();
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_all();
    }

    /// Waits until searches see the log up to a position, but not for long.
    fn wait_for(&self, position: u64) -> Result<()> {
        let mut state = self.state.lock();
        state.asked = state.asked.max(position);
        self.changed.notify_all();
        let is_behind = |state: &mut State| (state.visible < position || !state.checked) && state.failed.is_none();
        self.changed.wait_while_for(&mut state, is_behind, PATIENCE);
        match &state.failed {
            Some(reason) => Err(StoreError::Unavailable(format!("the text search has stopped: {reason}"))),
            None => Ok(()),
        }
    }

    /// The thread's work.
    pub fn run(&self, shared: &Shared) {
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%error, "cannot lower the priority of the text search");
        }
        match catch_unwind(AssertUnwindSafe(|| self.check().and_then(|()| self.follow(shared)))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) if is_refused(&error) => {
                self.fail(format!("cannot write to the directory `search`: {error}; the next start goes on with it"));
            }
            Ok(Err(error)) => drop(self.give_up(&error)),
            Err(_) => drop(self.give_up(&"its thread panicked")),
        }
    }

    /// Reads all of the index once: a word that a damaged file has lost would be missed silently.
    fn check(&self) -> anyhow::Result<()> {
        let damaged = self.index.validate_checksum()?;
        if let Some(file) = damaged.iter().next() {
            anyhow::bail!("`{}` is not what was written", file.display());
        }
        self.state.lock().checked = true;
        self.changed.notify_all();
        Ok(())
    }

    fn follow(&self, shared: &Shared) -> anyhow::Result<()> {
        let mut follower = Follower { search: self, shared, position: self.position(), pending: 0, writer: None };
        let mut durable = follower.position;
        loop {
            let (asked, idle, stop) = {
                let mut state = self.state.lock();
                let nothing = |state: &mut State| !state.news && !state.stop && state.asked <= state.visible;
                let idle = match follower.writer {
                    Some(_) => self.changed.wait_while_for(&mut state, nothing, IDLE).timed_out(),
                    None => {
                        self.changed.wait_while(&mut state, nothing);
                        false
                    }
                };
                state.news = false;
                (state.asked > state.visible, idle, state.stop)
            };
            let end = shared.tail.read().last.2;
            follower.read_log(end)?;
            let behind = follower.position - durable >= COMMIT_LOG || stop && follower.position > durable;
            let commit = follower.pending > 0 && (asked || idle || stop || follower.pending >= COMMIT_ASSETS);
            if commit || behind {
                follower.commit()?;
                durable = follower.position;
            }
            if follower.pending == 0 {
                self.state.lock().visible = follower.position;
                self.changed.notify_all();
            }
            if idle {
                follower.writer = None;
            }
            if stop {
                return Ok(());
            }
        }
    }

    /// Assets that match, best first; `limit` 0: all.
    pub fn find(&self, shared: &Shared, query: &str, limit: usize) -> Result<Vec<FoundAsset>> {
        let position = shared.tail.read().last.2;
        self.wait_for(position)?;
        // The id is part of the document too, but indexed by the store already.
        let words = query.split(|c: char| !c.is_ascii_hexdigit());
        let ids: Vec<TxId> = words.filter_map(|word| word.to_ascii_lowercase().parse().ok()).collect();
        let query = Query::parse(query);
        // tantivy panics on some kinds of damage.
        let candidates = catch_unwind(AssertUnwindSafe(|| self.candidates(&query, limit)));
        let candidates = candidates.map_err(|_| self.give_up(&"a search panicked"))?;
        let (best, rest) = candidates.map_err(|e| self.give_up(&e))?;
        // What the index points to is read: if that fails, the index is taken to be at fault.
        let judge_found = |body| judge(shared, &query, body).map_err(|e| self.give_up(&e));
        let mut found = Vec::with_capacity(best.len());
        for body in best {
            found.extend(judge_found(body)?.map(|(score, asset)| (score, body, asset)));
        }
        for id in ids {
            if let Some(body) = shared.valid_body(&id)?
                && !found.iter().any(|(_, known, _)| *known == body)
            {
                found.extend(judge(shared, &query, body)?.map(|(score, asset)| (score, body, asset)));
            }
        }
        found.sort_by(|(one, a, _), (other, b, _)| other.total_cmp(one).then(a.cmp(b)));
        let mut assets: Vec<FoundAsset> = found.into_iter().map(|(_, _, asset)| asset).collect();
        for body in rest {
            assets.extend(judge_found(body)?.map(|(_, asset)| asset));
        }
        // A transaction that stands in two valid blocks was indexed for each.
        let mut seen = HashSet::new();
        assets.retain(|asset| seen.insert(asset.id));
        if limit > 0 {
            assets.truncate(limit);
        }
        Ok(assets)
    }

    /// Positions of what may match: the likeliest, and the rest if all are wanted.
    fn candidates(&self, query: &Query, limit: usize) -> tantivy::Result<(Vec<u64>, Vec<u64>)> {
        let clause = |occur: Occur, term: &String| -> (Occur, Box<dyn tantivy::query::Query>) {
            let term = Term::from_field_text(self.text, term);
            (occur, Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs)))
        };
        if query.terms.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let wanted = query.terms.iter().map(|term| clause(Occur::Should, term));
        let unwanted = query.negated.iter().map(|term| clause(Occur::MustNot, term));
        let both = BooleanQuery::new(wanted.chain(unwanted).collect());
        let searcher = self.reader.searcher();
        let (best, count) = searcher.search(&both, &(TopDocs::with_limit(SCORED).order_by_score(), Count))?;
        let best: Vec<DocAddress> = best.into_iter().map(|(_, address)| address).collect();
        let mut rest = Vec::new();
        if count > best.len() && (limit == 0 || limit > best.len()) {
            let known: HashSet<DocAddress> = best.iter().copied().collect();
            let all = searcher.search(&both, &DocSetCollector)?;
            let others: Vec<DocAddress> = all.into_iter().filter(|address| !known.contains(address)).collect();
            rest = bodies(&searcher, &others)?;
            rest.sort_unstable();
        }
        Ok((bodies(&searcher, &best)?, rest))
    }
}

fn bodies(searcher: &Searcher, addresses: &[DocAddress]) -> tantivy::Result<Vec<u64>> {
    let columns: Vec<_> = searcher.segment_readers().iter().map(|r| r.fast_fields().u64("body")).collect();
    let mut bodies = Vec::with_capacity(addresses.len());
    for address in addresses {
        match columns.get(address.segment_ord as usize) {
            Some(Ok(column)) => bodies.extend(column.first(address.doc_id)),
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(TantivyError::InternalError("a hit is in no segment".to_owned())),
        }
    }
    Ok(bodies)
}

/// Score and asset of the transaction in the record at a position; `None` if it does not match.
fn judge(shared: &Shared, query: &Query, body: u64) -> Result<Option<(f64, FoundAsset)>> {
    let (Record::Tx { id, bytes, .. } | Record::Body { id, bytes }) = shared.log.read(body)?.record()? else {
        return Err(StoreError::Damaged(format!("no transaction stands at position {body} of the log")));
    };
    let Some(data) = asset_data(&bytes) else { return Ok(None) };
    let Ok(value) = json::parse(&data) else { return Ok(None) };
    let hex = id.to_string();
    let mut texts = vec![query::Field { text: &hex, language: Language::English }];
    fields(&value, Language::English, &mut texts);
    Ok(query.score(&texts).map(|score| (score, FoundAsset { id, data })))
}

/// Whether the system lets nothing be written: that is no damage.
fn is_refused(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<TantivyError>() {
        Some(TantivyError::IoError(error)) => refuses_writes(error),
        Some(TantivyError::OpenWriteError(OpenWriteError::IoError { io_error, .. })) => refuses_writes(io_error),
        _ => false,
    }
}

/// How far an index has come, as its commits note it: nothing else guards that note against damage.
fn payload(position: u64) -> String {
    format!("{position} {:08x}", crc32fast::hash(&position.to_le_bytes()))
}

fn position_in(noted: &str) -> Option<u64> {
    let position = noted.split(' ').next()?.parse().ok()?;
    (payload(position) == noted).then_some(position)
}

/// Reads the log for valid assets.
struct Follower<'a> {
    search: &'a Search,
    shared: &'a Shared,
    position: u64,
    /// Assets that were added and not committed.
    pending: usize,
    writer: Option<IndexWriter>,
}

impl Follower<'_> {
    fn read_log(&mut self, end: u64) -> anyhow::Result<()> {
        let mut decided = Vec::new();
        self.shared.log.scan(self.position, |entry| {
            if entry.position >= end {
                return Ok(false);
            }
            if let Some(Record::Decision { block, valid: true, .. }) = entry.decision()? {
                decided.push(block);
            }
            Ok(true)
        })?;
        for block in decided {
            for body in self.shared.bodies_of(&block)? {
                let (Record::Tx { bytes, .. } | Record::Body { bytes, .. }) = self.shared.log.read(body)?.record()?
                else {
                    continue;
                };
                if let Some(data) = asset_data(&bytes).filter(|data| holds_text(data)) {
                    self.add(body, &data)?;
                }
            }
        }
        self.position = self.position.max(end);
        Ok(())
    }

    fn add(&mut self, body: u64, data: &Bytes) -> anyhow::Result<()> {
        let Ok(value) = json::parse(data) else { return Ok(()) };
        let mut texts = Vec::new();
        fields(&value, Language::English, &mut texts);
        let terms = texts.iter().flat_map(|field| text::terms(field.text, field.language));
        let tokens: Vec<Token> =
            terms.enumerate().map(|(position, text)| Token { text, position, ..Token::default() }).collect();
        if tokens.is_empty() {
            return Ok(());
        }
        let mut document = TantivyDocument::default();
        document.add_pre_tokenized_text(self.search.text, PreTokenizedString { text: String::new(), tokens });
        document.add_u64(self.search.body, body);
        self.writer()?.add_document(document)?;
        self.pending += 1;
        Ok(())
    }

    fn writer(&mut self) -> tantivy::Result<&mut IndexWriter> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let options = IndexWriterOptions::builder().memory_budget_per_thread(WRITER_BYTES);
                self.search.index.writer_with_options(options.num_worker_threads(1).num_merge_threads(1).build())?
            }
        };
        Ok(self.writer.insert(writer))
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        let position = payload(self.position);
        let mut commit = self.writer()?.prepare_commit()?;
        commit.set_payload(&position);
        commit.commit()?;
        self.search.reader.reload()?;
        self.pending = 0;
        Ok(())
    }
}

/// The canonical JSON of `asset.data`; `None` for a TRANSFER.
fn asset_data(transaction: &Bytes) -> Option<Bytes> {
    // Canonical JSON sorts the members, so the asset stands first.
    let rest = transaction.strip_prefix(b"{\"asset\":{\"data\":")?;
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (i, &byte) in rest.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(transaction.slice_ref(rest.get(..i)?)),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether any value in canonical JSON is a string: a string that no colon follows.
fn holds_text(json: &[u8]) -> bool {
    let (mut in_string, mut escaped, mut ended) = (false, false, false);
    for &byte in json {
        if std::mem::take(&mut ended) && byte != b':' {
            return true;
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => {
                ended = in_string;
                in_string = !in_string;
            }
            _ => {}
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asset_data_is_found_in_canonical_bytes() {
        let data = |text: &str| asset_data(&Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(
            data(r#"{"asset":{"data":{"a":["}\"",{}]}},"id":"x"}"#).as_deref(),
            Some(&br#"{"a":["}\"",{}]}"#[..])
        );
        assert_eq!(data(r#"{"asset":{"data":null},"id":"x"}"#).as_deref(), Some(&b"null"[..]));
        assert_eq!(data(r#"{"asset":{"id":"y"},"id":"x"}"#), None);
    }

    #[test]
    fn only_values_are_text() {
        for (text, expected) in [
            (r#"{"n":1}"#, false),
            (r#"{"n":{"m":[1,2.5,null]}}"#, false),
            ("null", false),
            (r#"{"n":"m"}"#, true),
            (r#"{"n":["m"]}"#, true),
            (r#"{"n":[1,{"m\"":""}]}"#, true),
            (r#""m""#, true),
        ] {
            assert_eq!(holds_text(text.as_bytes()), expected, "{text}");
        }
    }
}
