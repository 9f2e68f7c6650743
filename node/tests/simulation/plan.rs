//! What a seed says: who takes part, what is sent, what goes wrong.

use std::time::Duration;

use bigchaindb::pipeline::Tuning;
use ledger::rules::Rules;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::corpus::ASSETS;
use crate::world::{Chance, Link};

/// Nodes at most.
pub const NODES: usize = 4;

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node's requests take long now and then.
    Slow,
    /// A node's requests fail now and then, done or not.
    Failing,
    /// For a time nothing goes through between a node and the server.
    Cut,
    /// A process dies, and comes again.
    Crash,
    /// A process dies after some writes more.
    CrashAfterWrite,
    /// A process is told to stop, and comes again.
    Restart,
    /// A process dies and stays away for long.
    Away,
    /// Feeds are cut off and repeat what they gave.
    Interrupted,
    /// The server has lost the history that the feeds point into.
    Forgotten,
    /// A node's clock jumps.
    Clock,
    /// All processes die at once.
    Blackout,
    /// A process loses the lease of its key for a time.
    Lease,
}

const FAULTS: [Fault; 12] = [
    Fault::Slow,
    Fault::Failing,
    Fault::Cut,
    Fault::Crash,
    Fault::CrashAfterWrite,
    Fault::Restart,
    Fault::Away,
    Fault::Interrupted,
    Fault::Forgotten,
    Fault::Clock,
    Fault::Blackout,
    Fault::Lease,
];

/// One client's intention.
#[derive(Clone, Debug)]
pub struct Sending {
    pub asset: usize,
    /// Place in [`crate::corpus::Asset::all`].
    pub which: usize,
    pub at: Duration,
    /// How long after its input is valid.
    pub after: Duration,
    /// The node that is tried first.
    pub node: usize,
    /// Past the checks of a node like ours, as a Python node (or one that errs) would.
    pub slipped: bool,
}

/// A node whose key is retired.
#[derive(Clone, Copy, Debug)]
pub struct Retirement {
    pub node: usize,
    pub at: Duration,
    /// Before which step, of three, its process ends for good.
    pub last_step: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Plan {
    pub nodes: usize,
    pub rules: Rules,
    pub tuning: Tuning,
    pub sendings: Vec<Sending>,
    pub retirement: Option<Retirement>,
    /// Kinds of faults, each as often as it stands here; none: a calm schedule.
    pub faults: Vec<Fault>,
    /// Between two faults at most.
    pub pause: Duration,
    /// When faults end.
    pub fair: Duration,
    /// How far clocks are off when it begins, milliseconds.
    pub skews: Vec<i64>,
    pub link: Link,
    /// Whether clocks are right once faults have ended.
    pub mended_clocks: bool,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        // Another stream than the events' own.
        let mut chance = Chance::seed_from_u64(seed ^ 0x5ca1_ab1e);
        let nodes = chance.random_range(3..=NODES);
        let rules = if chance.random_bool(0.5) { Rules::Strict } else { Rules::V1_0_1 };
        let reassign_delay = *[5, 20, 120].choose(&mut chance).unwrap();
        let tuning = Tuning {
            block_transactions: *[1, 3, 1000].choose(&mut chance).unwrap(),
            input_wait: Duration::from_secs(*[1, 5].choose(&mut chance).unwrap()),
            reassign_delay: Duration::from_secs(reassign_delay),
            stale_interval: Duration::from_secs(*[1, 5].choose(&mut chance).unwrap()),
            block_interval: Duration::from_secs(*[0, 1].choose(&mut chance).unwrap()),
            ..Tuning::default()
        };
        let fair = Duration::from_secs(*[10, 30, 30, 100].choose(&mut chance).unwrap());
        let mut faults = Vec::new();
        if chance.random_bool(0.95) {
            faults = FAULTS.into_iter().filter(|_| chance.random_bool(0.4)).collect();
        }
        let delay = *[2, 3, 10, 100].choose(&mut chance).unwrap();
        let wrong_clocks = faults.contains(&Fault::Clock);
        let skews = (0..nodes).map(|_| if wrong_clocks { skew(&mut chance) } else { chance.random_range(-500..=500) });
        let skews = skews.collect();
        let pause = Duration::from_secs(*[1, 3, 10].choose(&mut chance).unwrap());
        let mended_clocks = chance.random_bool(0.5);
        let sendings = sendings(&mut chance, nodes, fair);
        // Those who stay have to be more than half of those who were.
        let retirement = (nodes == NODES && chance.random_bool(0.4)).then(|| Retirement {
            node: chance.random_range(0..nodes),
            at: fair.mul_f64(chance.random_range(0.0..0.8)),
            last_step: chance.random_range(1..=3),
        });
        let link = Link { delay, ..Link::CALM };
        Self { nodes, rules, tuning, sendings, retirement, faults, pause, fair, skews, link, mended_clocks }
    }
}

/// How far a wrong clock is off, milliseconds.
pub fn skew(chance: &mut Chance) -> i64 {
    let most = *[1_000, 10_000, 300_000, 86_400_000].choose(chance).unwrap();
    chance.random_range(-most..=most)
}

fn sendings(chance: &mut Chance, nodes: usize, fair: Duration) -> Vec<Sending> {
    let mut sendings = Vec::new();
    let mut assets: Vec<usize> = (0..ASSETS).collect();
    for _ in 0..chance.random_range(1..=5) {
        let asset = assets.swap_remove(chance.random_range(0..assets.len()));
        let begin = fair.mul_f64(chance.random_range(0.0..0.7));
        // A transfer is sent with its rival only some time after its input was: it has to be valid first, and whoever
        // sends it waits for that.
        let chances = [1.0, 0.8, 0.5, 0.6, 0.4];
        let later = [0.0, 0.05, 0.05, 0.1, 0.1];
        let first = chance.random_bool(chances[1]);
        // Rivals and copies meet.
        let at_once = chance.random_bool(0.5);
        let slipped = *[0.0, 0.2, 0.8].choose(chance).unwrap();
        for (which, (likely, later)) in chances.into_iter().zip(later).enumerate() {
            let sent = match which {
                0 => true,
                1 => first,
                3 | 4 => first && chance.random_bool(likely),
                _ => chance.random_bool(likely),
            };
            if !sent {
                continue;
            }
            let copies = if chance.random_bool(0.25) { 2 } else { 1 };
            for _ in 0..copies {
                let spread = if at_once { 0.0 } else { chance.random_range(0.0..0.1) };
                let after = if at_once { 30 } else { chance.random_range(0..2000) };
                sendings.push(Sending {
                    asset,
                    which,
                    at: begin + fair.mul_f64(later + spread),
                    after: Duration::from_millis(chance.random_range(0..=after)),
                    node: chance.random_range(0..nodes),
                    slipped: chance.random_bool(slipped),
                });
            }
        }
    }
    sendings
}
