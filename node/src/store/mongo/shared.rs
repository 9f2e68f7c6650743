//! What the parts of the store share.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, PublicKey};
use ledger::transaction::Transaction;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{RawDocument, RawDocumentBuf, cstr};
use mongodb::bson::{Document, doc};
use mongodb::{Collection, Database};
use parking_lot::Mutex;

use super::causal::Clock;
use super::documents::{self, Assets, Unreadable};
use super::lease::Lease;
use super::quarantine::Quarantine;
use super::waiting::Waiting;
use super::{Compat, fault, schema};
use crate::store::Result;
use crate::store::database::{Observer, StoreWork};
use crate::store::recent::Recent;

/// Canonical JSON of transactions that are remembered in a generation, bytes: what waits and what was just decided.
const TRANSACTIONS: usize = 32 << 20;

/// Blocks that are remembered in a generation, bytes of canonical JSON. (Their transactions are shared with the above.)
const BLOCKS: usize = 16 << 20;

/// Decisions that are remembered in a generation.
const DECIDED: usize = 50_000;

/// Collections, and what was read or written lately.
pub struct Shared {
    /// The ledger's database.
    pub database: Database,
    /// `bigchain`
    pub blocks: Collection<RawDocumentBuf>,
    /// `backlog`
    pub backlog: Collection<RawDocumentBuf>,
    /// `votes`
    pub votes: Collection<RawDocumentBuf>,
    /// `assets`
    pub assets: Collection<RawDocumentBuf>,
    /// Settings.
    pub ledger: Collection<Document>,
    /// Each node's decisions.
    pub decisions: Collection<RawDocumentBuf>,
    /// Why transactions were dropped.
    pub rejections: Collection<Document>,
    /// Which process works with each node's key.
    pub leases: Collection<Document>,
    /// How far each node has followed the blocks.
    pub feeds: Collection<Document>,
    /// This process's claim, once it was made.
    pub lease: OnceLock<Lease>,
    /// What reads must see.
    pub clock: Clock,
    /// Whose decisions count here.
    pub node: PublicKey,
    /// Who else reads and writes.
    pub compat: OnceLock<Compat>,
    /// The first block, once it was read.
    pub genesis: OnceLock<Arc<Block>>,
    /// Why assets cannot be searched.
    pub no_search: OnceLock<String>,
    /// What waits for a block.
    pub waiting: Waiting,
    /// By the `_id` of a document of `backlog`.
    pub transactions: Recent<ObjectId, Arc<Transaction>>,
    /// By the `_id` of a document of `bigchain`.
    pub recent_blocks: Recent<ObjectId, Arc<Block>>,
    /// This node's decisions, which never change.
    pub decided: Recent<BlockId, BlockStatus>,
    /// Blocks that this process has met and this node has not decided on.
    pub open_blocks: Mutex<HashSet<BlockId>>,
    /// Documents that do not read.
    pub quarantine: Quarantine,
    /// Whoever wants to know how long things take.
    pub observer: OnceLock<Arc<dyn Observer>>,
}

impl Shared {
    /// Nothing is asked of the server yet.
    pub fn new(database: Database, node: PublicKey) -> Self {
        Self {
            blocks: database.collection(schema::BLOCKS),
            backlog: database.collection(schema::BACKLOG),
            votes: database.collection(schema::VOTES),
            assets: database.collection(schema::ASSETS),
            ledger: database.collection(schema::LEDGER),
            decisions: database.collection(schema::DECISIONS),
            rejections: database.collection(schema::REJECTIONS),
            leases: database.collection(schema::LEASES),
            feeds: database.collection(schema::FEEDS),
            lease: OnceLock::new(),
            database,
            clock: Clock::default(),
            node,
            compat: OnceLock::new(),
            genesis: OnceLock::new(),
            no_search: OnceLock::new(),
            waiting: Waiting::default(),
            transactions: Recent::new(TRANSACTIONS),
            recent_blocks: Recent::new(BLOCKS),
            decided: Recent::new(DECIDED),
            open_blocks: Mutex::new(HashSet::new()),
            quarantine: Quarantine::default(),
            observer: OnceLock::new(),
        }
    }

