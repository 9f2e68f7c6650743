//! The nodes' processes: how they start, stop and die.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bigchaindb::chain::{Chain, ChainParts};
use bigchaindb::config::keyring::Keyring;
use bigchaindb::events::Events;
use bigchaindb::federation::Federation;
use bigchaindb::metrics::Metrics;
use bigchaindb::pipeline::decided::Decided;
use bigchaindb::pipeline::{self, Context};
use bigchaindb::store::database::Duty;
use bigchaindb::store::{Amount, Store};
use ledger::crypto::{DecodedKey, PrivateKey, Verifier};
use ledger::ids::PublicKey;
use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::keyring;
use crate::plan::{NODES, Plan};
use crate::store::{Connection, NodeStore};
use crate::world::{About, LATE, World};

/// For what a process has begun when it is told to stop.
const STOPPING: Duration = Duration::from_secs(10);

/// Nodes' keys, in the order of their public halves.
pub static KEYS: LazyLock<Vec<Arc<PrivateKey>>> = LazyLock::new(|| {
    let mut keys: Vec<_> = (1..=NODES as u8).map(|n| Arc::new(PrivateKey::from_seed(&[n; 32]))).collect();
    keys.sort_by_key(|key| key.public_key());
    keys
});

/// Gives the real verdict, once for each signature: the same few are looked at again and again.
#[derive(Default)]
pub struct Remembering(Mutex<HashMap<[u8; 64], Vec<Verdict>>>);

/// Under which key, of which message, and whether the signature is good.
type Verdict = (PublicKey, Vec<u8>, bool);

impl Verifier for Remembering {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
        let mut known = self.0.lock();
        let known = known.entry(*signature).or_default();
        if let Some((.., verdict)) = known.iter().find(|(k, m, _)| k == key && m == message) {
            return *verdict;
        }
        let verdict = DecodedKey::decode(key).is_some_and(|key| key.verify(message, signature));
        known.push((*key, message.to_vec(), verdict));
        verdict
    }
}

/// A running process.
struct Process {
    chain: Arc<Chain>,
    connection: Connection,
    stop: watch::Sender<bool>,
    duty: watch::Sender<Duty>,
    /// Ends with the process.
    gone: CancellationToken,
    main: JoinHandle<()>,
}

/// All nodes of a schedule.
pub struct Nodes {
    world: Arc<World>,
    plan: Arc<Plan>,
    verifier: Arc<Remembering>,
    running: Mutex<Vec<Option<Process>>>,
    /// When each node's last process ended.
    ended: Mutex<Vec<Duration>>,
    /// Keyrings that there are, and which one each node has.
    keyrings: [Keyring; 4],
    steps: Mutex<Vec<usize>>,
    /// Who is gone for good.
    retired: Mutex<Option<usize>>,
}

impl Nodes {
    pub fn new(world: Arc<World>, plan: Arc<Plan>) -> Self {
        let running = Mutex::new((0..plan.nodes).map(|_| None).collect());
        let ended = Mutex::new(vec![Duration::ZERO; plan.nodes]);
        let steps = Mutex::new(vec![0; plan.nodes]);
        let keys: Vec<PublicKey> = KEYS[..plan.nodes].iter().map(|key| key.public_key()).collect();
        let keyrings = keyring::steps(&keys, &keys[plan.retirement.map_or(0, |retirement| retirement.node)]);
        let (verifier, retired) = (Arc::default(), Mutex::default());
        Self { world, plan, verifier, running, ended, keyrings, steps, retired }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.plan.nodes
    }

    /// A node's file of keys is another one.
    pub fn set_keyring(&self, node: usize, step: usize) {
        self.steps.lock()[node] = step;
        if let Some((chain, _)) = self.chain(node) {
            chain.set_federation(self.federation(node));
        }
    }

    fn federation(&self, node: usize) -> Federation {
        Federation::of(KEYS[node].public_key(), &self.keyrings[self.steps.lock()[node]])
    }

    /// Ends a node for good.
    pub fn retire(&self, node: usize) {
        *self.retired.lock() = Some(node);
        self.kill(node);
    }

