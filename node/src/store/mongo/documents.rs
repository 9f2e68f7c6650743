//! The documents of BigchainDB Server 1.0.1, from and to the ledger's terms.
//!
//! | collection | document |
//! |---|---|
//! | `backlog` | the transaction, `assignee`, `assignment_timestamp` (seconds, a float) |
//! | `bigchain` | the block; CREATE and GENESIS transactions without `asset` |
//! | `assets` | `{"data", "id"}` of each of these |
//! | `votes` | the vote |

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ledger::block::Block;
use ledger::ids::{BlockId, PublicKey};
use ledger::json::{self, Object, Value};
use ledger::transaction::{Operation, Transaction};
use ledger::vote::Vote;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{RawArrayBuf, RawDocument, RawDocumentBuf, cstr};

use super::bson::{self, NoCounterpart};
use crate::store::{BacklogEntry, StoredVote};

/// Why a document is not what its collection is for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl From<NoCounterpart> for Unreadable {
    fn from(reason: NoCounterpart) -> Self {
        Self(reason.0)
    }
}

/// Short form.
pub type Result<T> = std::result::Result<T, Unreadable>;

/// MongoDB's own id of a document.
pub fn id_of(document: &RawDocument) -> Result<ObjectId> {
    document.get_object_id(cstr!("_id")).map_err(|_| Unreadable("its `_id` is not an ObjectId".to_owned()))
}

fn with_id(id: ObjectId) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), id);
    document
}

fn members(transaction: &Transaction) -> Result<Object<'_>> {
    match json::parse(transaction.bytes()) {
        Ok(Value::Object(mut members)) => {
            order_links(&mut members);
            Ok(members)
        }
        // A transaction's bytes are canonical JSON of an object.
        _ => Err(Unreadable(format!("the transaction {} is no JSON", transaction.id()))),
    }
}

/// Puts the members of each `fulfills` into the order in which 1.0.1 writes them. It looks for the spenders of outputs by
/// whole documents, which are equal only in the same order: written otherwise, they count as unspent there.
fn order_links(transaction: &mut Object<'_>) {
    let Some(Value::Array(inputs)) = transaction.get_mut("inputs") else { return };
    for input in inputs {
        if let Value::Object(input) = input
            && let Some(Value::Object(link)) = input.get_mut("fulfills")
            && let Some(index) = link.remove("output_index")
        {
            link.insert("output_index", index);
        }
    }
}

/// Milliseconds as Python's seconds.
pub fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// Python's seconds as milliseconds.
pub fn milliseconds(seconds: f64) -> u64 {
    // Saturates; a NaN is 0.
    (seconds * 1000.0).round() as u64
}

