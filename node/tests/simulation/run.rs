//! Runs one schedule from its seed to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bigchaindb::chain::SubmitError;
use bigchaindb::store::BacklogEntry;
use ledger::block::Block;
use ledger::ids::PublicKey;
use ledger::rules::Rules;
use ledger::transaction::Transaction;
use rand::RngExt;
use rand::seq::IndexedRandom;

use crate::corpus::CORPUS;
use crate::database::{Database, Key};
use crate::invariants;
use crate::keyring;
use crate::nodes::{KEYS, Nodes};
use crate::plan::{Fault, Plan, Sending, skew};
use crate::world::{About, LATE, Link, World};

/// Within which time everything has a verdict once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(900);

/// How often a client looks whether what it wants to spend is there, milliseconds.
const LOOK: u64 = 200;

/// How a schedule went.
pub struct Outcome {
    /// Of all events.
    pub hash: u64,
    /// The broken promise.
    pub failure: Option<String>,
    /// All events, if they were asked for.
    pub trace: String,
    /// How much happened.
    pub counts: Counts,
}

/// What schedules come to: many in which little happens prove little.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Transactions taken in.
    pub accepted: usize,
    /// Of those, the ones that were rejected.
    pub rejected: usize,
    /// Blocks written.
    pub blocks: usize,
    /// Of those, the ones that were decided invalid.
    pub invalid: usize,
    /// Processes that died.
    pub deaths: usize,
    /// Requests whose outcome a node did not hear of.
    pub failures: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.blocks += other.blocks;
        self.invalid += other.invalid;
        self.deaths += other.deaths;
        self.failures += other.failures;
    }
}

/// Runs a schedule.
pub fn run(seed: u64, verbose: bool) -> Outcome {
    let threads = Arc::new(AtomicBool::new(false));
    let other_thread = threads.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_start(move || other_thread.store(true, Ordering::SeqCst))
        .build()
        .unwrap();
    let mut outcome = runtime.block_on(schedule(seed, verbose));
    if threads.load(Ordering::SeqCst) {
        let fault = "work was given to another thread: such a schedule does not replay".to_owned();
        outcome.failure.get_or_insert(fault);
    }
    outcome
}

