//! A ledger for tests: keys, transactions, blocks, votes, and everything that a store answers, as one value.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;

use bigchaindb::store::{BacklogEntry, Located, Position, Rejection, Result, Settings, Store, Taken};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use ledger::block::Block;
use ledger::build::{self, Recipient};
use ledger::crypto::PrivateKey;
use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};
use ledger::json;
use ledger::rules::Rules;
use ledger::transaction::{Operation, Transaction};
use ledger::vote::Vote;

/// A key pair from a number.
pub fn key(n: u8) -> PrivateKey {
    PrivateKey::from_seed(&[n; 32])
}

/// Its public half.
pub fn public(n: u8) -> PublicKey {
    key(n).public_key()
}

/// A signed CREATE by a key: one output of as many shares for each owner; the asset's data as JSON.
pub fn create(by: u8, owners: &[(u8, u64)], data: &str) -> Arc<Transaction> {
    let data = json::parse(data.as_bytes()).unwrap();
    let unsigned = build::create(&[public(by)], &recipients(owners), Some(data), None).unwrap();
    signed(&unsigned, &[key(by)])
}

/// A signed TRANSFER of outputs that all belong to one key.
pub fn transfer(by: u8, spent: &[(&Transaction, u64)], owners: &[(u8, u64)]) -> Arc<Transaction> {
    let unsigned = build::transfer(spent, &recipients(owners), None).unwrap();
    signed(&unsigned, &[key(by)])
}

fn recipients(owners: &[(u8, u64)]) -> Vec<Recipient> {
    owners.iter().map(|(owner, amount)| Recipient { public_keys: vec![public(*owner)], amount: *amount }).collect()
}

fn signed(unsigned: &json::Value<'_>, keys: &[PrivateKey]) -> Arc<Transaction> {
    Arc::new(Transaction::from_value(&build::sign(unsigned, keys).unwrap()).unwrap())
}

