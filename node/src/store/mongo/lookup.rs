//! Look-ups: one query for each collection, however many are asked for.
//!
//! The backlog is read before the blocks: a transaction on its way into a block is then in one of the answers, or in both.
//! One on its way back, out of a block that was just decided invalid, is looked for in the backlog once more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};
use ledger::transaction::{Operation, Transaction};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{RawDocument, RawDocumentBuf, cstr};
use mongodb::bson::{Bson, Document, doc};

use super::documents::{self, Assets};
use super::shared::Shared;
use super::{fault, schema};
use crate::store::database::StoreWork;
use crate::store::{Counts, FoundAsset, Located, Occurrence, Result, StoreError, StoredBlock};

/// What of a block is asked for.
pub struct Held {
    /// Which block.
    pub block: BlockId,
    /// In block order, never none.
    pub transactions: Vec<Arc<Transaction>>,
}

/// One transaction in one block.
struct Copy {
    occurrence: Occurrence,
    transaction: Arc<Transaction>,
}

/// Some transactions of blocks, said twice: to the server, and for blocks that are here already.
struct Wanted<F> {
    /// Blocks with any of them.
    blocks: Document,
    /// Whether `$$tx` is one of them.
    condition: Document,
    /// The same.
    test: F,
    /// How many there may be in one block, roughly.
    most: usize,
}

/// From so many transactions on, a block is fetched whole instead of having the server pick them: it would compare each
/// with each.
const WHOLE: usize = 32;

impl Shared {
    /// Where transactions are.
    pub async fn locate(&self, ids: &[TxId]) -> Result<Vec<Option<Located>>> {
        let begun = Instant::now();
        let waiting = self.waiting_by_id(ids).await?;
        let held = self.held_by_id(ids).await?;
        let mut located = self.located(held, waiting).await?;
        self.took(StoreWork::LookUp, begun);
        Ok(ids.iter().map(|id| located.remove(id)).collect())
    }

    /// Blocks that hold transactions.
    pub async fn held_by_id(&self, ids: &[TxId]) -> Result<Vec<Held>> {
        let hex = documents::texts(ids);
        let asked: HashSet<TxId> = ids.iter().copied().collect();
        let wanted = Wanted {
            blocks: doc! { "block.transactions.id": { "$in": &hex } },
            condition: is_in("$$tx.id", &hex),
            test: |tx: &Transaction| asked.contains(&tx.id()),
            most: ids.len(),
        };
        self.held(wanted).await
    }

    /// Transactions that spend outputs.
    pub async fn spenders(&self, outputs: &[OutputRef]) -> Result<Vec<Vec<Located>>> {
        let begun = Instant::now();
        let asked: HashSet<OutputRef> = outputs.iter().copied().collect();
        let spent: HashSet<String> = outputs.iter().map(|output| output.transaction_id.to_string()).collect();
        let spent: Vec<String> = spent.into_iter().collect();
        let by_input = |path: &str| doc! { path: { "$in": &spent } };
        let wanted = Wanted {
            blocks: by_input("block.transactions.inputs.fulfills.transaction_id"),
            condition: any_of("$$tx.inputs", is_in("$$element.fulfills.transaction_id", &spent)),
            test: |tx: &Transaction| tx.spends().any(|output| asked.contains(&output)),
            most: outputs.len(),
        };
        let waiting = self.waiting_like(by_input("inputs.fulfills.transaction_id")).await?;
        let held = self.held(wanted).await?;
        let located = self.located(held, waiting).await?;
        let mut by_output: HashMap<OutputRef, Vec<&Located>> = HashMap::new();
        for found in located.values() {
            for output in found.transaction.spends().collect::<HashSet<_>>() {
                by_output.entry(output).or_default().push(found);
            }
        }
        let of = |output: &OutputRef| by_output.get(output).into_iter().flatten().map(|l| (*l).clone()).collect();
        self.took(StoreWork::LookUp, begun);
        Ok(outputs.iter().map(of).collect())
    }

