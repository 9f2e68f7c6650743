//! What a transaction costs, part by part: reading, canonical bytes, hash, schema, admission, verification; and a block.

#![allow(clippy::unwrap_used, reason = "a broken fixture may end the benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ledger::block::Block;
use ledger::build::{self, Recipient};
use ledger::crypto::{DecodedKey, PrivateKey, sha3_256};
use ledger::transaction::Transaction;
use ledger::{admission, json, schema};

/// Transactions of a block.
const BLOCK: u64 = 1000;

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

/// The JSON of a signed CREATE.
fn create(n: u64) -> Vec<u8> {
    let owner = key().public_key();
    let recipients = [Recipient { public_keys: vec![owner], amount: 1 }];
    let data = format!("{{\"serial\":\"{n:08}\",\"kind\":\"bicycle\",\"weight\":14.5}}");
    let data = json::parse(data.as_bytes()).unwrap();
    let unsigned = build::create(&[owner], &recipients, Some(data), None).unwrap();
    build::sign(&unsigned, &[key()]).unwrap().to_canonical()
}

fn transaction(c: &mut Criterion) {
    let text = create(0);
    let value = json::parse(&text).unwrap();
    let tx = Transaction::from_value(&value).unwrap();
    let message = tx.message();
    let signature = key().sign(&message);
    let public = key().public_key();
    let decoded = DecodedKey::decode(&public).unwrap();

    let mut group = c.benchmark_group("transaction");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("parse", |b| b.iter(|| json::parse(black_box(&text)).unwrap()));
    group.bench_function("canonical bytes", |b| b.iter(|| black_box(&value).to_canonical()));
    group.bench_function("SHA3-256", |b| b.iter(|| sha3_256(&[black_box(&message)])));
    group.bench_function("schema", |b| b.iter(|| schema::transaction(black_box(&value)).unwrap()));
    group.bench_function("admission from bytes", |b| b.iter(|| admission::transaction(black_box(&text)).unwrap()));
    group.finish();

    let mut group = c.benchmark_group("verification");
    group.bench_function("decode the key", |b| b.iter(|| DecodedKey::decode(black_box(&public)).unwrap()));
    group.bench_function("one signature", |b| {
        b.iter(|| assert!(decoded.verify(black_box(&message), black_box(&signature))));
    });
    group.finish();
}

fn block(c: &mut Criterion) {
    let read = |n: u64| Arc::new(admission::transaction(&create(n)).unwrap());
    let transactions: Vec<Arc<Transaction>> = (0..BLOCK).map(read).collect();
    let voters = [key().public_key()];
    let mut group = c.benchmark_group("block");
    group.throughput(Throughput::Elements(BLOCK));
    group.bench_function("build and sign", |b| {
        b.iter(|| Block::create(black_box(transactions.clone()), &voters, 1_500_000_000, &key()));
    });
    group.finish();
}

criterion_group!(benches, transaction, block);
criterion_main!(benches);
