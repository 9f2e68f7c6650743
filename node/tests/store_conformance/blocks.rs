//! Blocks, votes, decisions.

use bigchaindb::store::StoreError;
use ledger::election::BlockStatus;

use crate::Backend;
use crate::world::{
    self, backlog_now, block, blocks_now, create, entry, other_copy, public, taken, transfer, vote, votes_now,
};

pub async fn takes_transactions_out_of_the_backlog(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let [one, two] = ["1", "2"].map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}")));
    store.write_backlog(vec![entry(&one, 1, 1), entry(&two, 1, 2)]).await.unwrap();
    let (_, position) = backlog_now(store.as_ref(), None, 1).await;
    // `one` in another copy than the one that waits.
    let made = block(&[&other_copy(&one)], 1);
    store.write_block(made.clone(), &taken()).await.unwrap();
    assert_eq!(store.backlog_len(), 1);
    let (entries, _) = backlog_now(store.as_ref(), None, 1).await;
    assert_eq!(entries[0].transaction.id(), two.id());
    assert!(backlog_now(store.as_ref(), position, 1).await.0.is_empty());
    drop(store);
    backend.reopen(false).await;
    let stored = backend.store().block(&made.id).await.unwrap().unwrap();
    assert_eq!(stored.block.canonical_inner(), made.canonical_inner(), "the block's own copy is kept");
    assert_eq!(backend.store().backlog_len(), 1);
}

pub async fn writes_a_block_once(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let tx = create(4, &[(4, 1)], "{}");
    let made = block(&[&tx], 1);
    for _ in 0..2 {
        store.write_block(made.clone(), &taken()).await.unwrap();
    }
    assert_eq!(blocks_now(store.as_ref(), None, 9).await.0, [format!("{} undecided", made.id)]);
    store.decide(&made.id, true, Vec::new()).await.unwrap();
    store.write_block(made.clone(), &taken()).await.unwrap();
    drop(store);
    backend.reopen(true).await;
    let store = backend.store();
    store.write_block(made.clone(), &taken()).await.unwrap();
    assert_eq!(store.block(&made.id).await.unwrap().unwrap().status, BlockStatus::Valid);
    assert_eq!(store.counts().await.unwrap().blocks, 2);
    assert!(store.block(&block(&[&tx], 2).id).await.unwrap().is_none());
}

pub async fn leaves_the_genesis_block_out_of_the_feed(backend: &mut dyn Backend) {
    let store = backend.store();
    let genesis = world::initialise(store.as_ref()).await;
    let tx = create(4, &[(4, 1)], "{}");
    let made = block(&[&tx], 1);
    store.write_block(made.clone(), &taken()).await.unwrap();
    assert_eq!(blocks_now(store.as_ref(), None, 9).await.0, [format!("{} undecided", made.id)]);
    assert_eq!(store.block(&genesis.id).await.unwrap().unwrap().status, BlockStatus::Undecided);
    assert!(!store.decide(&genesis.id, true, Vec::new()).await.unwrap(), "nobody decides on it");
    let located = store.locate(&[genesis.transactions[0].id()]).await.unwrap().remove(0).unwrap();
    assert_eq!(located.blocks[0].status, BlockStatus::Undecided);
}

