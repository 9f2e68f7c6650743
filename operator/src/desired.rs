//! What is to be there for a node: a validated spec and its material, as Kubernetes objects in the order in which they are
//! applied.
//!
//! Pure: no client, no clock, no randomness. The same arguments give the same objects, so that an operator that starts
//! anew, or is upgraded, changes nothing.

mod claim;
mod config_map;
pub mod environment;
mod gateway;
mod keyring;
pub mod labels;
pub mod material;
mod member;
mod mongod_conf;
pub mod names;
mod network_policy;
pub mod nginx_conf;
pub mod object;
mod pod;
mod pod_disruption_budget;
pub mod ports;
pub mod secret;
mod server;
mod service;
mod service_account;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sha3::{Digest as _, Sha3_256};

pub use material::Material;
pub use object::Object;

use crate::api::{GROUP, VERSION};
use crate::validate::{Database, Validated};
use labels::Component;
use names::Names;

/// Field manager of everything that the operator applies, and finalizer of its resources.
pub const MANAGER: &str = "bigchaindb.com/operator";

/// Annotation of pods: a digest of what their processes read at their start. A change rolls the pods.
///
/// What processes read again while they run is not in it: certificates and revocation lists of `mongod` and of the
/// server, and the keyring.
pub const CONTENT_HASH: &str = "bigchaindb.com/content-hash";

/// All objects of a node, in the order in which they are applied.
pub fn build(node: &Validated, material: &Material) -> Vec<Object> {
    let context = Context { node, material, names: Names::of(node) };
    let mut objects = service_account::all(&context);
    objects.extend(secret::all(&context));
    objects.extend(config_map::all(&context));
    objects.extend(claim::all(&context));
    objects.extend(service::all(&context));
    objects.extend(network_policy::all(&context));
    objects.extend(pod_disruption_budget::of_members(&context));
    if let Database::Member(member) = &node.database {
        objects.push(Object::StatefulSet(Box::new(member::stateful_set(&context, member))));
    }
    objects.push(server::workload(&context));
    objects.push(Object::Deployment(Box::new(gateway::deployment(&context))));
    objects
}

/// What every object is made from.
struct Context<'a> {
    node: &'a Validated,
    material: &'a Material,
    names: Names,
}

impl Context<'_> {
    /// Metadata of an object that goes when its node goes.
    fn owned(&self, name: &str, component: Component) -> ObjectMeta {
        ObjectMeta { owner_references: self.owner(), ..self.kept(name, component) }
    }

    /// Metadata of an object that only the finalizer deletes, and only if it is told to.
    fn kept(&self, name: &str, component: Component) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.node.namespace.clone()),
            labels: Some(labels::all(self.node, component)),
            ..ObjectMeta::default()
        }
    }

    fn owner(&self) -> Option<Vec<OwnerReference>> {
        let uid = self.node.uid.clone()?;
        Some(vec![OwnerReference {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: "BigchainNode".to_owned(),
            name: self.node.name.clone(),
            uid,
            controller: Some(true),
            block_owner_deletion: Some(true),
        }])
    }
}

/// A digest of texts in order, hexadecimal.
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha3_256::new();
    for text in texts {
        // With its length, so that a text that moves from one part to the next changes the digest.
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
