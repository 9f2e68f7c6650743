//! Look-ups: the tail first, then the index, then bodies from the log.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};
use ledger::transaction::Transaction;

use super::index::{Held, Order, broken, key};
use super::record::Record;
use super::shared::Shared;
use crate::store::{Located, Occurrence, Rejection, Result, StoreError, StoredBlock, StoredVote};

/// Entries of the index that are read at once.
pub const SCAN: usize = 1024;

/// One block that holds a transaction.
struct Copy {
    position: u64,
    status: BlockStatus,
    block: Option<BlockId>,
    body: Body,
}

enum Body {
    Parsed(Arc<Transaction>),
    At(u64),
}

impl Shared {
    /// See the trait.
    pub fn locate(&self, ids: &[TxId]) -> Result<Vec<Option<Located>>> {
        let mut in_tail: Vec<(Option<Arc<Transaction>>, Vec<Copy>, bool)> = Vec::with_capacity(ids.len());
        {
            let tail = self.tail.read();
            for id in ids {
                let Some(known) = tail.known(id) else {
                    in_tail.push((None, Vec::new(), false));
                    continue;
                };
                let waiting = known.waiting.and_then(|feed| tail.backlog.get(&feed));
                let waiting = waiting.map(|waiting| waiting.entry.transaction.clone());
                let copy = |&(position, place): &(u64, u32)| {
                    let block = tail.blocks.get(&position)?;
                    let body = Body::Parsed(block.transaction(place)?.clone());
                    Some(Copy { position, status: block.status, block: Some(block.block.id), body })
                };
                in_tail.push((waiting, known.blocks.iter().filter_map(copy).collect(), known.unindexed));
            }
        }
        let located = ids.iter().zip(in_tail).map(|(id, (waiting, copies, unindexed))| {
            let indexed = if unindexed { None } else { self.index.get(&key::transaction(id))? };
            self.located(indexed, waiting, copies)
        });
        located.collect()
    }

    fn located(
        &self,
        indexed: Option<Bytes>,
        waiting: Option<Arc<Transaction>>,
        mut copies: Vec<Copy>,
    ) -> Result<Option<Located>> {
        if let Some(value) = indexed {
            for Held { block: position, body, status } in Held::read(&value) {
                // While a batch moves from the tail to the index, a block is in both.
                if !copies.iter().any(|copy| copy.position == position) {
                    copies.push(Copy { position, status, block: None, body: Body::At(body) });
                }
            }
            copies.sort_by_key(|copy| copy.position);
        }
        let mut blocks = Vec::with_capacity(copies.len());
        for copy in &copies {
            let block = match copy.block {
                Some(block) => block,
                None => self.order(copy.position)?.id,
            };
            blocks.push(Occurrence { block, status: copy.status });
        }
        let in_backlog = waiting.is_some();
        let last = |status| copies.iter().rposition(|copy| copy.status == status);
        let best = last(BlockStatus::Valid).or_else(|| last(BlockStatus::Undecided));
        let best = match (best, waiting) {
            (None, Some(waiting)) => return Ok(Some(Located { transaction: waiting, blocks, in_backlog })),
            (None, None) => last(BlockStatus::Invalid),
            (best, _) => best,
        };
        let Some(best) = best.and_then(|best| copies.into_iter().nth(best)) else { return Ok(None) };
        let transaction = match best.body {
            Body::Parsed(transaction) => transaction,
            Body::At(body) => self.transaction(body)?,
        };
        Ok(Some(Located { transaction, blocks, in_backlog }))
    }

    /// See the trait.
    pub fn spenders(&self, outputs: &[OutputRef]) -> Result<Vec<Vec<Located>>> {
        let mut ids: Vec<Vec<TxId>> = {
            let tail = self.tail.read();
            outputs.iter().map(|output| tail.spenders(output).to_vec()).collect()
        };
        let mut all = Vec::with_capacity(outputs.len());
        for (output, ids) in outputs.iter().zip(&mut ids) {
            if let Some(value) = self.index.get(&key::spent(output))? {
                for id in value.chunks_exact(32).filter_map(|id| id.first_chunk()) {
                    let id = TxId::from_bytes(*id);
                    if !ids.contains(&id) {
                        ids.push(id);
                    }
                }
            }
            all.push(if ids.is_empty() { Vec::new() } else { self.locate(ids)?.into_iter().flatten().collect() });
        }
        Ok(all)
    }

