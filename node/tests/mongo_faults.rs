//! A whole node and its MongoDB server with a proxy between them that cuts connections, refuses commands, and writes down
//! what is asked.
#![allow(clippy::unwrap_used)] // A test may panic.

#[path = "logs/mod.rs"]
mod logs;
#[path = "mongod/mod.rs"]
mod mongod;
#[path = "federation/nodes.rs"]
#[allow(dead_code)] // Shared with the tests of a federation, which use all of it.
mod nodes;
#[path = "http/rig.rs"]
#[allow(dead_code)] // Shared with the tests of the HTTP API, which use all of it.
mod rig;
#[path = "wire/mod.rs"]
mod wire;

#[path = "mongo_faults/asked.rs"]
mod asked;
#[path = "mongo_faults/codec.rs"]
mod codec;
#[path = "mongo_faults/history.rs"]
mod history;
#[path = "mongo_faults/large.rs"]
mod large;
#[path = "mongo_faults/load.rs"]
mod load;
#[path = "mongo_faults/quarantine.rs"]
mod quarantine;
#[path = "mongo_faults/step_down.rs"]
mod step_down;
#[path = "mongo_faults/unvoted.rs"]
mod unvoted;
#[path = "mongo_faults/writes.rs"]
mod writes;
