//! The backlog: writing, assignment, taking out.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, PublicKey, TxId};
use ledger::transaction::Transaction;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{RawDocument, RawDocumentBuf, cstr};
use mongodb::bson::{Document, Timestamp, doc};

use super::feed::Source;
use super::shared::Shared;
use super::{Compat, documents, fault, schema};
use crate::store::database::StoreWork;
use crate::store::{BacklogEntry, Rejection, Result, StoreError, Taken};

/// Operations on single documents that are under way at once.
const PARALLEL: usize = 32;

/// Half a millisecond, seconds: how exactly two assignment times must agree. Python nodes write microseconds.
const SAME_TIME: f64 = 0.0005;

/// A Python node that is told of an update reads the document back, and its block pipeline ends for good if it is gone. So
/// what was reassigned stays in the backlog for this time more.
const READ_BACK: Duration = Duration::from_secs(1);

/// How long after its document's id, which counts whole seconds, an entry is assigned that was not reassigned: seconds.
const AT_ONCE: f64 = 1.5;

/// How often what a block held is put back while its maker takes it out, which it does once, or a few times when answers
/// are lost.
const REQUEUES: usize = 10;

/// What is set when an entry is assigned.
fn assignment(to: PublicKey, at: u64) -> Document {
    doc! { "$set": { "assignee": to.to_string(), "assignment_timestamp": documents::seconds(at) } }
}

impl Shared {
    /// Adds entries, save those that wait already or stand in a block that counts.
    pub async fn write_backlog(&self, entries: Vec<BacklogEntry>) -> Result<()> {
        self.add(entries, None).await.map(drop)
    }

    /// Gives back what a block held that is decided invalid; see [`crate::store::Store::decide`]. Its maker may be about to
    /// take what still waits out, as it stands in that block: not once it is assigned anew.
    pub async fn requeue(&self, entries: Vec<BacklogEntry>, block: BlockId, maker: &str) -> Result<()> {
        let mut missing = entries;
        for _ in 0..REQUEUES {
            let waiting = self.add(missing, Some(block)).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            self.assign_anew(&waiting, maker).await?;
            let ids: Vec<TxId> = waiting.iter().map(|entry| entry.transaction.id()).collect();
            let there = self.there(&documents::texts(&ids)).await?;
            // Its maker's order came in between.
            missing = waiting.into_iter().filter(|entry| !there.contains(&entry.transaction.id())).collect();
            if missing.is_empty() {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable(format!("what the block {block} held comes and goes")))
    }

    /// Entries that their assignee took are given to others.
    async fn assign_anew(&self, entries: &[BacklogEntry], from: &str) -> Result<()> {
        let mut by_assignment: HashMap<(PublicKey, u64), Vec<TxId>> = HashMap::new();
        for entry in entries {
            by_assignment.entry((entry.assignee, entry.assigned_at)).or_default().push(entry.transaction.id());
        }
        for ((to, at), ids) in by_assignment {
            let filter = doc! { "id": { "$in": documents::texts(&ids) }, "assignee": from };
            let update = self.backlog.update_many(filter, assignment(to, at));
            update.await.map_err(|e| fault::unavailable(&e))?;
        }
        Ok(())
    }

    /// Adds entries as [`Self::write_backlog`] does; gives those that wait already. `except`: a block that holds them is none.
    async fn add(&self, entries: Vec<BacklogEntry>, except: Option<BlockId>) -> Result<Vec<BacklogEntry>> {
        self.genesis().await?;
        let begun = Instant::now();
        let ids: Vec<TxId> = entries.iter().map(|entry| entry.transaction.id()).collect();
        let in_blocks = self.in_blocks(&ids, except).await?;
        let mut seen = HashSet::new();
        let mut new = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = entry.transaction.id();
            if !in_blocks.contains(&id) && seen.insert(id) {
                let key = ObjectId::new();
                let document = documents::backlog(key, &entry).map_err(|e| fault::damaged(&e))?;
                new.push((key, entry, document));
            }
        }
        let documents: Vec<&RawDocumentBuf> = new.iter().map(|(_, _, document)| document).collect();
        let refused = self.insert(&documents).await?;
        let mut waiting = Vec::new();
        for (n, (key, entry, _)) in new.into_iter().enumerate() {
            if refused.contains(&n) {
                waiting.push(entry);
            } else {
                let bytes = entry.transaction.bytes().len();
                self.waiting.add(entry.transaction.id(), bytes);
                self.transactions.put(key, entry.transaction, bytes);
            }
        }
        self.took(StoreWork::Commit, begun);
        Ok(waiting)
    }

