//! Makes and signs what will be posted, before anything is measured.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use anyhow::Context;
use bytes::Bytes;
use indicatif::ProgressBar;
use ledger::build::{self, Recipient};
use ledger::crypto::PrivateKey;
use ledger::ids::TxId;
use ledger::json::{self, Value};

use crate::client::Endpoint;

/// A signed CREATE, ready to be written to a connection.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its id.
    pub id: TxId,
    /// The whole HTTP request.
    pub request: Bytes,
    /// Where the body begins in the request.
    pub body_at: usize,
}

impl Prepared {
    /// The transaction's JSON.
    pub fn body(&self) -> &[u8] {
        self.request.get(self.body_at..).unwrap_or_default()
    }
}

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many transactions.
    pub count: usize,
    /// How many people sign them, in turn.
    pub keys: usize,
    /// Random: two runs against one node must not post the same transactions.
    pub salt: u64,
}

impl Plan {
    /// The private keys, derived from the salt.
    pub fn private_keys(&self) -> Vec<PrivateKey> {
        let key = |n: u64| {
            let (salt, n) = (self.salt.to_be_bytes(), n.to_be_bytes());
            PrivateKey::from_seed(&ledger::crypto::sha3_256(&[b"bigchaindb bench", &salt, &n]))
        };
        (0..).map(key).filter(|key| key.public_key().fits_schema()).take(self.keys).collect()
    }
}

/// Signs with all cores, for the targets in turn.
pub fn prepare(plan: &Plan, targets: &[Endpoint], bar: &ProgressBar) -> anyhow::Result<Vec<Prepared>> {
    let keys = plan.private_keys();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = plan.count.div_ceil(workers).max(1);
    let done = AtomicU64::new(0);
    let running = AtomicUsize::new(workers);
    let parts = thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|worker| {
                let (keys, done, running) = (&keys, &done, &running);
                let numbers = (worker * share).min(plan.count)..((worker + 1) * share).min(plan.count);
                scope.spawn(move || {
                    let part: anyhow::Result<Vec<Prepared>> = numbers
                        .map(|n| {
                            done.fetch_add(1, Ordering::Relaxed);
                            let key = keys.get(n % keys.len().max(1)).context("no keys to sign with")?;
                            let target = targets.get(n % targets.len().max(1)).context("no node to post to")?;
                            create(plan, n, key, target)
                        })
                        .collect();
                    running.fetch_sub(1, Ordering::Relaxed);
                    part
                })
            })
            .collect();
        while running.load(Ordering::Relaxed) > 0 {
            bar.set_position(done.load(Ordering::Relaxed));
            thread::sleep(std::time::Duration::from_millis(50));
        }
        handles.into_iter().map(|handle| handle.join()).collect::<Vec<_>>()
    });
    let mut prepared = Vec::with_capacity(plan.count);
    for part in parts {
        prepared.extend(part.map_err(|_| anyhow::anyhow!("a signing thread panicked"))??);
    }
    Ok(prepared)
}

fn create(plan: &Plan, number: usize, key: &PrivateKey, target: &Endpoint) -> anyhow::Result<Prepared> {
    let owner = key.public_key();
    let asset = format!(r#"{{"bench": "{:016x}", "n": {number}}}"#, plan.salt);
    let asset = json::parse(asset.as_bytes()).map_err(|e| anyhow::anyhow!("{e:?}"))?;
    let recipient = Recipient { public_keys: vec![owner], amount: 1 };
    let unsigned = build::create(&[owner], &[recipient], Some(asset), None)?;
    let signed = build::sign(&unsigned, std::slice::from_ref(key))?;
    let id = signed.as_object().and_then(|o| o.get("id")).and_then(Value::as_str).context("no id")?.parse()?;
    let body = signed.to_canonical();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        target.path("/api/v1/transactions/"),
        target.authority(),
        body.len()
    );
    let body_at = head.len();
    Ok(Prepared { id, request: [head.into_bytes(), body].concat().into(), body_at })
}
