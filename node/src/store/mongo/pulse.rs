//! Whether the server answers, and how much waits there: asked every second, for `/readyz` and the intake.

use std::sync::Arc;
use std::time::Duration;

use ledger::ids::TxId;
use mongodb::bson::doc;
use mongodb::bson::raw::RawDocumentBuf;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::shared::Shared;
use super::{documents, fault};
use crate::store::{Result, StoreError};

/// How often the server is asked.
const PERIOD: Duration = Duration::from_secs(1);

/// Entries by which a busy node's count may be wrong.
const MUCH: u64 = 2000;

/// A server that has not answered for so long counts as away.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs for as long as the store is open.
pub async fn run(shared: Arc<Shared>, failure: watch::Sender<Option<StoreError>>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = 0;
    loop {
        ticks.tick().await;
        // In a task of its own: an operation of the driver is waited for, not given up.
        let asked = shared.clone();
        let now = shared.waiting.amount().transactions;
        let idle = now == before;
        before = now;
        let mut question = tokio::spawn(async move { asked.look(idle).await });
        let answer = match tokio::time::timeout(PATIENCE, &mut question).await {
            Ok(answer) => answer,
            Err(_) => {
                tell(&failure, Some(StoreError::Unavailable(format!("no answer for {} s", PATIENCE.as_secs()))));
                question.await
            }
        };
        match answer {
            Ok(Ok(())) => tell(&failure, None),
            Ok(Err(error)) => tell(&failure, Some(error)),
            Err(error) => tell(&failure, Some(StoreError::Unavailable(format!("the question was cut off: {error}")))),
        }
    }
}

fn tell(failure: &watch::Sender<Option<StoreError>>, now: Option<StoreError>) {
    failure.send_if_modified(|before| {
        let changed = before.is_some() != now.is_some();
        match &now {
            Some(error) if changed => tracing::warn!(%error, "the database does not answer"),
            None if changed => tracing::info!("the database answers again"),
            _ => {}
        }
        *before = now;
        changed
    });
}

impl Shared {
    /// Asks whether there is a primary that answers, and agrees with it on what waits: when nothing moves here, or when
    /// others write a lot.
    async fn look(&self, idle: bool) -> Result<()> {
        let unavailable = |e: mongodb::error::Error| fault::unavailable(&e);
        let count = self.backlog.estimated_document_count().await.map_err(unavailable)?;
        let difference = count.abs_diff(self.waiting.amount().transactions as u64);
        if difference > MUCH || idle && difference > 0 {
            let find = self.backlog.find(doc! {}).projection(doc! { "_id": 0, "id": 1 });
            let id = |document: &RawDocumentBuf| documents::text_id::<TxId>(document, "id").ok();
            self.waiting.agree(self.all(find).await?.iter().filter_map(id));
        }
        Ok(())
    }
}
