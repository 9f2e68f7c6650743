//! An operator that is killed after any of its writes, and started again, brings about the same as one that was not.

use std::future::pending;
use std::sync::Arc;

use bigchaindb_operator::api::{self, BigchainCluster, BigchainNode};
use bigchaindb_operator::metrics::Metrics;
use bigchaindb_operator::reconcile::{Operator, reconcile};
use bigchaindb_operator::rotation::Rotations;
use bigchaindb_operator::validate::Images;
use http::{Method, Request};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::client::Body;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::api_server::ApiServer;

pub(crate) const NAME: &str = "node-a";

/// Rounds after which an operator that still writes will go on for ever.
const ROUNDS: usize = 20;

/// A life of the operator: what it wrote, and after how many writes it is killed.
struct Life {
    writes: Mutex<Vec<String>>,
    last: usize,
    killed: Notify,
}

impl Life {
    fn new(last: usize) -> Arc<Self> {
        Arc::new(Self { writes: Mutex::default(), last, killed: Notify::new() })
    }

    /// Passes requests on; the last write's answer never comes, and nothing after it is sent.
    fn client(self: &Arc<Self>, inner: Client) -> Client {
        let life = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (life, inner) = (life.clone(), inner.clone());
            async move {
                let write =
                    (request.method() != Method::GET).then(|| format!("{} {}", request.method(), request.uri().path()));
                let answer = inner.send(request).await;
                // What was refused has changed nothing.
                let done = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
                if let Some(write) = write.filter(|_| done) {
                    life.writes.lock().push(write);
                    if life.writes.lock().len() == life.last {
                        life.killed.notify_one();
                        pending::<()>().await;
                    }
                }
                answer
            }
        });
        Client::new(service, "default")
    }

    fn count(&self) -> usize {
        self.writes.lock().len()
    }
}

/// Runs until nothing is written any more, or the life ends. What was written, if it was not killed.
pub(crate) async fn live(server: &ApiServer, namespace: &str, last: usize) -> Option<Vec<String>> {
    let life = Life::new(last);
    let client = life.client(server.client().await);
    let reporter = Reporter { controller: "test".to_owned(), instance: None };
    let image = |name: &str| Some(format!("example.org/{name}:1"));
    let operator = Operator {
        client: client.clone(),
        images: Images { server: image("server"), mongodb: image("mongod"), gateway: image("gateway") },
        dns_server: [10, 0, 0, 10].into(),
        recorder: Recorder::new(client.clone(), reporter),
        metrics: Arc::new(Metrics::new()),
        rotations: Rotations::default(),
    };
    let nodes = Api::<BigchainNode>::namespaced(client, namespace);
    let work = async {
        for _ in 0..ROUNDS {
            let before = life.count();
            if let Some(node) = nodes.get_opt(NAME).await.unwrap() {
                reconcile(Arc::new(node), &operator).await.unwrap();
            }
            if life.count() == before {
                return;
            }
        }
        panic!("it goes on writing: {:?}", life.writes.lock());
    };
    tokio::select! {
        () = work => Some(life.writes.lock().clone()),
        () = life.killed.notified() => None,
    }
}

/// All that is in a namespace by kind and name, with what every life must agree on: the key pair, and what is said of it.
async fn seen(server: &ApiServer, namespace: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let kinds = [
        ApiResource::erase::<BigchainNode>(&()),
        ApiResource::erase::<BigchainCluster>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<PersistentVolumeClaim>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
    ];
    for kind in kinds {
        let api: Api<DynamicObject> = Api::namespaced_with(server.client().await, namespace, &kind);
        for object in api.list(&ListParams::default()).await.unwrap() {
            let mut keys: Vec<_> = object.data["data"].as_object().into_iter().flatten().map(|(key, _)| key).collect();
            keys.sort();
            let conditions = object.data["status"]["conditions"].as_array().into_iter().flatten();
            let conditions: Vec<_> =
                conditions.map(|c| format!("{} {} {} {}", c["type"], c["status"], c["reason"], c["message"])).collect();
            seen.push(format!("{} {} {keys:?} {conditions:?}", kind.kind, object.name_any()));
        }
    }
    seen
}