    /// Who has a node's lease.
    pub fn give_lease(&self, node: usize, ours: bool) {
        if let Some(process) = &self.running.lock()[node] {
            self.world.note(Some(node), if ours { "has the lease again" } else { "loses the lease" }, About::Nothing);
            process.duty.send_modify(|duty| {
                *duty = match duty {
                    _ if !ours => Duty::Theirs { holder: "somebody".to_owned() },
                    Duty::Ours { epoch } => Duty::Ours { epoch: *epoch },
                    _ => Duty::Ours { epoch: self.world.elapsed().as_millis() as u64 },
                };
            });
        }
    }

    /// Starts a node's process, if none runs and nothing that the last one sent can be on its way.
    pub fn start(&self, node: usize) {
        let slot = &mut self.running.lock()[node];
        let ended = self.ended.lock()[node];
        if slot.is_some()
            || *self.retired.lock() == Some(node)
            || !ended.is_zero() && self.world.elapsed() < ended + Duration::from_millis(LATE)
        {
            return;
        }
        self.world.note(Some(node), "starts", About::Nothing);
        let process = self.world.state.lock().chance.random();
        let connection = Connection::new(self.world.clone(), node, KEYS[node].public_key(), process);
        let store: Arc<dyn Store> = Arc::new(NodeStore::new(connection.clone(), self.plan.rules));
        let clock = self.world.clone();
        let chain = Arc::new(Chain::new(ChainParts {
            store,
            rules: self.plan.rules,
            verifier: self.verifier.clone(),
            federation: self.federation(node),
            clock: Arc::new(move || clock.now(node)),
            backlog_limit: Amount { transactions: 1_000, bytes: 3 << 20 },
        }));
        let context = Context {
            chain: chain.clone(),
            key: KEYS[node].clone(),
            events: Events::new(64),
            metrics: Arc::new(Metrics::new()),
            tuning: self.plan.tuning,
            decided: Decided::default(),
            vote_feed: Arc::default(),
            moving: Arc::default(),
        };
        let stop = watch::Sender::new(false);
        let duty = watch::Sender::new(Duty::Ours { epoch: 1 });
        let main = tokio::spawn(run(self.world.clone(), node, context, duty.subscribe(), stop.subscribe()));
        *slot = Some(Process { chain, connection, stop, duty, gone: CancellationToken::new(), main });
    }

    /// A process that is gone from one moment to the next.
    pub fn kill(&self, node: usize) {
        if let Some(process) = self.running.lock()[node].take() {
            self.world.died(node);
            self.end(node, &process);
        }
    }

    /// A node whose process has died by itself.
    pub fn dead(&self) -> Option<usize> {
        let dead = |slot: &Option<Process>| {
            slot.as_ref().is_some_and(|process| process.connection.dead.load(Ordering::SeqCst))
        };
        self.running.lock().iter().position(dead)
    }

    /// Tells a process to stop, and waits until it has.
    pub async fn stop(&self, node: usize) {
        let Some(mut process) = self.running.lock()[node].take() else { return };
        self.world.note(Some(node), "stops", About::Nothing);
        process.stop.send_replace(true);
        // What does not come to an end in time is cut off.
        let _ = tokio::time::timeout(STOPPING, &mut process.main).await;
        self.end(node, &process);
    }

    fn end(&self, node: usize, process: &Process) {
        process.connection.dead.store(true, Ordering::SeqCst);
        process.gone.cancel();
        process.main.abort();
        self.ended.lock()[node] = self.world.elapsed();
    }

    /// A node's ledger, as long as its process lives.
    pub fn chain(&self, node: usize) -> Option<(Arc<Chain>, CancellationToken)> {
        self.running.lock()[node].as_ref().map(|process| (process.chain.clone(), process.gone.clone()))
    }
}

/// What the program does once it is connected.
async fn run(
    world: Arc<World>,
    node: usize,
    context: Context,
    duty: watch::Receiver<Duty>,
    stopped: watch::Receiver<bool>,
) {
    let mut stages = JoinSet::new();
    stages.spawn(pipeline::duty::run(context, duty, watch::Sender::new(false), stopped.clone()));
    while let Some(end) = stages.join_next().await {
        // One that was told to stop may find no database to finish with.
        if !*stopped.borrow() || end.is_err() {
            return world.broken(format!("a stage of node {node} ended: {end:?}"));
        }
    }
}
