//! Block -> vote.
//!
//! Blocks are voted on one at a time, in the feed's order: each vote names the block voted on before. Only a broken rule
//! makes an "invalid" vote; a fact that cannot be had makes the stage wait.

use std::collections::HashSet;
use std::time::Duration;

use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::error::Invalid;
use ledger::ids::{BlockId, OutputRef};
use ledger::rules::Rules;
use ledger::validate::Verdict;
use ledger::vote::Vote;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{Context, next, patiently};
use crate::chain::{Chain, Purpose};
use crate::federation::Federation;
use crate::store::{Occurrence, Position, Result, StoredBlock};

/// Blocks taken from the feed at once.
const BATCH: usize = 16;

/// Blocks whose votes are read at once at the start.
const RECALLED: usize = 256;

/// How often it is kept how far the blocks are voted on, at most: that costs a write.
const KEEPING: Duration = Duration::from_secs(1);

/// Runs until told to stop.
pub async fn run(context: Context, mut stop: watch::Receiver<bool>) -> Result<()> {
    let store = context.chain.store().clone();
    let me = context.chain.federation().node();
    let last = patiently("last vote", &stop, || store.last_vote(&me)).await?;
    let (previous, last_timestamp) = match last {
        Some(vote) => (vote.voting_for_block, vote.timestamp),
        None => (patiently("genesis", &stop, || store.genesis()).await?.id, 0),
    };
    let mut stage = Stage { context, previous, last_timestamp, voted: HashSet::new(), kept: None };
    stage.recall(&stop).await?;
    let mut position = patiently("how far the blocks are voted on", &stop, || store.voted_up_to()).await?;
    if position.is_some() {
        // Whatever is decided from here on is given.
        stage.context.vote_feed.begun();
    }
    while let Some(batch) = next(store.block_feed(position.as_ref(), BATCH), &mut stop).await? {
        stage.context.vote_feed.begun();
        for stored in batch.items {
            stage.context.look_at(&stored.block);
            if !stage.vote_on(&stored, &stop).await? {
                return Ok(());
            }
        }
        stage.keep(&batch.position).await;
        position = Some(batch.position);
    }
    Ok(())
}

struct Stage {
    context: Context,
    previous: BlockId,
    last_timestamp: u64,
    /// Blocks with a vote of this node that may be undecided.
    voted: HashSet<BlockId>,
    /// When the store was last told how far the blocks are voted on.
    kept: Option<Instant>,
}

impl Stage {
    /// `false`: told to stop before it could be judged.
    async fn vote_on(&mut self, stored: &StoredBlock, stop: &watch::Receiver<bool>) -> Result<bool> {
        let block = &stored.block;
        let chain = self.context.chain.clone();
        let me = chain.federation().node();
        // Also when the others have decided on it: the chain of votes must not leave it out. A vote that names another
        // block before it than most do counts against its block.
        let federation = chain.federation();
        let listed = block.header.voters.contains(&me.to_string());
        // Whoever leaves others out must not decide without them.
        let objection = foreign(&chain, &federation, block).filter(|_| federation.keys().contains(&me));
        if !listed && objection.is_none() {
            return Ok(true);
        }
        if self.voted.contains(&block.id) {
            return Ok(true);
        }
        if !self.votes_of(std::slice::from_ref(&block.id), stop).await?.is_empty() {
            self.voted.insert(block.id);
            return Ok(true);
        }
        let begun = Instant::now();
        let broken = match objection {
            Some(broken) => Some(broken),
            None => match self.judge(block, stop).await? {
                Some(broken) => broken,
                None => return Ok(false),
            },
        };
        if let Some(broken) = &broken {
            tracing::warn!(block = %block.id, rule = broken.class(), reason = %broken, "voting against a block");
        }
        let timestamp = (chain.now() / 1000).max(self.last_timestamp);
        let vote = Vote::create(block.id, self.previous, broken.is_none(), timestamp, &self.context.key);
        patiently("write the vote", stop, || chain.store().write_vote(&vote)).await?;
        self.previous = block.id;
        self.last_timestamp = timestamp;
        self.remember(block.id, stop).await?;
        self.context.metrics.voted(broken.is_none(), block.transactions.len());
        self.context.metrics.worked("vote", begun.elapsed());
        Ok(true)
    }

    /// All blocks up to there are dealt with. Whoever goes on from an earlier place meets some of them again.
    async fn keep(&mut self, position: &Position) {
        if self.kept.is_some_and(|kept| kept.elapsed() < KEEPING) {
            return;
        }
        self.kept = Some(Instant::now());
        if let Err(error) = self.context.chain.store().keep_voted_up_to(position).await {
            tracing::debug!(%error, "how far the blocks are voted on was not kept");
        }
    }

    /// Finds out which undecided blocks have a vote of this node. The feed begins with them, but in an order that follows
    /// their makers' clocks: a block must not be judged before they are known.
    async fn recall(&mut self, stop: &watch::Receiver<bool>) -> Result<()> {
        let store = self.context.chain.store().clone();
        let undecided = patiently("undecided blocks", stop, || store.undecided_blocks()).await?;
        for blocks in undecided.chunks(RECALLED) {
            let voted = self.votes_of(blocks, stop).await?;
            self.voted.extend(voted);
        }
        Ok(())
    }

