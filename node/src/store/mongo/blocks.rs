//! Blocks, votes, decisions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use ledger::block::Block;
use ledger::crypto::Uncached;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, PublicKey, TxId};
use ledger::vote::Vote;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Timestamp, doc, rawdoc};

use super::feed::Source;
use super::shared::Shared;
use super::{documents, fault, schema};
use crate::store::database::StoreWork;
use crate::store::{BacklogEntry, Result, StoreError, StoredBlock, StoredVote, Taken};

/// Votes of one node among which the last is looked for: all that it can have cast within a second or two, whose order
/// their ids do not tell.
const LAST_VOTES: i64 = 500;

/// Values asked for in one query, so that it stays far below MongoDB's 16 MB however many are open.
pub const ASKED: usize = 10_000;

impl Shared {
    /// Assets, then the block, then the backlog: what is missing after a crash can be told from what is there.
    pub async fn write_block(&self, block: Arc<Block>, taken: &Taken) -> Result<()> {
        self.genesis().await?;
        let begun = Instant::now();
        if self.has_block(&block.id).await? {
            // An invalid block's transactions wait again: they must stay.
            if self.statuses(&[block.id]).await?.contains(&BlockStatus::Invalid) {
                return Ok(());
            }
        } else {
            self.insert_block(&block).await?;
        }
        let ids: Vec<TxId> = block.transactions.iter().map(|tx| tx.id()).collect();
        self.delete_backlog(&ids, Some(taken)).await?;
        self.took(StoreWork::Commit, begun);
        Ok(())
    }

    /// Writes the assets and the block.
    pub async fn insert_block(&self, block: &Arc<Block>) -> Result<()> {
        let key = ObjectId::new();
        let (document, assets) = documents::block(key, block).map_err(|e| fault::damaged(&e))?;
        if !assets.is_empty() {
            // Nobody tails this collection: many at once, whoever else reads.
            match self.assets.insert_many(&assets).ordered(false).await {
                Ok(_) => {}
                Err(error) if fault::duplicates(&error).is_some() => {}
                Err(error) => return Err(fault::unavailable(&error)),
            }
        }
        if fault::inserted(self.blocks.insert_one(document).await)? {
            self.remember_block(key, block);
        }
        Ok(())
    }

    /// Whether a block was written.
    pub async fn has_block(&self, id: &BlockId) -> Result<bool> {
        let find = self.blocks.find_one(doc! { "id": id.to_string() }).projection(doc! { "_id": 1 });
        Ok(self.one(find).await?.is_some())
    }

    /// One block; the first of that id, as a Python node may have written it twice.
    pub async fn block(&self, id: &BlockId) -> Result<Option<StoredBlock>> {
        let find = self.blocks.find_one(doc! { "id": id.to_string() });
        let find = find.sort(doc! { "_id": 1 }).projection(doc! { "_id": 1 });
        let Some(found) = self.one(find).await? else { return Ok(None) };
        let key = documents::id_of(&found).map_err(|e| fault::damaged(&e))?;
        Ok(self.stored_blocks(&[key]).await?.pop().map(|(_, stored)| stored))
    }

    /// Blocks by document, with their statuses, in the order asked for.
    pub async fn stored_blocks(&self, keys: &[ObjectId]) -> Result<Vec<(ObjectId, StoredBlock)>> {
        let mut blocks: HashMap<ObjectId, Arc<Block>> =
            keys.iter().filter_map(|key| Some((*key, self.recent_blocks.get(key)?))).collect();
        let unknown: Vec<ObjectId> = keys.iter().filter(|key| !blocks.contains_key(key)).copied().collect();
        if !unknown.is_empty() {
            let found = self.all(self.blocks.find(doc! { "_id": { "$in": unknown } })).await?;
            blocks.extend(self.read_blocks(found).await?);
        }
        let ordered: Vec<(ObjectId, Arc<Block>)> =
            keys.iter().filter_map(|key| Some((*key, blocks.get(key)?.clone()))).collect();
        let ids: Vec<BlockId> = ordered.iter().map(|(_, block)| block.id).collect();
        let statuses = self.statuses(&ids).await?;
        let open = ids.iter().zip(&statuses).filter(|(_, status)| **status == BlockStatus::Undecided);
        self.open_blocks.lock().extend(open.map(|(id, _)| *id).filter(|id| !self.is_genesis(id)));
        let stored = ordered.into_iter().zip(statuses);
        Ok(stored.map(|((key, block), status)| (key, StoredBlock { block, status })).collect())
    }

