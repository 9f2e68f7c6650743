//! Facts for the rules, gathered for many transactions with one batch of look-ups.
//!
//! Which spenders count depends on who asks: see [`Purpose`].

use std::collections::{HashMap, HashSet};

use ledger::election::BlockStatus;
use ledger::facts::{Facts, InputFact, TxStatus};
use ledger::ids::{BlockId, OutputRef, TxId};
use ledger::transaction::Transaction;
use std::sync::Arc;

use crate::store::{Located, Result, Store};

/// What the facts are wanted for. It decides which other spenders of an output count.
#[derive(Clone, Copy)]
pub enum Purpose<'a> {
    /// A POST, and making a block: those in blocks that are valid or not decided. What waits beside it does not count: two
    /// conflicting transactions of one backlog would refuse each other.
    Mining,
    /// Voting on a block: those in valid blocks, and in undecided ones that this node has voted on. (The reference
    /// counts any undecided block, so that two blocks can kill each other and their transactions loop.)
    /// Earlier spenders within the block are the caller's matter.
    Voting {
        /// Undecided blocks with a vote of this node.
        voted: &'a HashSet<BlockId>,
    },
}

impl Purpose<'_> {
    fn counts(&self, spender: &Located) -> bool {
        let in_block = |wanted: fn(BlockStatus) -> bool| spender.blocks.iter().any(|b| wanted(b.status));
        match self {
            Self::Mining => in_block(|s| s != BlockStatus::Invalid),
            Self::Voting { voted } => spender.blocks.iter().any(|b| {
                b.status == BlockStatus::Valid || b.status == BlockStatus::Undecided && voted.contains(&b.block)
            }),
        }
    }
}

/// The status of a transaction: valid if one of its blocks is, else undecided, else backlog.
pub fn status_of(located: &Located) -> Option<TxStatus> {
    let has = |status| located.blocks.iter().any(|b| b.status == status);
    if has(BlockStatus::Valid) {
        Some(TxStatus::Valid)
    } else if has(BlockStatus::Undecided) {
        Some(TxStatus::Undecided)
    } else {
        located.in_backlog.then_some(TxStatus::Backlog)
    }
}

/// The first output of a transaction that another one spends too, in a block or waiting for one: for a POST, so that a
/// client learns of a conflict at once.
pub async fn contested(store: &dyn Store, tx: &Transaction) -> Result<Option<OutputRef>> {
    let outputs: Vec<OutputRef> = tx.spends().collect();
    if outputs.is_empty() {
        return Ok(None);
    }
    let spenders = store.spenders(&outputs).await?;
    let counts = |s: &Located| s.transaction.id() != tx.id() && (s.in_backlog || Purpose::Mining.counts(s));
    Ok(outputs.into_iter().zip(spenders).find(|(_, spenders)| spenders.iter().any(counts)).map(|(output, _)| output))
}

/// One [`Facts`] for each transaction.
pub async fn gather(store: &dyn Store, transactions: &[Arc<Transaction>], purpose: Purpose<'_>) -> Result<Vec<Facts>> {
    let outputs: Vec<OutputRef> = transactions.iter().flat_map(|tx| tx.spends()).collect();
    if outputs.is_empty() {
        // CREATEs, the common case, need no look-up; a link that is no id is plainly missing.
        return Ok(transactions.iter().map(|tx| Facts { inputs: unlinked(tx) }).collect());
    }
    let mut ids: Vec<TxId> = outputs.iter().map(|o| o.transaction_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let located = store.locate(&ids).await?;
    let located: HashMap<TxId, Located> = ids.into_iter().zip(located).filter_map(|(id, l)| Some((id, l?))).collect();
    let spenders = store.spenders(&outputs).await?;
    let mut spenders = outputs.iter().zip(spenders);
    let mut all = Vec::with_capacity(transactions.len());
    for tx in transactions {
        let mut inputs = Vec::with_capacity(tx.inputs().len());
        for link in tx.inputs().iter().filter_map(|input| input.fulfills.as_ref()) {
            if link.output_ref().is_none() {
                inputs.push(InputFact::Missing);
                continue;
            }
            // `spends` gives exactly the links that are outputs, in order, so the two walks keep step.
            let Some((output, spenders)) = spenders.next() else { break };
            let spent = located.get(&output.transaction_id);
            inputs.push(match spent.and_then(|l| Some((l, status_of(l)?))) {
                None => InputFact::Missing,
                Some((spent, status)) => InputFact::Found {
                    transaction: spent.transaction.clone(),
                    status,
                    spenders: spenders
                        .iter()
                        .filter(|s| s.transaction.id() != tx.id() && purpose.counts(s))
                        .map(|s| s.transaction.id())
                        .collect(),
                },
            });
        }
        all.push(Facts { inputs });
    }
    Ok(all)
}

fn unlinked(tx: &Transaction) -> Vec<InputFact> {
    tx.inputs().iter().filter(|input| input.fulfills.is_some()).map(|_| InputFact::Missing).collect()
}
