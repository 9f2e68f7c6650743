//! The pipelines over a real store: what becomes of transactions, good and bad.
#![allow(clippy::unwrap_used)] // a test that cannot go on ends

#[path = "pipeline/inputs.rs"]
mod inputs;
#[path = "logs/mod.rs"]
mod logs;
#[path = "pipeline/rig.rs"]
mod rig;

use std::sync::Arc;
use std::time::Duration;

use bigchaindb::chain::SubmitError;
use bigchaindb::store::Taken;
use ledger::block::Block;
use ledger::election::BlockStatus;
use ledger::facts::TxStatus;
use ledger::ids::BlockId;
use ledger::rules::Rules;
use ledger::vote::Vote;
use rig::{Rig, create, key, large, transfer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submitted_transaction_becomes_valid_and_is_voted_on_in_a_chain() {
    let mut rig = Rig::new(Rules::Strict).await;
    rig.start();
    let genesis = rig.store.genesis().await.unwrap();
    let mut previous = genesis.id;
    for n in 0..3 {
        let tx = create(&key(7), n, 1);
        rig.chain.submit(tx.clone()).await.unwrap();
        let blocks = rig.until_valid(&[&tx]).await;
        let block = blocks.last().unwrap();
        assert_eq!(rig.chain.transaction_status(&tx.id()).await.unwrap(), Some(TxStatus::Valid));
        let votes = rig.chain.votes(&block.id).await.unwrap();
        let vote = Vote::from_bytes(&votes[0].bytes).unwrap();
        assert_eq!((votes.len(), vote.previous_block, vote.is_block_valid), (1, previous, true));
        previous = block.id;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_the_start_is_not_forgotten() {
    let mut rig = Rig::new(Rules::Strict).await;
    let (waiting, packed) = (create(&key(7), 1, 1), create(&key(7), 2, 1));
    rig.slip_in(&[&waiting], rig.key.public_key()).await;
    let block = Block::create(vec![packed.clone()], &[rig.key.public_key()], 1_500_000_001, &rig.key);
    rig.store.write_block(Arc::new(block), &Taken::none(rig.key.public_key())).await.unwrap();
    rig.start();
    rig.until_valid(&[&waiting, &packed]).await;
    rig.stop().await;
}

/// As when another node decided on the input's block before this one, and spent from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_waits_for_this_nodes_own_decision_on_an_input() {
    let mut rig = Rig::new(Rules::Strict).await;
    let asset = create(&key(7), 1, 1);
    let moved = transfer(&asset, &key(7), key(8).public_key(), 1);
    let voters = [rig.key.public_key()];
    let [first, second] =
        [(&asset, 1), (&moved, 2)].map(|(tx, n)| Block::create(vec![tx.clone()], &voters, 1_500_000_000 + n, &rig.key));
    for block in [&first, &second] {
        rig.store.write_block(Arc::new(block.clone()), &Taken::none(rig.key.public_key())).await.unwrap();
    }
    rig.start();
    rig.until_valid(&[&asset, &moved]).await;
    let statuses = rig.store.block_statuses(&[first.id, second.id]).await.unwrap();
    assert_eq!(statuses, [Some(BlockStatus::Valid); 2]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_many_bytes_is_full_until_blocks_take_them() {
    let mut rig = Rig::new(Rules::Strict).await;
    let txs: Vec<_> = (0..4).map(|n| large(&key(7), n, 1 << 20)).collect();
    let (last, fitting) = txs.split_last().unwrap();
    for tx in fitting {
        rig.chain.submit(tx.clone()).await.unwrap();
    }
    let Err(SubmitError::Busy { reason, retry_after }) = rig.chain.submit(last.clone()).await else {
        panic!("4 MiB were taken in")
    };
    assert!(reason.starts_with("3 transactions wait for a block already"), "{reason}");
    assert_eq!(retry_after, 1);
    assert!(matches!(rig.chain.submit(create(&key(7), 9, 1)).await, Err(SubmitError::Busy { .. })));
    rig.start();
    rig.until_valid(&fitting.iter().collect::<Vec<_>>()).await;
    rig.chain.submit(last.clone()).await.unwrap();
    rig.until_valid(&[last]).await;
    rig.stop().await;
}

/// Each of them alone would fit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_to_the_backlog_counts_too() {
    let rig = Rig::new(Rules::Strict).await;
    let txs = (0..6).map(|n| large(&key(7), n, 1 << 20));
    let outcomes = futures_util::future::join_all(txs.map(|tx| rig.chain.submit(tx))).await;
    let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!((1..=3).contains(&taken), "{taken} were taken in");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(SubmitError::Busy { .. }))));
    assert_eq!(rig.store.backlog_len(), taken);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_rivals_one_becomes_valid_and_the_other_learns_why_not() {
    let mut rig = Rig::new(Rules::Strict).await;
    let owner = key(7);
    rig.start();
    for n in 0..20 {
        let asset = create(&owner, n, 5);
        rig.chain.submit(asset.clone()).await.unwrap();
        rig.until_valid(&[&asset]).await;
        let one = transfer(&asset, &owner, key(8).public_key(), 5);
        let two = transfer(&asset, &owner, key(9).public_key(), 5);
        // Past admission, which would refuse the second at once.
        rig.slip_in(&[&one, &two], rig.key.public_key()).await;
        rig.until_valid(&[&one]).await;
        let (class, message) = rig.until_rejected(&two).await;
        assert_eq!(class, "DoubleSpend");
        assert_eq!(message, format!("input `{}` was already spent", asset.id()));
        assert_eq!(rig.chain.transaction_status(&two.id()).await.unwrap(), None);
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admission_refuses_rivals_of_what_waits() {
    let mut rig = Rig::new(Rules::Strict).await;
    let owner = key(7);
    let asset = create(&owner, 0, 5);
    rig.start();
    rig.chain.submit(asset.clone()).await.unwrap();
    rig.until_valid(&[&asset]).await;
    let (one, two) =
        (transfer(&asset, &owner, key(8).public_key(), 5), transfer(&asset, &owner, key(9).public_key(), 5));
    let first = rig.chain.submit(one.clone()).await;
    let second = rig.chain.submit(two).await;
    assert!(first.is_ok(), "{first:?}");
    assert!(matches!(&second, Err(SubmitError::Invalid(e)) if e.class() == "DoubleSpend"), "{second:?}");
    // The same once more is fine, at any time.
    rig.chain.submit(one.clone()).await.unwrap();
    rig.until_valid(&[&one]).await;
    rig.chain.submit(one).await.unwrap();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_transactions_in_the_backlog_are_dropped_with_their_reason() {
    let mut rig = Rig::new(Rules::Strict).await;
    let owner = key(7);
    let asset = create(&owner, 0, 5);
    rig.start();
    rig.chain.submit(asset.clone()).await.unwrap();
    rig.until_valid(&[&asset]).await;
    let too_much = transfer(&asset, &owner, key(8).public_key(), 6);
    let unknown = transfer(&create(&owner, 99, 5), &owner, key(8).public_key(), 5);
    rig.slip_in(&[&too_much, &unknown], rig.key.public_key()).await;
    assert_eq!(rig.until_rejected(&too_much).await.0, "AmountError");
    assert_eq!(rig.until_rejected(&unknown).await.0, "InputDoesNotExist");
    // A second genesis transaction is let in by the API of 1.0.1, and dropped here.
    let genesis = Block::genesis(&[owner.public_key()], 1, &owner).transactions[0].clone();
    rig.slip_in(&[&genesis], rig.key.public_key()).await;
    assert_eq!(rig.until_rejected(&genesis).await.0, "GenesisBlockAlreadyExistsError");
    assert_eq!(rig.store.backlog_len(), 0);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_an_invalid_block_come_back_and_do_not_loop() {
    let mut rig = Rig::new(Rules::V1_0_1).await;
    let (good, stranger) = (create(&key(7), 1, 1), key(66));
    // A block from outside the federation that this node is to vote on.
    let block = Block::create(vec![good.clone()], &[rig.key.public_key()], 1_500_000_001, &stranger);
    let foreign = block.id;
    rig.store.write_block(Arc::new(block), &Taken::none(rig.key.public_key())).await.unwrap();
    rig.start();
    rig.until_valid(&[&good]).await;
    assert_eq!(rig.chain.block_status(&foreign).await.unwrap(), Some(BlockStatus::Invalid));
    let blocks = rig.chain.blocks_of(&good.id(), None).await.unwrap();
    assert_eq!(blocks.len(), 2, "one invalid, one valid");
    assert_eq!(rig.chain.blocks_of(&good.id(), Some(BlockStatus::Valid)).await.unwrap().len(), 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_ledgers_refuse_blocks_whose_voters_are_not_the_federation() {
    let mut rig = Rig::new(Rules::Strict).await;
    let good = create(&key(7), 1, 1);
    let voters = [rig.key.public_key(), key(66).public_key(), key(67).public_key()];
    let block = Block::create(vec![good], &voters, 1_500_000_001, &rig.key);
    let id = block.id;
    rig.store.write_block(Arc::new(block), &Taken::none(rig.key.public_key())).await.unwrap();
    rig.start();
    let after = create(&key(7), 2, 1);
    rig.chain.submit(after.clone()).await.unwrap();
    rig.until_valid(&[&after]).await;
    let votes = rig.chain.votes(&id).await.unwrap();
    assert!(!Vote::from_bytes(&votes[0].bytes).unwrap().is_block_valid);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_assignee_leaves_lying_is_taken_over() {
    let mut rig = Rig::new(Rules::Strict).await;
    let tx = create(&key(7), 1, 1);
    rig.slip_in(&[&tx], key(66).public_key()).await;
    rig.start();
    let other = create(&key(7), 2, 1);
    rig.chain.submit(other.clone()).await.unwrap();
    rig.until_valid(&[&other]).await;
    assert_eq!(rig.chain.transaction_status(&tx.id()).await.unwrap(), Some(TxStatus::Backlog), "not ours yet");
    rig.advance(121_000);
    rig.until_valid(&[&tx]).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_backlog_says_so() {
    let rig = Rig::new(Rules::Strict).await;
    let transactions: Vec<_> = (0..1_000).map(|n| create(&key(7), n, 1)).collect();
    for some in transactions.chunks(100) {
        rig.slip_in(&some.iter().collect::<Vec<_>>(), rig.key.public_key()).await;
    }
    let refused = rig.chain.submit(create(&key(7), -1, 1)).await;
    assert!(matches!(refused, Err(SubmitError::Busy { retry_after: 1.., .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_of_the_reference_s_rules_makes_no_more_than_a_block_an_interval_unless_it_is_full() {
    let mut rig = Rig::new(Rules::V1_0_1).await;
    rig.tune(|tuning| {
        tuning.block_interval = Duration::from_secs(3600);
        tuning.block_wait = Duration::ZERO;
        tuning.block_transactions = 20;
    });
    rig.start();
    let first = create(&key(7), 0, 1);
    rig.chain.submit(first.clone()).await.unwrap();
    rig.until_valid(&[&first]).await;
    let others: Vec<_> = (1..=20).map(|n| create(&key(7), n, 1)).collect();
    for tx in &others {
        rig.chain.submit(tx.clone()).await.unwrap();
    }
    let blocks = rig.until_valid(&others.iter().collect::<Vec<_>>()).await;
    let sizes: Vec<usize> = blocks.iter().map(|block| block.transactions.len()).collect();
    assert_eq!(sizes, [20]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_is_not_full_waits_for_the_decision_on_the_one_before() {
    let mut rig = Rig::new(Rules::Strict).await;
    rig.tune(|tuning| {
        tuning.decision_wait = Duration::from_secs(3600);
        tuning.block_wait = Duration::ZERO;
        tuning.block_transactions = 3;
    });
    rig.start();
    let decided = rig.decided();
    let before = BlockId::from_bytes([1; 32]);
    decided.expect(before);
    let transactions: Vec<_> = (0..3).map(|n| create(&key(7), n, 1)).collect();
    for tx in &transactions {
        rig.chain.submit(tx.clone()).await.unwrap();
    }
    let blocks = rig.until_valid(&transactions.iter().collect::<Vec<_>>()).await;
    let sizes: Vec<usize> = blocks.iter().map(|block| block.transactions.len()).collect();
    assert_eq!(sizes, [3], "it waits for more until it is full");
    rig.stop().await;
}

/// On one thread, so that the stage has come to its wait when this test goes on.
#[tokio::test]
async fn a_block_that_waits_for_a_decision_is_made_when_it_comes() {
    let mut rig = Rig::new(Rules::Strict).await;
    rig.tune(|tuning| {
        tuning.decision_wait = Duration::from_secs(3600);
        tuning.block_wait = Duration::ZERO;
    });
    rig.start();
    let (decided, before) = (rig.decided(), BlockId::from_bytes([1; 32]));
    decided.expect(before);
    let tx = create(&key(7), 1, 1);
    rig.chain.submit(tx.clone()).await.unwrap();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    decided.tell(&before);
    rig.until_valid(&[&tx]).await;
    rig.stop().await;
}
