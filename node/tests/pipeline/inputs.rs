//! Votes on blocks that spend what this node does not know of: others may be ahead by a moment.

use std::sync::Arc;
use std::time::Duration;

use bigchaindb::store::Taken;
use ledger::block::Block;
use ledger::rules::Rules;
use ledger::vote::Vote;

use crate::logs::Lines;
use crate::rig::{Rig, create, key, transfer, until};

/// A block with a CREATE, and one that spends it.
fn two_blocks(rig: &Rig) -> [Arc<Block>; 2] {
    let asset = create(&key(7), 1, 1);
    let moved = transfer(&asset, &key(7), key(8).public_key(), 1);
    let voters = [rig.key.public_key()];
    [(asset, 1), (moved, 2)].map(|(tx, n)| Arc::new(Block::create(vec![tx], &voters, 1_500_000_000 + n, &rig.key)))
}

/// Waits for the node's vote on a block.
async fn vote_on(rig: &Rig, block: &Block) -> Vote {
    let mut votes = Vec::new();
    until("a vote", async || {
        votes = rig.chain.votes(&block.id).await.unwrap();
        !votes.is_empty()
    })
    .await;
    Vote::from_bytes(&votes[0].bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_waits_for_an_input_that_comes_late_and_not_for_ever_for_one_that_does_not() {
    let lines = Lines::collect();
    for comes in [true, false] {
        let mut rig = Rig::new(Rules::Strict).await;
        // Longer than this test may take, or not worth mentioning.
        let wait = Duration::from_millis(if comes { 600_000 } else { 200 });
        rig.tune(|tuning| tuning.input_wait = wait);
        let [input, spender] = two_blocks(&rig);
        rig.store.write_block(spender.clone(), &Taken::none(rig.key.public_key())).await.unwrap();
        rig.start();
        let id = spender.id.to_string();
        let judged = async || !lines.with(&["a block cannot be judged yet", &id]).is_empty();
        until("a first look", judged).await;
        if comes {
            assert!(rig.chain.votes(&spender.id).await.unwrap().is_empty());
            rig.store.write_block(input.clone(), &Taken::none(rig.key.public_key())).await.unwrap();
            // By the votes of others: this node is not there yet.
            assert!(rig.store.decide(&input.id, true, Vec::new()).await.unwrap());
        }
        assert_eq!(vote_on(&rig, &spender).await.is_block_valid, comes);
        rig.stop().await;
    }
}
