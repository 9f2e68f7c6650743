//! What is there: the BigchainCluster of a node, Secrets, pods, claims.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::api::{Api, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::api::{BigchainCluster, BigchainNode, cluster::BigchainClusterSpec};
use crate::authority::{self, AuthorityError, Consortium, Data};
use crate::credentials::Secrets;
use crate::desired::{MANAGER, labels};
use crate::status::Cause;

/// Label of a BigchainCluster that the operator made for a node without `clusterRef`.
pub const IMPLICIT: &str = "bigchaindb.com/implicit";

/// The BigchainCluster of a node; one is made for a node that names none. The inner error is for people.
pub async fn cluster(client: &Client, node: &BigchainNode) -> Result<Result<BigchainCluster, Cause>, kube::Error> {
    let own = node.namespace().unwrap_or_default();
    if let Some(reference) = &node.spec.cluster_ref {
        let namespace = reference.namespace.as_deref().unwrap_or(&own);
        let found = Api::<BigchainCluster>::namespaced(client.clone(), namespace).get_opt(&reference.name).await;
        return referred(&reference.name, namespace, found);
    }
    let api: Api<BigchainCluster> = Api::namespaced(client.clone(), &own);
    let name = node.name_any();
    let found = match api.get_opt(&name).await? {
        Some(found) => found,
        None => {
            let mut cluster = BigchainCluster::new(&name, BigchainClusterSpec::default());
            cluster.metadata.labels = Some(BTreeMap::from([
                (IMPLICIT.to_owned(), "true".to_owned()),
                (labels::CLUSTER.to_owned(), name.clone()),
            ]));
            create(&api, &name, cluster).await?
        }
    };
    Ok(match found.labels().contains_key(IMPLICIT) {
        true => Ok(found),
        false => Err(Cause {
            reason: "ClusterNameTaken",
            message: format!(
                "there is a BigchainCluster {name} that was not made for this node: name it in spec.clusterRef of a new \
                 BigchainNode, or choose another name"
            ),
        }),
    })
}

/// What a `clusterRef` leads to.
fn referred(
    name: &str,
    namespace: &str,
    found: Result<Option<BigchainCluster>, kube::Error>,
) -> Result<Result<BigchainCluster, Cause>, kube::Error> {
    let (reason, message) = match found {
        Ok(Some(cluster)) if cluster.labels().contains_key(IMPLICIT) => (
            "ClusterNotShared",
            format!(
                "the BigchainCluster {name} in the namespace {namespace} was made for the BigchainNode {name} alone, and its \
                 certificate authority may go with that node: create a BigchainCluster for several nodes, and a new \
                 BigchainNode that names it"
            ),
        ),
        Ok(Some(cluster)) => return Ok(Ok(cluster)),
        Ok(None) => {
            let message =
                format!("spec.clusterRef: there is no BigchainCluster {name} in the namespace {namespace}: create it");
            return Ok(Err(Cause { reason: "ClusterMissing", message }));
        }
        Err(kube::Error::Api(status)) if status.code == 403 => (
            "ClusterForbidden",
            format!(
                "the operator may not read BigchainClusters in the namespace {namespace}: it was installed for another \
                 namespace alone (watchNamespace). Install it for all namespaces, or make a BigchainNode that names a \
                 BigchainCluster of its own namespace; Kubernetes says: {}",
                status.message
            ),
        ),
        Err(error) => return Err(error),
    };
    Ok(Err(Cause { reason, message: format!("spec.clusterRef: {message}") }))
}

/// Secrets by name; those that are not there are left out.
pub async fn secrets(client: &Client, namespace: &str, names: &[String]) -> Result<Secrets, kube::Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut secrets = Secrets::new();
    for name in names {
        if let Some(secret) = api.get_opt(name).await? {
            secrets.insert(name.clone(), secret.data.unwrap_or_default());
        }
    }
    Ok(secrets)
}

