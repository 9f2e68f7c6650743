//! Whether this process does its node's work. Of several processes with one key on one database, one makes blocks, votes
//! and decides; the others answer requests, tell their subscribers what was decided, and take over when that one ends.

use tokio::sync::watch;

use super::{Context, StageEnd, election, follow};
use crate::store::database::Duty;

/// Runs until told to stop; ends before only if a stage does. `settled` turns true when the node's own decisions are
/// up to date, or are another process's matter.
pub async fn run(
    context: Context,
    mut duty: watch::Receiver<Duty>,
    settled: watch::Sender<bool>,
    mut stop: watch::Receiver<bool>,
) -> StageEnd {
    while !*stop.borrow() {
        let now = duty.borrow_and_update().clone();
        let halt = watch::Sender::new(false);
        let mut stages = match &now {
            Duty::Unknown => tokio::task::JoinSet::new(),
            Duty::Ours { epoch } => {
                tracing::info!(epoch, "this process makes blocks and votes");
                if let Err(error) = election::catch_up(&context).await {
                    return ("election", Err(error));
                }
                super::spawn(&context, &halt.subscribe())
            }
            Duty::Theirs { holder } => {
                tracing::warn!(
                    holder,
                    "another process with this node's key makes blocks and votes: this one stands by"
                );
                follow::spawn(&context, &halt.subscribe())
            }
        };
        settled.send_if_modified(|settled| now != Duty::Unknown && !std::mem::replace(settled, now != Duty::Unknown));
        let ended = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => None,
            () = changes(&mut duty, &now) => None,
            Some(ended) = stages.join_next() => Some(ended),
        };
        halt.send_replace(true);
        match ended {
            Some(Ok(end)) => return end,
            Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
            // What they have begun is finished; what the database did not answer to is done again by whoever is next.
            None => while stages.join_next().await.is_some() {},
        }
    }
    ("duty", Ok(()))
}

/// Waits until somebody else has the duty, or this process has it anew. Not knowing changes nothing: what is written
/// meanwhile waits in the store.
async fn changes(duty: &mut watch::Receiver<Duty>, now: &Duty) {
    let another = |duty: &Duty| match (now, duty) {
        (_, Duty::Unknown) => false,
        (Duty::Theirs { .. }, Duty::Theirs { .. }) => false,
        (now, duty) => now != duty,
    };
    if duty.wait_for(another).await.is_err() {
        std::future::pending::<()>().await;
    }
}