    /// On which of these blocks this node has voted.
    async fn votes_of(&self, blocks: &[BlockId], stop: &watch::Receiver<bool>) -> Result<Vec<BlockId>> {
        let chain = &self.context.chain;
        let me = chain.federation().node();
        let votes = patiently("votes", stop, || chain.store().votes(blocks)).await?;
        let votes = votes.iter().flatten().filter_map(|stored| Vote::from_bytes(&stored.bytes));
        let mine = votes.filter(|vote| vote.node_pubkey == me && vote.signature_valid(chain.verifier().as_ref()));
        Ok(mine.map(|vote| vote.voting_for_block).collect())
    }

    /// Keeps the set small: what is decided meanwhile is known to the store.
    async fn remember(&mut self, block: BlockId, stop: &watch::Receiver<bool>) -> Result<()> {
        self.voted.insert(block);
        if self.voted.len() > 1024 {
            let ids: Vec<BlockId> = self.voted.iter().copied().collect();
            let store = self.context.chain.store();
            let statuses = patiently("block statuses", stop, || store.block_statuses(&ids)).await?;
            let open = |status: Option<BlockStatus>| status == Some(BlockStatus::Undecided);
            self.voted = ids.into_iter().zip(statuses).filter(|(_, status)| open(*status)).map(|(id, _)| id).collect();
        }
        Ok(())
    }

    /// `Some(None)`: all rules hold; `Some(Some(rule))`: the first broken one; `None`: told to stop before a fact came.
    async fn judge(&self, block: &Block, stop: &watch::Receiver<bool>) -> Result<Option<Option<Invalid>>> {
        let chain = &self.context.chain;
        if let Err(broken) = block.check(chain.federation().known(), chain.verifier().as_ref()) {
            return Ok(Some(Some(broken)));
        }
        if let Some(broken) = foreign(chain, &chain.federation(), block) {
            return Ok(Some(Some(broken)));
        }
        let mut pause = Duration::from_millis(100);
        let mut decided = self.context.decided.subscribe();
        let patience = Instant::now() + self.context.tuning.input_wait;
        loop {
            let mut unknown = match self.repeated(block, stop).await? {
                None => None,
                Some(BlockStatus::Undecided) if Instant::now() < patience => {
                    Some("a transaction is in an undecided block".to_owned())
                }
                Some(_) => return Ok(Some(Some(Invalid::DuplicateTransaction))),
            };
            let purpose = Purpose::Voting { voted: &self.voted };
            let verdicts = patiently("judge", stop, || chain.judge_all(&block.transactions, purpose)).await?;
            for verdict in verdicts {
                match verdict {
                    Verdict::Valid => {}
                    Verdict::Invalid(broken) if may_come(&broken) && Instant::now() < patience => {
                        unknown = Some(broken.to_string());
                    }
                    Verdict::Invalid(broken) => return Ok(Some(Some(broken))),
                    Verdict::Undetermined(reason) => unknown = Some(reason),
                }
            }
            let Some(reason) = unknown else { return Ok(Some(rivals_within(block))) };
            if *stop.borrow() {
                return Ok(None);
            }
            tracing::info!(block = %block.id, reason, "a block cannot be judged yet");
            // A decision of this node may be what is missing.
            let _ = timeout(pause, decided.changed()).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// How another block stands that holds one of the transactions already: valid, or undecided with our vote. The others
    /// may have decided that it is invalid, and put the transaction into this one.
    async fn repeated(&self, block: &Block, stop: &watch::Receiver<bool>) -> Result<Option<BlockStatus>> {
        let chain = &self.context.chain;
        let ids: Vec<_> = block.transactions.iter().map(|tx| tx.id()).collect();
        let located = patiently("locate", stop, || chain.store().locate(&ids)).await?;
        let others = || located.iter().flatten().flat_map(|found| &found.blocks).filter(|b| b.block != block.id);
        if others().any(|b| b.status == BlockStatus::Valid) {
            return Ok(Some(BlockStatus::Valid));
        }
        let open = |b: &Occurrence| b.status == BlockStatus::Undecided && self.voted.contains(&b.block);
        Ok(others().any(open).then_some(BlockStatus::Undecided))
    }
}

/// On a `strict` ledger a block's voters are the federation.
fn foreign(chain: &Chain, federation: &Federation, block: &Block) -> Option<Invalid> {
    let voters = &block.header.voters;
    let foreign = chain.rules() == Rules::Strict && !federation.accepts_voters(voters);
    foreign.then(|| Invalid::Voters(format!("the block's voters are not this federation: {}", voters.join(", "))))
}

/// Whether a rule is broken only because this node has not read, or not decided on, what others have: they may be ahead by
/// a moment, and a vote is for ever.
fn may_come(broken: &Invalid) -> bool {
    matches!(broken, Invalid::InputDoesNotExist { .. } | Invalid::TransactionNotInValidBlock { .. })
}

/// Two transactions of one block that spend the same output: the later one is a double spend.
fn rivals_within(block: &Block) -> Option<Invalid> {
    let mut spent: HashSet<OutputRef> = HashSet::new();
    for output in block.transactions.iter().flat_map(|tx| tx.spends()) {
        if !spent.insert(output) {
            return Some(Invalid::AlreadySpent { transaction_id: output.transaction_id.to_string() });
        }
    }
    None
}
