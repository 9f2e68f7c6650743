//! What is found by an API server that answers from a map.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::Value;

use super::*;

const CLUSTERS: &str = "/apis/bigchaindb.com/v1alpha1/namespaces/bigchain/bigchainclusters";
const SECRETS: &str = "/api/v1/namespaces/bigchain/secrets";

/// Objects by their paths, and what was written: the method and the path.
#[derive(Default)]
struct Server {
    objects: Mutex<BTreeMap<String, Value>>,
    writes: Mutex<Vec<String>>,
}

impl Server {
    fn with(path: String, object: Value) -> Arc<Self> {
        Arc::new(Self { objects: Mutex::new(BTreeMap::from([(path, object)])), writes: Mutex::default() })
    }

    fn client(self: &Arc<Self>) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let sent = body.collect().await?.to_bytes();
                let (code, answer) = server.answer(&parts.method, parts.uri.path(), &sent);
                let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
                *response.status_mut() = StatusCode::from_u16(code)?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(response)
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: &Method, path: &str, sent: &[u8]) -> (u16, Value) {
        let status = |code: u16, reason: &str| {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
                "message": format!("{reason} of {path}"),
            });
            (code, status)
        };
        if path.contains("/namespaces/elsewhere/") {
            return status(403, "Forbidden");
        }
        let mut objects = self.objects.lock();
        if *method == Method::GET {
            return objects.get(path).map_or_else(|| status(404, "NotFound"), |object| (200, object.clone()));
        }
        self.writes.lock().push(format!("{method} {path}"));
        let sent: Value = serde_json::from_slice(sent).unwrap();
        let mut object = match objects.get(path) {
            Some(there) if there["metadata"]["resourceVersion"] == sent["metadata"]["resourceVersion"] => there.clone(),
            Some(_) => return status(409, "Conflict"),
            None => return status(404, "NotFound"),
        };
        object["data"].as_object_mut().unwrap().extend(sent["data"].as_object().unwrap().clone());
        object["metadata"]["resourceVersion"] = format!("{}1", object["metadata"]["resourceVersion"]).into();
        objects.insert(path.to_owned(), object.clone());
        (200, object)
    }
}

fn shared() -> BigchainCluster {
    let mut cluster = BigchainCluster::new("shared", BigchainClusterSpec::default());
    cluster.metadata.namespace = Some("bigchain".to_owned());
    cluster
}

async fn refused(server: &Arc<Server>, reference: Value) -> Cause {
    let node = json!({
        "apiVersion": "bigchaindb.com/v1alpha1",
        "kind": "BigchainNode",
        "metadata": {"name": "node-b", "namespace": "bigchain"},
        "spec": {"clusterRef": reference},
    });
    cluster(&server.client(), &serde_json::from_value(node).unwrap()).await.unwrap().unwrap_err()
}

#[tokio::test]
async fn a_cluster_of_one_node_or_out_of_reach_is_refused_with_the_reason() {
    let mut implicit = shared();
    implicit.metadata.labels = Some(BTreeMap::from([(IMPLICIT.to_owned(), "true".to_owned())]));
    let server = Server::with(format!("{CLUSTERS}/shared"), serde_json::to_value(implicit).unwrap());
    let cause = refused(&server, json!({"name": "shared"})).await;
    assert_eq!(cause.reason, "ClusterNotShared");
    assert!(cause.message.contains("made for the BigchainNode shared alone"), "{}", cause.message);

    let cause = refused(&server, json!({"name": "shared", "namespace": "elsewhere"})).await;
    assert_eq!(cause.reason, "ClusterForbidden");
    assert!(cause.message.contains("namespace elsewhere") && cause.message.contains("watchNamespace"), "{cause:?}");

    assert_eq!(refused(&server, json!({"name": "other"})).await.reason, "ClusterMissing");
}

#[tokio::test]
async fn who_supplies_an_authority_no_longer_gets_one_in_the_secret_that_is_there() {
    let now = Timestamp::now();
    let path = format!("{SECRETS}/shared-ca");
    // With a supplied authority only its list is in the Secret.
    let mut lists = authority::create(&Data::new(), "Consortium", "supplied", now).unwrap();
    lists.remove(authority::CERTIFICATE);
    lists.remove(authority::KEY);
    let mut secret = authority_secret("shared-ca", "shared", lists.clone());
    secret.metadata.resource_version = Some("7".to_owned());
    let server = Server::with(path.clone(), serde_json::to_value(&secret).unwrap());
    let consortium = consortium(&server.client(), &shared(), "Consortium", now).await.unwrap().unwrap();
    assert!(consortium.authority.certificate().subject().starts_with("CN=shared,"));
    assert!(consortium.list.is_some_and(|list| list.number().unwrap().to_string() == "02"));
    assert_eq!(*server.writes.lock(), [format!("PATCH {path}")]);

    // Half an authority is one that somebody has lost.
    lists.insert(authority::CERTIFICATE.to_owned(), k8s_openapi::ByteString(b"lost its key".to_vec()));
    secret.data = Some(lists);
    let server = Server::with(path, serde_json::to_value(&secret).unwrap());
    let cause = super::consortium(&server.client(), &shared(), "Consortium", now).await.unwrap().unwrap_err();
    assert_eq!(cause.reason, "AuthorityUnusable");
    assert!(server.writes.lock().is_empty());
}
