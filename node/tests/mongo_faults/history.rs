//! Feeds whose place the server remembers no longer: what happened meanwhile is found otherwise.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bigchaindb::store::mongo::connect;
use bigchaindb::store::mongo::{MongoStore, Options};
use bigchaindb::store::{BacklogEntry, Batch, Position, Result, Settings, Store as _, Taken};
use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, TxId};
use ledger::rules::Rules;
use ledger::transaction::Transaction;
use ledger::vote::Vote;

use crate::mongod::Mongod;
use crate::nodes::key;
use crate::rig::{create, owner, soon, until};
use crate::wire::proxy::{Fault, NOT_WRITABLE_PRIMARY, Proxy};

/// Documents after which the server looks whether its history is longer than it should be.
const LOOK: i64 = 1000;

struct World {
    _server: Mongod,
    proxy: Proxy,
    /// Through the proxy.
    near: MongoStore,
    /// Past it, as another node.
    far: MongoStore,
    genesis: Block,
}

/// Where the three feeds stand.
struct Places {
    backlog: Position,
    blocks: Position,
    votes: Position,
}

/// What they are to give.
#[derive(Default)]
struct Missing {
    backlog: HashSet<TxId>,
    blocks: HashSet<BlockId>,
    votes: HashSet<BlockId>,
}

fn options() -> Options {
    Options { node: key(0).public_key(), compat: None, wait: Duration::from_millis(50) }
}

impl World {
    /// `None`: there is no such server on this machine.
    async fn new() -> Option<Self> {
        // It forgets as soon as it looks.
        let server = Mongod::start(&["--oplog-max-entries", "1"])?;
        let proxy = Proxy::start(server.port()).await;
        let far = MongoStore::open(server.database().await, options()).await.unwrap();
        let genesis = Block::genesis(&[key(0).public_key()], 1_500_000_000, &key(0));
        far.initialise(&Settings { rules: Rules::Strict }, &genesis).await.unwrap();
        let connection = proxy.before(server.connection(Duration::from_secs(1), 5));
        let connected = connect::connect(&connection).await.unwrap();
        let near = MongoStore::open(connected.database, options()).await.unwrap();
        Some(Self { _server: server, proxy, near, far, genesis })
    }

    /// Another node writes a block.
    async fn write_block(&self, n: i64) -> BlockId {
        let block = Block::create(vec![Arc::new(create(&owner(), n))], &[key(0).public_key()], 1_500_000_001, &key(0));
        let id = block.id;
        self.far.write_block(Arc::new(block), &Taken::none(key(0).public_key())).await.unwrap();
        id
    }

    /// Another node writes entries, and a block with a vote.
    async fn write(&self, entries: std::ops::Range<i64>) -> Missing {
        let mut missing = Missing::default();
        let block = self.write_block(-1 - entries.start).await;
        let vote = Vote::create(block, self.genesis.id, true, 1_500_000_001, &key(0));
        (missing.blocks, missing.votes) = ([block].into(), [block].into());
        assert!(self.far.write_vote(&vote).await.unwrap());
        let transactions: Vec<Arc<Transaction>> = entries.map(|n| Arc::new(create(&owner(), n))).collect();
        missing.backlog = transactions.iter().map(|tx| tx.id()).collect();
        let assignee = key(0).public_key();
        let entry = |transaction| BacklogEntry { transaction, assignee, assigned_at: 1_500_000_000_000 };
        self.far.write_backlog(transactions.into_iter().map(entry).collect()).await.unwrap();
        missing
    }

    /// Reads a store's feeds until nothing is missing.
    async fn read(&self, store: &MongoStore, from: Option<&Places>, missing: Missing) -> Places {
        let backlog = async |after: Option<&Position>| store.backlog_feed(after, 100).await;
        let blocks = async |after: Option<&Position>| store.block_feed(after, 100).await;
        let votes = async |after: Option<&Position>| store.vote_feed(after, 100).await;
        let from = |place: fn(&Places) -> &Position| from.map(|places| place(places).clone());
        let (backlog, blocks, votes) = tokio::join!(
            drain(backlog, from(|p| &p.backlog), missing.backlog, |entry| entry.transaction.id()),
            drain(blocks, from(|p| &p.blocks), missing.blocks, |stored| stored.block.id),
            drain(votes, from(|p| &p.votes), missing.votes, |vote| vote.block),
        );
        Places { backlog, blocks, votes }
    }