    /// Blocks that hold what is wanted, in the order of their documents, each once.
    async fn held<F: Fn(&Transaction) -> bool>(&self, wanted: Wanted<F>) -> Result<Vec<Held>> {
        let Wanted { blocks, condition, test, most } = wanted;
        let find = self.blocks.find(blocks).projection(doc! { "_id": 1, "id": 1 }).sort(doc! { "_id": 1 });
        let mut seen = HashSet::new();
        let mut keys: Vec<(ObjectId, BlockId)> = Vec::new();
        for document in self.all(find).await? {
            match (documents::id_of(&document), documents::text_id(&document, "id")) {
                // A Python node may have written a block twice.
                (Ok(key), Ok(block)) if seen.insert(block) => keys.push((key, block)),
                (Ok(_), Ok(_)) => {}
                (Err(reason), _) | (_, Err(reason)) => self.quarantine.put(schema::BLOCKS, &document, &reason),
            }
        }
        let pick = |block: &Block| block.transactions.iter().filter(|tx| test(tx)).cloned().collect::<Vec<_>>();
        let mut picked: HashMap<ObjectId, Vec<Arc<Transaction>>> =
            keys.iter().filter_map(|(key, _)| Some((*key, pick(&*self.recent_blocks.get(key)?)))).collect();
        let unknown: Vec<ObjectId> = keys.iter().map(|(key, _)| *key).filter(|key| !picked.contains_key(key)).collect();
        if most >= WHOLE {
            for keys in unknown.chunks(8) {
                let found = self.all(self.blocks.find(doc! { "_id": { "$in": keys } })).await?;
                picked.extend(self.read_blocks(found).await?.into_iter().map(|(key, block)| (key, pick(&block))));
            }
        } else if !unknown.is_empty() {
            picked.extend(self.picked_by_the_server(&unknown, condition).await?);
        }
        let held = keys.into_iter().filter_map(|(key, block)| Some(Held { block, transactions: picked.remove(&key)? }));
        Ok(held.filter(|held| !held.transactions.is_empty()).collect())
    }

    /// How the blocks stand.
    pub async fn statuses_of(&self, held: &[Held]) -> Result<Vec<BlockStatus>> {
        self.statuses(&held.iter().map(|held| held.block).collect::<Vec<_>>()).await
    }

    async fn picked_by_the_server(
        &self,
        keys: &[ObjectId],
        condition: Document,
    ) -> Result<Vec<(ObjectId, Vec<Arc<Transaction>>)>> {
        let kept = doc! { "$filter": { "input": "$block.transactions", "as": "tx", "cond": condition } };
        let pipeline =
            [doc! { "$match": { "_id": { "$in": keys } } }, doc! { "$project": { "block": { "transactions": kept } } }];
        let found = self.all(self.blocks.aggregate(pipeline).with_type::<RawDocumentBuf>()).await?;
        let bodies = found.iter().flat_map(|document| documents::transactions(document));
        let assets = self.find_assets(documents::ids_with_assets(bodies)).await?;
        let mut picked = Vec::with_capacity(found.len());
        for document in &found {
            let Ok(key) = documents::id_of(document) else { continue };
            let bodies = documents::transactions(document).filter_map(|body| self.body(body, &assets));
            picked.push((key, bodies.collect()));
        }
        Ok(picked)
    }

    async fn waiting_by_id(&self, ids: &[TxId]) -> Result<Vec<Arc<Transaction>>> {
        let hex = documents::texts(ids);
        self.waiting_like(doc! { "id": { "$in": hex } }).await
    }

    /// Transactions of the backlog.
    async fn waiting_like(&self, filter: Document) -> Result<Vec<Arc<Transaction>>> {
        let found = self.all(self.backlog.find(filter).projection(doc! { "_id": 1 })).await?;
        let ids: Vec<ObjectId> = found.iter().filter_map(|document| documents::id_of(document).ok()).collect();
        let mut known = Vec::with_capacity(ids.len());
        let mut unknown = Vec::new();
        for id in ids {
            match self.transactions.get(&id) {
                Some(transaction) => known.push(transaction),
                None => unknown.push(id),
            }
        }
        if !unknown.is_empty() {
            known.extend(self.entries(&unknown).await?.into_iter().map(|(_, entry)| entry.transaction));
        }
        Ok(known)
    }

