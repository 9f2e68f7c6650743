//! Look-ups: where transactions are, who spends and who owns outputs, history.

use bigchaindb::store::Counts;
use ledger::election::BlockStatus;
use ledger::ids::OutputRef;

use crate::Backend;
use crate::world::{self, block, create, entry, other_copy, public, taken, transfer};

fn output(tx: &ledger::transaction::Transaction, index: u64) -> OutputRef {
    OutputRef { transaction_id: tx.id(), index }
}

pub async fn locates_in_all_states(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let txs: Vec<_> = (0..5).map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"))).collect();
    let [waiting, undecided, valid, invalid, unknown] = txs.as_slice() else { unreachable!() };
    store.write_backlog(vec![entry(waiting, 1, 1)]).await.unwrap();
    let (open, good, bad) = (block(&[undecided], 1), block(&[valid, undecided], 2), block(&[invalid, undecided], 3));
    for block in [&bad, &open, &good] {
        store.write_block(block.clone(), &taken()).await.unwrap();
    }
    store.decide(&good.id, true, Vec::new()).await.unwrap();
    store.decide(&bad.id, false, Vec::new()).await.unwrap();
    drop(store);
    for orderly in [None, Some(true), Some(false)] {
        if let Some(orderly) = orderly {
            backend.reopen(orderly).await;
        }
        let store = backend.store();
        let ids: Vec<_> = [unknown, invalid, valid, waiting, undecided].iter().map(|tx| tx.id()).collect();
        let located = store.locate(&ids).await.unwrap();
        let blocks =
            |n: usize| -> Vec<_> { located[n].iter().flat_map(|l| &l.blocks).map(|b| (b.block, b.status)).collect() };
        assert!(located[0].is_none());
        assert_eq!(blocks(1), [(bad.id, BlockStatus::Invalid)]);
        assert_eq!(blocks(2), [(good.id, BlockStatus::Valid)]);
        assert!(located[3].as_ref().unwrap().in_backlog);
        assert_eq!(blocks(3), []);
        let all = [(bad.id, BlockStatus::Invalid), (open.id, BlockStatus::Undecided), (good.id, BlockStatus::Valid)];
        assert_eq!(blocks(4), all, "in the order they were written");
        for (found, tx) in located[1..].iter().zip([invalid, valid, waiting, undecided]) {
            assert_eq!(found.as_ref().unwrap().transaction.bytes(), tx.bytes());
        }
    }
}

pub async fn prefers_the_copy_that_counts(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let one = create(4, &[(4, 1)], "{}");
    let two = other_copy(&one);
    let (bad, good) = (block(&[&one], 1), block(&[&two], 2));
    let copy = async |orderly: Option<bool>, backend: &mut dyn Backend| {
        if let Some(orderly) = orderly {
            backend.reopen(orderly).await;
        }
        let located = backend.store().locate(&[one.id()]).await.unwrap().remove(0).unwrap();
        located.transaction.bytes().clone()
    };
    store.write_block(bad.clone(), &taken()).await.unwrap();
    store.decide(&bad.id, false, Vec::new()).await.unwrap();
    drop(store);
    assert_eq!(copy(None, backend).await, one.bytes(), "of the invalid block, for want of another");
    assert_eq!(copy(Some(true), backend).await, one.bytes());
    backend.store().write_backlog(vec![entry(&two, 1, 1)]).await.unwrap();
    assert_eq!(copy(Some(false), backend).await, two.bytes(), "the backlog's before an invalid block's");
    backend.store().write_block(good.clone(), &taken()).await.unwrap();
    assert_eq!(copy(Some(true), backend).await, two.bytes());
    let last = block(&[&one], 3);
    backend.store().write_block(last.clone(), &taken()).await.unwrap();
    assert_eq!(copy(None, backend).await, one.bytes(), "the last undecided one");
    backend.store().decide(&good.id, true, Vec::new()).await.unwrap();
    for orderly in [None, Some(true), Some(false)] {
        assert_eq!(copy(orderly, backend).await, two.bytes(), "the valid one before any other");
    }
}

pub async fn finds_spenders_of_every_status(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let money = create(4, &[(4, 1), (4, 2)], "{}");
    let spenders: Vec<_> = [5, 6, 7, 1].iter().map(|to| transfer(4, &[(&money, 0)], &[(*to, 1)])).collect();
    let [waiting, undecided, valid, invalid] = spenders.as_slice() else { unreachable!() };
    let other = transfer(4, &[(&money, 1)], &[(5, 2)]);
    let base = block(&[&money], 1);
    let (open, good, bad) = (block(&[undecided], 2), block(&[valid, &other], 3), block(&[invalid], 4));
    for block in [&base, &open, &good, &bad] {
        store.write_block(block.clone(), &taken()).await.unwrap();
    }
    store.write_backlog(vec![entry(waiting, 1, 1)]).await.unwrap();
    for (block, valid) in [(&base, true), (&good, true), (&bad, false)] {
        store.decide(&block.id, valid, Vec::new()).await.unwrap();
    }
    drop(store);
    for orderly in [None, Some(true), Some(false)] {
        if let Some(orderly) = orderly {
            backend.reopen(orderly).await;
        }
        let outputs = [output(&money, 0), output(&money, 1), output(&money, 2), output(valid, 0)];
        let found = backend.store().spenders(&outputs).await.unwrap();
        let mut ids: Vec<_> = found[0].iter().map(|l| l.transaction.id()).collect();
        let mut expected: Vec<_> = spenders.iter().map(|tx| tx.id()).collect();
        ids.sort();
        expected.sort();
        assert_eq!(ids, expected);
        let of =
            |tx: &ledger::transaction::Transaction| found[0].iter().find(|l| l.transaction.id() == tx.id()).unwrap();
        assert!(of(waiting).in_backlog && of(waiting).blocks.is_empty());
        assert_eq!(of(undecided).blocks[0].status, BlockStatus::Undecided);
        assert_eq!(of(valid).blocks[0].status, BlockStatus::Valid);
        assert_eq!(of(invalid).blocks[0].status, BlockStatus::Invalid);
        assert_eq!(found[1].len(), 1);
        assert_eq!(found[1][0].transaction.id(), other.id());
        assert!(found[2].is_empty() && found[3].is_empty());
    }
}

