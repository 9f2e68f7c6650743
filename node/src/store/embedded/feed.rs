//! Feeds: pulls over the tail, and over the index for what has left it.

use std::future::Future;
use std::ops::Bound;

use bytes::Bytes;
use ledger::election::BlockStatus;
use tokio::sync::Notify;

use super::index::{Order, key};
use super::shared::Shared;
use super::tail::TailBlock;
use crate::store::{BacklogEntry, Batch, Position, Result, StoreError, StoredBlock, StoredVote};

/// A place as it is handed out.
pub fn position(place: u64) -> Position {
    Position(Bytes::copy_from_slice(&place.to_be_bytes()))
}

/// A place that came back.
pub fn place(position: &Position) -> Result<u64> {
    let bytes = position.0.as_ref().try_into();
    bytes.map(u64::from_be_bytes).map_err(|_| StoreError::Damaged("a feed's position is of another store".to_owned()))
}

/// Asks until there is something, woken by the notifier.
pub async fn wait_for<T, F>(shared: &Shared, wake: &Notify, mut ask: impl FnMut() -> F) -> Result<Batch<T>>
where
    F: Future<Output = Result<Option<Batch<T>>>>,
{
    loop {
        let woken = wake.notified();
        tokio::pin!(woken);
        // From here on no wake is lost, so the question comes after.
        woken.as_mut().enable();
        if let Some(failure) = shared.failure() {
            return Err(failure);
        }
        if let Some(batch) = ask().await? {
            return Ok(batch);
        }
        woken.await;
    }
}

fn batch<T>(items: Vec<(u64, T)>) -> Option<Batch<T>> {
    let position = position(items.last()?.0);
    Some(Batch { items: items.into_iter().map(|(_, item)| item).collect(), position })
}

impl Shared {
    /// Open backlog entries after a place.
    pub fn backlog_after(&self, after: Option<u64>, limit: usize) -> Option<Batch<BacklogEntry>> {
        let tail = self.tail.read();
        let entries = tail.backlog.range(range_after(after)).take(limit);
        batch(entries.map(|(feed, waiting)| (*feed, waiting.entry.clone())).collect())
    }

    /// Blocks after a place that are in the tail, and whether older ones have to be asked of the index.
    pub fn blocks_after(&self, after: Option<u64>, limit: usize) -> (Vec<(u64, StoredBlock)>, bool) {
        let tail = self.tail.read();
        let stored = |position: &u64| {
            let block = tail.blocks.get(position)?;
            Some((*position, StoredBlock { block: block.block.clone(), status: block.status }))
        };
        let genesis = tail.genesis.as_ref().map(|(position, _)| *position);
        match after {
            None => (tail.undecided.iter().take(limit).filter_map(stored).collect(), false),
            Some(after) => {
                let positions = tail.blocks.range(range_after(Some(after))).map(|(position, _)| position);
                let blocks = positions.filter(|p| Some(**p) != genesis).take(limit).filter_map(stored).collect();
                (blocks, after < tail.newest_indexed_block)
            }
        }
    }

    /// All blocks after a place that are in the tail, decided or not, the genesis block too.
    pub fn history_after(&self, after: Option<u64>, limit: usize) -> Vec<(u64, StoredBlock)> {
        let tail = self.tail.read();
        let blocks = tail.blocks.range(range_after(after)).take(limit);
        let stored = |block: &TailBlock| StoredBlock { block: block.block.clone(), status: block.status };
        blocks.map(|(position, block)| (*position, stored(block))).collect()
    }

    /// Completes an answer of [`Self::blocks_after`] or [`Self::history_after`] from the index.
    pub fn older_blocks(
        &self,
        after: Option<u64>,
        mut blocks: Vec<(u64, StoredBlock)>,
        limit: usize,
        with_genesis: bool,
    ) -> Result<Vec<(u64, StoredBlock)>> {
        let genesis = self.tail.read().genesis.as_ref().map(|(position, _)| *position);
        let from = after.map_or(0, |after| after.saturating_add(1));
        for (entry, value) in self.index.scan(&key::order(from), &key::order(u64::MAX), limit.saturating_add(1))? {
            let Some(position) = key::number(&entry, 0) else { continue };
            let skipped = !with_genesis && Some(position) == genesis;
            if skipped || blocks.iter().any(|(known, _)| *known == position) {
                continue;
            }
            // Blocks of the tail that come later would only be cut off again.
            if blocks.iter().filter(|(known, _)| *known < position).count() < limit {
                blocks.push((position, self.block_at(position, Order::read(&value)?.status)?));
            }
        }
        blocks.sort_by_key(|(position, _)| *position);
        blocks.truncate(limit);
        Ok(blocks)
    }

    /// Votes after a place that are in the tail, and whether older ones have to be asked of the index.
    pub fn votes_after(&self, after: Option<u64>, limit: usize) -> (Vec<(u64, StoredVote)>, bool) {
        let tail = self.tail.read();
        let open = |vote: &StoredVote| {
            after.is_some() || tail.block(&vote.block).is_some_and(|b| b.status == BlockStatus::Undecided)
        };
        let votes = tail.votes.range(range_after(after)).filter(|(_, vote)| open(&vote.vote)).take(limit);
        let votes = votes.map(|(position, vote)| (*position, vote.vote.clone())).collect();
        (votes, after.is_some_and(|after| after < tail.newest_indexed_vote))
    }

    /// Completes an answer of [`Self::votes_after`] from the index.
    pub fn older_votes(
        &self,
        after: Option<u64>,
        mut votes: Vec<(u64, StoredVote)>,
        limit: usize,
    ) -> Result<Vec<(u64, StoredVote)>> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        for (entry, _) in self.index.scan(&key::vote_feed(from), &key::vote_feed(u64::MAX), limit)? {
            let Some(position) = key::number(&entry, 0) else { continue };
            if !votes.iter().any(|(known, _)| *known == position) {
                votes.push((position, self.vote_at(position)?));
            }
        }
        votes.sort_by_key(|(position, _)| *position);
        votes.truncate(limit);
        Ok(votes)
    }
}

/// A feed's answer; `None` if there is nothing.
pub fn batched<T>(items: Vec<(u64, T)>) -> Option<Batch<T>> {
    batch(items)
}

fn range_after(after: Option<u64>) -> (Bound<u64>, Bound<u64>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}