pub async fn feeds_blocks_that_were_decided_meanwhile(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let blocks: Vec<_> = (0..6).map(|n| block(&[&create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"))], n)).collect();
    store.write_block(blocks[0].clone(), &taken()).await.unwrap();
    let (_, position) = blocks_now(store.as_ref(), None, 9).await;
    for block in &blocks[1..] {
        store.write_block(block.clone(), &taken()).await.unwrap();
    }
    let expected = |undecided: &[usize]| -> Vec<String> {
        let status = |n: usize| if undecided.contains(&n) { "undecided" } else { "valid" };
        (1..6).map(|n| format!("{} {}", blocks[n].id, status(n))).collect()
    };
    assert_eq!(blocks_now(store.as_ref(), position.clone(), 2).await.0, expected(&[1, 2, 3, 4, 5]));
    for n in [0, 1, 2, 4] {
        store.decide(&blocks[n].id, true, Vec::new()).await.unwrap();
    }
    assert_eq!(blocks_now(store.as_ref(), position.clone(), 2).await.0, expected(&[3, 5]));
    drop(store);
    for orderly in [true, false] {
        backend.reopen(orderly).await;
        let store = backend.store();
        for limit in [1, 2, 9] {
            assert_eq!(blocks_now(store.as_ref(), position.clone(), limit).await.0, expected(&[3, 5]));
        }
        let open: Vec<String> = [3, 5].iter().map(|n| format!("{} undecided", blocks[*n].id)).collect();
        assert_eq!(blocks_now(store.as_ref(), None, 9).await.0, open);
    }
}

pub async fn writes_a_vote_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let genesis = world::initialise(store.as_ref()).await;
    let made = block(&[&create(4, &[(4, 1)], "{}")], 1);
    store.write_block(made.clone(), &taken()).await.unwrap();
    assert_eq!(store.last_vote(&public(1)).await.unwrap(), None);
    let (first, second) = (vote(1, &made, &genesis, true), vote(1, &made, &genesis, false));
    assert!(store.write_vote(&first).await.unwrap());
    assert!(!store.write_vote(&second).await.unwrap());
    let other = vote(2, &made, &genesis, false);
    assert!(store.write_vote(&other).await.unwrap());
    let votes = |votes: Vec<bigchaindb::store::StoredVote>| votes.into_iter().map(|v| v.bytes).collect::<Vec<_>>();
    let stored = store.votes(&[genesis.id, made.id]).await.unwrap();
    assert_eq!(stored.into_iter().map(votes).collect::<Vec<_>>(), [vec![], vec![first.to_bytes(), other.to_bytes()]]);
    assert_eq!(store.last_vote(&public(1)).await.unwrap(), Some(first.clone()));
    drop(store);
    backend.reopen(false).await;
    let store = backend.store();
    assert!(!store.write_vote(&first).await.unwrap());
    let (feed, _) = votes_now(store.as_ref(), None, 1).await;
    assert_eq!(feed.len(), 2);
    assert_eq!(feed[0].as_bytes(), first.to_bytes());
}

pub async fn keeps_late_votes(backend: &mut dyn Backend) {
    let store = backend.store();
    let genesis = world::initialise(store.as_ref()).await;
    let made = block(&[&create(4, &[(4, 1)], "{}")], 1);
    store.write_block(made.clone(), &taken()).await.unwrap();
    store.write_vote(&vote(1, &made, &genesis, true)).await.unwrap();
    let (_, position) = votes_now(store.as_ref(), None, 9).await;
    store.write_vote(&vote(2, &made, &genesis, true)).await.unwrap();
    store.decide(&made.id, true, Vec::new()).await.unwrap();
    drop(store);
    backend.reopen(true).await;
    let store = backend.store();
    let late = vote(3, &made, &genesis, false);
    assert!(store.write_vote(&late).await.unwrap());
    assert!(!store.write_vote(&late).await.unwrap());
    assert!(!store.write_vote(&vote(2, &made, &genesis, true)).await.unwrap());
    assert_eq!(store.votes(&[made.id]).await.unwrap()[0].len(), 3);
    assert_eq!(store.last_vote(&public(3)).await.unwrap(), Some(late.clone()));
    drop(store);
    for orderly in [true, false] {
        backend.reopen(orderly).await;
        let store = backend.store();
        assert!(!store.write_vote(&late).await.unwrap());
        assert_eq!(store.votes(&[made.id]).await.unwrap()[0].len(), 3);
        assert_eq!(store.last_vote(&public(3)).await.unwrap(), Some(late.clone()));
        assert!(votes_now(store.as_ref(), None, 9).await.0.is_empty(), "the block is decided");
        for limit in [1, 9] {
            let (feed, _) = votes_now(store.as_ref(), position.clone(), limit).await;
            assert_eq!(feed.len(), 2);
            assert_eq!(feed[1].as_bytes(), late.to_bytes());
        }
    }
}

pub async fn refuses_votes_on_unknown_blocks(backend: &mut dyn Backend) {
    let store = backend.store();
    let genesis = world::initialise(store.as_ref()).await;
    let unknown = block(&[&create(4, &[(4, 1)], "{}")], 1);
    let refused = store.write_vote(&vote(1, &unknown, &genesis, true)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let refused = store.decide(&unknown.id, true, Vec::new()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(store.votes(&[unknown.id]).await.unwrap(), [vec![]]);
}

pub async fn decides_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let genesis = world::initialise(store.as_ref()).await;
    let tx = create(4, &[(4, 1)], "{}");
    let made = block(&[&tx], 1);
    store.write_block(made.clone(), &taken()).await.unwrap();
    let unknown = block(&[&create(5, &[(5, 1)], "{}")], 2);
    let asked = [unknown.id, made.id, genesis.id];
    let undecided = Some(BlockStatus::Undecided);
    assert_eq!(store.block_statuses(&asked).await.unwrap(), [None, undecided, undecided]);
    assert_eq!(store.block_statuses(&asked[1..]).await.unwrap(), [undecided, undecided]);
    assert!(store.decide(&made.id, false, vec![entry(&tx, 2, 9)]).await.unwrap());
    assert!(!store.decide(&made.id, true, Vec::new()).await.unwrap());
    assert!(!store.decide(&made.id, false, vec![entry(&tx, 3, 10)]).await.unwrap());
    drop(store);
    for orderly in [true, false] {
        backend.reopen(orderly).await;
        let store = backend.store();
        assert!(!store.decide(&made.id, true, Vec::new()).await.unwrap());
        assert_eq!(store.block(&made.id).await.unwrap().unwrap().status, BlockStatus::Invalid);
        assert_eq!(store.block_statuses(&asked).await.unwrap(), [None, Some(BlockStatus::Invalid), undecided]);
        let (entries, _) = backlog_now(store.as_ref(), None, 9).await;
        assert_eq!(entries.len(), 1);
        assert_eq!((entries[0].assignee, entries[0].assigned_at), (public(2), 9));
    }
}

pub async fn requeues_what_counts_nowhere_else(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let txs: Vec<_> = (0..4).map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"))).collect();
    let bad = block(&[&txs[0], &txs[1], &txs[2], &txs[3]], 1);
    let good = block(&[&txs[1]], 2);
    let open = block(&[&txs[2]], 3);
    for block in [&bad, &good, &open] {
        store.write_block(block.clone(), &taken()).await.unwrap();
    }
    store.decide(&good.id, true, Vec::new()).await.unwrap();
    let (_, position) = backlog_now(store.as_ref(), None, 9).await;
    let requeue = txs.iter().map(|tx| entry(tx, 2, 9)).collect();
    assert!(store.decide(&bad.id, false, requeue).await.unwrap());
    let expected = [txs[0].id(), txs[3].id()];
    for limit in [1, 9] {
        for after in [None, position.clone()] {
            let (entries, _) = backlog_now(store.as_ref(), after, limit).await;
            assert_eq!(entries.iter().map(|e| e.transaction.id()).collect::<Vec<_>>(), expected);
        }
    }
    drop(store);
    backend.reopen(false).await;
    let (entries, _) = backlog_now(backend.store().as_ref(), None, 1).await;
    assert_eq!(entries.iter().map(|e| e.transaction.id()).collect::<Vec<_>>(), expected);
}

pub async fn keeps_blocks_whole(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let money = create(4, &[(4, 3), (5, 4)], "{\"name\":\"money ❤\"}");
    let spent = transfer(4, &[(&money, 0)], &[(6, 1), (4, 2)]);
    let others: Vec<_> = (0..200).map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"))).collect();
    store.write_backlog(others.iter().map(|tx| entry(tx, 1, 1)).collect()).await.unwrap();
    // Neither in the order of the backlog, nor all from it.
    let all: Vec<_> = others.iter().rev().chain([&money, &spent]).collect();
    let made = block(&all, 1);
    store.write_block(made.clone(), &taken()).await.unwrap();
    assert_eq!(store.backlog_len(), 0);
    store.decide(&made.id, true, Vec::new()).await.unwrap();
    drop(store);
    for orderly in [false, true, true] {
        backend.reopen(orderly).await;
        let stored = backend.store().block(&made.id).await.unwrap().unwrap();
        assert_eq!(stored.block.header, made.header);
        assert_eq!(stored.block.canonical_inner(), made.canonical_inner());
    }
}