    /// How blocks stand; `None`: unknown.
    pub async fn block_statuses(&self, ids: &[BlockId]) -> Result<Vec<Option<BlockStatus>>> {
        let hex = documents::texts(ids);
        let find = self.blocks.find(doc! { "id": { "$in": hex } }).projection(doc! { "_id": 0, "id": 1 });
        let found = self.all(find).await?;
        let existing: HashSet<BlockId> = found.iter().filter_map(|d| documents::text_id(d, "id").ok()).collect();
        let statuses = self.statuses(ids).await?;
        Ok(ids.iter().zip(statuses).map(|(id, status)| existing.contains(id).then_some(status)).collect())
    }

    /// `false`: this node has voted on that block before.
    pub async fn write_vote(&self, vote: &Vote) -> Result<bool> {
        self.must_exist(&vote.voting_for_block).await?;
        let document = documents::vote(ObjectId::new(), vote).map_err(|e| fault::damaged(&e))?;
        fault::inserted(self.votes.insert_one(document).await)
    }

    async fn must_exist(&self, id: &BlockId) -> Result<()> {
        // One that was met and is open needs no question: blocks stay.
        let met = self.is_genesis(id) || self.open_blocks.lock().contains(id);
        match met || self.has_block(id).await? {
            true => Ok(()),
            false => Err(not_there(id)),
        }
    }

    /// All votes on each block, in the order of their documents.
    pub async fn votes_on(&self, blocks: &[BlockId]) -> Result<Vec<Vec<StoredVote>>> {
        let hex = documents::texts(blocks);
        let find = self.votes.find(doc! { "vote.voting_for_block": { "$in": hex } }).sort(doc! { "_id": 1 });
        let mut by_block: HashMap<BlockId, Vec<StoredVote>> = HashMap::new();
        for (_, vote) in self.read_votes(&self.all(find).await?) {
            by_block.entry(vote.block).or_default().push(vote);
        }
        Ok(blocks.iter().map(|block| by_block.get(block).cloned().unwrap_or_default()).collect())
    }

    /// Votes of documents; those that do not read are reported, both they and those on no block are left out.
    fn read_votes(&self, found: &[RawDocumentBuf]) -> Vec<(ObjectId, StoredVote)> {
        let mut votes = Vec::with_capacity(found.len());
        for document in found {
            let read = documents::id_of(document).and_then(|id| Ok((id, documents::read_vote(document)?)));
            match read {
                Ok((id, Some(vote))) => votes.push((id, vote)),
                Ok((_, None)) => {}
                Err(reason) => self.quarantine.put(schema::VOTES, document, &reason),
            }
        }
        votes
    }

    /// The end of a node's chain of votes: of its newest ones, the one that no other names as its predecessor. What others
    /// wrote in its name is none.
    pub async fn last_vote(&self, node: &PublicKey) -> Result<Option<Vote>> {
        let find = self.votes.find(doc! { "node_pubkey": node.to_string() }).sort(doc! { "_id": -1 });
        let found = self.read_votes(&self.all(find.limit(LAST_VOTES)).await?);
        let votes = found.iter().filter_map(|(_, vote)| Vote::from_bytes(&vote.bytes));
        let votes: Vec<Vote> = votes.filter(|vote| vote.signature_valid(&Uncached)).collect();
        let previous: HashSet<BlockId> = votes.iter().map(|vote| vote.previous_block).collect();
        let ends = votes.iter().filter(|vote| !previous.contains(&vote.voting_for_block));
        // Of equal ones the newest document's, which is the first.
        let last = ends.rev().max_by_key(|vote| vote.timestamp);
        Ok(last.or(votes.first()).cloned())
    }

