//! The rules of a BigchainDB 1.0.1 ledger, and nothing else.
//!
//! Invariants of this crate, kept by its dependency list: no I/O, no clock, no randomness, no logging, no async.
//! Whatever depends on the world (stored transactions, time, keys, caches) is an argument.
//!
//! Reading order: [`json`] (values and canonical bytes), [`ids`], [`crypto`], [`condition`], [`schema`],
//! [`transaction`], [`facts`], [`validate`], [`block`], [`vote`], [`election`], [`admission`], [`build`].
#![warn(missing_docs)]

pub mod admission;
pub mod block;
pub mod build;
pub mod condition;
pub mod crypto;
pub mod election;
pub mod error;
pub mod facts;
pub mod ids;
pub mod json;
pub mod rules;
pub mod schema;
pub mod transaction;
pub mod validate;
pub mod vote;
