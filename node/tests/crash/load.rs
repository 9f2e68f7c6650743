//! Transactions to post, and what became of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ledger::build::{self, Recipient};
use ledger::crypto::PrivateKey;
use ledger::ids::TxId;
use ledger::json::{Int, Object, Value};
use ledger::transaction::Transaction;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use crate::http::Connection;

/// Clients that post at once.
pub const CONNECTIONS: usize = 4;

/// Transactions for each client and round: more than a round posts.
const PER_CONNECTION: usize = 60;

/// Outputs kept to be spent later.
const MAX_SPENDABLE: usize = 400;

/// One transaction to be posted.
pub struct Work {
    pub tx: Transaction,
    body: Vec<u8>,
    /// Another transaction that spends the same output: only one of them may become valid.
    pub rival: Option<TxId>,
}

/// What the client knows about a posted transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// 202: must never be lost.
    Accepted,
    /// 400 to the later of two rivals, or 503.
    Refused,
    /// The connection broke before an answer came.
    Unknown,
}

/// Makes transactions: all belong to one key.
pub struct Maker {
    key: PrivateKey,
    made: i64,
    /// Valid transactions whose first output nobody has spent yet.
    spendable: Vec<Transaction>,
}

impl Maker {
    pub fn new(random: &mut StdRng) -> Self {
        let mut seed = [0; 32];
        random.fill_bytes(&mut seed);
        Self { key: PrivateKey::from_seed(&seed), made: 0, spendable: Vec::new() }
    }

    /// Remembers an output that may be spent from now on.
    pub fn is_valid(&mut self, tx: Transaction) {
        if self.spendable.len() < MAX_SPENDABLE {
            self.spendable.push(tx);
        }
    }

    /// What each client posts in a round: CREATEs, TRANSFERs, and TRANSFERs that compete with another client's.
    pub fn round(&mut self, random: &mut StdRng) -> Vec<Vec<Work>> {
        let mut queues: Vec<Vec<Work>> = (0..CONNECTIONS).map(|_| Vec::new()).collect();
        while queues[0].len() < PER_CONNECTION {
            for at in 0..CONNECTIONS {
                let spent = if random.random_bool(0.4) { self.take_spendable(random) } else { None };
                let Some(spent) = spent else {
                    queues[at].push(self.create());
                    continue;
                };
                if random.random_bool(0.2) {
                    let (mut one, mut other) = (self.transfer(&spent), self.transfer(&spent));
                    one.rival = Some(other.tx.id());
                    other.rival = Some(one.tx.id());
                    queues[at].push(one);
                    queues[(at + 1) % CONNECTIONS].push(other);
                } else {
                    queues[at].push(self.transfer(&spent));
                }
            }
        }
        queues
    }

    fn take_spendable(&mut self, random: &mut StdRng) -> Option<Transaction> {
        if self.spendable.is_empty() {
            return None;
        }
        let at = random.random_range(0..self.spendable.len());
        Some(self.spendable.swap_remove(at))
    }

    fn create(&mut self) -> Work {
        let owner = self.key.public_key();
        let asset = self.unique();
        let prepared = build::create(&[owner], &[self.recipient()], Some(asset), None);
        self.sign(&prepared.unwrap())
    }

    fn transfer(&mut self, spent: &Transaction) -> Work {
        let metadata = self.unique();
        let prepared = build::transfer(&[(spent, 0)], &[self.recipient()], Some(metadata));
        self.sign(&prepared.unwrap())
    }

    fn recipient(&self) -> Recipient {
        Recipient { public_keys: vec![self.key.public_key()], amount: 1 }
    }

    fn unique(&mut self) -> Value<'static> {
        self.made += 1;
        let mut object = Object::default();
        object.insert("number", Value::Int(Int::Small(self.made)));
        Value::Object(object)
    }

    fn sign(&self, prepared: &Value<'_>) -> Work {
        let signed = build::sign(prepared, std::slice::from_ref(&self.key)).unwrap();
        let tx = Transaction::from_value(&signed).unwrap();
        Work { body: signed.to_canonical(), tx, rival: None }
    }
}

/// Posts everything from as many connections as there are queues, until the node dies. `answered` counts along.
/// What was never sent is left out of the result.
pub fn post(to: SocketAddr, queues: Vec<Vec<Work>>, answered: &AtomicUsize) -> Vec<(Work, Outcome)> {
    thread::scope(|scope| {
        let clients: Vec<_> =
            queues.into_iter().map(|queue| scope.spawn(move || post_queue(to, queue, answered))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

fn post_queue(to: SocketAddr, queue: Vec<Work>, answered: &AtomicUsize) -> Vec<(Work, Outcome)> {
    let mut posted = Vec::new();
    let Ok(mut connection) = Connection::open(to) else { return posted };
    for work in queue {
        let Ok(answer) = connection.post("/api/v1/transactions", &work.body) else {
            posted.push((work, Outcome::Unknown));
            break;
        };
        answered.fetch_add(1, Ordering::Relaxed);
        let outcome = match answer.status {
            202 => Outcome::Accepted,
            503 => Outcome::Refused,
            400 if work.rival.is_some() && answer.body.contains("DoubleSpend") => Outcome::Refused,
            status => panic!("{} was refused with {status}: {}", work.tx.id(), answer.body),
        };
        posted.push((work, outcome));
    }
    posted
}
