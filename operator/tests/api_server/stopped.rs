//! What stops the operator from bringing a node about is told in its status, and harms nobody.

use bigchaindb_operator::api::{self, BigchainNode};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret, Service};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::killed::{NAME, create, live, secret};

/// The reason and the message of the condition Degraded.
async fn degraded(server: &ApiServer, namespace: &str) -> Option<(String, String)> {
    let node = Api::<BigchainNode>::namespaced(server.client().await, namespace).get(NAME).await.unwrap();
    let conditions = node.status.unwrap().conditions;
    let degraded = conditions.into_iter().find(|condition| condition.type_ == "Degraded").unwrap();
    (degraded.status == "True").then_some((degraded.reason, degraded.message))
}

/// Runs the operator until it has nothing to do any more.
async fn settle(server: &ApiServer, namespace: &str) {
    live(server, namespace, usize::MAX).await.unwrap();
}

async fn started(spec: Value) -> Option<(std::sync::Arc<ApiServer>, String)> {
    let server = ApiServer::start().await?;
    server.install(&api::definitions()).await;
    let namespace = create(&server, &spec).await;
    Some((server, namespace))
}

fn embedded() -> Value {
    json!({"database": {"engine": "Embedded"}})
}

#[tokio::test]
async fn an_object_that_somebody_else_made_is_left_alone() {
    let Some((server, namespace)) = started(embedded()).await else { return };
    let services = Api::<Service>::namespaced(server.client().await, &namespace);
    let foreign = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "node-a-ngx"}, "spec": {"ports": [{"port": 7}]},
    });
    let foreign: Service = serde_json::from_value(foreign).unwrap();
    let before = services.create(&PostParams::default(), &foreign).await.unwrap();
    settle(&server, &namespace).await;
    let (reason, message) = degraded(&server, &namespace).await.unwrap();
    assert_eq!(reason, "NameTaken");
    assert!(message.contains("Service node-a-ngx"), "{message}");
    assert_eq!(services.get("node-a-ngx").await.unwrap(), before);
    services.delete("node-a-ngx", &DeleteParams::default()).await.unwrap();
    settle(&server, &namespace).await;
    assert_eq!(degraded(&server, &namespace).await, None);
}

#[tokio::test]
async fn a_lost_key_pair_is_not_replaced() {
    let Some((server, namespace)) = started(embedded()).await else { return };
    settle(&server, &namespace).await;
    let key = secret(&server, &namespace, "node-a-keys").await.unwrap();
    let secrets = Api::<Secret>::namespaced(server.client().await, &namespace);
    secrets.delete("node-a-keys", &DeleteParams::default()).await.unwrap();
    settle(&server, &namespace).await;
    let (reason, message) = degraded(&server, &namespace).await.unwrap();
    assert_eq!(reason, "KeyPairChanged");
    assert!(message.contains("the Secret node-a-keys does not hold it"), "{message}");
    assert!(secret(&server, &namespace, "node-a-keys").await.is_none());
    let mut restored = key.clone();
    restored.metadata.resource_version = None;
    secrets.create(&PostParams::default(), &restored).await.unwrap();
    settle(&server, &namespace).await;
    assert_eq!(degraded(&server, &namespace).await, None);
    assert_eq!(secret(&server, &namespace, "node-a-keys").await.unwrap().data, key.data);
}

#[tokio::test]
async fn what_kubernetes_refuses_is_told() {
    let terms = json!({"nodeSelectorTerms": []});
    let mut spec = embedded();
    spec["podTemplate"] =
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}});
    let Some((server, namespace)) = started(spec).await else { return };
    settle(&server, &namespace).await;
    let (reason, message) = degraded(&server, &namespace).await.unwrap();
    assert_eq!(reason, "ApplyRefused");
    assert!(message.contains("StatefulSet node-a-bdb") && message.contains("nodeSelectorTerms"), "{message}");
}

/// [`settle`] fails if the operator goes on writing.
#[tokio::test]
async fn amounts_in_another_form_and_a_larger_volume_are_as_wanted() {
    let mut spec = embedded();
    spec["server"] =
        json!({"resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"memory": "1.5Gi"}}});
    let Some((server, namespace)) = started(spec).await else { return };
    settle(&server, &namespace).await;
    assert_eq!(degraded(&server, &namespace).await, None);

    // Somebody grew it by hand; nothing here is bound, as nobody makes volumes.
    let claims = Api::<PersistentVolumeClaim>::namespaced(server.client().await, &namespace);
    let bound = json!({"status": {"phase": "Bound"}});
    claims.patch_status("node-a-bdb", &PatchParams::default(), &Patch::Merge(&bound)).await.unwrap();
    settle(&server, &namespace).await;
    assert_eq!(degraded(&server, &namespace).await, None);
}
