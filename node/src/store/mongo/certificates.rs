//! Whether the servers' certificates are still good, asked again while a node runs.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::doc;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::connect::{Connection, recheck};
use super::shared::Shared;
use crate::store::StoreError;

/// How often. The revocation list is read each time: a renewed one counts.
const PERIOD: Duration = Duration::from_secs(60);

/// Runs for as long as the store is open. A certificate that is not to be trusted any more is a failure until it is.
pub async fn run(shared: Arc<Shared>, connection: Connection, failure: watch::Sender<Option<StoreError>>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = match recheck(&connection, &shared.hosts().await).await {
            Err(error @ StoreError::Misconfigured(_)) => {
                tracing::error!(%error, "a database server is not to be trusted any more");
                Some(error)
            }
            // Servers that are away are the pulse's matter.
            Ok(()) | Err(_) => None,
        };
        failure.send_replace(now);
    }
}

impl Shared {
    /// Members of the replica set, as one of them says.
    async fn hosts(&self) -> Vec<String> {
        let hello = self.database.run_command(doc! { "hello": 1 }).await.unwrap_or_default();
        let hosts = hello.get_array("hosts").into_iter().flatten();
        hosts.filter_map(|host| host.as_str().map(str::to_owned)).collect()
    }
}