    /// What is requeued is written before the decision: a crash between them leaves the block undecided, and the same
    /// is done again.
    pub async fn decide(&self, id: &BlockId, valid: bool, requeue: Vec<BacklogEntry>) -> Result<bool> {
        if self.genesis().await?.id == *id {
            return Ok(false);
        }
        self.must_exist(id).await?;
        if self.statuses(&[*id]).await? != [BlockStatus::Undecided] {
            return Ok(false);
        }
        if !requeue.is_empty() {
            let stored = self.block(id).await?.ok_or_else(|| not_there(id))?;
            self.requeue(requeue, *id, &stored.block.header.node_pubkey).await?;
        }
        let record =
            rawdoc! { "_id": ObjectId::new(), "node": self.node.to_string(), "block": id.to_string(), "valid": valid };
        let recorded = fault::inserted(self.decisions.insert_one(record).await)?;
        self.open_blocks.lock().remove(id);
        if recorded {
            self.decided.put(*id, if valid { BlockStatus::Valid } else { BlockStatus::Invalid }, 1);
        }
        Ok(recorded)
    }

    /// Ids of documents with one of these values, oldest first.
    async fn ids_of(
        &self,
        collection: &Collection<RawDocumentBuf>,
        key: &str,
        values: Vec<String>,
    ) -> Result<Vec<ObjectId>> {
        let mut ids = Vec::with_capacity(values.len());
        for values in values.chunks(ASKED) {
            let find = collection.find(doc! { key: { "$in": values } }).projection(doc! { "_id": 1 });
            ids.extend(self.all(find).await?.iter().filter_map(|document| documents::id_of(document).ok()));
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

fn not_there(id: &BlockId) -> StoreError {
    StoreError::Unavailable(format!("the block {id} is not there (yet)"))
}

/// Blocks as a feed.
pub struct Blocks(pub Arc<Shared>);

#[async_trait]
impl Source for Blocks {
    type Item = StoredBlock;

    fn name(&self) -> &'static str {
        "blocks"
    }

    fn shared(&self) -> &Shared {
        &self.0
    }

    fn collection(&self) -> Collection<RawDocumentBuf> {
        self.0.blocks.clone()
    }

    async fn open(&self, since: Option<Timestamp>) -> Result<Vec<ObjectId>> {
        self.0.genesis().await?;
        let mut blocks = self.0.undecided().await?;
        if let Some(since) = since {
            // After the others: what is decided between the two is among them.
            blocks.extend(self.0.decided_without_vote(since).await?);
        }
        self.0.ids_of(&self.0.blocks, "id", blocks).await
    }

    async fn fetch(&self, ids: &[ObjectId]) -> Result<Vec<(ObjectId, u64, StoredBlock)>> {
        let genesis = self.0.genesis().await?.id;
        let mut blocks = Vec::with_capacity(ids.len());
        // A few at once: each may be near 16 MB.
        for ids in ids.chunks(8) {
            let found = self.0.stored_blocks(ids).await?;
            let found = found.into_iter().filter(|(_, stored)| stored.block.id != genesis);
            blocks.extend(found.map(|(id, stored)| (id, 0, stored)));
        }
        Ok(blocks)
    }
}

/// Votes as a feed.
pub struct Votes(pub Arc<Shared>);

#[async_trait]
impl Source for Votes {
    type Item = StoredVote;

    fn name(&self) -> &'static str {
        "votes"
    }

    fn shared(&self) -> &Shared {
        &self.0
    }

    fn collection(&self) -> Collection<RawDocumentBuf> {
        self.0.votes.clone()
    }

    async fn open(&self, _since: Option<Timestamp>) -> Result<Vec<ObjectId>> {
        let undecided = self.0.undecided().await?;
        self.0.ids_of(&self.0.votes, "vote.voting_for_block", undecided).await
    }

    async fn fetch(&self, ids: &[ObjectId]) -> Result<Vec<(ObjectId, u64, StoredVote)>> {
        let found = self.0.all(self.0.votes.find(doc! { "_id": { "$in": ids } })).await?;
        let mut votes: HashMap<ObjectId, StoredVote> = self.0.read_votes(&found).into_iter().collect();
        Ok(ids.iter().filter_map(|id| Some((*id, 0, votes.remove(id)?))).collect())
    }
}
