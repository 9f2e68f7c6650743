//! `set-shards`, `set-replicas`, `add-replicas`, `remove-replicas`: for databases with several members.

use super::Outcome;

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
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb add-replicas server1.com:27017 server2.com:27017")]
pub struct AddArgs {
    /// A list of space separated hosts to add to the replica set. Each host must be in the form `host:port`.
    #[arg(required = true, value_parser = host_port)]
    replicas: Vec<String>,
}

/// Remove a set of nodes from the replica set. This command is specific to the MongoDB backend.
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

pub fn set_shards() -> Outcome {
    anyhow::bail!("The embedded store is one directory of this node: it has no shards to set.")
}

pub fn set_replicas() -> Outcome {
    anyhow::bail!("The embedded store is one directory of this node: it has no replicas to set.")
}

pub fn add_replicas() -> Outcome {
    anyhow::bail!("The embedded store is one directory of this node: it has no replica set to add to.")
}

pub fn remove_replicas() -> Outcome {
    anyhow::bail!("The embedded store is one directory of this node: it has no replica set to remove from.")
}
