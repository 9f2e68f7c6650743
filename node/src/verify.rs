//! A check of a whole ledger: everything that is stored is judged again, from its bytes.
//!
//! Checked: ids of blocks and transactions, every signature, the rules of every transaction of a valid block against the
//! ledger as it stands (inputs, amounts, double spends), no transaction in two valid blocks, inputs before their spenders,
//! and that each recorded decision is what the votes say.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ledger::block::Block;
use ledger::crypto::{Verifier, sha3_256};
use ledger::election::{self, BlockStatus};
use ledger::ids::{BlockId, PublicKey, TxId};
use ledger::json;
use ledger::transaction::Transaction;
use ledger::validate::Verdict;

use crate::chain::{Chain, Purpose};
use crate::pipeline::tally;
use crate::store::{Result, StoredBlock};

/// Blocks read at once.
const BATCH: usize = 32;

/// Faults listed at most; beyond, they are only counted.
const LISTED: usize = 1000;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Blocks read.
    pub blocks: u64,
    /// Transactions read.
    pub transactions: u64,
    /// Votes read.
    pub votes: u64,
    /// Blocks (the genesis block aside) without a decision.
    pub undecided: u64,
    /// Number of faults.
    pub faults: u64,
    /// The first faults, in words.
    pub listed: Vec<String>,
}

impl Report {
    fn fault(&mut self, text: String) {
        self.faults += 1;
        if self.listed.len() < LISTED {
            self.listed.push(text);
        }
    }
}

/// Reads the whole ledger. `progress` is told the blocks and transactions read so far.
pub async fn run(chain: &Chain, mut progress: impl FnMut(&Report)) -> Result<Report> {
    let mut check =
        Check { chain, report: Report::default(), valid: HashSet::new(), early: HashMap::new(), empty: HashSet::new() };
    let mut position = None;
    loop {
        let (blocks, next) = chain.store().history(position.as_ref(), BATCH).await?;
        if blocks.is_empty() {
            for (spent, spenders) in std::mem::take(&mut check.early) {
                spenders.iter().for_each(|(tx, _)| check.not_before(tx, &spent));
            }
            return Ok(check.report);
        }
        for stored in &blocks {
            check.block(stored).await?;
        }
        progress(&check.report);
        position = next;
    }
}

struct Check<'a> {
    chain: &'a Chain,
    report: Report,
    /// Transactions of valid blocks so far.
    valid: HashSet<TxId>,
    /// What was spent before its block came, by whom, and when that one's block was made: a database that nodes share gives
    /// the blocks of one second in any order.
    early: HashMap<TxId, Vec<(TxId, String)>>,
    empty: HashSet<BlockId>,
}