    /// Inserts documents; returns the places of those that were there already.
    async fn insert(&self, documents: &[&RawDocumentBuf]) -> Result<HashSet<usize>> {
        // Python nodes read the oplog, where newer servers write many inserts as one entry that they miss.
        if documents.len() <= 1 || self.compat.get() == Some(&Compat::Python) {
            let one = |(n, document): (usize, &&RawDocumentBuf)| {
                let insert = self.backlog.insert_one(*document);
                async move { Ok((!fault::inserted(insert.await)?).then_some(n)) }
            };
            let inserts: Vec<_> = documents.iter().enumerate().map(one).collect();
            // In order, as far as one client can tell: events come in the order of the writes.
            return stream::iter(inserts).buffered(PARALLEL).try_filter_map(async |n| Ok(n)).try_collect().await;
        }
        match self.backlog.insert_many(documents.iter().copied()).ordered(false).await {
            Ok(_) => Ok(HashSet::new()),
            Err(error) => match fault::duplicates(&error) {
                Some(places) => Ok(places.into_iter().collect()),
                None => Err(fault::unavailable(&error)),
            },
        }
    }

    /// Which transactions stand in a block that is not decided invalid, another one than `except`.
    async fn in_blocks(&self, ids: &[TxId], except: Option<BlockId>) -> Result<HashSet<TxId>> {
        let mut held = self.held_by_id(ids).await?;
        held.retain(|held| except != Some(held.block));
        let statuses = self.statuses_of(&held).await?;
        let counting = held.iter().zip(statuses).filter(|(_, status)| *status != BlockStatus::Invalid);
        Ok(counting.flat_map(|(held, _)| held.transactions.iter().map(|tx| tx.id())).collect())
    }

    /// Entries of documents; those that do not read are reported and left out.
    fn read_entries(
        &self,
        found: &[RawDocumentBuf],
        known: &HashMap<ObjectId, Arc<Transaction>>,
    ) -> Vec<(ObjectId, BacklogEntry)> {
        let mut entries = Vec::with_capacity(found.len());
        for document in found {
            match self.read_entry(document, known) {
                Ok(entry) => entries.push(entry),
                Err(reason) => self.quarantine.put(schema::BACKLOG, document, &reason),
            }
        }
        entries
    }

    fn read_entry(
        &self,
        document: &RawDocument,
        known: &HashMap<ObjectId, Arc<Transaction>>,
    ) -> documents::Result<(ObjectId, BacklogEntry)> {
        let id = documents::id_of(document)?;
        let (assignee, assigned_at) = documents::assignment(document)?;
        let transaction = match known.get(&id) {
            Some(transaction) => transaction.clone(),
            None => {
                let transaction = Arc::new(documents::read_backlog(document)?);
                let bytes = transaction.bytes().len();
                self.transactions.put(id, transaction.clone(), bytes);
                self.waiting.add(transaction.id(), bytes);
                transaction
            }
        };
        Ok((id, BacklogEntry { transaction, assignee, assigned_at }))
    }

