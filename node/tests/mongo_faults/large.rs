//! Blocks of large transactions, which must not outgrow what the database takes as one document.
//!
//! `BIGCHAINDB_LARGE` (default 3, a multiple of 3) says how many texts of a megabyte are sent.

use std::time::Duration;

use bigchaindb::pipeline::Tuning;
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use ledger::build::{self, Recipient};
use ledger::json::{self, Value};
use ledger::transaction::Transaction;
use mongodb::bson::doc;
use mongodb::bson::raw::RawDocumentBuf;
use tokio::time::{interval, timeout};

use crate::load::World;
use crate::nodes::status;
use crate::rig::owner;

/// What a document may have, bytes.
const DOCUMENT: usize = 16 << 20;
/// Without optimisation megabytes take long on a busy machine; nothing waits for it but a test that fails.
const PATIENCE: Duration = Duration::from_secs(240);
/// Room for what a transaction has beside its metadata and asset.
const ROOM: usize = (1 << 20) - 1000;

fn signed(unsigned: &Value<'_>) -> Transaction {
    Transaction::from_value(&build::sign(unsigned, &[owner()]).unwrap()).unwrap()
}

/// A CREATE with this asset and metadata.
fn create(asset: &str, metadata: &str) -> Transaction {
    let me = owner().public_key();
    let to = [Recipient { public_keys: vec![me], amount: 1 }];
    let [asset, metadata] = [asset, metadata].map(|text| json::parse(text.as_bytes()).unwrap());
    signed(&build::create(&[me], &to, Some(asset), Some(metadata)).unwrap())
}

/// Numbers of which two bytes of JSON take twelve in a document: each would fit into a block of the usual size, three
/// together are more than the database takes.
fn numbers(n: usize) -> Transaction {
    create(&format!(r#"{{"n":{n}}}"#), &format!(r#"{{"numbers":[{}1]}}"#, "1,".repeat(ROOM / 2 - 20)))
}

/// Text in the asset, which is stored apart, or in the block.
fn text(n: usize) -> Transaction {
    let (text, number) = (format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(ROOM)), format!(r#"{{"n":{n}}}"#));
    if n.is_multiple_of(3) { create(&text, "null") } else { create(&number, &text) }
}

async fn become_valid(world: &World, sent: &[Transaction]) {
    let posts = sent.iter().map(async |tx| {
        let mut client = world.node.client().await;
        let json = [("content-type", "application/json")];
        let answer = client.try_ask("POST", "/api/v1/transactions", &json, tx.bytes().clone()).await;
        assert_eq!(answer.unwrap().status, 202);
    });
    timeout(PATIENCE, join_all(posts)).await.expect("not accepted in time");
    let mut client = world.node.client().await;
    let mut tick = interval(Duration::from_millis(20));
    let all_valid = async {
        for tx in sent {
            while status(&mut client, tx).await.as_deref() != Some("valid") {
                tick.tick().await;
            }
        }
    };
    timeout(PATIENCE, all_valid).await.expect("not valid in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_a_megabyte_each_become_valid_in_blocks_that_fit() {
    // Three at once, however long they take to come.
    let patient = |tuning: &mut Tuning| {
        *tuning = Tuning { block_transactions: 3, block_wait: Duration::from_secs(600), ..Tuning::default() };
    };
    let Some(world) = World::with(None, patient).await else { return };
    become_valid(&world, &[0, 1, 2].map(numbers)).await;
    let texts = std::env::var("BIGCHAINDB_LARGE").map_or(3, |text| text.parse().unwrap());
    become_valid(&world, &(0..texts).map(text).collect::<Vec<_>>()).await;
    let blocks = world.server.database().await.collection::<RawDocumentBuf>("bigchain");
    let blocks: Vec<RawDocumentBuf> = blocks.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    let sizes: Vec<usize> = blocks.iter().map(|block| block.as_bytes().len()).collect();
    println!("blocks of {sizes:?} bytes");
    assert!(sizes.iter().all(|size| *size <= DOCUMENT), "{sizes:?}");
    assert!(sizes.iter().any(|size| *size > DOCUMENT / 2), "nothing came near the limit: {sizes:?}");
    world.node.stop().await;
}
