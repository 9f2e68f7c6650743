//! The members of the replica set that holds the ledger.

use std::time::Duration;

use anyhow::bail;

use super::database::DatabaseSettings;
use crate::store::mongo::connect;
use crate::store::mongo::replicas::{self, Change};

/// How long the change of one member may take: the others are asked whether they agree, and then told.
const PATIENCE: Duration = Duration::from_secs(30);

/// Adds members, `host:port`.
pub async fn add(database: &DatabaseSettings, hosts: &[String]) -> anyhow::Result<()> {
    change(database, Change::Add, hosts).await
}

/// Removes members, `host:port`.
pub async fn remove(database: &DatabaseSettings, hosts: &[String]) -> anyhow::Result<()> {
    change(database, Change::Remove, hosts).await
}

async fn change(database: &DatabaseSettings, change: Change, hosts: &[String]) -> anyhow::Result<()> {
    let connection = match (database, change) {
        (DatabaseSettings::MongoDb { connection, .. }, _) => connection,
        (DatabaseSettings::Embedded(_), Change::Add) => {
            bail!("The embedded store is one directory of this node: it has no replica set to add to.")
        }
        (DatabaseSettings::Embedded(_), Change::Remove) => {
            bail!("The embedded store is one directory of this node: it has no replica set to remove from.")
        }
    };
    let connected = connect::connect(connection).await?;
    Ok(replicas::change(&connected.client, change, hosts, PATIENCE).await?)
}
