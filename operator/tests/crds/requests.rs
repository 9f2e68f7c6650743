//! Requests for the resources as `kubectl` makes them: fields that the schema does not know are refused.

use std::sync::Arc;

use bigchaindb_operator::api;
use http::{Method, Request};
use kube::core::Status;
use serde_json::Value;

use crate::api_server::ApiServer;

/// A namespace of an API server that serves the resources.
pub struct Requests {
    client: kube::Client,
    namespace: String,
    /// It runs as long as somebody holds it.
    _server: Arc<ApiServer>,
}

impl Requests {
    /// `None`: there is no API server on this machine.
    pub async fn start() -> Option<Self> {
        let server = ApiServer::start().await?;
        server.install(&api::definitions()).await;
        Some(Self { client: server.client().await, namespace: server.namespace().await, _server: server })
    }

    /// What would be stored, defaults and all.
    pub async fn judge(&self, object: &Value) -> Result<Value, Status> {
        self.send(Method::POST, &self.path(object), "&dryRun=All", object).await
    }

    pub async fn create(&self, object: &Value) -> Result<Value, Status> {
        self.send(Method::POST, &self.path(object), "", object).await
    }

    /// Puts the object, or its part `/status`, in the place of the one of the same name.
    pub async fn replace(&self, object: &Value, part: &str) -> Result<Value, Status> {
        let path = format!("{}/{}{part}", self.path(object), object["metadata"]["name"].as_str().unwrap());
        self.send(Method::PUT, &path, "", object).await
    }

    /// A resource's list as a table, or a list of what is served.
    pub async fn get(&self, path: &str) -> Value {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        let request = Request::get(path).header("accept", table).body(Vec::new()).unwrap();
        self.client.request(request).await.unwrap()
    }

    /// Where objects of this kind are.
    pub fn path(&self, object: &Value) -> String {
        let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
        format!("/apis/{}/{}/namespaces/{}/{plural}", api::GROUP, api::VERSION, self.namespace)
    }

    async fn send(&self, method: Method, path: &str, options: &str, object: &Value) -> Result<Value, Status> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}?fieldValidation=Strict{options}"))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(object).unwrap())
            .unwrap();
        match self.client.request(request).await {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) => Err(*status),
            Err(error) => panic!("{error}"),
        }
    }
}
