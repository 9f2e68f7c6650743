//! Server-side apply of a node's objects in order, and removal of those that are no longer wanted.
//!
//! An object that is as wanted is not written: [`is_current`] compares what was applied last, by a digest in an annotation,
//! and what is there, field by field. The first notices what was taken out of the wanted object, the second what somebody
//! else changed.

use std::collections::BTreeSet;

use k8s_openapi::Resource as _;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions, TypeMeta,
};
use kube::{Client, Resource, ResourceExt as _};
use serde_json::Value;

use crate::desired::{self, MANAGER, Object, labels};
use crate::metrics::Action;
use crate::status::Cause;
use crate::validate::Validated;

mod amount;
mod claim;
mod compare;

use compare::is_current;

/// Annotation of every object that the operator applies: a digest of what it applied.
const APPLIED: &str = "bigchaindb.com/applied";

/// A kind of object.
#[derive(Clone)]
struct Kind {
    name: &'static str,
    resource: ApiResource,
}

impl Kind {
    fn of<K: k8s_openapi::Resource + Resource<DynamicType = ()>>() -> Self {
        Self { name: K::KIND, resource: ApiResource::erase::<K>(&()) }
    }

    /// Of all kinds that a node has objects of, in the order in which they are pruned: what uses others goes first.
    fn all() -> [Self; 9] {
        [
            Self::of::<Deployment>(),
            Self::of::<StatefulSet>(),
            Self::of::<PodDisruptionBudget>(),
            Self::of::<NetworkPolicy>(),
            Self::of::<Service>(),
            Self::of::<ConfigMap>(),
            Self::of::<Secret>(),
            Self::of::<PersistentVolumeClaim>(),
            Self::of::<ServiceAccount>(),
        ]
    }

    fn api(&self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &self.resource)
    }

    /// The one kind whose objects a consortium's nodes share.
    fn is_shared(&self) -> bool {
        self.name == PodDisruptionBudget::KIND
    }
}

/// Why an object could not be applied.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {name}: {fault}")]
pub struct ApplyError {
    kind: &'static str,
    name: String,
    #[source]
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Kubernetes(#[from] kube::Error),
    #[error("it is there, and was not made for this node")]
    Taken,
}

impl ApplyError {
    fn of(kind: &'static str, name: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let name = name.into();
        move |error| Self { kind, name, fault: error.into() }
    }

    /// What a person can do something about; `None`: it may go by itself.
    pub fn cause(&self) -> Option<Cause> {
        let Self { kind, name, fault } = self;
        match fault {
            Fault::Taken => Some(Cause {
                reason: "NameTaken",
                message: format!(
                    "there is a {kind} {name} that was not made for this node, which needs that name: remove or rename it, \
                     or make a BigchainNode of another name"
                ),
            }),
            Fault::Kubernetes(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 409 | 422) => {
                Some(Cause {
                    reason: "ApplyRefused",
                    message: format!("Kubernetes refuses the {kind} {name}: {}", status.message),
                })
            }
            Fault::Kubernetes(_) => None,
        }
    }
}

/// An object as it is there after it was applied.
#[derive(Clone)]
pub struct Applied {
    pub kind: &'static str,
    pub name: String,
    /// `None`: it was as wanted.
    pub change: Option<Action>,
    pub live: DynamicObject,
}

/// A node's objects as they are.
pub struct Present(Vec<(Kind, DynamicObject)>);

impl Present {
    /// Asks the API server's cache: what is not in it yet is asked for by name before it is made.
    pub async fn look(client: &Client, node: &Validated) -> Result<Self, ApplyError> {
        let mut present = Vec::new();
        for kind in Kind::all() {
            let selector = match kind.is_shared() {
                true => format!("{}={}", labels::CLUSTER, node.cluster.name),
                false => format!("{}={}", labels::NODE, node.name),
            };
            let parameters = ListParams::default().labels(&selector).match_any();
            let objects = kind.api(client, &node.namespace).list(&parameters).await;
            let objects = objects.map_err(ApplyError::of(kind.name, "*"))?;
            // In a list, the API server names the kind of its elements once.
            let types = Some(TypeMeta { api_version: kind.resource.api_version.clone(), kind: kind.name.to_owned() });
            let objects = objects.items.into_iter().map(|object| DynamicObject { types: types.clone(), ..object });
            present.extend(objects.map(|object| (kind.clone(), object)));
        }
        Ok(Self(present))
    }

