//! The HTTP API and the stream over real sockets and a real store.
#![allow(clippy::unwrap_used)] // a test that cannot go on ends

#[path = "http/answers.rs"]
mod answers;
#[path = "http/conversation.rs"]
mod conversation;
#[path = "http/limits.rs"]
mod limits;
#[path = "http/malformed.rs"]
mod malformed;
#[path = "mongod/mod.rs"]
mod mongod;
#[path = "http/rig.rs"]
mod rig;
#[path = "http/server_away.rs"]
mod server_away;
#[path = "http/stream.rs"]
mod stream;
