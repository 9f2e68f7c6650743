//! Blocks.

use std::sync::Arc;

use crate::crypto::{PrivateKey, Verifier};
use crate::error::Invalid;
use crate::ids::{BlockId, PublicKey};
use crate::json::Value;
use crate::transaction::Transaction;

/// A signed block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Hash of the canonical inner object.
    pub id: BlockId,
    /// Everything but the transactions.
    pub header: BlockHeader,
    /// In block order.
    pub transactions: Vec<Arc<Transaction>>,
}

/// What a block says beside its transactions; strings as they were signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Unix seconds, decimal.
    pub timestamp: String,
    /// Base58 key of the node that made it.
    pub node_pubkey: String,
    /// Base58 keys of the federation at that time.
    pub voters: Vec<String>,
    /// Base58 signature over the canonical inner object.
    pub signature: String,
}

impl Block {
    /// Makes and signs a block. `timestamp` in Unix seconds.
    pub fn create(
        _transactions: Vec<Arc<Transaction>>,
        _voters: &[PublicKey],
        _timestamp: u64,
        _key: &PrivateKey,
    ) -> Self {
        todo!()
    }

    /// Reads `{"id", "block", "signature"}` with the assets in place; an id that is not the hash is refused.
    pub fn from_value(_value: &Value<'_>) -> Result<Self, Invalid> {
        todo!()
    }

    /// The canonical inner object: what is hashed and signed. Built from the transactions' kept bytes.
    pub fn canonical_inner(&self) -> Vec<u8> {
        todo!()
    }

    /// Whether the creator's signature is good; malformed ones are not.
    pub fn signature_valid(&self, _verifier: &dyn Verifier) -> bool {
        todo!()
    }

    /// The rules before the transactions' own: creator in the federation, signature, no repeats.
    pub fn check(&self, _federation: &[PublicKey], _verifier: &dyn Verifier) -> Result<(), Invalid> {
        todo!()
    }

    /// The genesis block's one transaction and itself; `timestamp` in Unix seconds.
    pub fn genesis(_voters: &[PublicKey], _timestamp: u64, _key: &PrivateKey) -> Self {
        todo!()
    }
}
