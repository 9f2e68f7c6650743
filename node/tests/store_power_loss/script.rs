//! What is done to the store while the power is about to go: a ledger's life by chance, from a seed.

use std::sync::Arc;

use bigchaindb::store::{BacklogEntry, Rejection, Store};
use futures_util::future::join_all;
use ledger::block::Block;
use ledger::ids::{BlockId, TxId};
use ledger::transaction::{Operation, Transaction};
use ledger::vote::Vote;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use crate::world::{Written, block, create, entry, genesis, public, rejection, settings, taken, transfer, vote};

/// One write.
#[derive(Clone)]
enum Write {
    Initialise,
    Backlog(Vec<BacklogEntry>),
    Block(Arc<Block>),
    Vote(Vote),
    Decide(BlockId, bool, Vec<BacklogEntry>),
    Reject(Vec<Rejection>),
    Delete(Vec<Arc<Transaction>>),
    Reassign(Vec<BacklogEntry>, u8, u64),
}

/// Writes that are made at once.
type Step = Vec<Write>;

/// Transactions, made once: signing takes the most time of a test.
pub struct Pool(Vec<Arc<Transaction>>);

impl Pool {
    pub fn new() -> Self {
        let mut all = Vec::new();
        for n in 0..12_u64 {
            let money = create(4, &[(4, 1), (5, n + 1)], &format!("{{\"number\":{n},\"padding\":\"{}\"}}", padding(n)));
            all.push(transfer(4, &[(&money, 0)], &[(6, 1)]));
            all.push(transfer(4, &[(&money, 0)], &[(7, 1)]));
            all.push(money);
        }
        Self(all)
    }
}

fn padding(n: u64) -> String {
    "x".repeat(n as usize * 40)
}

/// A sequence of steps, and what they write.
pub struct Script {
    steps: Vec<Step>,
    pub written: Written,
}

/// The script's own idea of the ledger while it is made up.
struct Author<'a> {
    random: StdRng,
    pool: &'a Pool,
    backlog: Vec<BacklogEntry>,
    open: Vec<(Arc<Block>, u8)>,
    blocks: Vec<BlockId>,
    previous: Arc<Block>,
    time: u64,
}

impl Script {
    /// As many steps, from a seed.
    pub fn new(seed: u64, steps: usize, pool: &Pool) -> Self {
        let genesis = Arc::new(genesis());
        let mut author = Author {
            random: StdRng::seed_from_u64(seed),
            pool,
            backlog: Vec::new(),
            open: Vec::new(),
            blocks: vec![genesis.id],
            previous: genesis.clone(),
            time: 0,
        };
        let mut all = vec![vec![Write::Initialise]];
        while all.len() < steps {
            // Writes made at once touch different things, so that their order does not matter to the outcome.
            let mut step = author.backlog();
            if author.random.random_bool(0.7) {
                step = author.something();
            }
            if !step.is_empty() {
                all.push(step);
            }
        }
        let transactions = pool.0.iter().cloned().chain(genesis.transactions.iter().cloned()).collect();
        Self { steps: all, written: Written { transactions, blocks: author.blocks } }
    }

    /// Texts that assets of the pool hold, each only one of them, with the transactions that made them.
    pub fn words(&self) -> impl Iterator<Item = (String, TxId)> {
        let creates = self.written.transactions.iter().filter(|tx| tx.operation() == Operation::Create);
        creates.zip(0..).skip(1).map(|(tx, n)| (padding(n), tx.id()))
    }

    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Makes the nth step; `false`: the store refused it.
    pub async fn make(&self, n: usize, store: &dyn Store) -> bool {
        join_all(self.steps[n].iter().map(|write| write.make(store))).await.into_iter().all(|done| done)
    }

    /// The same script with one write in each step: it leads to the same log each time.
    pub fn one_by_one(self) -> Self {
        Self { steps: self.steps.into_iter().flatten().map(|write| vec![write]).collect(), written: self.written }
    }
}

impl Write {
    async fn make(&self, store: &dyn Store) -> bool {
        match self.clone() {
            Self::Initialise => {
                if store.settings().await.unwrap().is_some() {
                    return true;
                }
                store.initialise(&settings(), &genesis()).await.is_ok()
            }
            Self::Backlog(entries) => store.write_backlog(entries).await.is_ok(),
            Self::Block(block) => store.write_block(block, &taken()).await.is_ok(),
            Self::Vote(vote) => store.write_vote(&vote).await.is_ok(),
            Self::Decide(block, valid, requeue) => store.decide(&block, valid, requeue).await.is_ok(),
            Self::Reject(rejections) => store.reject(rejections).await.is_ok(),
            Self::Delete(txs) => store.delete_backlog(&txs.iter().map(|tx| tx.id()).collect::<Vec<_>>()).await.is_ok(),
            Self::Reassign(entries, to, at) => store.reassign(&entries, public(to), at).await.is_ok(),
        }
    }
}

