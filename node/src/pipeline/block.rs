//! Backlog -> block.
//!
//! Takes what is assigned to this node, judges it, and packs what is valid. Three other outcomes: already in a valid block
//! (leaves the backlog), invalid for good (leaves it with the reason kept), or not yet (it, an input or a rival is in an
//! undecided block: waits for the next decision).

use std::collections::HashSet;
use std::sync::Arc;

use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::error::Invalid;
use ledger::facts::TxStatus;
use ledger::ids::{OutputRef, TxId};
use ledger::rules::Rules;
use ledger::transaction::{Operation, Transaction};
use ledger::validate::Verdict;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::decided::Decisions;
use super::{Context, next, patiently};
use crate::chain::{Purpose, status_of};
use crate::store::{BacklogEntry, Batch, Position, Rejection, Result, StoreError, Taken};

/// Transactions that wait for a decision at most; beyond, the stale monitor brings them back.
const WAITING_LIMIT: usize = 10_000;

/// Bytes of a block that are measured, hashed and signed at once; more go to a thread that may compute for long.
const INLINE: usize = 32 << 10;

/// Runs until told to stop.
pub async fn run(context: Context, mut stop: watch::Receiver<bool>) -> Result<()> {
    let mut stage = Stage { context, position: None, waiting: Vec::new(), written: None };
    let mut decided = stage.context.decided.subscribe();
    while let Some(entries) = stage.collect(&mut decided, &mut stop).await? {
        let begun = Instant::now();
        let entries = stage.renew(entries, &stop).await?;
        let taken = Taken::by(stage.context.chain.federation().node(), &entries);
        let packed = stage.sort_out(entries, &stop).await?;
        if !packed.is_empty() {
            stage.write(packed, &taken, &stop).await?;
        }
        stage.context.metrics.worked("block", begun.elapsed());
    }
    Ok(())
}

struct Stage {
    context: Context,
    position: Option<Position>,
    waiting: Vec<BacklogEntry>,
    /// When the last block was.
    written: Option<Instant>,
}