impl Check<'_> {
    async fn block(&mut self, stored: &StoredBlock) -> Result<()> {
        let block = &stored.block;
        let genesis = self.report.blocks == 0;
        self.report.blocks += 1;
        self.report.transactions += block.transactions.len() as u64;
        let verifier = self.chain.verifier().clone();
        if BlockId::from_bytes(sha3_256(&[&block.canonical_inner()])) != block.id {
            self.report.fault(format!("block {}: the id is not the hash of its content", block.id));
        }
        if !block.signature_valid(verifier.as_ref()) {
            self.report.fault(format!("block {}: its creator's signature does not verify", block.id));
        }
        let transactions = self.reread(block);
        if genesis {
            self.valid.extend(transactions.iter().map(|tx| tx.id()));
            return Ok(());
        }
        self.election(stored, verifier.as_ref()).await?;
        if stored.status == BlockStatus::Valid {
            self.transactions(block, &transactions).await?;
        }
        Ok(())
    }

    /// Reads each transaction again from its bytes: schema, id, conditions.
    fn reread(&mut self, block: &Block) -> Vec<Arc<Transaction>> {
        let mut transactions = Vec::with_capacity(block.transactions.len());
        for tx in &block.transactions {
            let value = json::parse(tx.bytes());
            let reread = value.map_err(|e| format!("{e:?}"));
            match reread.and_then(|value| Transaction::from_value(&value).map_err(|e| e.to_string())) {
                Ok(reread) if reread.id() == tx.id() => transactions.push(Arc::new(reread)),
                Ok(reread) => {
                    self.report.fault(format!("transaction {}: its content has the id {}", tx.id(), reread.id()));
                }
                Err(reason) => {
                    self.report.fault(format!("transaction {} in block {}: {reason}", tx.id(), block.id));
                }
            }
        }
        transactions
    }

    fn not_before(&mut self, spender: &TxId, spent: &TxId) {
        self.report.fault(format!("transaction {spender} spends {spent}, which is in no block before"));
    }

    async fn transactions(&mut self, block: &Block, transactions: &[Arc<Transaction>]) -> Result<()> {
        let verdicts = self.chain.judge_all(transactions, Purpose::Voting { voted: &self.empty }).await?;
        for (tx, verdict) in transactions.iter().zip(verdicts) {
            match verdict {
                Verdict::Valid => {}
                Verdict::Invalid(broken) => {
                    self.report.fault(format!("transaction {} in valid block {}: {broken}", tx.id(), block.id));
                }
                Verdict::Undetermined(reason) => {
                    self.report.fault(format!("transaction {}: could not be judged: {reason}", tx.id()));
                }
            }
            for spent in tx.spends().filter(|spent| !self.valid.contains(&spent.transaction_id)) {
                let spender = (tx.id(), block.header.timestamp.clone());
                self.early.entry(spent.transaction_id).or_default().push(spender);
            }
        }
        for tx in transactions {
            for (spender, timestamp) in self.early.remove(&tx.id()).unwrap_or_default() {
                if !may_follow(&timestamp, &block.header.timestamp) {
                    self.not_before(&spender, &tx.id());
                }
            }
            if !self.valid.insert(tx.id()) {
                self.report.fault(format!("transaction {} is in two valid blocks, {} is one", tx.id(), block.id));
            }
        }
        Ok(())
    }

    async fn election(&mut self, stored: &StoredBlock, verifier: &dyn Verifier) -> Result<()> {
        let block = &stored.block;
        let votes = self.chain.store().votes(&[block.id]).await?.into_iter().next().unwrap_or_default();
        self.report.votes += votes.len() as u64;
        // Decided with the keyring of its time: with everybody whom the block lists, or as the federation stands now.
        let (chain, voters) = (self.chain, &block.header.voters);
        let now = tally::status(chain.rules(), &chain.federation(), block, &votes, verifier);
        if now.is_ok_and(|status| status == stored.status && status != BlockStatus::Undecided) {
            return Ok(());
        }
        let votes: Vec<_> = votes.iter().filter_map(|vote| json::parse(&vote.bytes).ok()).collect();
        let listed: Vec<PublicKey> = voters.iter().filter_map(|key| key.parse().ok()).collect();
        let outcome = election::tally(&block.id, voters, &listed, &votes, verifier);
        match outcome {
            Err(twice) => self.report.fault(format!("block {}: {} voted twice", block.id, twice.node_pubkey)),
            Ok(_) if stored.status == BlockStatus::Undecided => self.report.undecided += 1,
            Ok(election) if election.status != stored.status => self.report.fault(format!(
                "block {}: recorded as {}, the votes say {}",
                block.id,
                stored.status.as_str(),
                election.status.as_str()
            )),
            Ok(_) => {}
        }
        Ok(())
    }
}

/// Whether a block may have been made after another, going by the seconds they were signed with: nodes of 1.0.1 round the
/// time, those of this kind cut it off.
fn may_follow(spender: &str, spent: &str) -> bool {
    match (spender.parse::<u64>(), spent.parse::<u64>()) {
        (Ok(spender), Ok(spent)) => spender.saturating_add(1) >= spent,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_may_seem_a_second_older_than_what_it_spends_and_no_more() {
        for (spender, spent, may) in [("10", "10", true), ("11", "10", true), ("9", "10", true), ("8", "10", false)] {
            assert_eq!(may_follow(spender, spent), may, "{spender} after {spent}");
        }
        assert!(!may_follow("", "10") && !may_follow("10", "x"), "no time is no excuse");
    }
}