/// The authority of a BigchainCluster, made if there is none, with a new revocation list if that is due. The inner error is
/// for people.
pub async fn consortium(
    client: &Client,
    cluster: &BigchainCluster,
    organization: &str,
    now: Timestamp,
) -> Result<Result<Consortium, Cause>, kube::Error> {
    let (cluster_name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let own_name = format!("{cluster_name}-ca");
    let fault = |name: &str, error: &AuthorityError| Cause {
        reason: "AuthorityUnusable",
        message: format!("the certificate authority in the Secret {name} of the namespace {namespace}: {error}"),
    };
    let supplied = match &cluster.spec.tls.ca_secret_ref {
        None => None,
        Some(reference) => match api.get_opt(&reference.name).await? {
            Some(secret) => Some((reference.name.clone(), secret.data.unwrap_or_default())),
            None => {
                let message = format!(
                    "spec.tls.caSecretRef of the BigchainCluster {cluster_name}: there is no Secret {} in the namespace \
                     {namespace}: create it",
                    reference.name
                );
                return Ok(Err(Cause { reason: "SecretMissing", message }));
            }
        },
    };
    let found = api.get_opt(&own_name).await?;
    let there = found.as_ref().and_then(|secret| secret.data.clone()).unwrap_or_default();
    let made = match supplied.is_none() && authority::is_to_be_made(&there) {
        false => None,
        true => match authority::create(&there, organization, &cluster_name, now) {
            Ok(data) => Some(data),
            Err(error) => return Ok(Err(fault(&own_name, &error))),
        },
    };
    let own = match (found, made) {
        (Some(secret), None) => secret,
        // It held the lists of an authority that was supplied and is not any more.
        (Some(secret), Some(data)) => write(&api, &secret, &data).await?,
        (None, made) => {
            create(&api, &own_name, authority_secret(&own_name, &cluster_name, made.unwrap_or_default())).await?
        }
    };
    let data = own.data.clone().unwrap_or_default();
    let (name, opened) = match &supplied {
        Some((name, supplied)) => (name, authority::open_supplied(supplied, &data)),
        None => (&own_name, authority::open(&data)),
    };
    let consortium = match opened {
        Ok(consortium) => consortium,
        Err(error) => return Ok(Err(fault(name, &error))),
    };
    let renewed = match authority::renewed(&data, &consortium, now) {
        Ok(None) => return Ok(Ok(consortium)),
        Ok(Some((renewed, reason))) => {
            tracing::info!(cluster = cluster_name, reason, "signing a new revocation list");
            renewed
        }
        Err(error) => return Ok(Err(fault(name, &error))),
    };
    write(&api, &own, &renewed).await?;
    let opened = match &supplied {
        Some((_, supplied)) => authority::open_supplied(supplied, &renewed),
        None => authority::open(&renewed),
    };
    Ok(opened.map_err(|error| fault(name, &error)))
}

/// Writes an authority's Secret that is there. With its version: of two operators one writes it, and the other begins again.
async fn write(api: &Api<Secret>, secret: &Secret, data: &Data) -> Result<Secret, kube::Error> {
    let patch = json!({ "metadata": { "resourceVersion": secret.resource_version() }, "data": data });
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(&secret.name_any(), &parameters, &Patch::Merge(&patch)).await
}

fn authority_secret(name: &str, cluster: &str, data: Data) -> Secret {
    let labels = BTreeMap::from([
        (labels::NAME.to_owned(), "bigchaindb".to_owned()),
        (labels::MANAGED_BY.to_owned(), labels::OPERATOR.to_owned()),
        (labels::CLUSTER.to_owned(), cluster.to_owned()),
    ]);
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    Secret { metadata, data: Some(data), type_: Some("Opaque".to_owned()), ..Secret::default() }
}

/// Creates an object, or gives the one that somebody made in between.
async fn create<K>(api: &Api<K>, name: &str, object: K) -> Result<K, kube::Error>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match api.create(&parameters, &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => api.get(name).await,
        created => created,
    }
}

/// The pods of a node.
pub async fn pods(client: &Client, namespace: &str, node: &str) -> Result<Vec<Pod>, kube::Error> {
    let parameters = ListParams::default().labels(&format!("{}={node}", labels::NODE));
    Ok(Api::<Pod>::namespaced(client.clone(), namespace).list(&parameters).await?.items)
}

/// A volume claim.
pub async fn claim(client: &Client, namespace: &str, name: &str) -> Result<Option<PersistentVolumeClaim>, kube::Error> {
    Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace).get_opt(name).await
}

#[cfg(test)]
mod tests;
