//! The keyring file, read again when it changes or when somebody says so.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ledger::ids::PublicKey;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;

use super::check_alone;
use crate::chain::Chain;
use crate::config::keyring::Keyring;
use crate::federation::Federation;

/// How often the file is looked at. (Files that are swapped by a link, as Kubernetes does, tell nobody that they change.)
const PERIOD: Duration = Duration::from_secs(1);

/// A keyring file that is larger is none.
const LARGEST: u64 = 4 << 20;

/// A keyring file and those who are told of it.
pub struct KeyringFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whose keyring it is.
    pub chain: Arc<Chain>,
    /// Nobody else can reach this node's database: other active keys are a mistake.
    pub alone: bool,
    /// What is wrong with the file, if anything: then what was in force stays.
    pub fault: watch::Sender<Option<String>>,
}

/// Looks at the file until `stop`; at once when ordered to.
pub async fn watch_file(file: KeyringFile, order: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    let KeyringFile { path, chain, alone, fault } = file;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = None;
    loop {
        let asked = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = order.notified() => true,
            _ = ticks.tick() => false,
        };
        let place = path.clone();
        let Ok(text) = tokio::task::spawn_blocking(move || read(&place)).await else { continue };
        if !asked && before.as_ref() == Some(&text) {
            continue;
        }
        let outcome = text.clone().and_then(|text| take_up(&chain, &text, alone));
        match &outcome {
            Ok(true) => {}
            Ok(false) if asked => tracing::info!(path = %path.display(), "the keyring is unchanged"),
            Ok(false) => {}
            Err(reason) => {
                tracing::error!(path = %path.display(), reason, "the keyring file is not taken up: what was in force stays");
            }
        }
        fault.send_replace(outcome.err().map(|reason| format!("the keyring file {}: {reason}", path.display())));
        before = Some(text);
    }
}

fn read(path: &std::path::Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| format!("cannot be read: {e}"))?.len();
    if size > LARGEST {
        return Err(format!("has {size} bytes; {LARGEST} are the limit"));
    }
    std::fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}"))
}

/// Puts a keyring in force; `false`: it is.
fn take_up(chain: &Chain, text: &str, alone: bool) -> Result<bool, String> {
    let keyring = Keyring::parse(text).map_err(|faults| faults.join("; "))?;
    let now = chain.federation();
    let new = Federation::of(now.node(), &keyring);
    if *now == new {
        return Ok(false);
    }
    check(&now, &new)?;
    if alone {
        check_alone(&new).map_err(|error| error.to_string())?;
    }
    tracing::info!(
        generation = new.generation(),
        active = new.keys().len(),
        known = new.known().len(),
        "another keyring is in force"
    );
    chain.set_federation(new);
    Ok(true)
}

/// What a running node takes up: a keyring of a later generation that forgets nobody.
fn check(now: &Federation, new: &Federation) -> Result<(), String> {
    if new.generation() <= now.generation() {
        return Err(format!(
            "its generation is {}, and generation {} is in force: a changed keyring needs a higher one",
            new.generation(),
            now.generation()
        ));
    }
    let forgotten: Vec<&PublicKey> = now.known().iter().filter(|key| !new.known().contains(key)).collect();
    if !forgotten.is_empty() {
        let keys: Vec<String> = forgotten.iter().map(ToString::to_string).collect();
        return Err(format!(
            "`known` must go on naming {}: blocks and votes of theirs are in the ledger",
            keys.join(", ")
        ));
    }
    if !new.known().contains(&now.node()) {
        return Err(format!("does not list this node's own key {} among `known`", now.node()));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use ledger::crypto::PrivateKey;

    use super::*;

    fn federation(generation: u64, known: &[u8]) -> Federation {
        let known: Vec<PublicKey> = known.iter().map(|n| PrivateKey::from_seed(&[*n; 32]).public_key()).collect();
        let keyring =
            Keyring { generation, known, ..Keyring::fixed(PrivateKey::from_seed(&[1; 32]).public_key(), &[]) };
        Federation::of(PrivateKey::from_seed(&[1; 32]).public_key(), &keyring)
    }

    #[test]
    fn a_keyring_goes_forward_and_forgets_nobody() {
        let now = federation(3, &[1, 2]);
        check(&now, &federation(4, &[1, 2, 3])).unwrap();
        assert!(check(&now, &federation(3, &[1, 2, 3])).unwrap_err().contains("a higher one"));
        assert!(check(&now, &federation(4, &[1, 3])).unwrap_err().contains("must go on naming"));
    }
}
