//! Votes.

use bytes::Bytes;

use crate::crypto::{PrivateKey, Verifier};
use crate::ids::{BlockId, PublicKey};

/// A vote that reads as one. Votes are stored as the bytes they came as: malformed ones count too (see `election`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Who votes.
    pub node_pubkey: PublicKey,
    /// The block voted on.
    pub voting_for_block: BlockId,
    /// The block this node voted on before.
    pub previous_block: BlockId,
    /// The verdict.
    pub is_block_valid: bool,
    /// Always null in 1.0.1.
    pub invalid_reason: Option<String>,
    /// Unix seconds.
    pub timestamp: u64,
    /// Base58 signature over the canonical inner `vote`.
    pub signature: String,
}

impl Vote {
    /// Makes and signs a vote.
    pub fn create(_block: BlockId, _previous: BlockId, _valid: bool, _timestamp: u64, _key: &PrivateKey) -> Self {
        todo!()
    }

    /// Reads stored bytes; `None` if they are not a well-formed vote.
    pub fn from_bytes(_bytes: &[u8]) -> Option<Self> {
        todo!()
    }

    /// Canonical JSON of the whole vote, signature included: the stored form.
    pub fn to_bytes(&self) -> Bytes {
        todo!()
    }

    /// Whether the signature is good.
    pub fn signature_valid(&self, _verifier: &dyn Verifier) -> bool {
        todo!()
    }
}