    /// See the trait.
    pub fn outputs_of(&self, owner: &PublicKey) -> Result<Vec<OutputRef>> {
        let mut found: Vec<(u64, u32, u32, TxId)> = Vec::new();
        {
            let tail = self.tail.read();
            for (position, block) in tail.blocks.iter().filter(|(_, block)| block.status != BlockStatus::Invalid) {
                let first = block.owners.partition_point(|(key, ..)| key < owner);
                for (_, place, index) in block.owners.iter().skip(first).take_while(|(key, ..)| key == owner) {
                    found.extend(block.transaction(*place).map(|tx| (*position, *place, *index, tx.id())));
                }
            }
        }
        let mut from = key::owned(owner, 0, 0, 0);
        let to = key::owned(owner, u64::MAX, u32::MAX, u32::MAX);
        self.scan_all(&mut from, &to, |key, value| {
            let (Some(id), Some(places)) = (value.first_chunk(), key.last_chunk::<16>()) else {
                return Err(broken(&"an output's entry is cut"));
            };
            let [position, places] = [&places[..8], &places[8..]].map(be_number);
            found.push((position, (places >> 32) as u32, places as u32, TxId::from_bytes(*id)));
            Ok(())
        })?;
        found.sort_unstable();
        let mut seen = HashSet::new();
        let outputs = found.into_iter().map(|(_, _, index, id)| OutputRef { transaction_id: id, index: index.into() });
        Ok(outputs.filter(|output| seen.insert(*output)).collect())
    }

    /// See the trait.
    pub fn transfers_of(&self, asset: &TxId) -> Result<Vec<Arc<Transaction>>> {
        let mut found: Vec<((u64, u32), Body)> = Vec::new();
        {
            let tail = self.tail.read();
            for (position, block) in tail.blocks.iter().filter(|(_, block)| block.status == BlockStatus::Valid) {
                let first = block.transfers.partition_point(|(id, _)| id < asset);
                for (_, place) in block.transfers.iter().skip(first).take_while(|(id, _)| id == asset) {
                    let tx = block.transaction(*place).cloned();
                    found.extend(tx.map(|tx| ((*position, *place), Body::Parsed(tx))));
                }
            }
        }
        let mut from = key::transfer(asset, 0, 0);
        let to = key::transfer(asset, u64::MAX, u32::MAX);
        self.scan_all(&mut from, &to, |key, value| {
            let (Some(body), Some(position), Some(place)) =
                (value.first_chunk(), key::number(key, 4), key.last_chunk())
            else {
                return Err(broken(&"an asset's entry is cut"));
            };
            found.push(((position, u32::from_be_bytes(*place)), Body::At(u64::from_be_bytes(*body))));
            Ok(())
        })?;
        // Stable: a copy from the tail stands before the same one from the index.
        found.sort_by_key(|(place, _)| *place);
        found.dedup_by_key(|(place, _)| *place);
        let transactions = found.into_iter().map(|(_, body)| match body {
            Body::Parsed(tx) => Ok(tx),
            Body::At(body) => self.transaction(body),
        });
        transactions.collect()
    }

    /// A block that needs no reading of files.
    pub fn block_in_tail(&self, id: &BlockId) -> Option<StoredBlock> {
        let tail = self.tail.read();
        if let Some(block) = tail.block(id) {
            return Some(StoredBlock { block: block.block.clone(), status: block.status });
        }
        let (_, genesis) = tail.genesis.as_ref().filter(|(_, genesis)| genesis.id == *id)?;
        Some(StoredBlock { block: genesis.clone(), status: BlockStatus::Undecided })
    }

