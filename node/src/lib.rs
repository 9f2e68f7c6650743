//! The BigchainDB node: everything of the ledger that touches the world.
//!
//! Directions of imports: `web, ws, pipeline -> chain -> store (trait) -> ledger`. Only [`app`] names a concrete store.

pub mod agreement;
pub mod app;
pub mod bench;
pub mod chain;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod events;
pub mod federation;
pub mod listen;
pub mod metrics;
pub mod pipeline;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod verifier;
pub mod verify;
pub mod web;
pub mod ws;