/// Ids as documents hold them.
pub fn texts<T: ToString>(ids: &[T]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// A document of `backlog`.
pub fn backlog(id: ObjectId, entry: &BacklogEntry) -> Result<RawDocumentBuf> {
    let mut document = with_id(id);
    bson::append_members(&mut document, &members(&entry.transaction)?)?;
    document.append(cstr!("assignee"), entry.assignee.to_string());
    document.append(cstr!("assignment_timestamp"), seconds(entry.assigned_at));
    Ok(document)
}

/// Who is to put an entry into a block, and since when.
pub fn assignment(document: &RawDocument) -> Result<(PublicKey, u64)> {
    let wrong = |what: &str| Unreadable(format!("`{what}` is missing or of the wrong type"));
    let assignee = document.get_str(cstr!("assignee")).map_err(|_| wrong("assignee"))?;
    let assignee = assignee.parse().map_err(|error| Unreadable(format!("`assignee`: {error}")))?;
    let since = match document.get_f64(cstr!("assignment_timestamp")) {
        Ok(seconds) => milliseconds(seconds),
        Err(_) => return Err(wrong("assignment_timestamp")),
    };
    Ok((assignee, since))
}

/// The transaction in a document of `backlog`.
pub fn read_backlog(document: &RawDocument) -> Result<Transaction> {
    let mut members = bson::object(document)?;
    members.remove("assignee");
    members.remove("assignment_timestamp");
    read_transaction(members)
}

fn read_transaction(members: Object<'_>) -> Result<Transaction> {
    let id = members.get("id").and_then(Value::as_str).unwrap_or("without an id").to_owned();
    Transaction::from_value(&Value::Object(members)).map_err(|broken| Unreadable(format!("transaction {id}: {broken}")))
}

/// A document of `bigchain`, and those of `assets` that belong to it.
pub fn block(id: ObjectId, block: &Block) -> Result<(RawDocumentBuf, Vec<RawDocumentBuf>)> {
    let mut assets = Vec::new();
    let mut transactions = RawArrayBuf::new();
    for transaction in &block.transactions {
        let mut members = members(transaction)?;
        if transaction.operation() != Operation::Transfer {
            let data = match members.remove("asset") {
                Some(Value::Object(mut asset)) => asset.remove("data"),
                _ => None,
            };
            let mut asset = with_id(ObjectId::new());
            bson::append(&mut asset, "data", &data.unwrap_or(Value::Null))?;
            asset.append(cstr!("id"), transaction.id().to_string());
            assets.push(asset);
        }
        transactions.push(bson::document(&members)?);
    }
    let header = &block.header;
    let mut inner = RawDocumentBuf::new();
    inner.append(cstr!("timestamp"), header.timestamp.as_str());
    inner.append(cstr!("transactions"), transactions);
    inner.append(cstr!("node_pubkey"), header.node_pubkey.as_str());
    inner.append(cstr!("voters"), header.voters.iter().map(String::as_str).collect::<RawArrayBuf>());
    let mut document = with_id(id);
    document.append(cstr!("id"), block.id.to_string());
    document.append(cstr!("block"), inner);
    document.append(cstr!("signature"), header.signature.as_str());
    Ok((document, assets))
}

/// A block's document without its transactions, bytes at most: some hundred voters.
const HEADER: usize = 64 << 10;

/// What a server takes as one document, bytes (`maxBsonObjectSize`, the same since MongoDB 1.8).
const DOCUMENT: usize = 16 << 20;

/// Type, index and NUL of a transaction in its block.
const ELEMENT: usize = 16;

/// How many of these transactions, from the first on, the document of one block can hold.
pub fn fitting(transactions: &[Arc<Transaction>]) -> usize {
    fitting_into(transactions, DOCUMENT - HEADER)
}

fn fitting_into(transactions: &[Arc<Transaction>], room: usize) -> usize {
    let most = transactions.iter().map(|tx| bson::WORST * tx.bytes().len() + ELEMENT);
    if most.sum::<usize>() <= room {
        return transactions.len();
    }
    let mut bytes = 0;
    let beyond = transactions.iter().position(|tx| {
        bytes += ELEMENT + size_in_block(tx);
        bytes > room
    });
    beyond.unwrap_or(transactions.len())
}

/// Bytes of a transaction in its block, where its asset may not stand.
fn size_in_block(transaction: &Transaction) -> usize {
    match json::parse(transaction.bytes()) {
        Ok(Value::Object(mut members)) => {
            if transaction.operation() != Operation::Transfer {
                members.remove("asset");
            }
            bson::size(&members)
        }
        // A transaction's bytes are canonical JSON of an object.
        _ => bson::WORST * transaction.bytes().len(),
    }
}

/// The block of a document of `bigchain`, with its assets put back.
pub fn read_block(document: &RawDocument, assets: &Assets) -> Result<Block> {
    let mut members = bson::object(document)?;
    let transactions = match members.get_mut("block") {
        Some(Value::Object(inner)) => match inner.get_mut("transactions") {
            Some(Value::Array(transactions)) => transactions.as_mut_slice(),
            _ => &mut [],
        },
        _ => &mut [],
    };
    for transaction in transactions {
        if let Value::Object(members) = transaction {
            assets.put_back(members)?;
        }
    }
    Block::from_value(&Value::Object(members)).map_err(|broken| Unreadable(broken.to_string()))
}

/// A transaction as it stands in a document of `bigchain`, with its asset put back.
pub fn read_block_transaction(document: &RawDocument, assets: &Assets) -> Result<Transaction> {
    let mut members = bson::object(document)?;
    assets.put_back(&mut members)?;
    read_transaction(members)
}

/// Ids of the transactions in a list whose assets are stored apart.
pub fn ids_with_assets<'a>(transactions: impl Iterator<Item = &'a RawDocument>) -> Vec<String> {
    let made = |tx: &&RawDocument| !matches!(tx.get_str(cstr!("operation")), Ok("TRANSFER"));
    transactions.filter(made).filter_map(|tx| tx.get_str(cstr!("id")).ok()).map(str::to_owned).collect()
}

/// Documents of `assets`, by transaction.
#[derive(Default)]
pub struct Assets(HashMap<String, RawDocumentBuf>);

impl Assets {
    /// Takes what the collection gave.
    pub fn new(documents: Vec<RawDocumentBuf>) -> Self {
        let id = |document: &RawDocumentBuf| document.get_str(cstr!("id")).ok().map(str::to_owned);
        Self(documents.into_iter().filter_map(|document| Some((id(&document)?, document))).collect())
    }

    fn put_back<'a>(&'a self, members: &mut Object<'a>) -> Result<()> {
        let Some(Value::String(id)) = members.get("id").cloned() else { return Ok(()) };
        if members.get("operation").and_then(Value::as_str) == Some(Operation::Transfer.as_str()) {
            return Ok(());
        }
        let document = self.0.get(id.as_ref()).ok_or_else(|| Unreadable(format!("the asset of {id} is missing")))?;
        let data = bson::object(document)?.remove("data").unwrap_or(Value::Null);
        members.insert("asset", Value::Object([("data".into(), data)].into_iter().collect()));
        Ok(())
    }
}