async fn schedule(seed: u64, verbose: bool) -> Outcome {
    let plan = Arc::new(Plan::new(seed));
    let keys: Vec<PublicKey> = KEYS[..plan.nodes].iter().map(|key| key.public_key()).collect();
    let genesis = Arc::new(Block::genesis(&keys, 1_500_000_000, &KEYS[0]));
    let mut db = Database::new(genesis.clone(), keys, plan.rules == Rules::Strict);
    db.insert_block(Key { seconds: 0, process: 0, counter: 0 }, genesis);
    let world = Arc::new(World::new(seed, verbose, db));
    for (peer, skew) in world.state.lock().peers.iter_mut().zip(&plan.skews) {
        (peer.skew, peer.link) = (*skew, plan.link);
    }
    let nodes = Arc::new(Nodes::new(world.clone(), plan.clone()));
    (0..plan.nodes).for_each(|node| nodes.start(node));
    let open = Arc::new(AtomicUsize::new(plan.sendings.len()));
    for sending in plan.sendings.clone() {
        let client = Client { world: world.clone(), nodes: nodes.clone(), plan: plan.clone() };
        let open = open.clone();
        tokio::spawn(async move {
            client.send(sending).await;
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
    if let Some(retirement) = plan.retirement {
        open.fetch_add(1, Ordering::SeqCst);
        let retiring = keyring::retire(world.clone(), nodes.clone(), retirement);
        let open = open.clone();
        tokio::spawn(async move {
            retiring.await;
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
    let story = async {
        let _ = tokio::time::timeout(plan.fair, trouble(&world, &nodes, &plan)).await;
        make_fair(&world, &nodes, &plan).await;
        until_settled(&world, &open).await;
    };
    tokio::pin!(story);
    loop {
        tokio::select! {
            biased;
            () = world.alarm.notified() => {
                if world.look(|db| db.violation.is_some()) {
                    break;
                }
                while let Some(node) = nodes.dead() {
                    die(&world, &nodes, node, false);
                }
            }
            () = &mut story => break,
        }
    }
    let state = &mut *world.state.lock();
    Outcome {
        hash: state.trace.hash(),
        failure: state.db.violation.clone(),
        trace: state.trace.lines.take().unwrap_or_default(),
        counts: Counts {
            accepted: state.db.accepted.len(),
            rejected: state.db.accepted.iter().filter(|id| state.db.rejections.contains_key(id)).count(),
            blocks: state.db.blocks.len(),
            invalid: state.db.invalid_blocks(),
            deaths: state.trace.deaths,
            failures: state.trace.failures,
        },
    }
}

/// How long a process that died stays away. Not less than a request that it sent may still be on its way.
fn away(world: &World, long: bool) -> Duration {
    let most = if long { 60_000 } else { 3_000 };
    Duration::from_millis(LATE + world.state.lock().chance.random_range(1..=most))
}

/// Lets things go wrong, for ever.
async fn trouble(world: &Arc<World>, nodes: &Arc<Nodes>, plan: &Plan) {
    if plan.faults.is_empty() {
        return std::future::pending().await;
    }
    loop {
        let (pause, node, fault) = {
            let chance = &mut world.state.lock().chance;
            let pause = plan.pause.mul_f64(chance.random_range(0.0..1.0));
            (pause, chance.random_range(0..plan.nodes), *plan.faults.choose(chance).unwrap())
        };
        tokio::time::sleep(pause).await;
        world.note(Some(node), "fault", About::Number(fault as u64));
        harm(world, nodes, plan, node, fault);
    }
}

/// A process dies, and another one comes.
fn die(world: &World, nodes: &Arc<Nodes>, node: usize, for_long: bool) {
    nodes.kill(node);
    let (nodes, pause) = (nodes.clone(), away(world, for_long));
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        nodes.start(node);
    });
}

fn harm(world: &Arc<World>, nodes: &Arc<Nodes>, plan: &Plan, node: usize, fault: Fault) {
    match fault {
        Fault::Crash | Fault::Away => die(world, nodes, node, fault == Fault::Away),
        Fault::Blackout => (0..plan.nodes).for_each(|node| die(world, nodes, node, false)),
        Fault::Lease => {
            nodes.give_lease(node, false);
            let (nodes, pause) = (nodes.clone(), away(world, false));
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                nodes.give_lease(node, true);
            });
        }
        Fault::Restart => {
            let (nodes, pause) = (nodes.clone(), away(world, false));
            tokio::spawn(async move {
                nodes.stop(node).await;
                tokio::time::sleep(pause).await;
                nodes.start(node);
            });
        }
        _ => {
            let state = &mut *world.state.lock();
            let (peer, chance) = (&mut state.peers[node], &mut state.chance);
            match fault {
                Fault::Slow if peer.link.slow > 0 => (peer.link.slow, peer.link.slow_often) = (0, 0),
                Fault::Slow => {
                    peer.link.slow = *[100, 1000, 5000].choose(chance).unwrap();
                    peer.link.slow_often = *[20, 100, 300].choose(chance).unwrap();
                }
                Fault::Failing if peer.link.lost > 0 => {
                    (peer.link.lost, peer.link.unanswered, peer.link.late) = (0, 0, 0);
                }
                Fault::Failing => {
                    let often = *[10, 50, 200].choose(chance).unwrap();
                    (peer.link.lost, peer.link.unanswered, peer.link.late) = (often, often, often);
                }
                Fault::Cut => peer.link.cut = !peer.link.cut,
                Fault::CrashAfterWrite => peer.writes_left = Some(chance.random_range(1..=12)),
                Fault::Interrupted => peer.interrupted += 1,
                Fault::Forgotten => peer.forgotten += 1,
                Fault::Clock => peer.skew = skew(chance),
                Fault::Crash | Fault::Away | Fault::Restart | Fault::Blackout | Fault::Lease => {}
            }
            if peer.link.lost == 0 {
                peer.link.delay = plan.link.delay;
            }
        }
    }
}

/// From now on nothing goes wrong.
async fn make_fair(world: &World, nodes: &Nodes, plan: &Plan) {
    world.note(None, "nothing goes wrong from here on", About::Nothing);
    for peer in &mut world.state.lock().peers {
        (peer.link, peer.writes_left) = (Link::CALM, None);
        if plan.mended_clocks {
            peer.skew = 0;
        }
    }
    // What was cut off or told to stop has ended by then.
    tokio::time::sleep(Duration::from_secs(15)).await;
    (0..plan.nodes).for_each(|node| {
        nodes.start(node);
        nodes.give_lease(node, true);
    });
}

/// Waits until every transaction has its verdict.
async fn until_settled(world: &World, open: &AtomicUsize) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let deadline = world.elapsed() + PATIENCE;
    loop {
        tick.tick().await;
        let sending = open.load(Ordering::SeqCst);
        let open = if sending > 0 { Some(format!("{sending} clients, or keyrings, are under way")) } else { None };
        let Some(reason) = open.or_else(|| world.look(invariants::unsettled)) else { break };
        if world.elapsed() > deadline {
            return world.broken(format!("not settled after {} s without a fault: {reason}", PATIENCE.as_secs()));
        }
    }
    if let Some(reason) = world.look(invariants::rejected_rightly) {
        world.broken(reason);
    }
}

/// Somebody who sends one transaction until it is taken in or refused for good.
struct Client {
    world: Arc<World>,
    nodes: Arc<Nodes>,
    plan: Arc<Plan>,
}

impl Client {
    async fn send(&self, sending: Sending) {
        tokio::time::sleep(sending.at).await;
        let asset = &CORPUS.assets[sending.asset];
        let tx = asset.all()[sending.which];
        let mut node = sending.node;
        while asset.input(sending.which).is_some_and(|input| !self.valid_anywhere(input))
            && !asset.lost(sending.which, |tx| self.valid_anywhere(tx))
        {
            // All at the same moments, so that rivals meet.
            let past = self.world.elapsed().as_millis() as u64 % LOOK;
            tokio::time::sleep(Duration::from_millis(LOOK - past)).await;
        }
        tokio::time::sleep(sending.after).await;
        loop {
            if asset.lost(sending.which, |tx| self.valid_anywhere(tx)) {
                self.world.note(None, "will never be possible:", About::Tx(tx.id()));
                return;
            }
            let sent =
                if sending.slipped { self.slip_in(asset, sending.which, node) } else { self.submit(tx, node).await };
            match sent {
                Sent::Accepted => {
                    self.world.note(Some(node), "takes in", About::Tx(tx.id()));
                    self.world.apply_nobody(|db| db.accept(tx.id()));
                    return;
                }
                Sent::Refused => {
                    self.world.note(Some(node), "refuses", About::Tx(tx.id()));
                    return;
                }
                Sent::NotYet => {}
            }
            let pause = {
                let chance = &mut self.world.state.lock().chance;
                node = chance.random_range(0..self.plan.nodes);
                chance.random_range(100..3000)
            };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn valid_anywhere(&self, tx: &Transaction) -> bool {
        self.world.look(|db| db.nodes.iter().any(|node| db.is_valid(node, &tx.id())))
    }

    async fn submit(&self, tx: &Arc<Transaction>, node: usize) -> Sent {
        let Some((chain, gone)) = self.nodes.chain(node) else { return Sent::NotYet };
        match gone.run_until_cancelled(chain.submit(tx.clone())).await {
            Some(Ok(())) => Sent::Accepted,
            Some(Err(SubmitError::Invalid(broken))) if broken.class() == "DoubleSpend" => Sent::Refused,
            // Its input is not valid yet, or the outcome is unknown.
            Some(Err(_)) | None => Sent::NotYet,
        }
    }

    /// As a Python node does it: it looks whether the input is valid and the output free, and gives it to somebody else.
    fn slip_in(&self, asset: &crate::corpus::Asset, which: usize, node: usize) -> Sent {
        let tx = asset.all()[which];
        if !asset.input(which).is_none_or(|input| self.valid_anywhere(input)) {
            return Sent::NotYet;
        }
        let (process, other) = {
            let chance = &mut self.world.state.lock().chance;
            (chance.random(), chance.random_range(1..self.plan.nodes))
        };
        let assignee = KEYS[(node + other) % self.plan.nodes].public_key();
        let entry = BacklogEntry { transaction: tx.clone(), assignee, assigned_at: self.world.now(node) };
        let key = self.world.key(node, process, 0);
        self.world.apply_nobody(|db| {
            let free = db.holding(|held| held.id() == tx.id()).is_empty();
            let rival = |held: &Transaction| held.spends().any(|output| tx.spends().any(|spent| spent == output));
            if free && db.holding(rival).is_empty() {
                db.insert_backlog(key, entry);
                Sent::Accepted
            } else {
                Sent::Refused
            }
        })
    }
}

enum Sent {
    Accepted,
    Refused,
    NotYet,
}
