//! Gives transactions whose assignee sleeps to somebody else.

use std::collections::BTreeMap;

use ledger::ids::PublicKey;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Context, next, patiently};
use crate::store::{BacklogEntry, Result, StoreError};

/// Entries reassigned at once.
const BATCH: usize = 1000;

/// Runs until told to stop.
pub async fn run(context: Context, mut stop: watch::Receiver<bool>) -> Result<()> {
    let pause = async || {
        tokio::time::sleep(context.tuning.stale_interval).await;
        Ok::<(), StoreError>(())
    };
    while next(pause(), &mut stop).await?.is_some() {
        let begun = Instant::now();
        reassign(&context, &stop).await?;
        context.metrics.worked("stale", begun.elapsed());
    }
    Ok(())
}

async fn reassign(context: &Context, stop: &watch::Receiver<bool>) -> Result<()> {
    let (chain, federation) = (&context.chain, context.chain.federation());
    let now = chain.now();
    let delay = u64::try_from(context.tuning.reassign_delay.as_millis()).unwrap_or(u64::MAX);
    // What is assigned in the future was assigned by a wrong clock: it would wait until then for an assignee that is gone.
    let timely = now.saturating_sub(delay)..=now.saturating_add(delay);
    let outside = || chain.store().backlog_assigned_outside(timely.clone(), BATCH);
    let stale = patiently("stale", stop, outside).await?;
    let mut by_next: BTreeMap<PublicKey, Vec<BacklogEntry>> = BTreeMap::new();
    for entry in stale {
        by_next.entry(federation.next_assignee(&entry.assignee)).or_default().push(entry);
    }
    for (to, entries) in by_next {
        let changed = patiently("reassign", stop, || chain.store().reassign(&entries, to, now)).await?;
        context.metrics.reassigned(changed.len());
        tracing::info!(transactions = changed.len(), to = %to, "reassigned stale transactions");
    }
    Ok(())
}