    /// Entries by document: what is remembered is not sent again.
    pub async fn entries(&self, ids: &[ObjectId]) -> Result<Vec<(ObjectId, BacklogEntry)>> {
        // Held from here on: what is sent without a body must not be forgotten meanwhile.
        let known: HashMap<ObjectId, Arc<Transaction>> =
            ids.iter().filter_map(|id| Some((*id, self.transactions.get(id)?))).collect();
        let unknown: Vec<ObjectId> = ids.iter().filter(|id| !known.contains_key(id)).copied().collect();
        let mut found = Vec::new();
        if !known.is_empty() {
            let keys: Vec<ObjectId> = known.keys().copied().collect();
            let assignment = doc! { "assignee": 1, "assignment_timestamp": 1 };
            found = self.all(self.backlog.find(doc! { "_id": { "$in": keys } }).projection(assignment)).await?;
        }
        if !unknown.is_empty() {
            found.extend(self.all(self.backlog.find(doc! { "_id": { "$in": unknown } })).await?);
        }
        let place: HashMap<ObjectId, usize> = ids.iter().enumerate().map(|(n, id)| (*id, n)).collect();
        let mut entries = self.read_entries(&found, &known);
        entries.sort_by_key(|(id, _)| place.get(id).copied());
        Ok(entries)
    }