    /// See the trait.
    pub fn block(&self, id: &BlockId) -> Result<Option<StoredBlock>> {
        if let Some(block) = self.block_in_tail(id) {
            return Ok(Some(block));
        }
        let Some(position) = self.block_position(id)? else { return Ok(None) };
        self.block_at(position, self.order(position)?.status).map(Some)
    }

    /// See the trait.
    pub fn block_status(&self, id: &BlockId) -> Result<Option<BlockStatus>> {
        if let Some(block) = self.block_in_tail(id) {
            return Ok(Some(block.status));
        }
        let Some(position) = self.block_position(id)? else { return Ok(None) };
        Ok(Some(self.order(position)?.status))
    }

    /// Position of a block that left the tail.
    pub fn block_position(&self, id: &BlockId) -> Result<Option<u64>> {
        let Some(value) = self.index.get(&key::block(id))? else { return Ok(None) };
        let position = value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        position.map(Some).ok_or_else(|| broken(&"a block's entry is cut"))
    }

    /// Positions of the transactions of a block.
    pub fn bodies_of(&self, id: &BlockId) -> Result<Vec<u64>> {
        if let Some(block) = self.tail.read().block(id) {
            return Ok(block.bodies.to_vec());
        }
        let Some(position) = self.block_position(id)? else { return Ok(Vec::new()) };
        match self.log.read(position)?.record()? {
            Record::Block { bodies, .. } => Ok(bodies),
            _ => Err(broken(&"a block's entry points elsewhere")),
        }
    }

    /// Position of a transaction's bytes in a valid block.
    pub fn valid_body(&self, id: &TxId) -> Result<Option<u64>> {
        {
            let tail = self.tail.read();
            let blocks = tail.known(id).map_or(&[][..], |known| &known.blocks);
            let valid = |(position, place): &(u64, u32)| {
                let block = tail.blocks.get(position).filter(|block| block.status == BlockStatus::Valid)?;
                block.bodies.get(*place as usize).copied()
            };
            if let Some(body) = blocks.iter().find_map(valid) {
                return Ok(Some(body));
            }
        }
        let value = self.index.get(&key::transaction(id))?.unwrap_or_default();
        Ok(Held::read(&value).find(|held| held.status == BlockStatus::Valid).map(|held| held.body))
    }

    /// All votes on blocks that are in the tail; `None` if one is not.
    pub fn votes_in_tail(&self, blocks: &[BlockId]) -> Option<Vec<Vec<StoredVote>>> {
        let tail = self.tail.read();
        let vote = |position: &u64| tail.votes.get(position).map(|vote| vote.vote.clone());
        blocks.iter().map(|id| Some(tail.block(id)?.votes.iter().filter_map(vote).collect())).collect()
    }

    /// See the trait.
    pub fn votes(&self, blocks: &[BlockId]) -> Result<Vec<Vec<StoredVote>>> {
        blocks.iter().map(|block| self.votes_on(block)).collect()
    }

    fn votes_on(&self, id: &BlockId) -> Result<Vec<StoredVote>> {
        let mut found: Vec<(u64, Option<StoredVote>)> = Vec::new();
        {
            let tail = self.tail.read();
            let on_block = tail.block(id).map_or(&[][..], |block| &block.votes);
            for position in on_block.iter().chain(&tail.late_votes) {
                let vote = tail.votes.get(position).filter(|vote| vote.vote.block == *id);
                found.extend(vote.map(|vote| (*position, Some(vote.vote.clone()))));
            }
        }
        let mut from = key::vote(id, 0);
        self.scan_all(&mut from, &key::vote(id, u64::MAX), |key, _| {
            found.extend(key::number(key, 0).map(|position| (position, None)));
            Ok(())
        })?;
        found.sort_by_key(|(position, _)| *position);
        found.dedup_by_key(|(position, _)| *position);
        let votes = found.into_iter().map(|(position, vote)| vote.map_or_else(|| self.vote_at(position), Ok));
        votes.collect()
    }

