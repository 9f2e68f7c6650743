//! Vote -> decision.
//!
//! A decision is recorded once. Valid: the block is announced. Invalid: its transactions go back to the backlog, for
//! whoever is next in turn.

use std::collections::HashSet;

use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, PublicKey};
use ledger::vote::Vote;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Context, next, patiently, tally};
use crate::store::{BacklogEntry, Batch, Result, StoredVote};

/// Votes taken from the feed at once.
const BATCH: usize = 256;

/// What the stage waits for.
enum Next {
    /// Votes; `None`: the order to stop.
    Votes(Option<Batch<StoredVote>>),
    /// Another keyring is in force.
    Keyring,
    /// Blocks whose votes came before the vote stage's feed had begun.
    Early(Vec<BlockId>),
}

/// Runs until told to stop.
pub async fn run(context: Context, mut stop: watch::Receiver<bool>) -> Result<()> {
    let store = context.chain.store().clone();
    let mut position = None;
    let mut keyrings = context.chain.federation_changes();
    loop {
        let batch = {
            let feed = next(store.vote_feed(position.as_ref(), BATCH), &mut stop);
            tokio::select! {
                biased;
                batch = feed => Next::Votes(batch?),
                Ok(()) = keyrings.changed() => Next::Keyring,
                blocks = context.vote_feed.early() => Next::Early(blocks),
            }
        };
        let batch = match batch {
            Next::Votes(Some(batch)) => batch,
            Next::Votes(None) => return Ok(()),
            Next::Keyring => {
                // What hung on a voter that is retired now.
                let blocks = patiently("undecided blocks", &stop, || store.undecided_blocks()).await?;
                count(&context, &blocks, &stop, |block, _| may_decide(&context, block)).await?;
                continue;
            }
            Next::Early(blocks) => {
                count(&context, &blocks, &stop, |_, _| true).await?;
                continue;
            }
        };
        let begun = Instant::now();
        let mut seen = HashSet::new();
        let blocks: Vec<BlockId> = batch.items.iter().map(|v| v.block).filter(|block| seen.insert(*block)).collect();
        // A late vote's block is decided already, and need not be read for it.
        let statuses = patiently("block statuses", &stop, || store.block_statuses(&blocks)).await?;
        let open = |status: Option<BlockStatus>| status.is_none_or(|status| status == BlockStatus::Undecided);
        let statuses = blocks.iter().zip(statuses);
        let blocks: Vec<BlockId> = statuses.filter(|(_, status)| open(*status)).map(|(id, _)| *id).collect();
        count(&context, &blocks, &stop, |block, _| may_decide(&context, block)).await?;
        position = Some(batch.position);
        context.metrics.worked("election", begun.elapsed());
    }
}

/// Decides on blocks that this node voted on before it was a program that records decisions (a node of 1.0.1 with this
/// key), or that were made before it joined. Until then what is long valid would seem undecided, and be refused as an
/// input. Blocks that wait for its vote are left to the stages: they are voted on first.
pub async fn catch_up(context: &Context) -> Result<()> {
    let me = context.chain.federation().node();
    // Held until the end: nobody tells it to stop.
    let (_running, stop) = watch::channel(false);
    let mine = |vote: &StoredVote| Vote::from_bytes(&vote.bytes).is_some_and(|vote| vote.node_pubkey == me);
    let blocks = patiently("undecided blocks", &stop, || context.chain.store().undecided_blocks()).await?;
    for (n, ids) in blocks.chunks(BATCH).enumerate() {
        tracing::info!(done = n * BATCH, of = blocks.len(), "deciding on blocks by the votes that were cast before");
        count(context, ids, &stop, |block, votes| !lists(block, me) || votes.iter().any(mine)).await?;
    }
    Ok(())
}

/// Whether the vote stage will meet a block even if it is decided now, or it is none of its matter: see [`super::vote_feed`].
fn may_decide(context: &Context, block: &Block) -> bool {
    !lists(block, context.chain.federation().node()) || context.vote_feed.allows(block.id)
}

fn lists(block: &Block, node: PublicKey) -> bool {
    block.header.voters.contains(&node.to_string())
}

/// Counts the votes on blocks, of those that `which` picks.
async fn count(
    context: &Context,
    blocks: &[BlockId],
    stop: &watch::Receiver<bool>,
    which: impl Fn(&Block, &[StoredVote]) -> bool,
) -> Result<()> {
    let store = context.chain.store();
    for ids in blocks.chunks(BATCH) {
        let votes = patiently("votes", stop, || store.votes(ids)).await?;
        for (id, votes) in ids.iter().zip(&votes) {
            decide(context, id, votes, stop, |block| which(block, votes)).await?;
        }
    }
    Ok(())
}

async fn decide(
    context: &Context,
    id: &BlockId,
    votes: &[StoredVote],
    stop: &watch::Receiver<bool>,
    which: impl Fn(&Block) -> bool,
) -> Result<()> {
    let store = context.chain.store();
    let Some(stored) = patiently("block", stop, || store.block(id)).await? else {
        tracing::warn!(block = %id, "a vote for an unknown block is left aside");
        return Ok(());
    };
    if stored.status != BlockStatus::Undecided || !which(&stored.block) {
        return Ok(());
    }
    let block = stored.block;
    let valid = match status(context, &block, votes) {
        BlockStatus::Undecided => return Ok(()),
        BlockStatus::Valid => true,
        BlockStatus::Invalid => false,
    };
    let requeue = if valid { Vec::new() } else { requeue(context, &block) };
    let moving = if valid { None } else { Some(context.moving.lock().await) };
    // Whether it was recorded by this attempt or by one before it, whose answer was lost: nobody was told yet, and nobody
    // else records this node's decisions.
    patiently("record the decision", stop, || store.decide(id, valid, requeue.clone())).await?;
    drop(moving);
    context.metrics.decided(valid, block.transactions.len());
    context.decided.tell(id);
    if valid {
        context.events.publish(block);
    } else {
        tracing::warn!(block = %id, transactions = block.transactions.len(), "a block was decided invalid");
    }
    Ok(())
}

fn status(context: &Context, block: &Block, votes: &[StoredVote]) -> BlockStatus {
    let chain = &context.chain;
    match tally::status(chain.rules(), &chain.federation(), block, votes, chain.verifier().as_ref()) {
        Ok(status) => status,
        Err(duplicate) => {
            tracing::error!(block = %block.id, node = duplicate.node_pubkey, "a node voted twice: no decision");
            BlockStatus::Undecided
        }
    }
}

fn requeue(context: &Context, block: &Block) -> Vec<BacklogEntry> {
    let chain = &context.chain;
    let assigned_at = chain.now();
    let (federation, maker) = (chain.federation(), block.header.node_pubkey.parse().ok());
    let entry = |transaction: &std::sync::Arc<ledger::transaction::Transaction>| BacklogEntry {
        assignee: federation.assignee_after(transaction, maker),
        transaction: transaction.clone(),
        assigned_at,
    };
    block.transactions.iter().map(entry).collect()
}