    /// Ids of documents whose entries were assigned outside a span of time, oldest first. `None`: all.
    pub async fn assigned_outside(&self, span: Option<&RangeInclusive<u64>>, limit: usize) -> Result<Vec<ObjectId>> {
        let mut filter = span.map_or_else(Document::new, |span| {
            let (from, to) = (documents::seconds(*span.start()), documents::seconds(*span.end()));
            let early = doc! { "assignment_timestamp": { "$lt": from } };
            doc! { "$or": [early, { "assignment_timestamp": { "$gt": to } }] }
        });
        let unreadable = self.quarantine.ids();
        if !unreadable.is_empty() {
            // They stay where they are; as many as the limit would hide all others.
            filter.insert("_id", doc! { "$nin": unreadable });
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let find = self.backlog.find(filter).projection(doc! { "_id": 1 });
        let find = find.sort(doc! { "assignment_timestamp": 1, "_id": 1 }).limit(limit);
        Ok(self.all(find).await?.iter().filter_map(|document| documents::id_of(document).ok()).collect())
    }

    /// Compare and set, one entry each.
    pub async fn reassign(&self, entries: &[BacklogEntry], to: PublicKey, at: u64) -> Result<Vec<TxId>> {
        let change = assignment(to, at);
        let one = |entry: &BacklogEntry| {
            let (id, since) = (entry.transaction.id(), documents::seconds(entry.assigned_at));
            let filter = doc! {
                "id": id.to_string(),
                "assignee": entry.assignee.to_string(),
                "assignment_timestamp": { "$gte": since - SAME_TIME, "$lt": since + SAME_TIME },
            };
            let update = self.backlog.update_one(filter, change.clone());
            async move {
                let updated = update.await.map_err(|e| fault::unavailable(&e))?;
                Ok((updated.modified_count > 0).then_some(id))
            }
        };
        let updates: Vec<_> = entries.iter().map(one).collect();
        stream::iter(updates).buffered(PARALLEL).try_filter_map(async |id| Ok(id)).try_collect().await
    }

    /// Takes entries out, or those that still have the assignment with which they were taken.
    pub async fn delete_backlog(&self, ids: &[TxId], taken: Option<&Taken>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let hex = documents::texts(ids);
        if self.compat.get() == Some(&Compat::Python) && self.any_reassigned(&hex).await? {
            tokio::time::sleep(READ_BACK).await;
        }
        let mut filter = doc! { "id": { "$in": hex } };
        if let Some(taken) = taken {
            let (from, to) =
                (documents::seconds(*taken.assigned_at.start()), documents::seconds(*taken.assigned_at.end()));
            filter.insert("assignee", taken.assignee.to_string());
            filter.insert("assignment_timestamp", doc! { "$gte": from - SAME_TIME, "$lt": to + SAME_TIME });
        }
        let deleted = self.backlog.delete_many(filter).await.map_err(|e| fault::unavailable(&e))?.deleted_count;
        let left = match usize::try_from(deleted) == Ok(ids.len()) {
            true => HashSet::new(),
            false => self.there(&documents::texts(ids)).await?,
        };
        self.waiting.remove(ids.iter().filter(|id| !left.contains(id)));
        Ok(())
    }

    /// Which of these transactions wait, whomever for.
    async fn there(&self, ids: &[String]) -> Result<HashSet<TxId>> {
        let find = self.backlog.find(doc! { "id": { "$in": ids } });
        let found = self.all(find.projection(doc! { "_id": 0, "id": 1 })).await?;
        Ok(found.iter().filter_map(|document| documents::text_id(document, "id").ok()).collect())
    }

    /// Whether one of these was given to another node, or renewed, after it was written.
    async fn any_reassigned(&self, ids: &[String]) -> Result<bool> {
        let find = self.backlog.find(doc! { "id": { "$in": ids } });
        let found = self.all(find.projection(doc! { "_id": 1, "assignment_timestamp": 1 })).await?;
        Ok(found.iter().any(|document| {
            let written = documents::id_of(document).map(|id| id.timestamp().timestamp_millis() as f64 / 1000.0);
            let assigned = document.get_f64(cstr!("assignment_timestamp"));
            matches!((written, assigned), (Ok(written), Ok(assigned)) if assigned > written + AT_ONCE)
        }))
    }

    /// Keeps the reasons, then takes the entries out.
    pub async fn reject(&self, rejections: Vec<Rejection>) -> Result<()> {
        let one = |rejection: &Rejection| {
            let id = doc! { "_id": rejection.transaction_id.to_string() };
            let record = doc! {
                "class": &rejection.class,
                "message": &rejection.message,
                "at": documents::seconds(rejection.at),
                "node": self.node.to_string(),
            };
            let write = self.rejections.replace_one(id, record).upsert(true);
            async move { write.await.map(drop).map_err(|e| fault::unavailable(&e)) }
        };
        let writes: Vec<_> = rejections.iter().map(one).collect();
        stream::iter(writes).buffered(PARALLEL).try_collect::<()>().await?;
        let ids: Vec<TxId> = rejections.iter().map(|rejection| rejection.transaction_id).collect();
        self.delete_backlog(&ids, None).await
    }

    /// Why a transaction was dropped, unless it is there again.
    pub async fn rejection(&self, id: &TxId) -> Result<Option<Rejection>> {
        let find = self.rejections.find_one(doc! { "_id": id.to_string() });
        let Some(record) = self.one(find).await? else { return Ok(None) };
        let located = self.locate(&[*id]).await?.pop().flatten();
        if located.is_some_and(|l| l.in_backlog || l.blocks.iter().any(|b| b.status != BlockStatus::Invalid)) {
            return Ok(None);
        }
        let text = |key| record.get_str(key).map(str::to_owned).unwrap_or_default();
        let at = record.get_f64("at").map(documents::milliseconds).unwrap_or_default();
        Ok(Some(Rejection { transaction_id: *id, class: text("class"), message: text("message"), at }))
    }
}

/// The backlog as a feed.
pub struct Entries(pub Arc<Shared>);

#[async_trait]
impl Source for Entries {
    type Item = BacklogEntry;

    fn name(&self) -> &'static str {
        "backlog"
    }

    fn shared(&self) -> &Shared {
        &self.0
    }

    fn collection(&self) -> Collection<RawDocumentBuf> {
        self.0.backlog.clone()
    }

    async fn open(&self, _since: Option<Timestamp>) -> Result<Vec<ObjectId>> {
        self.0.assigned_outside(None, 0).await
    }

    async fn fetch(&self, ids: &[ObjectId]) -> Result<Vec<(ObjectId, u64, BacklogEntry)>> {
        let entries = self.0.entries(ids).await?;
        Ok(entries.into_iter().map(|(id, entry)| (id, entry.assigned_at, entry)).collect())
    }
}
