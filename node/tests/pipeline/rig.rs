//! A node's pipelines over a store of their own, without HTTP.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bigchaindb::chain::{Chain, ChainParts};
use bigchaindb::events::Events;
use bigchaindb::federation::Federation;
use bigchaindb::metrics::Metrics;
use bigchaindb::pipeline::decided::Decided;
use bigchaindb::pipeline::{self, Context, StageEnd, Tuning};
use bigchaindb::store::embedded::{EmbeddedStore, Options};
use bigchaindb::store::{Amount, BacklogEntry, Settings, Store};
use ledger::block::Block;
use ledger::build::{self, Recipient};
use ledger::crypto::{PrivateKey, Uncached};
use ledger::ids::{PublicKey, TxId};
use ledger::json;
use ledger::rules::Rules;
use ledger::transaction::Transaction;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

/// Everything waits at most this long.
const DEADLINE: Duration = Duration::from_secs(20);

pub struct Rig {
    pub store: Arc<dyn Store>,
    pub chain: Arc<Chain>,
    pub key: Arc<PrivateKey>,
    pub events: broadcast::Receiver<Arc<Block>>,
    clock: Arc<AtomicU64>,
    context: Context,
    stop: watch::Sender<bool>,
    stages: JoinSet<StageEnd>,
    _directory: tempfile::TempDir,
}

/// What may wait for a block.
const BACKLOG_LIMIT: Amount = Amount { transactions: 1_000, bytes: 3 << 20 };

pub fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

impl Rig {
    /// A new ledger; the pipelines do not run yet.
    pub async fn new(rules: Rules) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(EmbeddedStore::open(&directory.path().join("data"), Options::default()).unwrap());
        let key = Arc::new(key(1));
        let genesis = Block::genesis(&[key.public_key()], 1_500_000_000, &key);
        store.initialise(&Settings { rules }, &genesis).await.unwrap();
        let clock = Arc::new(AtomicU64::new(1_500_000_000_000));
        let time = clock.clone();
        let chain = Arc::new(Chain::new(ChainParts {
            store: store.clone(),
            rules,
            verifier: Arc::new(Uncached),
            federation: Federation::new(key.public_key(), &[]),
            clock: Arc::new(move || time.load(Ordering::SeqCst)),
            backlog_limit: BACKLOG_LIMIT,
        }));
        let events = Events::new(64);
        let tuning = Tuning {
            block_wait: Duration::from_millis(5),
            stale_interval: Duration::from_millis(20),
            ..Tuning::default()
        };
        let context = Context {
            chain: chain.clone(),
            key: key.clone(),
            events: events.clone(),
            metrics: Arc::new(Metrics::new()),
            tuning,
            decided: Decided::default(),
            vote_feed: Arc::default(),
            moving: Arc::default(),
        };
        let subscription = events.subscribe();
        Self {
            store,
            chain,
            key,
            events: subscription,
            clock,
            context,
            stop: watch::Sender::new(false),
            stages: JoinSet::new(),
            _directory: directory,
        }
    }

    /// Before the start.
    pub fn tune(&mut self, change: impl FnOnce(&mut Tuning)) {
        change(&mut self.context.tuning);
    }

    /// What the stages tell each other of decisions.
    pub fn decided(&self) -> Decided {
        self.context.decided.clone()
    }

    pub fn start(&mut self) {
        self.stages = pipeline::spawn(&self.context, &self.stop.subscribe());
    }

    /// Stops the stages; each must have ended well.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(end) = self.stages.join_next().await {
            let (stage, result) = end.unwrap();
            result.unwrap_or_else(|e| panic!("{stage}: {e}"));
        }
    }

    pub fn advance(&self, milliseconds: u64) {
        self.clock.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Into the backlog, past admission: as another node would.
    pub async fn slip_in(&self, transactions: &[&Arc<Transaction>], assignee: PublicKey) {
        let assigned_at = self.chain.now();
        let entry = |tx: &&Arc<Transaction>| BacklogEntry { transaction: Arc::clone(tx), assignee, assigned_at };
        self.store.write_backlog(transactions.iter().map(entry).collect()).await.unwrap();
    }

    /// Waits for blocks until all these transactions were announced as valid; gives the blocks.
    pub async fn until_valid(&mut self, transactions: &[&Arc<Transaction>]) -> Vec<Arc<Block>> {
        let mut open: HashSet<TxId> = transactions.iter().map(|tx| tx.id()).collect();
        let mut blocks = Vec::new();
        while !open.is_empty() {
            let event = tokio::time::timeout(DEADLINE, self.events.recv()).await;
            let block = event.unwrap_or_else(|_| panic!("not valid in time: {open:?}")).unwrap();
            for tx in &block.transactions {
                open.remove(&tx.id());
            }
            blocks.push(block);
        }
        blocks
    }

    /// Waits until this transaction is rejected; gives the class and the message.
    pub async fn until_rejected(&self, tx: &Transaction) -> (String, String) {
        let mut rejection = None;
        until(&format!("a rejection of {}", tx.id()), async || {
            rejection = self.store.rejection(&tx.id()).await.unwrap();
            rejection.is_some()
        })
        .await;
        let rejection = rejection.unwrap();
        (rejection.class, rejection.message)
    }
}

/// Asks again and again until the answer is yes.
pub async fn until(what: &str, mut yes: impl AsyncFnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let asking = async {
        while !yes().await {
            tick.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

fn finish(unsigned: json::Value<'_>, signer: &PrivateKey) -> Arc<Transaction> {
    let signed = build::sign(&unsigned, std::slice::from_ref(signer)).unwrap();
    Arc::new(Transaction::from_value(&signed).unwrap())
}

/// A signed CREATE of `amount` shares for the signer; `n` makes it unlike others.
pub fn create(signer: &PrivateKey, n: i64, amount: u64) -> Arc<Transaction> {
    let me = signer.public_key();
    let text = format!(r#"{{"n": {n}}}"#);
    let asset = json::parse(text.as_bytes()).unwrap();
    let to = [Recipient { public_keys: vec![me], amount }];
    finish(build::create(&[me], &to, Some(asset), None).unwrap(), signer)
}

/// A signed CREATE with an asset of so many bytes.
pub fn large(signer: &PrivateKey, n: i64, bytes: usize) -> Arc<Transaction> {
    let me = signer.public_key();
    let text = format!(r#"{{"n": {n}, "text": "{}"}}"#, "x".repeat(bytes));
    let asset = json::parse(text.as_bytes()).unwrap();
    let to = [Recipient { public_keys: vec![me], amount: 1 }];
    finish(build::create(&[me], &to, Some(asset), None).unwrap(), signer)
}

/// A signed TRANSFER of the first output to `to`; the amount may be wrong on purpose.
pub fn transfer(spent: &Transaction, signer: &PrivateKey, to: PublicKey, amount: u64) -> Arc<Transaction> {
    let to = [Recipient { public_keys: vec![to], amount }];
    finish(build::transfer(&[(spent, 0)], &to, None).unwrap(), signer)
}