    /// See the trait.
    pub fn rejection(&self, id: &TxId) -> Result<Option<Rejection>> {
        let located = self.locate(std::slice::from_ref(id))?.into_iter().next().flatten();
        let counts = |l: &Located| l.in_backlog || l.blocks.iter().any(|b| b.status != BlockStatus::Invalid);
        if located.as_ref().is_some_and(counts) {
            return Ok(None);
        }
        if let Some((_, rejection)) = self.tail.read().rejections.get(id) {
            return Ok(Some(rejection.clone()));
        }
        let Some(value) = self.index.get(&key::rejection(id))? else { return Ok(None) };
        let position = value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let position = position.ok_or_else(|| broken(&"a rejection's entry is cut"))?;
        match self.log.read(position)?.record()? {
            Record::Reject(rejection) => Ok(Some(rejection)),
            _ => Err(broken(&"a rejection's entry points elsewhere")),
        }
    }

    /// Calls for every entry of a range, a stretch at a time. `from` moves on.
    pub fn scan_all(
        &self,
        from: &mut Vec<u8>,
        to: &[u8],
        mut each: impl FnMut(&Bytes, &Bytes) -> Result<()>,
    ) -> Result<()> {
        loop {
            let entries = self.index.scan(from, to, SCAN)?;
            entries.iter().try_for_each(|(key, value)| each(key, value))?;
            match entries.last() {
                Some((key, _)) if entries.len() == SCAN => {
                    from.clear();
                    from.extend_from_slice(key);
                    from.push(0);
                }
                _ => return Ok(()),
            }
        }
    }

    /// What the index says of the block at a position.
    pub fn order(&self, position: u64) -> Result<Order> {
        match self.index.get(&key::order(position))? {
            Some(value) => Order::read(&value),
            None => Err(broken(&"a block's place is missing")),
        }
    }

    /// The transaction in the record at a position.
    pub fn transaction(&self, body: u64) -> Result<Arc<Transaction>> {
        if let Some(transaction) = self.cache.get(&body) {
            return Ok(transaction);
        }
        let transaction = Arc::new(self.log.transaction(body)?);
        self.cache.put(body, transaction.clone(), transaction.bytes().len());
        Ok(transaction)
    }

    /// The block in the record at a position.
    pub fn block_at(&self, position: u64, status: BlockStatus) -> Result<StoredBlock> {
        let (block, _) = self.log.block(position, |body| self.transaction(body))?;
        Ok(StoredBlock { block: Arc::new(block), status })
    }

    /// The vote in the record at a position.
    pub fn vote_at(&self, position: u64) -> Result<StoredVote> {
        match self.log.read(position)?.record()? {
            Record::Vote { block, bytes, .. } => Ok(StoredVote { block, bytes }),
            _ => Err(broken(&"a vote's entry points elsewhere")),
        }
    }
}

fn be_number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

/// Reading transactions and blocks back.
impl super::log::Log {
    /// The transaction in the record at a position.
    pub fn transaction(&self, position: u64) -> Result<Transaction> {
        let bytes = match self.read(position)?.record()? {
            Record::Tx { bytes, .. } | Record::Body { bytes, .. } => bytes,
            _ => return Err(misplaced(position, "a transaction")),
        };
        Transaction::from_stored(bytes).map_err(|broken| {
            StoreError::Damaged(format!("the transaction at position {position} of the log does not read: {broken}"))
        })
    }

    /// The block in the record at a position, and where its transactions stand.
    pub fn block(
        &self,
        position: u64,
        transaction: impl FnMut(u64) -> Result<Arc<Transaction>>,
    ) -> Result<(Block, Vec<u64>)> {
        let Record::Block { id, header, bodies } = self.read(position)?.record()? else {
            return Err(misplaced(position, "a block"));
        };
        let transactions = bodies.iter().copied().map(transaction).collect::<Result<_>>()?;
        Ok((Block { id, header, transactions }, bodies))
    }
}

fn misplaced(position: u64, what: &str) -> StoreError {
    StoreError::Damaged(format!("the log has no record of {what} at position {position}"))
}