    fn find(&self, object: &Object) -> Option<&DynamicObject> {
        let found = self.0.iter().find(|(kind, other)| kind.name == object.kind() && other.name_any() == object.name());
        found.map(|(_, object)| object)
    }
}

/// Applies objects in their order.
pub async fn apply(
    client: &Client,
    node: &Validated,
    present: &Present,
    objects: &[Object],
) -> Result<Vec<Applied>, ApplyError> {
    let mut applied = Vec::with_capacity(objects.len());
    for object in objects {
        let failed = |fault| ApplyError { kind: object.kind(), name: object.name().to_owned(), fault };
        applied.push(apply_one(client, node, present, object).await.map_err(failed)?);
    }
    Ok(applied)
}

async fn apply_one(client: &Client, node: &Validated, present: &Present, object: &Object) -> Result<Applied, Fault> {
    let (kind, name) = (kind_of(object), object.name().to_owned());
    let api = kind.api(client, &node.namespace);
    let wanted = with_digest(serde_json::to_value(object).map_err(kube::Error::SerdeError)?);
    let there = match present.find(object) {
        Some(there) => Some(there.clone()),
        None => api.get_opt(&name).await?,
    };
    let Some(there) = there else {
        let live = match object.is_made_once() {
            true => {
                let object = serde_json::from_value(wanted).map_err(kube::Error::SerdeError)?;
                let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
                api.create(&parameters, &object).await?
            }
            false => api.patch(&name, &PatchParams::apply(MANAGER), &Patch::Apply(&wanted)).await?,
        };
        return Ok(Applied { kind: kind.name, name, change: Some(Action::Create), live });
    };
    if !is_of(&there, &kind, node) {
        return Err(Fault::Taken);
    }
    let live = serde_json::to_value(&there).map_err(kube::Error::SerdeError)?;
    let wanted = match object {
        Object::PersistentVolumeClaim(_) => claim::fitted(wanted, &live),
        _ => wanted,
    };
    if object.is_made_once() || is_current(&live, &wanted) {
        return Ok(Applied { kind: kind.name, name, change: None, live: there });
    }
    let live = api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&wanted)).await?;
    Ok(Applied { kind: kind.name, name, change: Some(Action::Update), live })
}

/// Whether the operator made an object for this node; what people made under the same name stays theirs.
fn is_of(object: &DynamicObject, kind: &Kind, node: &Validated) -> bool {
    let is = |label: &str, value: &str| object.labels().get(label).map(String::as_str) == Some(value);
    let whose = match kind.is_shared() {
        true => is(labels::CLUSTER, &node.cluster.name),
        false => is(labels::NODE, &node.name),
    };
    whose && is(labels::MANAGED_BY, labels::OPERATOR)
}

fn kind_of(object: &Object) -> Kind {
    match object {
        Object::ServiceAccount(_) => Kind::of::<ServiceAccount>(),
        Object::Secret(_) => Kind::of::<Secret>(),
        Object::ConfigMap(_) => Kind::of::<ConfigMap>(),
        Object::PersistentVolumeClaim(_) => Kind::of::<PersistentVolumeClaim>(),
        Object::Service(_) => Kind::of::<Service>(),
        Object::NetworkPolicy(_) => Kind::of::<NetworkPolicy>(),
        Object::PodDisruptionBudget(_) => Kind::of::<PodDisruptionBudget>(),
        Object::StatefulSet(_) => Kind::of::<StatefulSet>(),
        Object::Deployment(_) => Kind::of::<Deployment>(),
    }
}

fn with_digest(mut wanted: Value) -> Value {
    let digest = desired::digest([wanted.to_string().as_str()]);
    if let Value::Object(annotations) = &mut wanted["metadata"]["annotations"] {
        annotations.insert(APPLIED.to_owned(), digest.into());
    } else {
        wanted["metadata"]["annotations"] = serde_json::json!({ APPLIED: digest });
    }
    wanted
}

/// Deletes a node's objects that are not wanted any more: only those that belong to the BigchainNode with this identity,
/// so never a volume claim or a key pair.
pub async fn prune(
    client: &Client,
    namespace: &str,
    uid: &str,
    present: &Present,
    wanted: &[Object],
) -> Result<Vec<(&'static str, String)>, ApplyError> {
    let wanted: BTreeSet<(&str, &str)> = wanted.iter().map(|object| (object.kind(), object.name())).collect();
    let mut deleted = Vec::new();
    for (kind, object) in &present.0 {
        let name = object.name_any();
        let owned = object.owner_references().iter().any(|owner| owner.uid == uid);
        let going = object.metadata.deletion_timestamp.is_some();
        if !owned || going || wanted.contains(&(kind.name, name.as_str())) {
            continue;
        }
        if delete(client, namespace, kind, object).await? {
            deleted.push((kind.name, name));
        }
    }
    Ok(deleted)
}

/// Deletes this very object, not one that was made anew under its name since. `false`: it was gone already.
async fn delete(client: &Client, namespace: &str, kind: &Kind, object: &DynamicObject) -> Result<bool, ApplyError> {
    let name = object.name_any();
    let preconditions = Some(Preconditions { uid: object.uid(), resource_version: None });
    let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
    match kind.api(client, namespace).delete(&name, &parameters).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(ApplyError::of(kind.name, name)(error)),
    }
}

/// Deletes an object of the operator's if it is there; one of the same name that somebody else made stays.
pub async fn delete_own<K: k8s_openapi::Resource + Resource<DynamicType = ()>>(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<(), ApplyError> {
    let kind = Kind::of::<K>();
    let found = kind.api(client, namespace).get_opt(name).await.map_err(ApplyError::of(kind.name, name))?;
    match found {
        Some(object) if object.labels().get(labels::MANAGED_BY).map(String::as_str) == Some(labels::OPERATOR) => {
            delete(client, namespace, &kind, &object).await.map(drop)
        }
        _ => Ok(()),
    }
}
