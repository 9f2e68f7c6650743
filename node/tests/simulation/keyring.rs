//! A key that is retired while nodes run, as an operator does it: each step is taken by all nodes, one after the other at
//! times of their own, before the next one begins.

use std::sync::Arc;
use std::time::Duration;

use bigchaindb::config::keyring::Keyring;
use ledger::ids::PublicKey;
use rand::RngExt;

use crate::invariants;
use crate::nodes::Nodes;
use crate::plan::Retirement;
use crate::world::{About, World};

/// Within which time all nodes take a step.
const STEP: Duration = Duration::from_secs(5);

/// Longer than anything is on its way that a process sent before it ended.
const SILENCE: Duration = Duration::from_secs(20);

/// The keyring before, and after each step: told of, carried out, over.
pub fn steps(all: &[PublicKey], leaving: &PublicKey) -> [Keyring; 4] {
    let (all, none) = (all.to_vec(), Vec::new);
    let rest: Vec<PublicKey> = all.iter().filter(|key| *key != leaving).copied().collect();
    let keyring = |generation, active: &[PublicKey]| Keyring {
        generation,
        previous: none(),
        active: active.to_vec(),
        next: none(),
        former: Vec::new(),
        known: all.clone(),
    };
    [
        keyring(1, &all),
        Keyring { next: rest.clone(), ..keyring(2, &all) },
        Keyring { previous: all.clone(), ..keyring(3, &rest) },
        Keyring { former: vec![all.clone()], ..keyring(4, &rest) },
    ]
}

/// Retires a node's key.
pub async fn retire(world: Arc<World>, nodes: Arc<Nodes>, plan: Retirement) {
    tokio::time::sleep(plan.at).await;
    for step in 1..=3 {
        if step == plan.last_step {
            world.note(Some(plan.node), "ends for good", About::Nothing);
            nodes.retire(plan.node);
            world.apply_nobody(|db| {
                let key = db.nodes[plan.node];
                db.members.retain(|member| *member != key);
                invariants::nothing_hangs_on(db, &key);
            });
        }
        if step == 3 {
            tokio::time::sleep(SILENCE).await;
        }
        let mut order: Vec<(u64, usize)> = {
            let chance = &mut world.state.lock().chance;
            let moment = |node| (chance.random_range(0..STEP.as_millis() as u64), node);
            (0..nodes.len()).map(moment).collect()
        };
        order.sort_unstable();
        let mut at = 0;
        for (moment, node) in order {
            tokio::time::sleep(Duration::from_millis(moment - at)).await;
            at = moment;
            world.note(Some(node), "has another keyring", About::Number(step as u64));
            nodes.set_keyring(node, step);
        }
    }
}
