//! The Kubernetes operator of BigchainDB: a `BigchainNode` resource becomes a running node.

pub mod api;
pub mod apply;
pub mod authority;
pub mod cli;
pub mod controller;
pub mod credentials;
pub mod desired;
pub mod lease;
pub mod membership;
pub mod metrics;
pub mod mongo_admin;
pub mod nginx;
pub mod observe;
pub mod pods;
pub mod reconcile;
pub mod replica_set;
pub mod report;
pub mod rotation;
pub mod run;
pub mod serve;
pub mod status;
pub mod telemetry;
pub mod unreadable;
pub mod validate;
pub mod workloads;
pub mod yaml;
