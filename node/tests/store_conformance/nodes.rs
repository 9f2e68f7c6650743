//! What a store must do that several nodes write to: an order of one may arrive after those of another.

use std::sync::Arc;

use bigchaindb::store::mongo::Compat;
use bigchaindb::store::{Store, Taken};
use ledger::block::Block;

use crate::Backend as _;
use crate::mongo::Mongo;
use crate::world::{self, backlog_now, block, blocks_now, create, entry, public, taken, vote};

/// Node 1 has made a block, and does not come to taking its transactions out of the backlog until another node has decided
/// that the block is invalid and given them back.
fn a_late_maker_leaves_what_was_given_back(compat: Option<Compat>) {
    world::run(async {
        let Some(backend) = Mongo::new(compat).await else { return };
        let (maker, other) = (backend.store(), backend.another(2).await);
        world::initialise(maker.as_ref()).await;
        let txs: Vec<_> = (0..4).map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"))).collect();
        let assigned = [(1, 1_000), (3, 1_000), (1, 1_001), (1, 1_001)];
        let waiting = txs.iter().zip(assigned).map(|(tx, (to, at))| entry(tx, to, at)).collect();
        maker.write_backlog(waiting).await.unwrap();
        let made = block(&[&txs[0], &txs[1], &txs[2]], 1);
        maker.write_block(made.clone(), &Taken::none(public(1))).await.unwrap();

        let requeue = [0, 1].map(|n| entry(&txs[n], 2, 2_000)).to_vec();
        assert!(other.decide(&made.id, false, requeue).await.unwrap());
        let taken = Taken { assignee: public(1), assigned_at: 1_000..=1_001 };
        maker.write_block(made.clone(), &taken).await.unwrap();
        let (entries, _) = backlog_now(maker.as_ref(), None, 9).await;
        let mut left: Vec<_> = entries.iter().map(|e| (e.transaction.id(), e.assignee, e.assigned_at)).collect();
        let mut expected =
            vec![(txs[0].id(), public(2), 2_000), (txs[1].id(), public(3), 1_000), (txs[3].id(), public(1), 1_001)];
        left.sort_unstable();
        expected.sort_unstable();
        assert_eq!(left, expected, "all but the one that nobody gave back, and that is in the block");
        assert_eq!(maker.backlog_len(), 3);
    });
}

#[test]
fn a_late_maker_leaves_what_was_given_back_on_mongodb() {
    a_late_maker_leaves_what_was_given_back(None);
}

#[test]
fn a_late_maker_leaves_what_was_given_back_beside_python() {
    a_late_maker_leaves_what_was_given_back(Some(Compat::Python));
}

/// Blocks that node 1 decides on, maybe with its vote.
struct Blocks {
    genesis: Block,
    blocks: Vec<Arc<Block>>,
}

impl Blocks {
    fn new() -> Self {
        let made = |n: u64| block(&[&create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"))], n);
        Self { genesis: world::genesis(), blocks: (0..4).map(made).collect() }
    }

    async fn write(&self, store: &dyn Store, n: usize) {
        store.write_block(self.blocks[n].clone(), &taken()).await.unwrap();
    }

    async fn vote(&self, store: &dyn Store, n: usize) {
        assert!(store.write_vote(&vote(1, &self.blocks[n], &self.genesis, true)).await.unwrap());
    }

    async fn decide(&self, store: &dyn Store, n: usize) {
        assert!(store.decide(&self.blocks[n].id, true, Vec::new()).await.unwrap());
    }

    fn line(&self, n: usize, status: &str) -> String {
        format!("{} {status}", self.blocks[n].id)
    }
}

/// A block on which a node decided by the votes of the others, and that it had not voted on when it ended, gets its vote
/// by the process after.
#[test]
fn blocks_without_this_nodes_vote_are_given_to_the_process_after() {
    world::run(async {
        let Some(mut backend) = Mongo::new(None).await else { return };
        let store = backend.store();
        world::initialise(store.as_ref()).await;
        let blocks = Blocks::new();
        let begin = store.voted_up_to().await.unwrap();
        assert!(blocks_now(store.as_ref(), begin, 9).await.0.is_empty());
        for n in 0..2 {
            blocks.write(store.as_ref(), n).await;
            blocks.decide(store.as_ref(), n).await;
        }
        blocks.vote(store.as_ref(), 0).await;
        blocks.write(store.as_ref(), 2).await;
        drop(store);
        backend.reopen(true).await;
        let store = backend.store();
        // No block was given before the process ended: its beginning was kept.
        let place = store.voted_up_to().await.unwrap();
        let (given, place) = blocks_now(store.as_ref(), place, 9).await;
        assert_eq!(given, [blocks.line(1, "valid"), blocks.line(2, "undecided")]);
        store.keep_voted_up_to(&place.unwrap()).await.unwrap();
        blocks.write(store.as_ref(), 3).await;
        blocks.decide(store.as_ref(), 3).await;
        drop(store);
        for orderly in [true, false] {
            backend.reopen(orderly).await;
            let store = backend.store();
            let place = store.voted_up_to().await.unwrap();
            let (given, _) = blocks_now(store.as_ref(), place, 9).await;
            assert_eq!(given, [blocks.line(3, "valid")], "orderly: {orderly}");
        }
        let other = backend.another(2).await;
        let place = other.voted_up_to().await.unwrap();
        assert_eq!(other.block_feed(place.as_ref(), 9).await.unwrap().items.len(), 4, "another node has its own place");
    });
}

/// As after a dump that was restored on another server.
#[test]
fn a_place_that_another_server_gave_is_as_good_as_its_time() {
    world::run(async {
        let Some(mut backend) = Mongo::new(None).await else { return };
        let store = backend.store();
        world::initialise(store.as_ref()).await;
        let blocks = Blocks::new();
        blocks.write(store.as_ref(), 0).await;
        let (_, place) = blocks_now(store.as_ref(), None, 9).await;
        store.keep_voted_up_to(&place.unwrap()).await.unwrap();
        let kept = backend.kept().await;
        drop(store);
        backend.drop_database().await;
        let store = backend.store();
        assert!(backend.kept().await.is_empty(), "it goes with the ledger");
        world::initialise(store.as_ref()).await;
        for n in 1..4 {
            blocks.write(store.as_ref(), n).await;
        }
        for n in 1..3 {
            blocks.decide(store.as_ref(), n).await;
        }
        blocks.vote(store.as_ref(), 1).await;
        backend.keep(kept).await;
        let place = store.voted_up_to().await.unwrap();
        let (given, _) = blocks_now(store.as_ref(), place, 9).await;
        assert_eq!(given, [blocks.line(2, "valid"), blocks.line(3, "undecided")]);
    });
}