    /// Puts together what blocks and backlog hold, by transaction.
    async fn located(&self, held: Vec<Held>, waiting: Vec<Arc<Transaction>>) -> Result<HashMap<TxId, Located>> {
        let statuses = self.statuses_of(&held).await?;
        let mut copies: HashMap<TxId, Vec<Copy>> = HashMap::new();
        for (Held { block, transactions }, status) in held.into_iter().zip(statuses) {
            for transaction in transactions {
                let copy = Copy { occurrence: Occurrence { block, status }, transaction };
                copies.entry(copy.transaction.id()).or_default().push(copy);
            }
        }
        let mut located = HashMap::with_capacity(copies.len() + waiting.len());
        for transaction in waiting {
            let id = transaction.id();
            let copies = copies.remove(&id).unwrap_or_default();
            let counting = best(&copies).filter(|copy| copy.occurrence.status != BlockStatus::Invalid);
            let transaction = counting.map_or(transaction, |copy| copy.transaction.clone());
            let blocks = copies.iter().map(|copy| copy.occurrence).collect();
            located.insert(id, Located { transaction, blocks, in_backlog: true });
        }
        let mut nowhere = Vec::new();
        for (id, copies) in copies {
            let Some(best) = best(&copies) else { continue };
            if best.occurrence.status == BlockStatus::Invalid {
                nowhere.push(id);
            }
            let blocks = copies.iter().map(|copy| copy.occurrence).collect();
            located.insert(id, Located { transaction: best.transaction.clone(), blocks, in_backlog: false });
        }
        if !nowhere.is_empty() {
            for transaction in self.waiting_by_id(&nowhere).await? {
                if let Some(found) = located.get_mut(&transaction.id()) {
                    (found.transaction, found.in_backlog) = (transaction, true);
                }
            }
        }
        Ok(located)
    }

    fn body(&self, document: &RawDocument, assets: &Assets) -> Option<Arc<Transaction>> {
        match documents::read_block_transaction(document, assets) {
            Ok(transaction) => Some(Arc::new(transaction)),
            Err(reason) => {
                self.quarantine.put(schema::BLOCKS, document, &reason);
                None
            }
        }
    }

    /// Outputs that a key owns, in the blocks' order.
    pub async fn outputs_of(&self, owner: &PublicKey) -> Result<Vec<OutputRef>> {
        let key = owner.to_string();
        let listed = doc! { "$in": [&key, { "$ifNull": ["$$element.public_keys", []] }] };
        let owned = |tx: &Transaction| tx.outputs().iter().any(|output| output.owners.contains(owner));
        let wanted = Wanted {
            blocks: doc! { "block.transactions.outputs.public_keys": &key },
            condition: any_of("$$tx.outputs", listed),
            test: owned,
            most: 1,
        };
        let (mut outputs, mut seen) = (Vec::new(), HashSet::new());
        for transaction in self.in_blocks_that(wanted, |status| status != BlockStatus::Invalid).await? {
            for (index, output) in (0..).zip(transaction.outputs()) {
                let output_ref = OutputRef { transaction_id: transaction.id(), index };
                if output.owners.contains(owner) && seen.insert(output_ref) {
                    outputs.push(output_ref);
                }
            }
        }
        Ok(outputs)
    }

    /// TRANSFERs of an asset in valid blocks, in the blocks' order.
    pub async fn transfers_of(&self, asset: &TxId) -> Result<Vec<Arc<Transaction>>> {
        let asset = asset.to_string();
        let wanted = Wanted {
            blocks: doc! { "block.transactions.asset.id": &asset },
            condition: doc! { "$eq": ["$$tx.asset.id", &asset] },
            test: |tx: &Transaction| tx.operation() == Operation::Transfer && tx.asset_id() == asset,
            most: 1,
        };
        self.in_blocks_that(wanted, |status| status == BlockStatus::Valid).await
    }

    /// Transactions in blocks of some statuses, in the blocks' order.
    async fn in_blocks_that<F: Fn(&Transaction) -> bool>(
        &self,
        wanted: Wanted<F>,
        counts: impl Fn(BlockStatus) -> bool,
    ) -> Result<Vec<Arc<Transaction>>> {
        let held = self.held(wanted).await?;
        let statuses = self.statuses_of(&held).await?;
        let counting = held.into_iter().zip(statuses).filter(|(_, status)| counts(*status));
        Ok(counting.flat_map(|(held, _)| held.transactions).collect())
    }

