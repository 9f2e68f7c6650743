//! The transaction: parsed once, then immutable; its canonical bytes are kept.

use bytes::Bytes;

use crate::crypto::Verifier;
use crate::error::Invalid;
use crate::ids::{OutputRef, PublicKey, TxId};
use crate::json::Value;

/// What a transaction does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Operation {
    /// Makes an asset.
    Create,
    /// Spends outputs.
    Transfer,
    /// The first block's transaction.
    Genesis,
}

/// What one input spends, as posted: the id may carry garbage that the schema lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// `fulfills.transaction_id`
    pub transaction_id: String,
    /// `fulfills.output_index`
    pub output_index: u64,
}

impl Link {
    /// The output, unless the id is none.
    pub fn output_ref(&self) -> Option<OutputRef> {
        let transaction_id = self.transaction_id.parse().ok()?;
        Some(OutputRef { transaction_id, index: self.output_index })
    }
}

/// One input. (The fulfillment is private to the ledger crate.)
#[derive(Debug)]
pub struct Input {
    /// Base58 keys, as posted.
    pub owners_before: Vec<String>,
    /// `None` in CREATE and GENESIS.
    pub fulfills: Option<Link>,
}

/// One output.
#[derive(Debug)]
pub struct Output {
    /// 1 ..= 9 * 10^18 shares.
    pub amount: u64,
    /// The condition's `ni:` URI, derived from its details.
    pub condition_uri: String,
    /// `public_keys` as posted; `None` for null.
    pub public_keys: Option<Vec<String>>,
    /// The keys that own the output: in `public_keys`, and an Ed25519 key anywhere in the details. No repeats.
    pub owners: Vec<PublicKey>,
}

/// A transaction that passed everything that needs no knowledge of the ledger, save its signatures.
#[derive(Debug)]
pub struct Transaction {
    id: TxId,
}

impl Transaction {
    /// Schema, id, inputs, outputs, in the reference's order. What nobody has written yet goes through
    /// [`crate::admission::transaction`] instead, which adds the rules for what a ledger takes in.
    pub fn from_value(_value: &Value<'_>) -> Result<Self, Invalid> {
        todo!()
    }

    /// The id.
    pub fn id(&self) -> TxId {
        self.id
    }

    /// The operation.
    pub fn operation(&self) -> Operation {
        todo!()
    }

    /// Inputs in order.
    pub fn inputs(&self) -> &[Input] {
        todo!()
    }

    /// Outputs in order.
    pub fn outputs(&self) -> &[Output] {
        todo!()
    }

    /// Own id for CREATE and GENESIS, `asset.id` as posted for TRANSFER.
    pub fn asset_id(&self) -> &str {
        todo!()
    }

    /// The canonical JSON with fulfillments, in the re-derived form that the reference stores: what goes into
    /// blocks and on disk.
    pub fn bytes(&self) -> &Bytes {
        todo!()
    }

    /// The outputs that are spent, in order (links with ids that are none left out).
    pub fn spends(&self) -> impl Iterator<Item = OutputRef> + '_ {
        self.inputs().iter().filter_map(|i| i.fulfills.as_ref().and_then(Link::output_ref))
    }

    /// Whether every fulfillment fulfils its own condition over the message. The verdict is computed once and
    /// remembered. (That the condition is the spent output's is a rule of [`crate::validate`].)
    pub fn signatures_valid(&self, _verifier: &dyn Verifier) -> bool {
        todo!()
    }

    /// How many Ed25519 signatures [`Self::signatures_valid`] checks: a caller decides by it where to compute.
    pub fn signature_count(&self) -> usize {
        todo!()
    }
}
