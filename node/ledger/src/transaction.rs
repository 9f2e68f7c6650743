//! The transaction: parsed once, then immutable; its canonical bytes are kept.

mod form;
mod read;

use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::condition::Condition;
use crate::condition::fulfillment::Fulfillment;
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

impl Operation {
    /// As the JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Transfer => "TRANSFER",
            Self::Genesis => "GENESIS",
        }
    }
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
    /// `None` for details in place of a fulfillment: not signed yet.
    pub(crate) fulfillment: Option<Fulfillment>,
    /// Where `fulfillment`'s value stands in the transaction's bytes.
    span: Range<u32>,
}

impl Input {
    /// The condition that the fulfillment fulfils. `None` if there is none.
    pub(crate) fn condition(&self) -> Option<Condition> {
        self.fulfillment.as_ref()?.condition()
    }
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
    operation: Operation,
    inputs: Box<[Input]>,
    outputs: Box<[Output]>,
    asset_id: Box<str>,
    bytes: Bytes,
    signatures_valid: OnceLock<bool>,
}

impl Transaction {
    /// Schema, id, inputs, outputs, in the reference's order. What nobody has written yet goes through
    /// [`crate::admission::transaction`] instead, which adds the rules for what a ledger takes in.
    pub fn from_value(value: &Value<'_>) -> Result<Self, Invalid> {
        crate::schema::transaction(value)?;
        Self::after_schema(value)
    }

    /// The rest of [`Self::from_value`] for a value that [`crate::schema::transaction`] let through: rules may be put
    /// between the two.
    pub fn after_schema(value: &Value<'_>) -> Result<Self, Invalid> {
        read::after_schema(value)
    }

    /// Reads what [`Self::bytes`] gave and a checksum kept: neither schema nor hash are checked again.
    ///
    /// # Errors
    ///
    /// [`Invalid::ReferenceFails`] for bytes that this crate did not write.
    pub fn from_stored(bytes: Bytes) -> Result<Self, Invalid> {
        read::stored(bytes)
    }

    /// The id that belongs to a value of the schema's shape; its `id` need not be there.
    pub(crate) fn id_of(value: &Value<'_>) -> Result<TxId, Invalid> {
        read::id_of(value)
    }

    /// The id: the hash of the re-derived form. (It differs from the posted id where the posted form does.)
    pub fn id(&self) -> TxId {
        self.id
    }

    /// The operation.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// Inputs in order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Outputs in order.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Own id for CREATE and GENESIS, `asset.id` as posted for TRANSFER.
    pub fn asset_id(&self) -> &str {
        &self.asset_id
    }

    /// The canonical JSON with fulfillments, in the re-derived form that the reference stores: what goes into
    /// blocks and on disk.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What every input signs: [`Self::bytes`] with null in place of each fulfillment.
    pub fn message(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(self.bytes.len());
        let mut copied = 0;
        for input in &self.inputs {
            message.extend_from_slice(&self.bytes[copied..input.span.start as usize]);
            message.extend_from_slice(b"null");
            copied = input.span.end as usize;
        }
        message.extend_from_slice(&self.bytes[copied..]);
        message
    }

    /// The outputs that are spent, in order (links with ids that are none left out).
    pub fn spends(&self) -> impl Iterator<Item = OutputRef> + '_ {
        self.inputs.iter().filter_map(|i| i.fulfills.as_ref().and_then(Link::output_ref))
    }

    /// Whether every fulfillment fulfils its own condition over the message. The verdict is computed once and
    /// remembered. (That the condition is the spent output's is a rule of [`crate::validate`].)
    pub fn signatures_valid(&self, verifier: &dyn Verifier) -> bool {
        *self.signatures_valid.get_or_init(|| {
            let message = self.message();
            let fulfils = |input: &Input| input.fulfillment.as_ref().is_some_and(|f| f.verify(&message, verifier));
            self.inputs.iter().all(fulfils)
        })
    }

    /// Whether [`Self::signatures_valid`] was asked before: its answer is remembered.
    pub fn signatures_known(&self) -> bool {
        self.signatures_valid.get().is_some()
    }

    /// How many Ed25519 signatures [`Self::signatures_valid`] checks: a caller decides by it where to compute.
    pub fn signature_count(&self) -> usize {
        let mut count = 0;
        for fulfillment in self.inputs.iter().filter_map(|input| input.fulfillment.as_ref()) {
            fulfillment.for_each_key(&mut |_| count += 1);
        }
        count
    }
}