impl Stage {
    /// The next entries to look at: new ones, gathered for at most `block_wait`, or all waiting ones after a decision.
    async fn collect(
        &mut self,
        decided: &mut Decisions,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Option<Vec<BacklogEntry>>> {
        let tuning = self.context.tuning;
        let limit = tuning.block_transactions;
        let store = self.context.chain.store().clone();
        let first = {
            let feed = store.backlog_feed(self.position.as_ref(), limit);
            tokio::select! {
                biased;
                batch = next(feed, stop) => batch?,
                () = decided.changed(), if !self.waiting.is_empty() => {
                    return Ok(Some(std::mem::take(&mut self.waiting)));
                }
            }
        };
        let Some(Batch { items: mut entries, position }) = first else { return Ok(None) };
        self.position = Some(position);
        self.fill(&mut entries, stop).await?;
        if !self.waiting.is_empty() && decided.see() {
            entries.append(&mut self.waiting);
        }
        let me = self.context.chain.federation().node();
        entries.retain(|entry| entry.assignee == me);
        Ok(Some(entries))
    }

    /// Gathers more, until a block is full or no longer to wait.
    async fn fill(&mut self, entries: &mut Vec<BacklogEntry>, stop: &mut watch::Receiver<bool>) -> Result<()> {
        let (tuning, begun) = (self.context.tuning, Instant::now());
        let store = self.context.chain.store().clone();
        let mut decided = self.context.decided.subscribe();
        let mut soonest = begun + tuning.block_wait;
        if let (Rules::V1_0_1, Some(written)) = (self.context.chain.rules(), self.written) {
            soonest = soonest.max(written + tuning.block_interval);
        }
        let size = |entries: &[BacklogEntry]| entries.iter().map(|e| e.transaction.bytes().len()).sum::<usize>();
        while entries.len() < tuning.block_transactions && size(entries) < tuning.block_bytes {
            let expected = self.context.decided.expected();
            let deadline = if expected { soonest.max(begun + tuning.decision_wait) } else { soonest };
            let feed = store.backlog_feed(self.position.as_ref(), tuning.block_transactions - entries.len());
            let batch = tokio::select! {
                biased;
                batch = timeout_at(deadline, next(feed, stop)) => batch,
                () = decided.changed(), if expected => continue,
            };
            let Ok(batch) = batch else { break };
            let Some(Batch { items, position }) = batch? else { break };
            entries.extend(items);
            self.position = Some(position);
        }
        Ok(())
    }

    /// Judges entries and acts on all outcomes but "goes into a block", which is returned.
    async fn sort_out(
        &mut self,
        entries: Vec<BacklogEntry>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Vec<Arc<Transaction>>> {
        let chain = &self.context.chain;
        let transactions: Vec<Arc<Transaction>> = entries.iter().map(|e| e.transaction.clone()).collect();
        let ids: Vec<TxId> = transactions.iter().map(|tx| tx.id()).collect();
        let located = patiently("locate", stop, || chain.store().locate(&ids)).await?;
        let verdicts = patiently("judge", stop, || chain.judge_all(&transactions, Purpose::Mining)).await?;
        let mut sorted = Sorted::default();
        for ((entry, located), verdict) in entries.into_iter().zip(located).zip(verdicts) {
            let tx = &entry.transaction;
            let in_block =
                |status| located.as_ref().is_some_and(|l| l.blocks.iter().any(|block| block.status == status));
            if in_block(BlockStatus::Valid) {
                sorted.done.push(tx.id());
            } else if in_block(BlockStatus::Undecided) {
                // Not taken out: should the block become invalid, it would be lost.
                sorted.wait.push(entry);
            } else if tx.operation() == Operation::Genesis {
                sorted.refuse(tx.id(), &Invalid::DuplicateGenesis, chain.now());
            } else {
                match verdict {
                    Verdict::Valid => sorted.take(entry),
                    Verdict::Undetermined(reason) => {
                        tracing::warn!(transaction = %tx.id(), reason, "a transaction could not be judged yet");
                        sorted.wait.push(entry);
                    }
                    Verdict::Invalid(broken) if self.may_change(&entry, &broken, stop).await? => {
                        sorted.wait.push(entry)
                    }
                    Verdict::Invalid(broken) => sorted.refuse(tx.id(), &broken, chain.now()),
                }
            }
        }
        self.settle(sorted, stop).await
    }

    async fn settle(&mut self, sorted: Sorted, stop: &watch::Receiver<bool>) -> Result<Vec<Arc<Transaction>>> {
        let Sorted { packed, done, rejections, wait, .. } = sorted;
        let store = self.context.chain.store();
        if !done.is_empty() {
            patiently("delete from the backlog", stop, || store.delete_backlog(&done)).await?;
        }
        if !rejections.is_empty() {
            self.reject(rejections, stop).await?;
        }
        let room = WAITING_LIMIT.saturating_sub(self.waiting.len());
        self.waiting.extend(wait.into_iter().take(room));
        Ok(packed)
    }

    async fn reject(&self, rejections: Vec<Rejection>, stop: &watch::Receiver<bool>) -> Result<()> {
        for rejection in &rejections {
            tracing::info!(transaction = %rejection.transaction_id, reason = rejection.message, "rejected");
            self.context.metrics.rejected(&rejection.class);
        }
        let store = self.context.chain.store();
        patiently("reject", stop, || store.reject(rejections.clone())).await
    }

    /// An assignment is a lease: one that is older than half the delay is renewed before it is used, so that two nodes
    /// never put one transaction into a block each.
    async fn renew(&self, entries: Vec<BacklogEntry>, stop: &watch::Receiver<bool>) -> Result<Vec<BacklogEntry>> {
        let chain = &self.context.chain;
        let now = chain.now();
        let half = u64::try_from(self.context.tuning.reassign_delay.as_millis() / 2).unwrap_or(u64::MAX);
        let (old, mut fresh): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.assigned_at.saturating_add(half) < now);
        if !old.is_empty() {
            let me = chain.federation().node();
            let renewed = patiently("renew", stop, || chain.store().reassign(&old, me, now)).await?;
            let renewed: HashSet<TxId> = renewed.into_iter().collect();
            fresh.extend(
                old.into_iter()
                    .filter(|entry| renewed.contains(&entry.transaction.id()))
                    .map(|entry| BacklogEntry { assigned_at: now, ..entry }),
            );
        }
        Ok(fresh)
    }

    /// Whether a later decision may turn this "invalid" into a "valid": a rival or an input in an undecided block, or one
    /// that was decided since the verdict. (Every decision wakes what waits, also one during this look.)
    async fn may_change(&self, entry: &BacklogEntry, broken: &Invalid, stop: &watch::Receiver<bool>) -> Result<bool> {
        let store = self.context.chain.store();
        let outputs: Vec<OutputRef> = entry.transaction.spends().collect();
        let undecided = |located: &crate::store::Located| status_of(located) == Some(TxStatus::Undecided);
        match broken {
            Invalid::AlreadySpent { .. } => {
                let spenders = patiently("spenders", stop, || store.spenders(&outputs)).await?;
                let rivals = spenders.iter().flatten().filter(|s| s.transaction.id() != entry.transaction.id());
                let mut alive = rivals.filter(|s| matches!(status_of(s), Some(TxStatus::Valid | TxStatus::Undecided)));
                Ok(alive.all(undecided))
            }
            Invalid::TransactionNotInValidBlock { .. } => {
                let inputs: Vec<TxId> = outputs.iter().map(|o| o.transaction_id).collect();
                let located = patiently("locate", stop, || store.locate(&inputs)).await?;
                let valid = |located: &Option<crate::store::Located>| {
                    located.as_ref().is_some_and(|located| status_of(located) == Some(TxStatus::Valid))
                };
                Ok(located.iter().flatten().any(undecided) || located.iter().all(valid))
            }
            _ => Ok(false),
        }
    }

    async fn write(
        &mut self,
        mut transactions: Vec<Arc<Transaction>>,
        taken: &Taken,
        stop: &watch::Receiver<bool>,
    ) -> Result<()> {
        let chain = &self.context.chain;
        while !transactions.is_empty() {
            let rest = self.split_off_beyond(&mut transactions).await?;
            if transactions.is_empty() {
                transactions = self.refuse_first(rest, stop).await?;
                continue;
            }
            let block = self.sign(transactions, stop).await?;
            let (id, n) = (block.id, block.transactions.len());
            self.written = Some(Instant::now());
            self.context.decided.expect(id);
            {
                let _moving = self.context.moving.lock().await;
                patiently("write the block", stop, || chain.store().write_block(block.clone(), taken)).await?;
            }
            self.context.metrics.block_written(n);
            tracing::debug!(block = %id, transactions = n, "Write new block");
            transactions = rest;
        }
        Ok(())
    }

    /// Cuts a list where one block is full and returns the rest; all of it: not even the first fits into a block.
    async fn split_off_beyond(&self, transactions: &mut Vec<Arc<Transaction>>) -> Result<Vec<Arc<Transaction>>> {
        let (store, packed) = (self.context.chain.store().clone(), transactions.clone());
        let fitting = compute(transactions, move || store.fitting(&packed)).await?;
        let mut rest = transactions.split_off(fitting);
        rest.splice(0..0, split_off_beyond(transactions, self.context.tuning.block_bytes));
        Ok(rest)
    }

    /// Drops a transaction that no block of this database can hold (one of another node, whose admission let it in).
    async fn refuse_first(
        &self,
        mut transactions: Vec<Arc<Transaction>>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Vec<Arc<Transaction>>> {
        let rest = transactions.split_off(1);
        let mut sorted = Sorted::default();
        for tx in transactions {
            let text = format!("The transaction has {} bytes and fits into no block.", tx.bytes().len());
            sorted.refuse(tx.id(), &Invalid::Admission(text), self.context.chain.now());
        }
        self.reject(sorted.rejections, stop).await?;
        Ok(rest)
    }

    /// Signs a block with an id that is new: the same transactions again (after an invalid block, within one second)
    /// get a later timestamp, or they would inherit the old block's votes.
    async fn sign(&self, transactions: Vec<Arc<Transaction>>, stop: &watch::Receiver<bool>) -> Result<Arc<Block>> {
        let chain = &self.context.chain;
        let mut timestamp = chain.now() / 1000;
        loop {
            let (key, voters) = (self.context.key.clone(), chain.federation().keys().to_vec());
            let packed = transactions.clone();
            let make = move || Block::create(packed, &voters, timestamp, &key);
            let block = compute(&transactions, make).await?;
            if patiently("block", stop, || chain.store().block(&block.id)).await?.is_none() {
                return Ok(Arc::new(block));
            }
            timestamp += 1;
        }
    }
}

/// Does something with transactions where it is wanted, or on a thread that may take its time if they are large.
async fn compute<T: Send + 'static>(
    transactions: &[Arc<Transaction>],
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    if transactions.iter().map(|tx| tx.bytes().len()).sum::<usize>() <= INLINE {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| StoreError::Unavailable(format!("making a block was cut off: {e}")))
}

/// Cuts a list where its bytes pass the limit (the first stays, however large) and returns the rest.
fn split_off_beyond(transactions: &mut Vec<Arc<Transaction>>, limit: usize) -> Vec<Arc<Transaction>> {
    let mut bytes = 0;
    let cut = transactions.iter().position(|tx| {
        bytes += tx.bytes().len();
        bytes > limit
    });
    cut.map_or_else(Vec::new, |cut| transactions.split_off(cut.max(1)))
}

/// Entries by what becomes of them.
#[derive(Default)]
struct Sorted {
    packed: Vec<Arc<Transaction>>,
    ids: HashSet<TxId>,
    spent: HashSet<OutputRef>,
    done: Vec<TxId>,
    rejections: Vec<Rejection>,
    wait: Vec<BacklogEntry>,
}

impl Sorted {
    /// Into the block, unless it is there or a rival is: that one waits for the rival's decision.
    fn take(&mut self, entry: BacklogEntry) {
        let tx = &entry.transaction;
        if self.ids.contains(&tx.id()) {
            return;
        }
        if tx.spends().any(|output| self.spent.contains(&output)) {
            self.wait.push(entry);
            return;
        }
        self.spent.extend(tx.spends());
        self.ids.insert(tx.id());
        self.packed.push(entry.transaction);
    }

    fn refuse(&mut self, id: TxId, broken: &Invalid, at: u64) {
        let class = broken.class().to_owned();
        self.rejections.push(Rejection { transaction_id: id, class, message: broken.to_string(), at });
    }
}