pub(crate) async fn secret(server: &ApiServer, namespace: &str, name: &str) -> Option<Secret> {
    Api::<Secret>::namespaced(server.client().await, namespace).get_opt(name).await.unwrap()
}

pub(crate) async fn create(server: &ApiServer, spec: &serde_json::Value) -> String {
    let namespace = server.namespace().await;
    let node = serde_json::json!({
        "apiVersion": "bigchaindb.com/v1alpha1", "kind": "BigchainNode", "metadata": {"name": NAME}, "spec": spec,
    });
    let nodes = Api::<BigchainNode>::namespaced(server.client().await, &namespace);
    nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
    namespace
}

async fn delete(server: &ApiServer, namespace: &str) {
    let nodes = Api::<BigchainNode>::namespaced(server.client().await, namespace);
    nodes.delete(NAME, &DeleteParams::default()).await.unwrap();
}

/// With the namespace's name taken out, and events' own, which are drawn.
fn told(writes: &[String], namespace: &str) -> Vec<String> {
    let lines = writes.iter().map(|write| write.replace(namespace, "NAMESPACE"));
    lines.collect()
}

async fn killed_after_every_write(name: &str, spec: serde_json::Value) {
    let Some(server) = ApiServer::start().await else { return };
    server.install(&api::definitions()).await;

    let undisturbed = create(&server, &spec).await;
    let creating = live(&server, &undisturbed, usize::MAX).await.unwrap();
    let made = seen(&server, &undisturbed).await;
    delete(&server, &undisturbed).await;
    let deleting = live(&server, &undisturbed, usize::MAX).await.unwrap();
    let left = seen(&server, &undisturbed).await;
    assert!(!left.iter().any(|object| object.starts_with("BigchainNode ")), "{left:#?}");
    super::golden(
        &format!("{name}.txt"),
        &format!(
            "Creating:\n{}\n\nDeleting:\n{}\n",
            told(&creating, &undisturbed).join("\n"),
            told(&deleting, &undisturbed).join("\n")
        ),
    );

    for last in 1..=creating.len() {
        let namespace = create(&server, &spec).await;
        assert!(live(&server, &namespace, last).await.is_none(), "it writes {last} times");
        let keys = secret(&server, &namespace, "node-a-keys").await;
        let authority = secret(&server, &namespace, "node-a-ca").await;
        live(&server, &namespace, usize::MAX).await.unwrap();
        let now = seen(&server, &namespace).await;
        assert_eq!(now, made, "killed after {}", creating[last - 1]);
        // What was made once is never made anew.
        for (before, name) in [(keys, "node-a-keys"), (authority, "node-a-ca")] {
            if let Some(before) = before {
                assert_eq!(secret(&server, &namespace, name).await.unwrap().data, before.data, "{name}");
            }
        }
    }
    for last in 1..=deleting.len() {
        let namespace = create(&server, &spec).await;
        live(&server, &namespace, usize::MAX).await.unwrap();
        delete(&server, &namespace).await;
        assert!(live(&server, &namespace, last).await.is_none(), "it writes {last} times");
        live(&server, &namespace, usize::MAX).await.unwrap();
        assert_eq!(seen(&server, &namespace).await, left, "killed after {}", deleting[last - 1]);
    }
}

#[tokio::test]
async fn with_the_embedded_engine() {
    let spec = serde_json::json!({"deletionPolicy": "Delete", "database": {"engine": "Embedded"}});
    killed_after_every_write("embedded", spec).await;
}

#[tokio::test]
async fn with_a_mongodb_of_its_own() {
    killed_after_every_write("smallest", serde_json::json!({"deletionPolicy": "Delete"})).await;
}
