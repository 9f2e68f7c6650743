//! A BigchainNode that the API server holds and that does not read: what is in it is from another definition, or of a kind
//! that the definition leaves to Kubernetes. It is told in its status, and it may be deleted.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use serde_json::json;

use crate::api::BigchainNode;
use crate::desired::MANAGER;
use crate::status::{Cause, Standing, Standings, conditions};

/// Says what does not read, once; lets it go if it is being deleted, with all that is kept under `Retain`.
pub async fn look_after(object: &InvalidObject, client: &Client, now: Timestamp) -> Result<(), kube::Error> {
    let metadata = &object.metadata;
    let (Some(name), Some(namespace)) = (&metadata.name, &metadata.namespace) else { return Ok(()) };
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<BigchainNode>(&()));
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    if metadata.deletion_timestamp.is_some() {
        let finalizers = metadata.finalizers.iter().flatten();
        let others: Vec<&String> = finalizers.filter(|finalizer| *finalizer != MANAGER).collect();
        let patch = json!({"metadata": {"finalizers": others, "resourceVersion": metadata.resource_version}});
        return api.patch(name, &parameters, &Patch::Merge(&patch)).await.map(drop);
    }
    let Some(live) = api.get_opt(name).await? else { return Ok(()) };
    let before: Vec<Condition> = serde_json::from_value(live.data["status"]["conditions"].clone()).unwrap_or_default();
    let message = format!("the resource does not read: {}; correct it with `kubectl edit`", object.error);
    let standing = Standing::Bad(Cause { reason: "Unreadable", message });
    let standings = Standings::stopped_at_specification(standing);
    let after = conditions(&standings, &before, metadata.generation, now);
    if before == after {
        return Ok(());
    }
    let patch = json!({"status": {"observedGeneration": metadata.generation, "conditions": after}});
    api.patch_status(name, &parameters, &Patch::Merge(&patch)).await.map(drop)
}