impl Author<'_> {
    fn tick(&mut self) -> u64 {
        self.time += 1;
        self.time
    }

    /// One to three calls with one to three transactions each.
    fn backlog(&mut self) -> Step {
        let (calls, mut step) = (self.random.random_range(1..=3), Vec::new());
        let mut drawn = self.pool.0.clone();
        drawn.shuffle(&mut self.random);
        for _ in 0..calls {
            let n = self.random.random_range(1..=3);
            let at = self.tick();
            let txs: Vec<_> = drawn.drain(..n).collect();
            let entries: Vec<_> = txs.iter().map(|tx| entry(tx, 1, at)).collect();
            for entry in &entries {
                if !self.backlog.iter().any(|e| e.transaction.id() == entry.transaction.id()) {
                    self.backlog.push(entry.clone());
                }
            }
            step.push(Write::Backlog(entries));
        }
        step
    }

    fn something(&mut self) -> Step {
        match self.random.random_range(0..10) {
            0..3 => self.block(),
            3..6 => self.vote(),
            6..8 => self.decide(),
            8 => self.drop_some(),
            _ => self.reassign(),
        }
    }

    fn some_entries(&mut self, most: usize) -> Vec<BacklogEntry> {
        let n = self.random.random_range(1..=most).min(self.backlog.len());
        self.backlog.shuffle(&mut self.random);
        self.backlog.drain(..n).collect()
    }

    fn block(&mut self) -> Step {
        let mut txs: Vec<_> = self.some_entries(6).into_iter().map(|entry| entry.transaction).collect();
        if txs.is_empty() || self.random.random_bool(0.2) {
            // One that is in no backlog, or in another block.
            let stranger = self.pool.0.choose(&mut self.random).unwrap().clone();
            txs.retain(|tx| tx.id() != stranger.id());
            txs.push(stranger);
        }
        let at = self.tick();
        let made = block(&txs.iter().collect::<Vec<_>>(), at);
        self.blocks.push(made.id);
        self.open.push((made.clone(), 0));
        vec![Write::Block(made)]
    }

    /// Votes of several nodes on one block at once.
    fn vote(&mut self) -> Step {
        let Some(at) = (0..self.open.len()).collect::<Vec<_>>().choose(&mut self.random).copied() else {
            return Vec::new();
        };
        let (made, voted) = self.open[at].clone();
        let n = self.random.random_range(1..=2).min(3 - voted);
        self.open[at].1 += n;
        let votes = (voted + 1..=voted + n).map(|node| vote(node, &made, &self.previous, self.random.random_bool(0.8)));
        let votes = votes.collect::<Vec<_>>();
        self.previous = made;
        votes.into_iter().map(Write::Vote).collect()
    }

    fn decide(&mut self) -> Step {
        if self.open.is_empty() {
            return Vec::new();
        }
        let (made, _) = self.open.remove(self.random.random_range(0..self.open.len()));
        let valid = self.random.random_bool(0.7);
        let at = self.tick();
        let requeue: Vec<_> =
            if valid { Vec::new() } else { made.transactions.iter().map(|tx| entry(tx, 2, at)).collect() };
        self.backlog.extend(requeue.iter().cloned());
        vec![Write::Decide(made.id, valid, requeue)]
    }

    fn drop_some(&mut self) -> Step {
        let txs: Vec<_> = self.some_entries(2).into_iter().map(|entry| entry.transaction).collect();
        let at = self.tick();
        if txs.is_empty() {
            Vec::new()
        } else if self.random.random_bool(0.5) {
            vec![Write::Delete(txs)]
        } else {
            vec![Write::Reject(txs.iter().map(|tx| rejection(tx, at)).collect())]
        }
    }

    fn reassign(&mut self) -> Step {
        let old = self.some_entries(3);
        let (to, at) = (self.random.random_range(1..=3), self.tick());
        self.backlog.extend(old.iter().map(|e| entry(&e.transaction, to, at)));
        if old.is_empty() { Vec::new() } else { vec![Write::Reassign(old, to, at)] }
    }
}
