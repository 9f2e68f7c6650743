//! The resources: API group `bigchaindb.com`, version `v1alpha1`.
//!
//! Defaults, bounds and rules stand in the schema, so that the API server refuses a wrong field with a sentence. Only
//! what somebody acts on is a field.

pub mod cluster;
pub mod common;
pub mod database;
pub mod gateway;
pub mod node;
mod rules;
mod schema;
pub mod server;
pub mod status;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use cluster::BigchainCluster;
pub use node::BigchainNode;

/// The API group.
pub const GROUP: &str = "bigchaindb.com";

/// The version of its resources.
pub const VERSION: &str = "v1alpha1";

/// The definitions of all resources, in the order in which they are installed.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![schema::published(BigchainCluster::crd()), schema::published(BigchainNode::crd())]
}

/// The file of a definition: `bigchainnodes.yaml`.
pub fn definition_file(definition: &CustomResourceDefinition) -> String {
    format!("{}.yaml", definition.spec.names.plural)
}
