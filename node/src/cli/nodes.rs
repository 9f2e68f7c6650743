//! `start --dev --nodes N`: a federation for trying things out, in one process, on one database.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ledger::ids::PublicKey;

use crate::config::keypair::Keypair;
use crate::config::keyring::Keyring;
use crate::config::settings::Backend;
use crate::config::{BindAddress, Config, KeyringSource};

/// Ports from one node's to the next one's: each has two.
const PORTS: u16 = 2;

/// Where the nodes' keys and their keyring are kept, in the working directory: the next start finds the same nodes.
const DIRECTORY: &str = "bigchaindb-dev-nodes";

/// Configurations of so many nodes: like the given one, each with a key pair of its own, the ports after the one's before,
/// and one keyring file for all.
pub fn configurations(config: &Config, nodes: u16) -> anyhow::Result<Vec<Config>> {
    if config.database.backend == Backend::Embedded {
        bail!(
            "{nodes} nodes need a database that they share, and the embedded store belongs to one node. With a MongoDB \
             server at localhost:27017: `BIGCHAINDB_DATABASE_BACKEND=mongodb bigchaindb start --dev --nodes {nodes}`"
        );
    }
    if config.public_key.is_some() {
        bail!("each of the {nodes} nodes makes a key pair of its own: remove `keypair` (BIGCHAINDB_KEYPAIR_…)");
    }
    let directory = Path::new(DIRECTORY);
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    let keypairs = (1..=nodes).map(|n| keypair(&directory.join(format!("node-{n}.json"))));
    let keypairs = keypairs.collect::<anyhow::Result<Vec<Keypair>>>()?;
    let keys: Vec<PublicKey> = keypairs.iter().map(|pair| pair.public).collect();
    let (path, keyring) = keyring(directory, &keys)?;
    (0..nodes)
        .zip(keypairs)
        .map(|(n, pair)| {
            let mut config = config.clone();
            config.server.bind = shifted(&config.server.bind, n)?;
            config.websocket.bind = shifted(&config.websocket.bind, n)?;
            config.public_key = Some(pair.public);
            config.keypair = Some(pair);
            config.keyring = KeyringSource::File { path: path.clone(), keyring: keyring.clone() };
            Ok(config)
        })
        .collect()
}

fn keypair(path: &Path) -> anyhow::Result<Keypair> {
    if path.exists() {
        return Ok(Keypair::read(path)?);
    }
    let pair = Keypair::generate()?;
    pair.write_new(path)?;
    Ok(pair)
}

/// The keyring file, written anew when other nodes are started than before.
fn keyring(directory: &Path, keys: &[PublicKey]) -> anyhow::Result<(PathBuf, Keyring)> {
    let path = directory.join("keyring.json");
    let mut keyring = Keyring { generation: 1, ..Keyring::fixed(keys[0], keys) };
    if path.exists() {
        let before =
            Keyring::read(&path).map_err(|faults| anyhow::anyhow!("{}: {}", path.display(), faults.join("; ")))?;
        if before.active == keys {
            return Ok((path, before));
        }
        keyring = before.followed_by(keys);
    }
    let new = directory.join("keyring.json.new");
    let write = || {
        let mut file = std::fs::File::create(&new)?;
        file.write_all(format!("{:#}\n", keyring.to_json()).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok((path, keyring))
}

/// The same address so many nodes further; a port that the system chooses stays one.
fn shifted(bind: &BindAddress, n: u16) -> anyhow::Result<BindAddress> {
    let port = match bind.port {
        0 => 0,
        first => first.checked_add(n * PORTS).with_context(|| format!("there are no {n} ports after {first}"))?,
    };
    Ok(BindAddress { host: bind.host.clone(), port })
}