pub async fn lists_outputs_in_the_blocks_order(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let txs: Vec<_> = (0..6).map(|n| create(4, &[(5, 1), (6, 1), (5, 2)], &format!("{{\"n\":{n}}}"))).collect();
    let waiting = create(4, &[(5, 1)], "{\"waits\":true}");
    store.write_backlog(vec![entry(&waiting, 1, 1)]).await.unwrap();
    let blocks = [block(&[&txs[3], &txs[0]], 1), block(&[&txs[1]], 2), block(&[&txs[2]], 3), block(&[&txs[4]], 4)];
    for block in &blocks {
        store.write_block(block.clone(), &taken()).await.unwrap();
    }
    // The order of decisions is not the order of blocks.
    store.decide(&blocks[3].id, true, Vec::new()).await.unwrap();
    store.decide(&blocks[1].id, false, Vec::new()).await.unwrap();
    drop(store);
    let expected: Vec<_> =
        [3, 0, 2, 4].iter().flat_map(|n: &usize| [output(&txs[*n], 0), output(&txs[*n], 2)]).collect();
    for orderly in [None, Some(true), Some(false)] {
        if let Some(orderly) = orderly {
            backend.reopen(orderly).await;
        }
        assert_eq!(backend.store().outputs_of(&public(5)).await.unwrap(), expected);
        assert_eq!(backend.store().outputs_of(&public(6)).await.unwrap().len(), 4);
        assert!(backend.store().outputs_of(&public(7)).await.unwrap().is_empty());
    }
    backend.store().decide(&blocks[0].id, true, Vec::new()).await.unwrap();
    assert_eq!(backend.store().outputs_of(&public(5)).await.unwrap(), expected);
    // The genesis block's output is its maker's.
    assert_eq!(backend.store().outputs_of(&public(1)).await.unwrap().len(), 1);
}

pub async fn lists_transfers_of_valid_blocks(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let money = create(4, &[(4, 1), (4, 2), (4, 3), (4, 4)], "{}");
    let txs: Vec<_> = (0..4).map(|n| transfer(4, &[(&money, n)], &[(5, n + 1)])).collect();
    let blocks = [block(&[&money, &txs[1]], 1), block(&[&txs[2]], 2), block(&[&txs[0]], 3), block(&[&txs[3]], 4)];
    for block in &blocks {
        store.write_block(block.clone(), &taken()).await.unwrap();
    }
    for (n, valid) in [(2, true), (1, false), (0, true)] {
        store.decide(&blocks[n].id, valid, Vec::new()).await.unwrap();
    }
    drop(store);
    for orderly in [None, Some(true), Some(false)] {
        if let Some(orderly) = orderly {
            backend.reopen(orderly).await;
        }
        let found = backend.store().transfers_of(&money.id()).await.unwrap();
        let ids: Vec<_> = found.iter().map(|tx| tx.id()).collect();
        assert_eq!(ids, [txs[1].id(), txs[0].id()]);
        assert!(backend.store().transfers_of(&txs[0].id()).await.unwrap().is_empty());
    }
}

pub async fn gives_the_history_in_order(backend: &mut dyn Backend) {
    let store = backend.store();
    let genesis = world::initialise(store.as_ref()).await;
    let blocks: Vec<_> = (0..7).map(|n| block(&[&create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"))], n)).collect();
    for block in &blocks {
        store.write_block(block.clone(), &taken()).await.unwrap();
    }
    for n in [0, 5, 2] {
        store.decide(&blocks[n].id, n != 5, Vec::new()).await.unwrap();
    }
    drop(store);
    let expected: Vec<_> = std::iter::once(genesis.id).chain(blocks.iter().map(|block| block.id)).collect();
    for (orderly, limit) in [(None, 3), (Some(true), 1), (Some(false), 100)] {
        if let Some(orderly) = orderly {
            backend.reopen(orderly).await;
        }
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let (found, position) = backend.store().history(after.as_ref(), limit).await.unwrap();
            if found.is_empty() {
                break;
            }
            ids.extend(found.iter().map(|stored| stored.block.id));
            after = position;
        }
        assert_eq!(ids, expected);
    }
}

pub async fn counts(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.counts().await.unwrap(), Counts::default());
    world::initialise(store.as_ref()).await;
    let txs: Vec<_> = (0..5).map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"))).collect();
    store.write_backlog(txs.iter().map(|tx| entry(tx, 1, 1)).collect()).await.unwrap();
    let (one, two) = (block(&[&txs[0], &txs[1]], 1), block(&[&txs[2]], 2));
    store.write_block(one.clone(), &taken()).await.unwrap();
    store.write_block(two.clone(), &taken()).await.unwrap();
    store.decide(&one.id, true, Vec::new()).await.unwrap();
    drop(store);
    for orderly in [None, Some(true), Some(false), Some(true)] {
        if let Some(orderly) = orderly {
            backend.reopen(orderly).await;
        }
        let counts = backend.store().counts().await.unwrap();
        assert_eq!(counts, Counts { blocks: 3, transactions: 4, backlog: 2 });
    }
}
