//! Documents that are not what their collections are for: reported, passed over, and of no effect.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bigchaindb::app::wall_clock;
use bigchaindb::store::BacklogEntry;
use bigchaindb::store::mongo::documents;
use ledger::block::Block;
use ledger::crypto::PrivateKey;
use ledger::ids::BlockId;
use ledger::transaction::Transaction;
use ledger::vote::Vote;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{self, Bson, DateTime, Document, doc};

use crate::load::World;
use crate::logs::Lines;
use crate::nodes::{Running, key, list, status};
use crate::rig::{Client, create, owner, until};

fn document(raw: &RawDocumentBuf) -> Document {
    bson::deserialize_from_slice(raw.as_bytes()).unwrap()
}

/// A document of the backlog with one member changed.
fn entry(n: i64, member: &str, value: Option<Bson>) -> Document {
    let assignee = key(0).public_key();
    let entry = BacklogEntry { transaction: Arc::new(create(&owner(), n)), assignee, assigned_at: wall_clock()() };
    let mut entry = document(&documents::backlog(ObjectId::new(), &entry).unwrap());
    match value {
        Some(value) => entry.insert(member, value),
        None => entry.remove(member),
    };
    entry
}

fn nested(levels: usize) -> Document {
    (0..levels).fold(doc! {}, |inner, _| doc! { "a": inner })
}

fn bad_entries() -> Vec<Document> {
    let metadata = |value: Bson| Some(doc! { "x": value }.into());
    vec![
        doc! { "_id": ObjectId::new() },
        entry(-1, "id", Some("f".repeat(64).into())),
        entry(-2, "id", Some(5.into())),
        entry(-3, "assignee", None),
        entry(-4, "assignee", Some("nobody".into())),
        entry(-5, "assignment_timestamp", Some("yesterday".into())),
        entry(-6, "inputs", None),
        entry(-7, "inputs", Some(doc! {}.into())),
        entry(-8, "outputs", Some(vec![Bson::Null].into())),
        entry(-9, "metadata", metadata(DateTime::from_millis(0).into())),
        entry(-10, "metadata", metadata(f64::NAN.into())),
        entry(-11, "metadata", metadata(nested(150).into())),
        entry(-12, "version", Some(i64::MAX.into())),
    ]
}

/// A block of its own, with its inner part changed.
fn block(n: i64, member: &str, value: Option<Bson>) -> Document {
    let block = Block::create(vec![Arc::new(create(&owner(), n))], &[key(0).public_key()], 1_500_000_001, &key(0));
    let mut block = document(&documents::block(ObjectId::new(), &block).unwrap().0);
    let inner = block.get_document_mut("block").unwrap();
    match value {
        Some(value) => inner.insert(member, value),
        None => inner.remove(member),
    };
    block
}

/// Of the year 2000, before everything that is really there.
fn early() -> ObjectId {
    let mut bytes = ObjectId::new().bytes();
    bytes[..4].copy_from_slice(&946_684_800_u32.to_be_bytes());
    ObjectId::from_bytes(bytes)
}

fn bad_blocks() -> Vec<Document> {
    let mut founding = block(-20, "timestamp", Some(5.into()));
    founding.insert("_id", early());
    let inner = founding.get_document_mut("block").unwrap();
    inner.get_array_mut("transactions").unwrap()[0].as_document_mut().unwrap().insert("operation", "GENESIS");
    vec![
        doc! { "_id": ObjectId::new(), "id": "of no length" },
        doc! { "_id": ObjectId::new(), "id": BlockId::from_bytes([1; 32]).to_string(), "block": 7 },
        // Their assets are missing, too.
        block(-21, "transactions", Some("none".into())),
        block(-22, "voters", None),
        block(-23, "timestamp", Some(f64::MAX.into())),
        founding,
    ]
}

fn vote(vote: &Vote) -> Document {
    document(&documents::vote(ObjectId::new(), vote).unwrap())
}

/// As if the node had cast them, far in the future, and a stranger's.
fn bad_votes(decided: BlockId) -> Vec<Document> {
    let of = |id, seconds, key: &PrivateKey| vote(&Vote::create(id, decided, false, seconds, key));
    let (unknown, far) = (BlockId::from_bytes([2; 32]), 90_000_000_000);
    let mut forged = of(unknown, far, &key(5));
    forged.insert("node_pubkey", key(0).public_key().to_string());
    let mut numbers = of(BlockId::from_bytes([3; 32]), far, &key(0));
    numbers.get_document_mut("vote").unwrap().insert("timestamp", f64::INFINITY);
    vec![
        doc! { "_id": ObjectId::new() },
        doc! { "_id": ObjectId::new(), "node_pubkey": 5, "vote": { "voting_for_block": decided.to_string() } },
        doc! { "_id": ObjectId::new(), "node_pubkey": "x", "vote": { "voting_for_block": ["y"] }, "signature": 1 },
        forged,
        numbers,
        of(decided, 1_500_000_000, &key(6)),
    ]
}

async fn becomes_valid(client: &mut Client, n: i64) -> Transaction {
    let tx = create(&owner(), n);
    assert_eq!(client.post(tx.bytes().clone()).await.status, 202);
    until("a transaction after them", async || status(client, &tx).await.as_deref() == Some("valid")).await;
    tx
}

/// The only block that holds a transaction.
async fn block_of(client: &mut Client, tx: &Transaction) -> BlockId {
    let blocks = list(client, &format!("/api/v1/blocks?transaction_id={}&status=VALID", tx.id())).await;
    assert_eq!(blocks.len(), 1);
    blocks[0].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_do_not_read_are_reported_once_and_change_nothing() {
    let lines = Lines::collect();
    let Some(world) = World::new().await else { return };
    let mut client = world.node.client().await;
    let before = becomes_valid(&mut client, 1).await;
    let decided = block_of(&mut client, &before).await;
    let database = world.server.database().await;
    let mut reported = Vec::new();
    for (name, documents) in [("backlog", bad_entries()), ("bigchain", bad_blocks()), ("votes", bad_votes(decided))] {
        if name != "votes" {
            reported.extend(documents.iter().map(|document| document.get_object_id("_id").unwrap()));
        }
        database.collection::<Document>(name).insert_many(documents).await.unwrap();
        // A key that is no ObjectId, too.
        let other = doc! { "_id": "a text", "id": 7, "node_pubkey": 7 };
        database.collection::<Document>(name).insert_one(other).await.unwrap();
    }
    // The same voter again, on the same block: the database refuses it.
    let again = vote(&Vote::create(decided, decided, false, 1_500_000_002, &key(0)));
    assert!(
        database.collection::<Document>("votes").insert_one(again).await.unwrap_err().to_string().contains("11000")
    );
    let after = becomes_valid(&mut client, 2).await;
    // Whoever starts reads all of it anew.
    let settings = world.settings();
    world.node.stop().await;
    let node = Running::start(settings).await;
    let mut client = node.client().await;
    let last = becomes_valid(&mut client, 3).await;
    for tx in [&before, &after, &last] {
        assert_eq!(status(&mut client, tx).await.as_deref(), Some("valid"));
    }
    assert_eq!(block_of(&mut client, &before).await, decided);
    let block = block_of(&mut client, &last).await;
    let votes = list(&mut client, &format!("/api/v1/votes?block_id={block}")).await;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let cast: u64 = votes[0]["vote"]["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(cast <= seconds, "a forged vote has moved the node's clock to {cast}");
    for id in reported {
        let times = lines.with(&[&id.to_hex()]).len();
        // Once by each of the two processes.
        assert!((1..=2).contains(&times), "{id} was reported {times} times");
    }
    node.stop().await;
}
