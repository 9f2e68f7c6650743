//! `set-shards`, `set-replicas`, `add-replicas`, `remove-replicas`: for databases with several members.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;

use super::{Context, Outcome};
use crate::app::database::DatabaseSettings;
use crate::app::replicas;
use crate::config;
use crate::config::settings::Backend;

/// Configure number of shards
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb set-shards 3")]
pub struct ShardsArgs {
    /// Number of shards
    #[arg(allow_negative_numbers = true)]
    num_shards: i64,
}

/// Configure number of replicas
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb set-replicas 3")]
pub struct ReplicasArgs {
    /// Number of replicas (i.e. the replication factor)
    #[arg(allow_negative_numbers = true)]
    num_replicas: i64,
}

/// Add a set of nodes to the replica set. This command is specific to the MongoDB backend.
///
/// One after the other, each once a majority of the set has the one before. A member that is there already is named, and
/// nothing is changed then. The user that logs in needs the role `clusterManager`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bigchaindb add-replicas server1.com:27017 server2.com:27017\n  \
                        bigchaindb --json add-replicas server1.com:27017")]
pub struct AddArgs {
    /// A list of space separated hosts to add to the replica set. Each host must be in the form `host:port`.
    #[arg(required = true, value_parser = host_port)]
    replicas: Vec<String>,
}

/// Remove a set of nodes from the replica set. This command is specific to the MongoDB backend.
///
/// One after the other, as `add-replicas` does. Neither the primary nor the last member can be removed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb remove-replicas server1.com:27017")]
pub struct RemoveArgs {
    /// A list of space separated hosts to remove from the replica set. Each host must be in the form `host:port`.
    #[arg(required = true, value_parser = host_port)]
    replicas: Vec<String>,
}

fn host_port(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    if host.is_empty() || port.is_empty() {
        return Err(format!("expected host in the form `host:port`. Got `{text}` instead."));
    }
    match port.parse::<u16>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("Port must be an integer between 0 and 65535: {port}")),
    }
}

/// 1.0.1 ended with the traceback of a `NotImplementedError` where it ran on MongoDB.
pub fn set_shards(context: &Context) -> Outcome {
    match configured(context)?.backend {
        Backend::MongoDb => bail!(
            "`set-shards` is not there for MongoDB, as in BigchainDB Server 1.0.1: a ledger is kept in one replica set."
        ),
        _ => bail!("The embedded store is one directory of this node: it has no shards to set."),
    }
}

/// As [`set_shards`].
pub fn set_replicas(context: &Context) -> Outcome {
    match configured(context)?.backend {
        Backend::MongoDb => bail!(
            "`set-replicas` is not there for MongoDB, as in BigchainDB Server 1.0.1: a replica set has as many copies as \
             members, which `add-replicas` and `remove-replicas` change."
        ),
        _ => bail!("The embedded store is one directory of this node: it has no replicas to set."),
    }
}

pub fn add_replicas(args: &AddArgs, context: &Context) -> Outcome {
    let database = DatabaseSettings::new(&configured(context)?);
    let hosts = &args.replicas;
    super::runtime(Some(1))?.block_on(replicas::add(&database, hosts))?;
    context.answer(format!("Added {} to the replicaset.", python_list(hosts)), &json!({"added": hosts}))?;
    Ok(ExitCode::SUCCESS)
}

pub fn remove_replicas(args: &RemoveArgs, context: &Context) -> Outcome {
    let database = DatabaseSettings::new(&configured(context)?);
    let hosts = &args.replicas;
    super::runtime(Some(1))?.block_on(replicas::remove(&database, hosts))?;
    context.answer(format!("Removed {} from the replicaset.", python_list(hosts)), &json!({"removed": hosts}))?;
    Ok(ExitCode::SUCCESS)
}

fn configured(context: &Context) -> anyhow::Result<config::Database> {
    let config = context.load_config()?;
    super::require_supported(&config)?;
    Ok(config.database)
}

/// As 1.0.1 prints it: `['db:27017']`.
fn python_list(hosts: &[String]) -> String {
    let quoted: Vec<String> = hosts.iter().map(|host| format!("'{host}'")).collect();
    format!("[{}]", quoted.join(", "))
}
