//! Collections and indexes: those of BigchainDB Server 1.0.1 by its names, and a few of our own beside them.
//!
//! Ours are collections of their own, which a Python node never looks at, and two more indexes: `bigchain.block_id`
//! (1.0.1 reads the whole collection for one block) and `backlog.inputs` (for rivals that wait).

use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};

use super::fault;
use crate::store::Result;

/// Blocks.
pub const BLOCKS: &str = "bigchain";
/// What waits for a block.
pub const BACKLOG: &str = "backlog";
/// Votes.
pub const VOTES: &str = "votes";
/// `asset.data` of CREATE transactions in blocks.
pub const ASSETS: &str = "assets";
/// Ours: what was recorded at initialisation.
pub const LEDGER: &str = "ledger";
/// Ours: each node's decisions.
pub const DECISIONS: &str = "decisions";
/// Ours: why transactions were dropped.
pub const REJECTIONS: &str = "rejections";

/// Ours: how far each node has followed the blocks.
pub const FEEDS: &str = "feeds";

/// Ours: which process works with each node's key.
pub const LEASES: &str = "leases";

/// The index of `bigchain` by block id.
pub const BLOCK_ID: &str = "block_id";

/// The code of a server that has no such index.
const CANNOT_CREATE_INDEX: i32 = 67;

fn index(name: &str, keys: Document, unique: bool) -> IndexModel {
    // Absent and false are different options to a server that has the index already.
    let options = IndexOptions::builder().name(name.to_owned()).unique(unique.then_some(true)).build();
    IndexModel::builder().keys(keys).options(options).build()
}

/// Makes what is missing. `unique_blocks`: no block twice; only where no Python node writes blocks, whose repeated insert
/// would end it. Returns why assets cannot be searched, if they cannot.
pub async fn ensure(database: &Database, unique_blocks: bool) -> Result<Option<String>> {
    let transactions = "block.transactions";
    let under = |path: &str| format!("{transactions}.{path}");
    let collections = [
        (
            BLOCKS,
            vec![
                index("block_timestamp", doc! { "block.timestamp": 1 }, false),
                index("transaction_id", doc! { under("id"): 1 }, false),
                index("asset_id", doc! { under("asset.id"): 1 }, false),
                index("outputs", doc! { under("outputs.public_keys"): 1 }, false),
                index(
                    "inputs",
                    doc! { under("inputs.fulfills.transaction_id"): 1, under("inputs.fulfills.output_index"): 1 },
                    false,
                ),
                index(BLOCK_ID, doc! { "id": 1 }, unique_blocks),
            ],
        ),
        (
            BACKLOG,
            vec![
                index("transaction_id", doc! { "id": 1 }, true),
                index("assignee__transaction_timestamp", doc! { "assignee": 1, "assignment_timestamp": -1 }, false),
                index("inputs", doc! { "inputs.fulfills.transaction_id": 1 }, false),
            ],
        ),
        (VOTES, vec![index("block_and_voter", doc! { "vote.voting_for_block": 1, "node_pubkey": 1 }, true)]),
        (ASSETS, vec![index("asset_id", doc! { "id": 1 }, true)]),
        (DECISIONS, vec![index("node_and_block", doc! { "node": 1, "block": 1 }, true)]),
    ];
    for (name, indexes) in collections {
        let collection = database.collection::<Document>(name);
        collection.create_indexes(indexes).await.map_err(|e| fault::unavailable(&e))?;
    }
    let text = index("text", doc! { "$**": "text" }, false);
    match database.collection::<Document>(ASSETS).create_index(text).await {
        Ok(_) => Ok(None),
        Err(error) => match error.kind.as_ref() {
            mongodb::error::ErrorKind::Command(failure) if failure.code == CANNOT_CREATE_INDEX => {
                Ok(Some(fault::text(&error)))
            }
            _ => Err(fault::unavailable(&error)),
        },
    }
}