    /// Assets of valid transactions by text.
    pub async fn search_assets(&self, query: &str, limit: usize) -> Result<Vec<FoundAsset>> {
        if let Some(reason) = self.no_search.get() {
            return Err(StoreError::Unavailable(format!("this server cannot search text: {reason}")));
        }
        let score = doc! { "$meta": "textScore" };
        let find = self.assets.find(doc! { "$text": { "$search": query } });
        let find =
            find.projection(doc! { "data": 1, "id": 1, "score": &score }).sort(doc! { "score": score, "_id": 1 });
        let documents = self.all(find).await?;
        let ids: Vec<TxId> = documents.iter().filter_map(|d| documents::text_id(d, "id").ok()).collect();
        let located = self.locate(&ids).await?;
        let valid: HashSet<TxId> = located
            .into_iter()
            .flatten()
            .filter(|l| l.blocks.iter().any(|b| b.status == BlockStatus::Valid))
            .map(|l| l.transaction.id())
            .collect();
        let mut found = Vec::new();
        for document in &documents {
            match (documents::text_id(document, "id"), documents::read_asset(document)) {
                (Ok(id), Ok(data)) if valid.contains(&id) => found.push(FoundAsset { id, data }),
                (Ok(_), Ok(_)) => {}
                (Err(reason), _) | (_, Err(reason)) => self.quarantine.put(schema::ASSETS, document, &reason),
            }
            if limit > 0 && found.len() == limit {
                break;
            }
        }
        Ok(found)
    }

    /// Blocks after a document, in the order of their documents.
    pub async fn history(&self, after: Option<ObjectId>, limit: usize) -> Result<(Vec<StoredBlock>, Option<ObjectId>)> {
        let filter = after.map_or_else(Document::new, |after| doc! { "_id": { "$gt": after } });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let find = self.blocks.find(filter).projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 }).limit(limit);
        let keys: Vec<ObjectId> = self.all(find).await?.iter().filter_map(|d| documents::id_of(d).ok()).collect();
        let mut blocks = Vec::with_capacity(keys.len());
        for keys in keys.chunks(8) {
            blocks.extend(self.stored_blocks(keys).await?.into_iter().map(|(_, stored)| stored));
        }
        Ok((blocks, keys.last().copied()))
    }

    /// Sizes of the ledger.
    pub async fn counts(&self) -> Result<Counts> {
        let unavailable = |e: mongodb::error::Error| fault::unavailable(&e);
        let blocks = self.blocks.count_documents(doc! {}).await.map_err(unavailable)?;
        let backlog = self.backlog.count_documents(doc! {}).await.map_err(unavailable)?;
        let pipeline = [
            doc! { "$project": { "n": { "$size": "$block.transactions" } } },
            doc! { "$group": { "_id": Bson::Null, "n": { "$sum": "$n" } } },
        ];
        let sums = self.all(self.blocks.aggregate(pipeline).with_type::<RawDocumentBuf>()).await?;
        let sum = sums.first().map(|document| match document.get(cstr!("n")) {
            Ok(Some(n)) => n.as_i64().or_else(|| n.as_i32().map(i64::from)).unwrap_or_default(),
            _ => 0,
        });
        let transactions = u64::try_from(sum.unwrap_or_default()).unwrap_or_default();
        Ok(Counts { blocks, transactions, backlog })
    }
}

fn is_in(path: &str, values: &[String]) -> Document {
    doc! { "$in": [path, values] }
}

/// Whether the condition holds for any `$$element` of a list.
fn any_of(list: &str, condition: Document) -> Document {
    doc! { "$anyElementTrue": [{ "$map": { "input": list, "as": "element", "in": condition } }] }
}

/// The copy that counts: of the last valid block, else of the last undecided one, else of the last one.
fn best(copies: &[Copy]) -> Option<&Copy> {
    let last = |status| copies.iter().rfind(|copy| copy.occurrence.status == status);
    last(BlockStatus::Valid).or_else(|| last(BlockStatus::Undecided)).or_else(|| copies.last())
}