    /// Blocks of documents, in their order, each with its document's `_id`. Those that do not read are reported and
    /// left out.
    pub async fn read_blocks(&self, found: Vec<RawDocumentBuf>) -> Result<Vec<(ObjectId, Arc<Block>)>> {
        let mut remembered = Vec::with_capacity(found.len());
        let mut wanted = Vec::new();
        for document in &found {
            let Ok(id) = documents::id_of(document) else { continue };
            let block = self.recent_blocks.get(&id);
            if block.is_none() {
                wanted.extend(documents::ids_with_assets(documents::transactions(document)));
            }
            remembered.push((id, document, block));
        }
        let assets = self.find_assets(wanted).await?;
        let mut blocks = Vec::with_capacity(remembered.len());
        for (id, document, block) in remembered {
            let block = match block {
                Some(block) => block,
                None => match documents::read_block(document, &assets) {
                    Ok(block) => {
                        let block = Arc::new(block);
                        self.remember_block(id, &block);
                        block
                    }
                    Err(reason) => {
                        self.quarantine.put(schema::BLOCKS, document, &reason);
                        continue;
                    }
                },
            };
            blocks.push((id, block));
        }
        Ok(blocks)
    }

    /// Keeps a block that was read or written.
    pub fn remember_block(&self, id: ObjectId, block: &Arc<Block>) {
        let bytes = block.transactions.iter().map(|tx| tx.bytes().len()).sum();
        self.recent_blocks.put(id, block.clone(), bytes);
    }

    /// Assets of transactions.
    pub async fn find_assets(&self, ids: Vec<String>) -> Result<Assets> {
        if ids.is_empty() {
            return Ok(Assets::default());
        }
        let found = self.all(self.assets.find(doc! { "id": { "$in": ids } })).await?;
        Ok(Assets::new(found))
    }

    /// How blocks stand for this node, for ids that exist.
    pub async fn statuses(&self, ids: &[BlockId]) -> Result<Vec<BlockStatus>> {
        let mut statuses: Vec<Option<BlockStatus>> = ids.iter().map(|id| self.decided.get(id)).collect();
        let open = |id: &&BlockId| !self.is_genesis(id);
        let unknown = ids.iter().zip(&statuses).filter(|(_, status)| status.is_none()).map(|(id, _)| id).filter(open);
        let unknown: Vec<String> = unknown.map(ToString::to_string).collect();
        if !unknown.is_empty() {
            let filter = doc! { "node": self.node.to_string(), "block": { "$in": unknown } };
            for document in self.all(self.decisions.find(filter)).await? {
                let (id, status) = decision(&document).map_err(|e| fault::damaged(&e))?;
                self.decided.put(id, status, 1);
                // Another process with this node's key may have recorded it.
                self.open_blocks.lock().remove(&id);
                for (_, answer) in ids.iter().zip(&mut statuses).filter(|(asked, _)| **asked == id) {
                    *answer = Some(status);
                }
            }
        }
        Ok(statuses.into_iter().map(|status| status.unwrap_or(BlockStatus::Undecided)).collect())
    }

    /// Blocks that this node has not decided on, without the genesis block.
    pub async fn undecided(&self) -> Result<Vec<String>> {
        let mine = doc! { "node": self.node.to_string() };
        let decided = self.all(self.decisions.find(mine).projection(doc! { "_id": 0, "block": 1 })).await?;
        let block = |document: &RawDocumentBuf| document.get_str(cstr!("block")).map(str::to_owned);
        let decided: HashSet<String> = decided.iter().filter_map(|d| block(d).ok()).collect();
        let ids = self.blocks.find(doc! { "id": { "$gt": "" } }).projection(doc! { "_id": 0, "id": 1 });
        let ids = ids.hint(mongodb::options::Hint::Name(schema::BLOCK_ID.to_owned()));
        let mut session = self.causal().await?;
        let mut found = ids.session(&mut session).await;
        if found.is_err() {
            // A ledger of 1.0.1 that nobody has added the index to.
            let ids = self.blocks.find(doc! {}).projection(doc! { "_id": 0, "id": 1 });
            found = ids.session(&mut session).await;
        }
        let mut found = found.map_err(|e| fault::unavailable(&e))?;
        let mut undecided = Vec::new();
        while let Some(document) = found.next(&mut session).await.transpose().map_err(|e| fault::unavailable(&e))? {
            let Ok(id) = document.get_str(cstr!("id")) else { continue };
            let genesis = id.parse().is_ok_and(|id| self.is_genesis(&id));
            if !genesis && !decided.contains(id) {
                undecided.push(id.to_owned());
            }
        }
        self.clock.advance(session.operation_time());
        Ok(undecided)
    }

    /// Tells how long something took.
    pub fn took(&self, work: StoreWork, begun: Instant) {
        if let Some(observer) = self.observer.get() {
            observer.took(work, begun.elapsed());
        }
    }
}

/// Reads a document of `decisions`.
fn decision(document: &RawDocument) -> documents::Result<(BlockId, BlockStatus)> {
    let valid = document.get_bool(cstr!("valid"));
    let valid = valid.map_err(|_| Unreadable("a decision without `valid`".to_owned()))?;
    let status = if valid { BlockStatus::Valid } else { BlockStatus::Invalid };
    Ok((documents::text_id(document, "block")?, status))
}
