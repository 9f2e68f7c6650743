//! Which events make which node be looked after, how many at once, and what happens after a failure.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt as _};
use parking_lot::Mutex;

use crate::api::{BigchainCluster, BigchainNode};
use crate::desired::labels;
use crate::metrics::{self, NodeState, Outcome};
use crate::reconcile::{Error, Operator, reconcile};
use crate::unreadable;

/// The pause after a first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How long one node may be looked after: an answer that never comes must not keep others waiting.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// A resource as the API server gives it: one that does not read is no reason to stop for the others.
type Guarded = DeserializeGuard<BigchainNode>;

struct Context {
    operator: Operator,
    nodes: Store<Guarded>,
    /// Failures in a row, of each node.
    failures: Mutex<HashMap<ObjectRef<Guarded>, u32>>,
}

/// Looks after all nodes of a namespace (`None`: of all) until `stop` completes; then what has begun is finished.
/// `filled` is called when all nodes are known.
pub async fn run(
    operator: Operator,
    namespace: Option<&str>,
    workers: u16,
    filled: impl FnOnce(),
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let client = operator.client.clone();
    let nodes: Api<Guarded> = scoped(&client, namespace);
    let ours = || watcher::Config::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::OPERATOR));
    let controller = Controller::new(nodes, watcher::Config::default());
    let (store, nodes) = (controller.store(), controller.store());
    let filling = {
        let nodes = nodes.clone();
        async move {
            if nodes.wait_until_ready().await.is_ok() {
                filled();
            }
        }
    };
    let of_cluster = move |cluster: BigchainCluster| {
        let (name, namespace) = (cluster.name_any(), cluster.namespace());
        let nodes = store.state().into_iter().filter(move |node| {
            node.0.as_ref().is_ok_and(|node| match &node.spec.cluster_ref {
                None => node.name_any() == name && node.namespace() == namespace,
                Some(reference) => {
                    reference.name == name && reference.namespace.clone().or_else(|| node.namespace()) == namespace
                }
            })
        });
        nodes.map(|node| ObjectRef::from_obj(&*node)).collect::<Vec<_>>()
    };
    let context = Arc::new(Context { operator, nodes, failures: Mutex::default() });
    let working = controller
        .watches(scoped::<BigchainCluster>(&client, namespace), watcher::Config::default(), of_cluster)
        .watches(scoped::<Deployment>(&client, namespace), ours(), of_child)
        .watches(scoped::<StatefulSet>(&client, namespace), ours(), of_child)
        .watches(scoped::<Service>(&client, namespace), ours(), of_child)
        .watches(scoped::<ConfigMap>(&client, namespace), ours(), of_child)
        .watches(scoped::<Secret>(&client, namespace), ours(), of_child)
        .watches(scoped::<PersistentVolumeClaim>(&client, namespace), ours(), of_child)
        .watches(scoped::<Pod>(&client, namespace), ours(), of_child)
        .with_config(Config::default().concurrency(workers))
        .graceful_shutdown_on(stop)
        .run(look_after, after_failure, context)
        .for_each(async |result| {
            if let Err(error) = result {
                tracing::debug!(%error, "a node was not looked after");
            }
        });
    tokio::join!(filling, working);
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The node that an object of ours belongs to.
fn of_child<K: Resource + Debug>(child: K) -> Option<ObjectRef<Guarded>> {
    let node = child.labels().get(labels::NODE)?;
    Some(ObjectRef::new(node).within(&child.namespace()?))
}

async fn look_after(node: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let key = ObjectRef::from_obj(&*node);
    let node = match &node.0 {
        Ok(node) => Arc::new(node.clone()),
        Err(object) => {
            tracing::error!(node = %key, error = %object, "this resource does not read: correct it with `kubectl edit`");
            unreadable::look_after(object, &context.operator.client, Timestamp::now()).await?;
            return Ok(Action::await_change());
        }
    };
    let begun = Instant::now();
    let outcome = tokio::time::timeout(LONGEST_LOOK, reconcile(node, &context.operator)).await;
    let outcome = outcome.unwrap_or(Err(Error::TimedOut));
    let metrics = &context.operator.metrics;
    let word = if outcome.is_ok() { Outcome::Done } else { Outcome::Failed };
    metrics.reconciled(metrics::Resource::Node, word, begun.elapsed());
    metrics.set_nodes(context.nodes.state().iter().filter_map(|node| Some(state(node.0.as_ref().ok()?))));
    if outcome.is_ok() {
        context.failures.lock().remove(&key);
    }
    outcome
}

fn state(node: &BigchainNode) -> NodeState {
    let conditions = node.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let holds = |type_: &str| conditions.iter().any(|c| c.type_ == type_ && c.status == "True");
    match (node.spec.paused, holds("Degraded"), holds("Ready")) {
        (true, _, _) => NodeState::Paused,
        (_, true, _) => NodeState::Degraded,
        (_, _, true) => NodeState::Ready,
        _ => NodeState::Progressing,
    }
}

fn after_failure(node: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let key = ObjectRef::from_obj(&*node);
    tracing::warn!(node = %key, %error, "trying again");
    let mut failures = context.failures.lock();
    let failures = failures.entry(key).or_default();
    let pause = FIRST_PAUSE.saturating_mul(1 << (*failures).min(10)).min(LONGEST_PAUSE);
    *failures = failures.saturating_add(1);
    Action::requeue(pause)
}
