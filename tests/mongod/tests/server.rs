//! What a `mongod` does for whoever runs a replica set of one member with certificates: as MongoDB's manual says, whatever
//! program plays it. `MONGOD` names another program than the stand-in, a real `mongod` for instance.
#![allow(clippy::unwrap_used)] // A test may panic.

#[path = "server/data.rs"]
mod data;
#[path = "server/look.rs"]
mod look;
#[path = "server/pki.rs"]
mod pki;
#[path = "server/process.rs"]
mod process;
#[path = "server/replica_set.rs"]
mod replica_set;
#[path = "server/start.rs"]
mod start;
#[path = "server/tls.rs"]
mod tls;
#[path = "server/users.rs"]
mod users;