    /// How many feeds began anew, instead of where they were.
    fn beginnings(&self) -> usize {
        let asked = self.proxy.take_asked();
        let streams = asked.iter().filter(|asked| asked.name == "aggregate" && !asked.refused);
        let stages = streams.filter_map(|asked| asked.command.get_array("pipeline").ok()?.first()?.as_document());
        stages
            .filter_map(|stage| stage.get_document("$changeStream").ok())
            .filter(|stream| !stream.contains_key("resumeAfter"))
            .count()
    }
}

async fn drain<T, I: Eq + std::hash::Hash + std::fmt::Debug>(
    feed: impl AsyncFn(Option<&Position>) -> Result<Batch<T>>,
    mut place: Option<Position>,
    mut missing: HashSet<I>,
    id: impl Fn(&T) -> I,
) -> Position {
    while !missing.is_empty() {
        let batch = soon("what a feed misses", feed(place.as_ref())).await.unwrap();
        for item in &batch.items {
            missing.remove(&id(item));
        }
        place = Some(batch.position);
    }
    place.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_is_cut_off_for_longer_than_the_server_remembers_misses_nothing() {
    let Some(world) = World::new().await else { return };
    let missing = world.write(0..3).await;
    let places = world.read(&world.near, None, missing).await;
    let missing = world.write(3..6).await;
    let places = world.read(&world.near, Some(&places), missing).await;
    world.proxy.step_down(NOT_WRITABLE_PRIMARY);
    for collection in ["backlog", "bigchain", "votes"] {
        world.proxy.fault("getMore", collection, 0, 1, Fault::CutAnswer);
    }
    until("the streams' end", async || world.proxy.all_happened()).await;
    let missing = world.write(6..LOOK + 10).await;
    world.beginnings();
    world.proxy.step_up();
    world.read(&world.near, Some(&places), missing).await;
    assert_eq!(world.beginnings(), 3, "the server has not forgotten the feeds' places");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_for_longer_than_the_server_remembers_misses_nothing() {
    let Some(world) = World::new().await else { return };
    let missing = world.write(0..3).await;
    let places = world.read(&world.far, None, missing).await;
    let missing = world.write(3..LOOK + 10).await;
    world.beginnings();
    world.read(&world.near, Some(&places), missing).await;
    assert_eq!(world.beginnings(), 3, "the server has not forgotten the feeds' places");
}

/// This node decided on them by the votes of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_that_a_node_has_not_voted_on_are_found_when_the_server_has_forgotten_the_rest() {
    let Some(world) = World::new().await else { return };
    let missing = world.write(0..3).await;
    let places = world.read(&world.far, None, missing).await;
    world.far.keep_voted_up_to(&places.blocks).await.unwrap();
    let unvoted = world.write_block(-1_000_000).await;
    assert!(world.far.decide(&unvoted, true, Vec::new()).await.unwrap());
    for id in world.write(3..6).await.blocks {
        assert!(world.far.decide(&id, true, Vec::new()).await.unwrap());
    }
    world.write(6..LOOK + 10).await;
    world.beginnings();
    let mut place = world.near.voted_up_to().await.unwrap();
    let mut given = Vec::new();
    while given.len() < 3 {
        let batch = soon("the blocks", world.near.block_feed(place.as_ref(), 9)).await.unwrap();
        given.extend(batch.items.iter().map(|stored| (stored.block.id, stored.status)));
        place = Some(batch.position);
    }
    let decided = given.iter().filter(|(_, status)| *status != BlockStatus::Undecided);
    assert_eq!(decided.copied().collect::<Vec<_>>(), [(unvoted, BlockStatus::Valid)]);
    assert_eq!(world.beginnings(), 1, "the server has not forgotten the feed's place");
}