/// Canonical JSON of an asset's data.
pub fn read_asset(document: &RawDocument) -> Result<Bytes> {
    let data = bson::object(document)?.remove("data").unwrap_or(Value::Null);
    Ok(data.to_canonical().into())
}

/// A document of `votes`.
pub fn vote(id: ObjectId, vote: &Vote) -> Result<RawDocumentBuf> {
    let bytes = vote.to_bytes();
    let mut document = with_id(id);
    if let Ok(Value::Object(members)) = json::parse(&bytes) {
        bson::append_members(&mut document, &members)?;
    }
    Ok(document)
}

/// A vote as it was written; `None` for one that names no block: it counts for nothing.
pub fn read_vote(document: &RawDocument) -> Result<Option<StoredVote>> {
    let members = bson::object(document)?;
    let block = match members.get("vote") {
        Some(Value::Object(inner)) => inner.get("voting_for_block").and_then(Value::as_str),
        _ => None,
    };
    let Some(Ok(block)) = block.map(str::parse::<BlockId>) else { return Ok(None) };
    Ok(Some(StoredVote { block, bytes: Value::Object(members).to_canonical().into() }))
}

/// The list of transactions in a document of `bigchain`.
pub fn transactions(document: &RawDocument) -> impl Iterator<Item = &RawDocument> {
    let inner = document.get_document(cstr!("block")).ok();
    let list = inner.and_then(|inner| inner.get_array(cstr!("transactions")).ok());
    list.into_iter().flatten().filter_map(|element| element.ok()?.as_document())
}

/// A text member that is an id.
pub fn text_id<T: std::str::FromStr>(document: &RawDocument, key: &str) -> Result<T> {
    let key: &mongodb::bson::raw::CStr = key.try_into().map_err(|_| Unreadable("a key holds a NUL".to_owned()))?;
    let text = document.get_str(key).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| Unreadable(format!("`{}` is no id", key.as_str())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use ledger::build::{self, Recipient};
    use ledger::crypto::PrivateKey;

    use super::*;

    /// A CREATE with this asset and metadata.
    fn create(asset: &str, metadata: &str) -> Arc<Transaction> {
        let key = PrivateKey::from_seed(&[7; 32]);
        let me = key.public_key();
        let [asset, metadata] = [asset, metadata].map(|text| json::parse(text.as_bytes()).unwrap());
        let to = [Recipient { public_keys: vec![me], amount: 1 }];
        let unsigned = build::create(&[me], &to, Some(asset), Some(metadata)).unwrap();
        Arc::new(Transaction::from_value(&build::sign(&unsigned, &[key]).unwrap()).unwrap())
    }

    /// A digit and a comma take twelve bytes in a document, a text as many as in JSON, an asset none.
    #[test]
    fn as_many_transactions_as_a_document_holds_fit_into_a_block() {
        let (text, numbers) = ("x".repeat(5000), "1,".repeat(2500));
        let metadata = [format!(r#"{{"n":"{text}"}}"#), format!(r#"{{"n":[{numbers}1]}}"#), r#"{"n":1}"#.to_owned()];
        let assets = [r#"{"n":1}"#.to_owned(), format!(r#"{{"n":"{text}"}}"#)];
        let kinds: Vec<_> =
            metadata.iter().flat_map(|metadata| assets.iter().map(|asset| create(asset, metadata))).collect();
        for (kind, room) in (0..kinds.len()).flat_map(|kind| [200, 7_000, 50_000].map(|room| (kind, room))) {
            let transactions: Vec<_> = kinds.iter().cycle().skip(kind).take(100).cloned().collect();
            let fitting = fitting_into(&transactions, room);
            let written = |n: usize| {
                let key = PrivateKey::from_seed(&[1; 32]);
                let block = Block::create(transactions[..n].to_vec(), &[key.public_key()], 1_500_000_000, &key);
                super::block(ObjectId::new(), &block).unwrap().0.as_bytes().len()
            };
            let empty = written(0);
            assert!(written(fitting) - empty <= room, "{fitting} do not fit into {room}");
            assert!(
                written(fitting + 1) - empty + (fitting + 1) * ELEMENT > room,
                "more than {fitting} fit into {room}"
            );
        }
    }

    #[test]
    fn links_are_written_in_the_order_of_1_0_1() {
        let text = br#"{"inputs":[{"fulfills":{"output_index":1,"transaction_id":"a"}},{"fulfills":null}]}"#;
        let Value::Object(mut members) = json::parse(text).unwrap() else { unreachable!() };
        order_links(&mut members);
        let document = bson::document(&members).unwrap();
        let inputs: Vec<_> = document.get_array(cstr!("inputs")).unwrap().into_iter().collect();
        let first = inputs[0].as_ref().unwrap().as_document().unwrap();
        let keys: Vec<_> =
            first.get_document(cstr!("fulfills")).unwrap().iter().map(|m| m.unwrap().0.as_str()).collect();
        assert_eq!(keys, ["transaction_id", "output_index"]);
        assert_eq!(Value::Object(members).to_canonical(), text);
    }
}
