//! What needs a real API server; the tests share one.
#![allow(clippy::unwrap_used)] // A test may panic.

use bigchaindb_operator::api::{self, BigchainNode};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};

#[path = "api_server/mod.rs"]
mod api_server;
#[path = "api_server/killed.rs"]
mod killed;
#[path = "api_server/lease.rs"]
mod lease;
#[path = "api_server/stopped.rs"]
mod stopped;

use api_server::ApiServer;

/// Compares with `tests/writes/NAME`; REGENERATE=1 writes it anew.
fn golden(name: &str, fresh: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/writes").join(name);
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::write(&path, fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(fresh, committed, "tests/writes/{name} is out of date: REGENERATE=1 writes it anew");
}

#[tokio::test]
async fn it_serves_our_resources_judges_by_rbac_and_tells_what_it_answered() {
    let Some(server) = ApiServer::start().await else { return };
    let namespace = server.namespace().await;
    assert_ne!(namespace, server.namespace().await);

    server.install(&api::definitions()).await;
    let nodes = Api::<BigchainNode>::namespaced(server.client().await, &namespace);
    nodes.create(&PostParams::default(), &BigchainNode::new("node-a", Default::default())).await.unwrap();
    assert_eq!(nodes.list(&ListParams::default()).await.unwrap().items.len(), 1);

    let nobody = server.client_as(&format!("system:serviceaccount:{namespace}:nobody")).await;
    let refused = Api::<ConfigMap>::namespaced(nobody, &namespace).list(&ListParams::default()).await;
    assert!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403), "{refused:?}");

    let created = server.answered().into_iter().filter(|event| {
        event["verb"] == "create"
            && event["objectRef"]["resource"] == "bigchainnodes"
            && event["objectRef"]["namespace"] == namespace.as_str()
    });
    assert_eq!(created.count(), 1);
}
