//! The backlog: writing, its feed, assignment, rejection.

use bigchaindb::store::StoreError;

use crate::Backend;
use crate::world::{self, backlog_now, block, create, entry, public, rejection, taken};

fn ids(entries: &[bigchaindb::store::BacklogEntry]) -> Vec<ledger::ids::TxId> {
    entries.iter().map(|entry| entry.transaction.id()).collect()
}

pub async fn starts_uninitialised(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.settings().await.unwrap(), None);
    assert!(matches!(store.genesis().await, Err(StoreError::NotInitialised)));
    let tx = create(4, &[(4, 1)], "{}");
    assert!(matches!(store.write_backlog(vec![entry(&tx, 1, 1)]).await, Err(StoreError::NotInitialised)));
    assert!(matches!(store.write_block(block(&[&tx], 1), &taken()).await, Err(StoreError::NotInitialised)));
    let genesis = world::initialise(store.as_ref()).await;
    assert_eq!(store.settings().await.unwrap(), Some(world::settings()));
    assert_eq!(genesis.id, world::genesis().id);
    let again = store.initialise(&world::settings(), &world::genesis()).await;
    assert!(matches!(again, Err(StoreError::AlreadyInitialised)), "{again:?}");
}

pub async fn gives_entries_in_order(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let txs: Vec<_> = (0..10).map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"))).collect();
    for (n, tx) in (0..).zip(&txs) {
        store.write_backlog(vec![entry(tx, 1, n)]).await.unwrap();
    }
    assert_eq!(store.backlog_len(), 10);
    assert_eq!(store.backlog_bytes(), txs.iter().map(|tx| tx.bytes().len()).sum::<usize>());
    let (entries, position) = backlog_now(store.as_ref(), None, 3).await;
    assert_eq!(ids(&entries), txs.iter().map(|tx| tx.id()).collect::<Vec<_>>());
    assert_eq!(entries[7].assigned_at, 7);
    assert_eq!(entries[7].assignee, public(1));
    assert_eq!(entries[7].transaction.bytes(), txs[7].bytes());
    assert!(backlog_now(store.as_ref(), position.clone(), 3).await.0.is_empty());
    let late = create(4, &[(4, 1)], "{\"n\":10}");
    store.write_backlog(vec![entry(&late, 1, 10)]).await.unwrap();
    assert_eq!(ids(&backlog_now(store.as_ref(), position, 3).await.0), [late.id()]);
}

pub async fn leaves_out_what_it_has(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let [waiting, undecided, valid] = ["1", "2", "3"].map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}")));
    store.write_backlog(vec![entry(&waiting, 1, 1), entry(&waiting, 1, 2)]).await.unwrap();
    store.write_backlog(vec![entry(&waiting, 2, 3)]).await.unwrap();
    store.write_block(block(&[&undecided], 1), &taken()).await.unwrap();
    let decided = block(&[&valid], 2);
    store.write_block(decided.clone(), &taken()).await.unwrap();
    store.decide(&decided.id, true, Vec::new()).await.unwrap();
    for _ in 0..2 {
        store.write_backlog(vec![entry(&undecided, 1, 4), entry(&valid, 1, 5)]).await.unwrap();
        let (entries, _) = backlog_now(store.as_ref(), None, 9).await;
        assert_eq!(ids(&entries), [waiting.id()]);
        assert_eq!((entries[0].assignee, entries[0].assigned_at), (public(1), 1), "the first entry stays");
    }
    drop(store);
    backend.reopen(true).await;
    let store = backend.store();
    store.write_backlog(vec![entry(&undecided, 1, 4), entry(&valid, 1, 5), entry(&waiting, 1, 6)]).await.unwrap();
    assert_eq!(store.backlog_len(), 1);
}

pub async fn takes_back_what_an_invalid_block_held(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let tx = create(4, &[(4, 1)], "{}");
    let bad = block(&[&tx], 1);
    store.write_block(bad.clone(), &taken()).await.unwrap();
    store.decide(&bad.id, false, Vec::new()).await.unwrap();
    assert_eq!((store.backlog_len(), store.backlog_bytes()), (0, 0));
    store.write_backlog(vec![entry(&tx, 2, 7)]).await.unwrap();
    assert_eq!(store.backlog_len(), 1);
    let located = store.locate(&[tx.id()]).await.unwrap().remove(0).unwrap();
    assert!(located.in_backlog);
    assert_eq!(located.blocks.len(), 1);
}

pub async fn reassigns_only_what_is_unchanged(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let [one, two, three] = ["1", "2", "3"].map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}")));
    store.write_backlog(vec![entry(&one, 1, 10), entry(&two, 1, 10)]).await.unwrap();
    let (_, position) = backlog_now(store.as_ref(), None, 9).await;
    let stale = [entry(&one, 1, 10), entry(&two, 1, 9), entry(&two, 2, 10), entry(&three, 1, 10)];
    assert_eq!(store.reassign(&stale, public(3), 20).await.unwrap(), [one.id()]);
    assert_eq!(store.reassign(&stale, public(2), 30).await.unwrap(), [], "it has another time by now");
    let (entries, _) = backlog_now(store.as_ref(), position.clone(), 9).await;
    assert_eq!(ids(&entries), [one.id()], "it comes again");
    assert_eq!((entries[0].assignee, entries[0].assigned_at), (public(3), 20));
    drop(store);
    backend.reopen(false).await;
    let store = backend.store();
    assert_eq!(ids(&backlog_now(store.as_ref(), None, 9).await.0), [two.id(), one.id()]);
    let again = [entry(&one, 3, 20), entry(&two, 1, 10)];
    assert_eq!(store.reassign(&again, public(1), 40).await.unwrap(), [one.id(), two.id()]);
    assert_eq!(ids(&backlog_now(store.as_ref(), position, 1).await.0), [one.id(), two.id()]);
    assert_eq!(store.backlog_len(), 2);
}

