//! Votes.

use std::borrow::Cow;

use bytes::Bytes;

use crate::crypto::{PrivateKey, Verifier};
use crate::ids::{BlockId, PublicKey};
use crate::json::{self, Object, Value};
use crate::schema;

/// A vote that reads as one. Votes are stored as the bytes they came as: malformed ones count too (see
/// [`crate::election`]).
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
    pub fn create(block: BlockId, previous: BlockId, valid: bool, timestamp: u64, key: &PrivateKey) -> Self {
        let mut vote = Self {
            node_pubkey: key.public_key(),
            voting_for_block: block,
            previous_block: previous,
            is_block_valid: valid,
            invalid_reason: None,
            timestamp,
            signature: String::new(),
        };
        vote.signature = bs58::encode(key.sign(&vote.canonical_inner())).into_string();
        vote
    }

    /// Reads stored bytes; `None` if they are not a well-formed vote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let value = json::parse(bytes).ok()?;
        if !schema::vote(&value) {
            return None;
        }
        let Value::Object(vote) = &value else { return None };
        let Some(Value::Object(inner)) = vote.get("vote") else { return None };
        Some(Self {
            node_pubkey: text(vote, "node_pubkey")?.parse().ok()?,
            voting_for_block: text(inner, "voting_for_block")?.parse().ok()?,
            previous_block: text(inner, "previous_block")?.parse().ok()?,
            is_block_valid: matches!(inner.get("is_block_valid")?, Value::Bool(true)),
            invalid_reason: text(inner, "invalid_reason").map(str::to_owned),
            timestamp: text(inner, "timestamp")?.parse().ok()?,
            signature: text(vote, "signature")?.to_owned(),
        })
    }

    /// Canonical JSON of the whole vote, signature included: the stored form.
    pub fn to_bytes(&self) -> Bytes {
        let mut vote = Object::default();
        vote.insert("node_pubkey", Value::String(self.node_pubkey.to_string().into()));
        vote.insert("signature", borrowed(&self.signature));
        vote.insert("vote", self.inner());
        Value::Object(vote).to_canonical().into()
    }

    /// Whether the signature is good.
    pub fn signature_valid(&self, verifier: &dyn Verifier) -> bool {
        let mut signature = [0; 64];
        bs58::decode(&self.signature).onto(&mut signature) == Ok(64)
            && verifier.verify(&self.node_pubkey, &self.canonical_inner(), &signature)
    }

    fn canonical_inner(&self) -> Vec<u8> {
        self.inner().to_canonical()
    }

    fn inner(&self) -> Value<'_> {
        let mut inner = Object::default();
        inner.insert("voting_for_block", Value::String(self.voting_for_block.to_string().into()));
        inner.insert("previous_block", Value::String(self.previous_block.to_string().into()));
        inner.insert("is_block_valid", Value::Bool(self.is_block_valid));
        inner.insert("invalid_reason", self.invalid_reason.as_deref().map_or(Value::Null, borrowed));
        inner.insert("timestamp", Value::String(self.timestamp.to_string().into()));
        Value::Object(inner)
    }
}

fn borrowed(text: &str) -> Value<'_> {
    Value::String(Cow::Borrowed(text))
}

fn text<'v>(object: &'v Object<'_>, key: &str) -> Option<&'v str> {
    match object.get(key)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}
