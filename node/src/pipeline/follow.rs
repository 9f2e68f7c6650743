//! Decisions of another process with this node's key -> events: for the subscribers of a process that stands by.

use std::time::Duration;

use ledger::election::BlockStatus;
use ledger::ids::BlockId;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Context, StageEnd, named, next, patiently};
use crate::store::{Batch, Result, StoredBlock};

/// Blocks taken from the feed at once.
const BATCH: usize = 16;

/// How often it is looked whether open blocks were decided.
const PERIOD: Duration = Duration::from_millis(200);

/// Open blocks that are watched at most; beyond, the oldest are let go of.
const OPEN: usize = 10_000;

/// Starts the stage.
pub fn spawn(context: &Context, stop: &watch::Receiver<bool>) -> JoinSet<StageEnd> {
    let mut stages = JoinSet::new();
    stages.spawn(named("follow", run(context.clone(), stop.clone())));
    stages
}

/// Runs until told to stop, and looks once more then: whoever goes on from here decides only on what is still open.
async fn run(context: Context, mut stop: watch::Receiver<bool>) -> Result<()> {
    let store = context.chain.store().clone();
    let (mut open, mut position): (Vec<BlockId>, _) = (Vec::new(), None);
    let mut due = Instant::now();
    loop {
        let batch = {
            let feed = next(store.block_feed(position.as_ref(), BATCH), &mut stop);
            tokio::select! {
                biased;
                batch = feed => Some(batch?),
                () = tokio::time::sleep_until(due), if !open.is_empty() => None,
            }
        };
        match batch {
            Some(Some(Batch { items, position: reached })) => {
                position = Some(reached);
                for StoredBlock { block, .. } in items {
                    context.look_at(&block);
                    open.push(block.id);
                }
                open.drain(..open.len().saturating_sub(OPEN));
            }
            Some(None) => return announce(&context, &mut open, &stop).await,
            None => {
                announce(&context, &mut open, &stop).await?;
                due = Instant::now() + PERIOD;
            }
        }
    }
}

/// Tells of what was decided valid, in the order in which the blocks came, and keeps what is open.
async fn announce(context: &Context, open: &mut Vec<BlockId>, stop: &watch::Receiver<bool>) -> Result<()> {
    let store = context.chain.store();
    let statuses = patiently("block statuses", stop, || store.block_statuses(open)).await?;
    for (id, status) in open.iter().zip(&statuses) {
        if *status == Some(BlockStatus::Valid)
            && let Some(stored) = patiently("block", stop, || store.block(id)).await?
        {
            context.events.publish(stored.block);
        }
    }
    let mut statuses = statuses.into_iter();
    open.retain(|_| statuses.next().flatten() == Some(BlockStatus::Undecided));
    Ok(())
}