pub async fn lists_what_was_assigned_before(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let txs: Vec<_> = (0..4).map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"))).collect();
    for (tx, at) in txs.iter().zip([30, 10, 40, 20]) {
        store.write_backlog(vec![entry(tx, 1, at)]).await.unwrap();
    }
    let before = async |time, limit| ids(&store.backlog_assigned_outside(time..=u64::MAX, limit).await.unwrap());
    assert_eq!(before(30, 9).await, [txs[1].id(), txs[3].id()], "strictly before");
    assert_eq!(before(31, 2).await, [txs[1].id(), txs[3].id()]);
    assert_eq!(before(u64::MAX, 9).await, [txs[1].id(), txs[3].id(), txs[0].id(), txs[2].id()]);
    let outside = async |from, to, limit| ids(&store.backlog_assigned_outside(from..=to, limit).await.unwrap());
    assert_eq!(outside(20, 30, 9).await, [txs[1].id(), txs[2].id()], "before and after, not within");
    assert_eq!(outside(0, 39, 9).await, [txs[2].id()], "strictly after");
    assert_eq!(outside(20, 30, 1).await, [txs[1].id()]);
    store.reassign(&[entry(&txs[1], 1, 10)], public(2), 50).await.unwrap();
    store.delete_backlog(&[txs[3].id()]).await.unwrap();
    assert_eq!(before(u64::MAX, 9).await, [txs[0].id(), txs[2].id(), txs[1].id()]);
}

pub async fn deletes_entries(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let [one, two] = ["1", "2"].map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}")));
    store.write_backlog(vec![entry(&one, 1, 1), entry(&two, 1, 2)]).await.unwrap();
    store.delete_backlog(&[one.id(), one.id()]).await.unwrap();
    store.delete_backlog(&[one.id()]).await.unwrap();
    assert_eq!(ids(&backlog_now(store.as_ref(), None, 9).await.0), [two.id()]);
    assert!(store.locate(&[one.id()]).await.unwrap()[0].is_none());
    drop(store);
    backend.reopen(false).await;
    assert_eq!(ids(&backlog_now(backend.store().as_ref(), None, 9).await.0), [two.id()]);
}

pub async fn keeps_the_reason_of_a_rejection(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let [one, two] = ["1", "2"].map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}")));
    store.write_backlog(vec![entry(&one, 1, 1), entry(&two, 1, 2)]).await.unwrap();
    assert_eq!(store.rejection(&one.id()).await.unwrap(), None);
    store.reject(vec![rejection(&one, 5), rejection(&two, 6)]).await.unwrap();
    assert_eq!(store.backlog_len(), 0);
    assert_eq!(store.rejection(&one.id()).await.unwrap(), Some(rejection(&one, 5)));
    store.write_backlog(vec![entry(&one, 1, 7)]).await.unwrap();
    assert_eq!(store.rejection(&one.id()).await.unwrap(), None, "a later copy erases it");
    store.reject(vec![rejection(&one, 8)]).await.unwrap();
    drop(store);
    for orderly in [true, false] {
        backend.reopen(orderly).await;
        let store = backend.store();
        assert_eq!(store.rejection(&one.id()).await.unwrap(), Some(rejection(&one, 8)));
        assert_eq!(store.rejection(&two.id()).await.unwrap(), Some(rejection(&two, 6)));
    }
}

pub async fn wakes_a_waiting_feed(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let waiting = tokio::spawn({
        let store = backend.store();
        async move { store.backlog_feed(None, 9).await.unwrap() }
    });
    tokio::task::yield_now().await;
    let tx = create(4, &[(4, 1)], "{}");
    store.write_backlog(vec![entry(&tx, 1, 1)]).await.unwrap();
    assert_eq!(ids(&waiting.await.unwrap().items), [tx.id()]);
}

pub async fn goes_on_after_a_position_when_reopened(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let [one, two, three] = ["1", "2", "3"].map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}")));
    store.write_backlog(vec![entry(&one, 1, 1)]).await.unwrap();
    let (_, position) = backlog_now(store.as_ref(), None, 9).await;
    store.write_backlog(vec![entry(&two, 1, 2)]).await.unwrap();
    drop(store);
    backend.reopen(true).await;
    let store = backend.store();
    store.write_backlog(vec![entry(&three, 1, 3)]).await.unwrap();
    assert_eq!(ids(&backlog_now(store.as_ref(), position, 9).await.0), [two.id(), three.id()]);
    assert_eq!(ids(&backlog_now(store.as_ref(), None, 9).await.0), [one.id(), two.id(), three.id()]);
}
