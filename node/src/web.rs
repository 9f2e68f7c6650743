//! The HTTP API of BigchainDB Server 1.0.1, and what this node adds to it.
//!
//! One table of routes ([`route`]) decides what is answered and what the OpenAPI document says, so neither can lie
//! about the other. [`dispatch`] is the way of a request; one file for each resource; [`error`] is the only place where
//! an error becomes a status. hyper is used without a router on top: 1.0.1's own rules for slashes, methods and
//! percent signs leave nothing for one to do.

mod assets;
mod blocks;
mod body;
mod convert;
mod dispatch;
mod error;
mod federation;
mod info;
mod json;
pub mod openapi;
mod operations;
mod outputs;
mod query;
mod rejections;
mod request;
mod route;
mod server;
mod statuses;
mod transactions;
mod votes;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::chain::Chain;
use crate::metrics::Metrics;

pub use body::Body;
pub use dispatch::handle;
pub use info::NodeInfo;
pub use operations::{Check, CheckState, Readiness};
pub use server::{Drained, serve};

/// What a client may use up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// For a request's line and headers, and for the next request on a connection that was kept alive.
    pub header_time: Duration,
    /// For a request's body.
    pub body_time: Duration,
    /// Connections at once; one more is answered 503.
    pub connections: usize,
    /// Requests at once; one more is answered 503.
    pub requests: usize,
    /// For the requests that are under way when the node stops.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: ledger::admission::MAX_BYTES,
            header_time: Duration::from_secs(30),
            body_time: Duration::from_secs(30),
            connections: 4096,
            requests: 2048,
            drain_time: Duration::from_secs(10),
        }
    }
}

/// What the API is made of.
pub struct WebState {
    /// The ledger.
    pub chain: Arc<Chain>,
    /// What the index documents say.
    pub info: NodeInfo,
    /// See [`Limits`].
    pub limits: Limits,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whether the node can do its work.
    pub readiness: Arc<dyn Readiness>,
    /// Requests under way. Starts at 0.
    pub in_flight: AtomicUsize,
}
