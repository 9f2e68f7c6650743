//! MongoDB's wire protocol, as much of it as tests need: frames read from and written to a socket.
//!
//! <https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/>
#![allow(dead_code)] // Each test program uses a part of it.

pub mod events;
pub mod message;
pub mod proxy;
pub mod scripted;
