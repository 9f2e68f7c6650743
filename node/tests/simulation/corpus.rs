//! Transactions that all schedules draw from, signed once.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use ledger::build::{self, Recipient};
use ledger::crypto::{PrivateKey, Uncached};
use ledger::ids::{OutputRef, PublicKey, TxId};
use ledger::json;
use ledger::transaction::Transaction;

/// Assets that there are.
pub const ASSETS: usize = 24;

/// An asset's life. Names for traces: `c`, `t1`, `r1`, `t2`, `r2`.
pub struct Asset {
    /// The CREATE.
    pub create: Arc<Transaction>,
    /// Spends it; and a rival that does the same.
    pub first: [Arc<Transaction>; 2],
    /// Spend the output of the first of these; rivals of each other.
    pub second: [Arc<Transaction>; 2],
}

impl Asset {
    /// All of them, inputs first.
    pub fn all(&self) -> [&Arc<Transaction>; 5] {
        [&self.create, &self.first[0], &self.first[1], &self.second[0], &self.second[1]]
    }

    /// What one of them spends from.
    pub fn input(&self, which: usize) -> Option<&Arc<Transaction>> {
        match which {
            0 => None,
            1 | 2 => Some(&self.create),
            _ => Some(&self.first[0]),
        }
    }

    /// Whether one of them can never be valid, as its input lost to a rival.
    pub fn lost(&self, which: usize, valid: impl Fn(&Transaction) -> bool) -> bool {
        which > 2 && valid(&self.first[1])
    }
}

/// See the module.
pub struct Corpus {
    pub assets: Vec<Asset>,
    names: BTreeMap<TxId, String>,
}

impl Corpus {
    /// A short name of a transaction.
    pub fn name(&self, id: &TxId) -> &str {
        self.names.get(id).map_or("?", String::as_str)
    }

    /// A transaction by its id.
    pub fn find(&self, id: &TxId) -> Option<&Arc<Transaction>> {
        self.assets.iter().flat_map(Asset::all).find(|tx| tx.id() == *id)
    }

    /// Whoever spends an output that this one spends, itself included.
    pub fn spenders(&self, tx: &Transaction) -> impl Iterator<Item = &Arc<Transaction>> {
        let outputs: Vec<OutputRef> = tx.spends().collect();
        let all = self.assets.iter().flat_map(Asset::all);
        all.filter(move |other| other.spends().any(|output| outputs.contains(&output)))
    }
}

/// The only one.
pub static CORPUS: LazyLock<Corpus> = LazyLock::new(|| {
    let assets: Vec<Asset> = (0..ASSETS).map(asset).collect();
    let mut names = BTreeMap::new();
    for (n, asset) in assets.iter().enumerate() {
        for (tx, name) in asset.all().into_iter().zip(["c", "t1", "r1", "t2", "r2"]) {
            names.insert(tx.id(), format!("a{n}.{name}"));
        }
    }
    Corpus { assets, names }
});

fn key(n: u8) -> PrivateKey {
    PrivateKey::from_seed(&[n; 32])
}

fn asset(n: usize) -> Asset {
    let owners = [key(101), key(102), key(103)];
    let public: Vec<PublicKey> = owners.iter().map(PrivateKey::public_key).collect();
    let to = |n: usize| [Recipient { public_keys: vec![public[n]], amount: 1 }];
    let text = format!(r#"{{"n": {n}}}"#);
    let data = json::parse(text.as_bytes()).unwrap();
    let create = finish(&build::create(&public[..1], &to(0), Some(data), None).unwrap(), &owners[0]);
    let spend = |tx: &Transaction, by: usize, to_whom: usize| {
        finish(&build::transfer(&[(tx, 0)], &to(to_whom), None).unwrap(), &owners[by])
    };
    let first = [spend(&create, 0, 1), spend(&create, 0, 2)];
    let second = [spend(&first[0], 1, 0), spend(&first[0], 1, 2)];
    Asset { create, first, second }
}

fn finish(unsigned: &json::Value<'_>, signer: &PrivateKey) -> Arc<Transaction> {
    let signed = build::sign(unsigned, std::slice::from_ref(signer)).unwrap();
    let tx = Transaction::from_value(&signed).unwrap();
    // Remembered: no schedule computes it again.
    assert!(tx.signatures_valid(&Uncached));
    Arc::new(tx)
}