/// The same transaction with another signature: ids do not cover signatures.
pub fn other_copy(tx: &Transaction) -> Arc<Transaction> {
    let text = std::str::from_utf8(tx.bytes()).unwrap();
    let (head, tail) = text.split_once("\"fulfillment\":\"").unwrap();
    let (fulfillment, tail) = tail.split_once('"').unwrap();
    // A character in the middle of the signature, which is the fulfillment's second half.
    let at = fulfillment.len() - 20;
    let other = if fulfillment.as_bytes()[at] == b'A' { "B" } else { "A" };
    let fulfillment = format!("{}{other}{}", &fulfillment[..at], &fulfillment[at + 1..]);
    let text = format!("{head}\"fulfillment\":\"{fulfillment}\"{tail}");
    let copy = Transaction::from_value(&json::parse(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(copy.id(), tx.id());
    assert_ne!(copy.bytes(), tx.bytes());
    Arc::new(copy)
}

/// An entry of the backlog.
pub fn entry(tx: &Arc<Transaction>, assignee: u8, assigned_at: u64) -> BacklogEntry {
    BacklogEntry { transaction: tx.clone(), assignee: public(assignee), assigned_at }
}

/// What waits for node 1, whenever it was assigned.
pub fn taken() -> Taken {
    Taken { assignee: public(1), assigned_at: 0..=u64::MAX }
}

/// A block by node 1.
pub fn block(transactions: &[&Arc<Transaction>], timestamp: u64) -> Arc<Block> {
    let transactions = transactions.iter().map(|tx| (*tx).clone()).collect();
    Arc::new(Block::create(transactions, &[public(1), public(2), public(3)], timestamp, &key(1)))
}

/// A vote.
pub fn vote(node: u8, block: &Block, previous: &Block, valid: bool) -> Vote {
    Vote::create(block.id, previous.id, valid, 1_500_000_000, &key(node))
}

/// A reason to drop a transaction.
pub fn rejection(tx: &Transaction, at: u64) -> Rejection {
    let message = format!("input `{}` was already spent", tx.id());
    Rejection { transaction_id: tx.id(), class: "DoubleSpend".to_owned(), message, at }
}

/// The genesis block of every test.
pub fn genesis() -> Block {
    Block::genesis(&[public(1), public(2), public(3)], 1_500_000_000, &key(1))
}

/// The settings of every test.
pub fn settings() -> Settings {
    Settings { rules: Rules::Strict }
}

/// Records settings and genesis block.
pub async fn initialise(store: &dyn Store) -> Arc<Block> {
    store.initialise(&settings(), &genesis()).await.unwrap();
    store.genesis().await.unwrap()
}

/// What a feed has to give now, all of it, in batches of this size; and where to go on.
pub async fn backlog_now(
    store: &dyn Store,
    mut after: Option<Position>,
    limit: usize,
) -> (Vec<BacklogEntry>, Option<Position>) {
    let mut items = Vec::new();
    while let Some(batch) = ready(store.backlog_feed(after.as_ref(), limit)).await {
        assert!(!batch.items.is_empty() && batch.items.len() <= limit);
        items.extend(batch.items);
        after = Some(batch.position);
    }
    (items, after)
}

/// See [`backlog_now`]: ids and statuses.
pub async fn blocks_now(
    store: &dyn Store,
    mut after: Option<Position>,
    limit: usize,
) -> (Vec<String>, Option<Position>) {
    let mut items = Vec::new();
    while let Some(batch) = ready(store.block_feed(after.as_ref(), limit)).await {
        assert!(!batch.items.is_empty() && batch.items.len() <= limit);
        items.extend(batch.items.iter().map(|b| format!("{} {}", b.block.id, b.status.as_str())));
        after = Some(batch.position);
    }
    (items, after)
}

/// See [`backlog_now`]: the votes' texts.
pub async fn votes_now(
    store: &dyn Store,
    mut after: Option<Position>,
    limit: usize,
) -> (Vec<String>, Option<Position>) {
    let mut items = Vec::new();
    while let Some(batch) = ready(store.vote_feed(after.as_ref(), limit)).await {
        assert!(!batch.items.is_empty() && batch.items.len() <= limit);
        items.extend(batch.items.iter().map(|v| String::from_utf8(v.bytes.to_vec()).unwrap()));
        after = Some(batch.position);
    }
    (items, after)
}

/// Runs a test. One thread does all blocking work, in order: see [`ready`].
pub fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().max_blocking_threads(1).build().unwrap().block_on(test);
}

/// Waits until a backend's feeds have read everything that was written before.
pub type CaughtUp = Box<dyn Fn() -> LocalBoxFuture<'static, ()>>;

thread_local! {
    /// For backends whose feeds are fed from elsewhere. Each test runs on a thread of its own: see [`run`].
    pub static CAUGHT_UP: RefCell<Option<CaughtUp>> = const { RefCell::new(None) };
}

/// What a feed answers without waiting for a write. It may wait for a look-up on the blocking thread, so it is asked
/// again when that thread has done what it was asked to.
async fn ready<T>(feed: impl Future<Output = Result<T>>) -> Option<T> {
    tokio::pin!(feed);
    if let Some(caught_up) = CAUGHT_UP.with_borrow(|caught_up| caught_up.as_ref().map(|caught_up| caught_up())) {
        return tokio::select! {
            biased;
            answer = &mut feed => Some(answer.unwrap()),
            () = caught_up => feed.now_or_never().map(Result::unwrap),
        };
    }
    for _ in 0..2 {
        if let Some(answer) = feed.as_mut().now_or_never() {
            return Some(answer.unwrap());
        }
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }
    feed.now_or_never().map(Result::unwrap)
}

/// Everything that a test wrote and may ask for.
#[derive(Clone, Default)]
pub struct Written {
    /// Transactions, in whatever state.
    pub transactions: Vec<Arc<Transaction>>,
    /// Blocks.
    pub blocks: Vec<BlockId>,
}

/// All answers of a store about what was written, as text: two stores that agree give the same.
pub async fn picture(store: &dyn Store, written: &Written) -> String {
    let mut out = String::new();
    let mut line = |name: &str, answer: String| writeln!(out, "{name}: {answer}").unwrap();
    line("settings", format!("{:?}", store.settings().await.unwrap()));
    line("counts", format!("{:?}", store.counts().await.unwrap()));
    line("backlog length", store.backlog_len().to_string());
    line("backlog bytes", store.backlog_bytes().to_string());
    if store.settings().await.unwrap().is_some() {
        line("genesis", store.genesis().await.unwrap().id.to_string());
    }
    for entry in backlog_now(store, None, 3).await.0 {
        line("backlog", format!("{} {} {}", text(&entry.transaction), entry.assignee, entry.assigned_at));
    }
    for entry in store.backlog_assigned_outside(u64::MAX..=u64::MAX, usize::MAX).await.unwrap() {
        line("by time", format!("{} {}", entry.assigned_at, entry.transaction.id()));
    }
    line("open blocks", blocks_now(store, None, 2).await.0.join(", "));
    for vote in votes_now(store, None, 2).await.0 {
        line("open vote", format!("#{:08x}", crc32fast::hash(vote.as_bytes())));
    }
    let ids: Vec<TxId> = written.transactions.iter().map(|tx| tx.id()).collect();
    for (id, located) in ids.iter().zip(store.locate(&ids).await.unwrap()) {
        line("located", located.as_ref().map_or_else(|| format!("{id} nowhere"), describe));
        line("rejection", format!("{:?}", store.rejection(id).await.unwrap()));
    }
    for asset in written.transactions.iter().filter(|tx| tx.operation() == Operation::Create) {
        let transfers = store.transfers_of(&asset.id()).await.unwrap();
        line("transfers", transfers.iter().map(|tx| text(tx)).collect::<Vec<_>>().join(", "));
    }
    let outputs: Vec<OutputRef> = written
        .transactions
        .iter()
        .flat_map(|tx| (0..tx.outputs().len() as u64).map(|index| OutputRef { transaction_id: tx.id(), index }))
        .collect();
    for (output, spenders) in outputs.iter().zip(store.spenders(&outputs).await.unwrap()) {
        let mut spenders: Vec<String> = spenders.iter().map(describe).collect();
        spenders.sort();
        line("spenders", format!("{output:?}: {}", spenders.join(", ")));
    }
    for owner in 1..8 {
        for output in store.outputs_of(&public(owner)).await.unwrap() {
            line("output", format!("{owner}: {} {}", output.transaction_id, output.index));
        }
        let last = store.last_vote(&public(owner)).await.unwrap();
        line("last vote", format!("{owner}: {:?}", last.map(|vote| vote.voting_for_block)));
    }
    for (id, votes) in written.blocks.iter().zip(store.votes(&written.blocks).await.unwrap()) {
        let block = store.block(id).await.unwrap();
        let block =
            block.map(|b| format!("{} #{:08x}", b.status.as_str(), crc32fast::hash(&b.block.canonical_inner())));
        line("block", format!("{id} {block:?}"));
        line("votes", format!("{:?}", votes.iter().map(|v| crc32fast::hash(&v.bytes)).collect::<Vec<_>>()));
    }
    let mut after = None;
    loop {
        let (blocks, position) = store.history(after.as_ref(), 2).await.unwrap();
        if blocks.is_empty() {
            break;
        }
        for block in blocks {
            line("history", format!("{} {} {}", block.block.id, block.status.as_str(), block.block.transactions.len()));
        }
        after = position;
    }
    out
}

/// A transaction with everything known about it.
pub fn describe(located: &Located) -> String {
    let blocks: Vec<String> = located
        .blocks
        .iter()
        .map(|occurrence| format!("{} {}", occurrence.block, occurrence.status.as_str()))
        .collect();
    format!("{} in [{}], waits: {}", text(&located.transaction), blocks.join(", "), located.in_backlog)
}

/// Which copy of a transaction.
fn text(tx: &Transaction) -> String {
    format!("{} #{:08x}", tx.id(), crc32fast::hash(tx.bytes()))
}

/// Lines that two pictures do not share; empty if they are the same.
pub fn difference(expected: &str, found: &str) -> String {
    let only = |mark: &str, of: &str, other: &str| {
        let other: Vec<&str> = other.lines().collect();
        let lines = of.lines().filter(|line| !other.contains(line));
        lines.map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    if expected == found {
        return String::new();
    }
    let lines = only("-", expected, found) + &only("+", found, expected);
    if lines.is_empty() { "the same lines in another order".to_owned() } else { lines }
}
