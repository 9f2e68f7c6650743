//! What every store must do: one suite, run against each backend.
//!
//! A backend is added with one line: `conformance!(name, constructor)`, where the constructor makes a [`Backend`] with
//! an empty store.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::sync::Arc;

use async_trait::async_trait;
use bigchaindb::store::database::Database;
use bigchaindb::store::embedded::indexer::Pace;
use bigchaindb::store::embedded::{EmbeddedStore, Options};
use bigchaindb::store::{Amount, Store};

#[path = "store_conformance/backlog.rs"]
mod backlog;
#[path = "store_conformance/blocks.rs"]
mod blocks;
#[path = "store_conformance/lookups.rs"]
mod lookups;
#[path = "store_conformance/mongo.rs"]
mod mongo;
#[path = "mongod/mod.rs"]
mod mongod;
#[path = "store_conformance/nodes.rs"]
mod nodes;
#[path = "store_conformance/reopening.rs"]
mod reopening;
#[path = "store_conformance/search.rs"]
mod search;
#[path = "store_conformance/world.rs"]
mod world;

/// A store under test that can be closed and opened again.
#[async_trait]
pub trait Backend: Send {
    /// The store as it is open now. Callers let go of it before they reopen.
    fn store(&self) -> Arc<dyn Store>;

    /// Closes (or, if not orderly, abandons) the store and opens it again.
    async fn reopen(&mut self, orderly: bool);
}

/// The embedded store in a directory of its own.
struct Embedded {
    directory: tempfile::TempDir,
    store: Option<Arc<EmbeddedStore>>,
}

impl Embedded {
    /// Small segments and an eager index, so that a few records cross all borders.
    fn options() -> Options {
        let pace = Pace { batch: Amount { transactions: 1, bytes: 1 }, ..Pace::default() };
        Options { segment_bytes: 4096, pace, memtable_bytes: 4096 }
    }

    async fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(directory.path(), Self::options()).unwrap();
        Some(Self { directory, store: Some(Arc::new(store)) })
    }
}

#[async_trait]
impl Backend for Embedded {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().unwrap()
    }

    async fn reopen(&mut self, orderly: bool) {
        let store = Arc::into_inner(self.store.take().unwrap()).expect("a test holds the store while it reopens");
        if orderly {
            store.close().await.unwrap();
        }
        drop(store);
        self.store = Some(Arc::new(EmbeddedStore::open(self.directory.path(), Self::options()).unwrap()));
    }
}

macro_rules! conformance {
    ($backend:ident, $make:expr; $($module:ident[$attribute:meta]: $($case:ident)+;)+) => {
        mod $backend {
            $(mod $module {
                $(#[test]
                #[$attribute]
                fn $case() {
                    crate::world::run(async {
                        let Some(mut backend) = $make.await else { return };
                        crate::$module::$case(&mut backend).await;
                    });
                })+
            })+
        }
    };
}

macro_rules! every_case {
    ($backend:ident, $make:expr, search[$attribute:meta]) => {
        conformance! { $backend, $make;
            backlog[cfg(test)]:
                starts_uninitialised
                gives_entries_in_order
                leaves_out_what_it_has
                takes_back_what_an_invalid_block_held
                reassigns_only_what_is_unchanged
                lists_what_was_assigned_before
                deletes_entries
                keeps_the_reason_of_a_rejection
                wakes_a_waiting_feed
                goes_on_after_a_position_when_reopened;
            blocks[cfg(test)]:
                takes_transactions_out_of_the_backlog
                writes_a_block_once
                leaves_the_genesis_block_out_of_the_feed
                feeds_blocks_that_were_decided_meanwhile
                writes_a_vote_once
                keeps_late_votes
                refuses_votes_on_unknown_blocks
                decides_once
                requeues_what_counts_nowhere_else
                keeps_blocks_whole;
            lookups[cfg(test)]:
                locates_in_all_states
                prefers_the_copy_that_counts
                finds_spenders_of_every_status
                lists_outputs_in_the_blocks_order
                lists_transfers_of_valid_blocks
                gives_the_history_in_order
                counts;
            search[$attribute]:
                finds_words_as_mongodb_does
                orders_by_score
                finds_only_assets_of_valid_creates
                finds_an_asset_as_soon_as_it_is_valid
                finds_text_at_any_depth;
            reopening[cfg(test)]:
                answers_the_same_after_every_step;
        }
    };
}

every_case!(embedded, crate::Embedded::new(), search[cfg(test)]);
every_case!(mongodb, crate::mongo::Mongo::new(None), search[ignore = "the test server has no text index"]);
every_case!(
    mongodb_beside_python,
    crate::mongo::Mongo::new(Some(bigchaindb::store::mongo::Compat::Python)),
    search[ignore = "the test server has no text index"]
);
