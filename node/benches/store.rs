//! What the embedded store takes for a batch: durable backlog entries, and a block with its vote and decision.

#![allow(clippy::unwrap_used, reason = "a broken fixture may end the benchmark")]

use std::sync::Arc;

use bigchaindb::store::database::Database;
use bigchaindb::store::embedded::{EmbeddedStore, Options};
use bigchaindb::store::{BacklogEntry, Settings, Store, Taken};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ledger::block::Block;
use ledger::build::{self, Recipient};
use ledger::crypto::PrivateKey;
use ledger::json;
use ledger::rules::Rules;
use ledger::transaction::Transaction;
use ledger::vote::Vote;
use tempfile::TempDir;
use tokio::runtime::Runtime;

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

/// Signed CREATEs, as backlog entries; no number twice.
struct Source(u64);

impl Source {
    fn next(&mut self) -> BacklogEntry {
        self.0 += 1;
        let owner = key().public_key();
        let data = json::parse(format!("{{\"serial\":{}}}", self.0).as_bytes()).unwrap().into_owned();
        let recipients = [Recipient { public_keys: vec![owner], amount: 1 }];
        let unsigned = build::create(&[owner], &recipients, Some(data), None).unwrap();
        let tx = Transaction::from_value(&build::sign(&unsigned, &[key()]).unwrap()).unwrap();
        BacklogEntry { transaction: Arc::new(tx), assignee: owner, assigned_at: 1 }
    }

    fn take(&mut self, n: u64) -> Vec<BacklogEntry> {
        (0..n).map(|_| self.next()).collect()
    }
}

fn store(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = TempDir::new().unwrap();
    let store = EmbeddedStore::open(directory.path(), Options::default()).unwrap();
    let me = key().public_key();
    let genesis = Arc::new(Block::genesis(&[me], 1_500_000_000, &key()));
    let settings = Settings { rules: Rules::Strict };
    runtime.block_on(store.initialise(&settings, &genesis)).unwrap();
    let mut source = Source(0);

    let mut group = c.benchmark_group("store");
    for n in [1, 100, 1000] {
        group.throughput(Throughput::Elements(n));
        group.bench_function(BenchmarkId::new("backlog entries to valid block", n), |b| {
            b.iter_batched(
                || {
                    let entries = source.take(n);
                    let transactions = entries.iter().map(|entry| entry.transaction.clone()).collect();
                    let block = Arc::new(Block::create(transactions, &[me], 1_500_000_000, &key()));
                    let vote = Vote::create(block.id, genesis.id, true, 1_500_000_000, &key());
                    (entries, block, vote)
                },
                |(entries, block, vote)| {
                    runtime.block_on(async {
                        store.write_backlog(entries).await.unwrap();
                        store.write_block(block.clone(), &Taken::none(key().public_key())).await.unwrap();
                        store.write_vote(&vote).await.unwrap();
                        assert!(store.decide(&block.id, true, Vec::new()).await.unwrap());
                    });
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
    runtime.block_on(store.close()).unwrap();
}

criterion_group!(benches, store);
criterion_main!(benches);
