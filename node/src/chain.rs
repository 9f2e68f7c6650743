//! What the ledger says: queries across the store's collections, and the facts that the rules need.
//!
//! The HTTP API and the pipelines ask here and never the store's look-ups directly.

use std::sync::Arc;

use ledger::block::Block;
use ledger::crypto::Verifier;
use ledger::election::BlockStatus;
use ledger::error::Invalid;
use ledger::facts::TxStatus;
use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};
use ledger::rules::Rules;
use ledger::transaction::{Operation, Transaction};

use crate::store::{FoundAsset, Rejection, Store, StoreError, StoredVote};

/// A signature check that several threads share.
pub type SharedVerifier = Arc<dyn Verifier + Send + Sync>;

/// Why a transaction was not taken in.
#[derive(Debug)]
pub enum SubmitError {
    /// A broken rule.
    Invalid(Invalid),
    /// Try again later: the intake is full, or the database is away. Resending is safe.
    Busy {
        /// In words.
        reason: String,
        /// Seconds.
        retry_after: u64,
    },
}

/// One ledger as one node sees it.
pub struct Chain {
    store: Arc<dyn Store>,
    rules: Rules,
    verifier: SharedVerifier,
    node: PublicKey,
}

impl Chain {
    /// Checks a transaction against the ledger and writes it to the backlog; durable when this returns.
    pub async fn submit(&self, _tx: Arc<Transaction>) -> Result<(), SubmitError> {
        todo!()
    }

    /// A transaction of a valid block.
    pub async fn transaction(&self, _id: &TxId) -> Result<Option<Arc<Transaction>>, StoreError> {
        todo!()
    }

    /// Where the federation stands with a transaction; `None`: unknown, or only in invalid blocks.
    pub async fn transaction_status(&self, _id: &TxId) -> Result<Option<TxStatus>, StoreError> {
        todo!()
    }

    /// Valid transactions of an asset: its CREATE and/or its TRANSFERs.
    pub async fn transactions_of_asset(
        &self,
        _asset: &TxId,
        _operation: Option<Operation>,
    ) -> Result<Vec<Arc<Transaction>>, StoreError> {
        todo!()
    }

    /// Outputs that a key owns; `spent` filters.
    pub async fn outputs(&self, _owner: &PublicKey, _spent: Option<bool>) -> Result<Vec<OutputRef>, StoreError> {
        todo!()
    }

    /// Blocks that hold a transaction; `status` filters.
    pub async fn blocks_of(&self, _id: &TxId, _status: Option<BlockStatus>) -> Result<Vec<BlockId>, StoreError> {
        todo!()
    }

    /// One block, whatever its status.
    pub async fn block(&self, _id: &BlockId) -> Result<Option<Arc<Block>>, StoreError> {
        todo!()
    }

    /// A block's status.
    pub async fn block_status(&self, _id: &BlockId) -> Result<Option<BlockStatus>, StoreError> {
        todo!()
    }

    /// All votes on a block, unverified.
    pub async fn votes(&self, _block: &BlockId) -> Result<Vec<StoredVote>, StoreError> {
        todo!()
    }

    /// Assets of valid transactions by text; `limit` 0: all.
    pub async fn search_assets(&self, _query: &str, _limit: usize) -> Result<Vec<FoundAsset>, StoreError> {
        todo!()
    }

    /// Why a transaction was dropped from the backlog.
    pub async fn rejection(&self, _id: &TxId) -> Result<Option<Rejection>, StoreError> {
        todo!()
    }
}
