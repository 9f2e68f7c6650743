//! Who writes with a node's key on a database that processes share.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use bigchaindb::store::database::{Database, Duty};
use bigchaindb::store::mongo::{MongoStore, Options};
use bigchaindb::store::{Settings, Store, StoreError, Taken};
use ledger::block::Block;
use ledger::crypto::PrivateKey;
use ledger::rules::Rules;
use ledger::vote::Vote;
use tokio::sync::watch;

#[path = "mongod/mod.rs"]
mod mongod;

use mongod::Mongod;

/// After this time without renewal another takes over.
const LASTS: Duration = Duration::from_millis(600);

/// Everything waits at most this long.
const DEADLINE: Duration = Duration::from_secs(20);

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[1; 32])
}

async fn store(server: &Mongod) -> MongoStore {
    let options = Options { node: key().public_key(), compat: None, wait: Duration::from_millis(5) };
    MongoStore::open(server.database().await, options).await.unwrap()
}

async fn founded(server: &Mongod) -> (MongoStore, Arc<Block>) {
    let store = store(server).await;
    let genesis = Block::genesis(&[key().public_key()], 1_500_000_000, &key());
    store.initialise(&Settings { rules: Rules::Strict }, &genesis).await.unwrap();
    let block = Block::create(Vec::new(), &[key().public_key()], 1_500_000_001, &key());
    (store, Arc::new(block))
}

async fn until(duty: &mut watch::Receiver<Duty>, wanted: impl Fn(&Duty) -> bool) -> Duty {
    let found = tokio::time::timeout(DEADLINE, duty.wait_for(wanted)).await;
    found.unwrap_or_else(|_| panic!("not in time")).unwrap().clone()
}

fn is_ours(duty: &Duty) -> bool {
    matches!(duty, Duty::Ours { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_gives_it_back_is_followed_at_once_and_whoever_waits_writes_nothing() {
    let Some(server) = Mongod::start(&[]) else { return };
    let (first, block) = founded(&server).await;
    // Without a lease in play, as a command that looks into a ledger, nothing is refused.
    first.write_block(block.clone(), &Taken::none(key().public_key())).await.unwrap();
    assert_eq!(until(&mut first.compete(LASTS), is_ours).await, Duty::Ours { epoch: 1 });
    let second = store(&server).await;
    let mut duty = second.compete(LASTS);
    let theirs = until(&mut duty, |duty| matches!(duty, Duty::Theirs { .. })).await;
    assert!(matches!(theirs, Duty::Theirs { holder } if holder.contains(&std::process::id().to_string())));

    let genesis = first.genesis().await.unwrap().id;
    let vote = Vote::create(block.id, genesis, true, 1_500_000_002, &key());
    for refused in [
        second.write_block(block.clone(), &Taken::none(key().public_key())).await,
        second.write_vote(&vote).await.map(drop),
        second.decide(&block.id, true, Vec::new()).await.map(drop),
        second.delete_backlog(&[]).await,
        second.reject(Vec::new()).await,
        second.reassign(&[], key().public_key(), 0).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    first.write_vote(&vote).await.unwrap();
    first.close().await.unwrap();
    assert_eq!(until(&mut duty, is_ours).await, Duty::Ours { epoch: 2 });
    assert!(second.decide(&block.id, true, Vec::new()).await.unwrap());
}

#[test]
fn a_process_that_was_stopped_for_a_while_writes_nothing_when_it_goes_on() {
    let Some(server) = Mongod::start(&[]) else { return };
    let server = Arc::new(server);
    let (holds, held) = mpsc::channel();
    let (go_on, going_on) = mpsc::channel::<()>();
    let theirs = server.clone();
    let first = std::thread::spawn(move || {
        // All of this process stands still while its only thread does.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, block) = founded(&theirs).await;
            let mut duty = store.compete(LASTS);
            until(&mut duty, is_ours).await;
            holds.send(()).unwrap();
            going_on.recv().unwrap();
            // Before it could have asked: it believes to be the holder.
            assert!(is_ours(&duty.borrow()));
            let refused = store.write_block(block, &Taken::none(key().public_key())).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
            until(&mut duty, |duty| matches!(duty, Duty::Theirs { .. })).await;
        });
    });
    held.recv().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let second = store(&server).await;
        assert_eq!(until(&mut second.compete(LASTS), is_ours).await, Duty::Ours { epoch: 2 });
        go_on.send(()).unwrap();
        tokio::task::spawn_blocking(|| first.join().unwrap()).await.unwrap();
    });
}
