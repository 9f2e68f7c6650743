//! `backup` and `restore`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use ledger::build::{self, Recipient};
use ledger::crypto::PrivateKey;
use ledger::ids::TxId;
use ledger::json::{Int, Object, Value as Json};
use ledger::transaction::Transaction;
use serde_json::Value;

use crate::http::Connection;
use crate::node::Node;
use crate::program::Place;

/// Clients that post until they are told to end, or until the node is gone.
struct Load {
    end: Arc<AtomicBool>,
    accepted: Arc<Mutex<Vec<TxId>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(to: SocketAddr) -> Self {
        let (end, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let made = Arc::new(AtomicI64::new(0));
        let client = || {
            let (end, accepted, made) = (end.clone(), accepted.clone(), made.clone());
            thread::spawn(move || {
                let mut connection = Connection::open(to).unwrap();
                while !end.load(Ordering::Relaxed) {
                    let (id, body) = create(made.fetch_add(1, Ordering::Relaxed));
                    let Ok(answer) = connection.post("/api/v1/transactions", &body) else { return };
                    if answer.status == 202 {
                        accepted.lock().unwrap().push(id);
                    } else {
                        assert_eq!(answer.status, 503, "{}", answer.body);
                    }
                }
            })
        };
        let clients = (0..4).map(|_| client()).collect();
        Self { end, accepted, clients }
    }

    /// What was answered 202 up to now.
    fn accepted(&self) -> Vec<TxId> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn runs(&self) -> bool {
        self.clients.iter().all(|client| !client.is_finished())
    }

    fn end(self) {
        self.end.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
    }
}

/// A signed CREATE: its id and its bytes.
pub fn create(number: i64) -> (TxId, Vec<u8>) {
    let key = PrivateKey::from_seed(&[7; 32]);
    let owner = key.public_key();
    let mut asset = Object::default();
    asset.insert("number", Json::Int(Int::Small(number)));
    let recipient = Recipient { public_keys: vec![owner], amount: 1 };
    let unsigned = build::create(&[owner], &[recipient], Some(Json::Object(asset)), None).unwrap();
    let signed = build::sign(&unsigned, &[key]).unwrap();
    (Transaction::from_value(&signed).unwrap().id(), signed.to_canonical())
}

/// A counter as `/metrics` tells it.
fn counter(connection: &mut Connection, name: &str) -> u64 {
    let text = connection.get("/metrics").unwrap().body;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} is not in: {text}")).trim().parse().unwrap()
}

#[test]
fn a_backup_under_load_holds_everything_that_was_confirmed_before() {
    let mut node = Node::start(Place::new());
    let load = Load::start(node.address());
    let mut connection = Connection::open(node.address()).unwrap();
    let mut accepted = || counter(&mut connection, "bigchaindb_intake_accepted_total ");
    node.wait_until(|_| accepted() > 200);
    let (mut copy, mut confirmed, mut told) = (String::new(), Vec::new(), String::new());
    // A copy that was made between two answers was not made under load; then there is another one.
    node.wait_until(|node| {
        copy.push('x');
        confirmed = load.accepted();
        let before = accepted();
        told = node.place.run(&["--json", "backup", &copy]).ok();
        assert!(load.runs(), "the load ended before the backup did");
        accepted() > before
    });
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(told["bytes"].as_u64() > Some(0), "{told}");
    load.end();
    assert_eq!(node.stop(), Some(0));

    let mut place = std::mem::replace(&mut node.place, Place::new());
    place.env("BIGCHAINDB_DATABASE_PATH", "restored");
    place.run(&["restore", &copy]).ok();
    // Without the key pair of the node that made it.
    let clean = |place: &Place| {
        let report: Value = serde_json::from_str(&place.run(&["--json", "verify"]).ok()).unwrap();
        assert_eq!((&report["clean"], &report["faults"]), (&Value::Bool(true), &Value::from(0)), "{report}");
        report["transactions"].as_u64().unwrap()
    };
    clean(&place);
    std::fs::copy(place.path("bigchaindb-data/keypair.json"), place.path("restored/keypair.json")).unwrap();
    let mut restored = Node::start(place);
    let mut connection = Connection::open(restored.address()).unwrap();
    for id in &confirmed {
        // What waited for a block when the copy was made gets into one now.
        restored.wait_until(|_| {
            let answer = connection.get(&format!("/api/v1/statuses?transaction_id={id}")).unwrap();
            assert_eq!(answer.status, 200, "{id}, confirmed before the backup, is not in it: {}", answer.body);
            answer.body.contains("\"valid\"")
        });
    }
    assert_eq!(restored.stop(), Some(0));
    assert!(clean(&restored.place) >= confirmed.len() as u64);
}

#[test]
fn a_backup_overwrites_nothing_and_a_restore_neither() {
    let mut place = Place::new();
    place.run(&["init"]).ok();
    place.run(&["backup", "copy"]).ok();
    place.run(&["backup", "copy"]).failed(1, "`copy` cannot be made");
    assert_eq!(place.run(&["backup", "-"]).output().get(..18), Some(&b"bigchaindb backup "[..]));
    place.run(&["restore", "copy"]).failed(1, "There is a ledger in `./bigchaindb-data` already");
    place.env("BIGCHAINDB_DATABASE_PATH", "restored");
    place.run(&["backup", "other"]).failed(1, "There is no ledger in `restored`");
    place.write("torn", "bigchaindb backup 1\n\0\0");
    place.run(&["restore", "torn"]).failed(1, "backup");
    place.run(&["restore", "copy"]).ok();
    place.run(&["verify"]).ok();
}
