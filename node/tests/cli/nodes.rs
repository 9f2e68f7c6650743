//! Several nodes in one process, and keyring files.

use bigchaindb::config::keyring::Keyring;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::http::Connection;
use crate::mongod::Mongod;
use crate::node::Node;
use crate::program::Place;

fn apis(node: &Node) -> Vec<Connection> {
    let console = node.place.read("console");
    let addresses = console.lines().filter_map(|line| line.strip_prefix("Listening to client connections on: "));
    addresses.map(|address| Connection::open(address.parse().unwrap()).unwrap()).collect()
}

fn get(connection: &mut Connection, path: &str) -> Value {
    serde_json::from_str(&connection.get(path).unwrap().body).unwrap()
}

#[test]
fn several_nodes_on_one_database() {
    let place = Place::new();
    place.run(&["start", "--nodes", "2"]).failed(2, "--dev");
    place.run(&["start", "--dev", "--nodes", "2"]).failed(1, "BIGCHAINDB_DATABASE_BACKEND=mongodb bigchaindb start");
    let Some(server) = Mongod::start(&[]) else { return };
    let mut place = Place::new();
    place.env("BIGCHAINDB_DATABASE_BACKEND", "mongodb").env("BIGCHAINDB_DATABASE_URL", &server.url());
    let mut node = Node::start_by(place, |place| place.command(&["start", "--dev", "--nodes", "3"]));
    let mut connections = apis(&node);
    assert_eq!(connections.len(), 3);
    let federation = get(&mut connections[0], "/api/v1/federation");
    assert_eq!((&federation["generation"], federation["active"].as_array().unwrap().len()), (&json!(1), 3));
    let keyring = node.place.path("bigchaindb-dev-nodes/keyring.json");
    assert_eq!(Keyring::read(&keyring).unwrap().active.len(), 3);

    node.place.write("key.json", &node.place.run(&["key", "new"]).ok());
    let created = node.place.run(&["tx", "create", "-k", "key.json"]).ok();
    node.place.write("create.json", &created);
    node.place.run(&["tx", "send", "create.json"]).ok();
    let id = serde_json::from_str::<Value>(&created).unwrap()["id"].as_str().unwrap().to_owned();
    for connection in &mut connections {
        node.wait_until(|_| get(connection, &format!("/api/v1/statuses?transaction_id={id}"))["status"] == "valid");
    }
    assert_eq!(node.stop(), Some(0));
    // The same three, and then one more.
    let start = |node: &mut Node, nodes: &str| {
        let place = std::mem::replace(&mut node.place, Place::new());
        Node::start_by(place, |place| place.command(&["start", "--dev", "--nodes", nodes]))
    };
    let mut node = start(&mut node, "3");
    assert_eq!(get(&mut apis(&node)[1], "/api/v1/federation")["active"], federation["active"]);
    assert_eq!(node.stop(), Some(0));
    let mut node = start(&mut node, "4");
    let grown = get(&mut apis(&node)[3], "/api/v1/federation");
    assert_eq!((&grown["generation"], &grown["previous"]), (&json!(2), &federation["active"]));
    assert_eq!(get(&mut apis(&node)[3], &format!("/api/v1/transactions/{id}"))["id"], json!(id));
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_second_process_with_the_same_key_takes_over_when_the_first_is_killed() {
    let Some(server) = Mongod::start(&[]) else { return };
    let pair: Value = serde_json::from_str(&Place::new().run(&["key", "new", "--json"]).ok()).unwrap();
    let start = || {
        let mut place = Place::new();
        place.env("BIGCHAINDB_DATABASE_BACKEND", "mongodb").env("BIGCHAINDB_DATABASE_URL", &server.url());
        place.env("BIGCHAINDB_KEYPAIR_PRIVATE", pair["private"].as_str().unwrap());
        Node::start(place)
    };
    let (first, mut second) = (start(), start());
    let duty = |node: &Node| {
        let ready = get(&mut Connection::open(node.address()).unwrap(), "/readyz");
        ready["checks"]["duty"]["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(duty(&first), "this process makes blocks and votes");
    let holder = format!("stands by: process {} ", first.process().as_raw_nonzero());
    assert!(duty(&second).starts_with(&holder), "{}", duty(&second));

    // Dropped, a node is killed.
    drop(first);
    second.place.write("key.json", &second.place.run(&["key", "new"]).ok());
    let created = second.place.run(&["tx", "create", "-k", "key.json"]).ok();
    second.place.write("create.json", &created);
    second.place.run(&["tx", "send", "create.json"]).ok();
    let id = serde_json::from_str::<Value>(&created).unwrap()["id"].as_str().unwrap().to_owned();
    let mut connection = Connection::open(second.address()).unwrap();
    assert_eq!(get(&mut connection, &format!("/api/v1/statuses?transaction_id={id}"))["status"], "valid");
    assert_eq!(duty(&second), "this process makes blocks and votes");
    assert_eq!(second.stop(), Some(0));
}

#[test]
fn a_hangup_has_the_keyring_file_read_again() {
    let mut place = Place::new();
    let pair: Value = serde_json::from_str(&place.run(&["key", "new", "--json"]).ok()).unwrap();
    let (own, other) = (&pair["public"], "Fa9hTVT2TYN3pMJwwJTBAqS7SbSeJJDmMPdaxy75jUhh");
    place.write("keyring.json", &json!({"generation": 1, "active": [own]}).to_string());
    let file = place.path("keyring.json").to_str().unwrap().to_owned();
    place.env("BIGCHAINDB_KEYPAIR_PRIVATE", pair["private"].as_str().unwrap()).env("BIGCHAINDB_KEYRING_FILE", &file);
    let mut node = Node::start(place);
    let mut connection = Connection::open(node.address()).unwrap();
    node.place.write("keyring.json", &json!({"generation": 2, "active": [own], "known": [own, other]}).to_string());
    node.signal(Signal::HUP);
    node.wait_until(|_| get(&mut connection, "/api/v1/federation")["generation"] == 2);
    assert_eq!(get(&mut connection, "/api/v1/federation")["known"].as_array().unwrap().len(), 2);
    // Without a signal too; what cannot be is told and changes nothing.
    node.place.write("keyring.json", &json!({"generation": 3, "active": [own, other]}).to_string());
    node.wait_until(|_| get(&mut connection, "/readyz")["checks"]["keyring"]["state"] == "degraded");
    let message = get(&mut connection, "/readyz")["checks"]["keyring"]["message"].clone();
    assert!(message.as_str().unwrap().contains("nobody else can reach the embedded store"), "{message}");
    assert_eq!(get(&mut connection, "/api/v1/federation")["generation"], 2);
    assert_eq!(get(&mut connection, "/readyz")["ready"], true);
    assert_eq!(node.stop(), Some(0));
}
