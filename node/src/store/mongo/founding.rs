//! The first block, and what was recorded when the ledger was made.

use std::sync::Arc;

use ledger::block::Block;
use ledger::ids::BlockId;
use ledger::json;
use ledger::rules::Rules;
use mongodb::bson::{Document, doc};

use super::fault;
use super::shared::Shared;
use crate::store::{Result, Settings, StoreError};

/// The `_id` of the record in the collection `ledger`.
const RECORD: &str = "settings";

/// What makes a ledger: recorded before anything else, so that of several nodes that start at once on an empty database
/// one is the founder, and whoever finds its work unfinished finishes it.
pub struct Founding {
    /// What is fixed for ever.
    pub settings: Settings,
    genesis: Arc<Block>,
}

impl Shared {
    /// What was recorded at initialisation. A ledger without a record was made by BigchainDB Server 1.0.1.
    pub async fn settings(&self) -> Result<Option<Settings>> {
        if self.find_genesis().await?.is_none() {
            return Ok(None);
        }
        let Some(record) = self.record().await? else { return Ok(Some(Settings { rules: Rules::V1_0_1 })) };
        let rules = rules(&record).ok_or_else(|| {
            StoreError::Damaged(format!("the record `{RECORD}` in the collection `ledger` names no known rules"))
        })?;
        Ok(Some(Settings { rules }))
    }

    /// The first block.
    pub async fn find_genesis(&self) -> Result<Option<Arc<Block>>> {
        if let Some(genesis) = self.genesis.get() {
            return Ok(Some(genesis.clone()));
        }
        let mut filter = doc! { "block.transactions.0.operation": "GENESIS" };
        let record = self.record().await?.unwrap_or_default();
        if let Ok(id) = record.get_document("genesis").and_then(|genesis| genesis.get_str("id")) {
            filter.insert("id", id);
        }
        let found = self.all(self.blocks.find(filter).sort(doc! { "_id": 1 })).await?;
        // The first that reads, whatever else claims to be one.
        let block = self.read_blocks(found).await?.into_iter().next().map(|(_, block)| block);
        Ok(block.map(|block| self.genesis.get_or_init(|| block).clone()))
    }

    /// The first block, where there must be one.
    pub async fn genesis(&self) -> Result<Arc<Block>> {
        self.find_genesis().await?.ok_or(StoreError::NotInitialised)
    }

    /// Records a founding, or reads the one that was recorded before (`false`).
    pub async fn found(&self, settings: &Settings, genesis: &Block) -> Result<(bool, Founding)> {
        let inner = String::from_utf8(genesis.canonical_inner());
        let inner = inner.map_err(|_| StoreError::Damaged("the first block is no text".to_owned()))?;
        let record = doc! {
            "_id": RECORD,
            "rules": settings.rules.to_string(),
            "genesis": { "id": genesis.id.to_string(), "block": inner, "signature": &genesis.header.signature },
        };
        if !fault::inserted(self.ledger.insert_one(record).await)? {
            return Ok((false, self.recorded().await?));
        }
        Ok((true, Founding { settings: settings.clone(), genesis: Arc::new(genesis.clone()) }))
    }

    async fn record(&self) -> Result<Option<Document>> {
        self.one(self.ledger.find_one(doc! { "_id": RECORD })).await
    }

    async fn recorded(&self) -> Result<Founding> {
        let damaged = |what: &str| {
            StoreError::Damaged(format!("the record `{RECORD}` in the collection `ledger` has no {what} that reads"))
        };
        let record = self
            .record()
            .await?
            .ok_or_else(|| StoreError::Unavailable("the founding record is gone again".to_owned()))?;
        let genesis = record.get_document("genesis").map_err(|_| damaged("genesis"))?;
        let text = |key: &str| genesis.get_str(key).map_err(|_| damaged("genesis"));
        let whole = format!(
            "{{\"id\":\"{}\",\"block\":{},\"signature\":\"{}\"}}",
            text("id")?,
            text("block")?,
            text("signature")?
        );
        let block = json::parse(whole.as_bytes()).ok().and_then(|value| Block::from_value(&value).ok());
        Ok(Founding {
            settings: Settings { rules: rules(&record).ok_or_else(|| damaged("rules"))? },
            genesis: Arc::new(block.ok_or_else(|| damaged("genesis"))?),
        })
    }

    /// Writes the first block, unless it is there.
    pub async fn complete(&self, founding: Founding) -> Result<()> {
        if !self.has_block(&founding.genesis.id).await? {
            self.insert_block(&founding.genesis).await?;
        }
        self.genesis().await.map(drop)
    }

    /// Whether a block is the first one. Nobody votes or decides on it.
    pub fn is_genesis(&self, id: &BlockId) -> bool {
        self.genesis.get().is_some_and(|genesis| genesis.id == *id)
    }
}

fn rules(record: &Document) -> Option<Rules> {
    record.get_str("rules").ok()?.parse().ok()
}
