//! The nodes' processes: how they start, stop and die.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bigchaindb::chain::{Chain, ChainParts};
use bigchaindb::events::Events;
use bigchaindb::federation::Federation;
use bigchaindb::metrics::Metrics;
use bigchaindb::pipeline::decided::Decided;
use bigchaindb::pipeline::{self, Context};
use bigchaindb::store::{Amount, Store};
use ledger::crypto::{DecodedKey, PrivateKey, Verifier};
use ledger::ids::PublicKey;
use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

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
}

impl Nodes {
    pub fn new(world: Arc<World>, plan: Arc<Plan>) -> Self {
        let running = Mutex::new((0..plan.nodes).map(|_| None).collect());
        let ended = Mutex::new(vec![Duration::ZERO; plan.nodes]);
        Self { world, plan, verifier: Arc::default(), running, ended }
    }

    /// Starts a node's process, if none runs and nothing that the last one sent can be on its way.
    pub fn start(&self, node: usize) {
        let slot = &mut self.running.lock()[node];
        let ended = self.ended.lock()[node];
        if slot.is_some() || !ended.is_zero() && self.world.elapsed() < ended + Duration::from_millis(LATE) {
            return;
        }
        self.world.note(Some(node), "starts", About::Nothing);
        let keys: Vec<PublicKey> = KEYS[..self.plan.nodes].iter().map(|key| key.public_key()).collect();
        let process = self.world.state.lock().chance.random();
        let connection = Connection::new(self.world.clone(), node, keys[node], process);
        let store: Arc<dyn Store> = Arc::new(NodeStore::new(connection.clone(), self.plan.rules));
        let clock = self.world.clone();
        let chain = Arc::new(Chain::new(ChainParts {
            store,
            rules: self.plan.rules,
            verifier: self.verifier.clone(),
            federation: Federation::new(keys[node], &keys),
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
            moving: Arc::default(),
        };
        let stop = watch::Sender::new(false);
        let (world, stopped) = (self.world.clone(), stop.subscribe());
        let main = tokio::spawn(run(world, node, context, stopped));
        *slot = Some(Process { chain, connection, stop, gone: CancellationToken::new(), main });
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
async fn run(world: Arc<World>, node: usize, context: Context, stopped: watch::Receiver<bool>) {
    if let Err(error) = pipeline::election::catch_up(&context).await {
        return world.broken(format!("node {node} could not catch up: {error}"));
    }
    let mut stages = pipeline::spawn(&context, &stopped);
    while let Some(end) = stages.join_next().await {
        // One that was told to stop may find no database to finish with.
        if !*stopped.borrow() || end.is_err() {
            return world.broken(format!("a stage of node {node} ended: {end:?}"));
        }
    }
}
