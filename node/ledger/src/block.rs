//! Blocks.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::build;
use crate::crypto::{PrivateKey, Verifier, sha3_256};
use crate::error::Invalid;
use crate::ids::{BlockId, PublicKey};
use crate::json::{Object, Value};
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
    pub fn create(transactions: Vec<Arc<Transaction>>, voters: &[PublicKey], timestamp: u64, key: &PrivateKey) -> Self {
        let mut header = BlockHeader {
            timestamp: timestamp.to_string(),
            node_pubkey: key.public_key().to_string(),
            voters: voters.iter().map(ToString::to_string).collect(),
            signature: String::new(),
        };
        let inner = canonical_inner(&header, &transactions);
        header.signature = bs58::encode(key.sign(&inner)).into_string();
        Self { id: BlockId::from_bytes(sha3_256(&[&inner])), header, transactions }
    }

    /// Reads `{"id", "block", "signature"}` with the assets in place; an id that is not the hash is refused.
    pub fn from_value(value: &Value<'_>) -> Result<Self, Invalid> {
        let block = object(value, "a block")?;
        let inner_value = member(block, "block")?;
        let id = string(block, "id")?;
        let hash = BlockId::from_bytes(sha3_256(&[&inner_value.to_canonical()]));
        if id.as_bytes() != hash.to_hex() {
            return Err(Invalid::BlockHash { id: id.to_owned() });
        }
        let inner = object(inner_value, "`block`")?;
        let transactions = array(inner, "transactions")?;
        let transactions = transactions.iter().map(|tx| Transaction::from_value(tx).map(Arc::new));
        let transactions = transactions.collect::<Result<Vec<_>, _>>()?;
        let voters = array(inner, "voters")?.iter().map(|voter| match voter {
            Value::String(key) => Ok(key.clone().into_owned()),
            _ => Err(Invalid::ReferenceFails("a voter is not a string".to_owned())),
        });
        let header = BlockHeader {
            timestamp: string(inner, "timestamp")?.to_owned(),
            node_pubkey: string(inner, "node_pubkey")?.to_owned(),
            voters: voters.collect::<Result<Vec<_>, _>>()?,
            signature: string(block, "signature")?.to_owned(),
        };
        Ok(Self { id: hash, header, transactions })
    }

    /// The canonical inner object: what is hashed and signed. Built from the transactions' kept bytes.
    pub fn canonical_inner(&self) -> Vec<u8> {
        canonical_inner(&self.header, &self.transactions)
    }

    /// Whether the creator's signature is good; malformed ones are not.
    pub fn signature_valid(&self, verifier: &dyn Verifier) -> bool {
        let mut signature = [0; 64];
        let key = self.header.node_pubkey.parse::<PublicKey>();
        match (key, bs58::decode(&self.header.signature).onto(&mut signature)) {
            (Ok(key), Ok(64)) => verifier.verify(&key, &self.canonical_inner(), &signature),
            _ => false,
        }
    }

    /// The rules before the transactions' own: creator in the federation, signature, no repeats.
    pub fn check(&self, federation: &[PublicKey], verifier: &dyn Verifier) -> Result<(), Invalid> {
        self.validate_creator(federation)?;
        if !self.signature_valid(verifier) {
            return Err(Invalid::BlockSignature);
        }
        self.validate_distinct()
    }

    fn validate_creator(&self, federation: &[PublicKey]) -> Result<(), Invalid> {
        match self.header.node_pubkey.parse::<PublicKey>() {
            Ok(key) if federation.contains(&key) => Ok(()),
            _ => Err(Invalid::Sybil),
        }
    }

    fn validate_distinct(&self) -> Result<(), Invalid> {
        let ids: BTreeSet<_> = self.transactions.iter().map(|tx| tx.id()).collect();
        if ids.len() == self.transactions.len() { Ok(()) } else { Err(Invalid::DuplicateTransaction) }
    }

    /// The genesis block's one transaction and itself; `timestamp` in Unix seconds.
    pub fn genesis(voters: &[PublicKey], timestamp: u64, key: &PrivateKey) -> Self {
        // Nothing in it comes from outside: the shape is fixed and the key is a key.
        let transaction = build::genesis(key).expect("the genesis transaction is made by the rules it is read by");
        Self::create(vec![Arc::new(transaction)], voters, timestamp, key)
    }
}

/// Members in canonical order: `node_pubkey`, `timestamp`, `transactions`, `voters`.
fn canonical_inner(header: &BlockHeader, transactions: &[Arc<Transaction>]) -> Vec<u8> {
    let text = |text: &str, out: &mut Vec<u8>| Value::String(Cow::Borrowed(text)).write_canonical(out);
    let bodies: usize = transactions.iter().map(|tx| tx.bytes().len() + 1).sum();
    let mut out = Vec::with_capacity(256 + bodies + 48 * header.voters.len());
    out.extend_from_slice(b"{\"node_pubkey\":");
    text(&header.node_pubkey, &mut out);
    out.extend_from_slice(b",\"timestamp\":");
    text(&header.timestamp, &mut out);
    out.extend_from_slice(b",\"transactions\":[");
    for (n, transaction) in transactions.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(transaction.bytes());
    }
    out.extend_from_slice(b"],\"voters\":[");
    for (n, voter) in header.voters.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        text(voter, &mut out);
    }
    out.extend_from_slice(b"]}");
    out
}

fn object<'v, 'a>(value: &'v Value<'a>, what: &str) -> Result<&'v Object<'a>, Invalid> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Invalid::ReferenceFails(format!("{what} is not an object"))),
    }
}

fn member<'v, 'a>(object: &'v Object<'a>, key: &str) -> Result<&'v Value<'a>, Invalid> {
    object.get(key).ok_or_else(|| Invalid::ReferenceFails(format!("`{key}` is missing in a block")))
}

fn array<'v, 'a>(object: &'v Object<'a>, key: &str) -> Result<&'v [Value<'a>], Invalid> {
    match member(object, key)? {
        Value::Array(items) => Ok(items),
        _ => Err(Invalid::ReferenceFails(format!("`{key}` of a block is not a list"))),
    }
}

fn string<'v>(object: &'v Object<'_>, key: &str) -> Result<&'v str, Invalid> {
    match member(object, key)? {
        Value::String(text) => Ok(text),
        _ => Err(Invalid::ReferenceFails(format!("`{key}` of a block is not a string"))),
    }
}
