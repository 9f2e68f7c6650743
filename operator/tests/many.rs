//! The program itself with many resources, one of which does not read.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bigchaindb_operator::api::{self, BigchainNode};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::DeserializeGuard;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt as _};
use serde_json::json;

#[path = "api_server/mod.rs"]
mod api_server;

use api_server::{ApiServer, DEADLINE};

const NODES: usize = 200;

/// What the program may take with them, in KiB.
const MEMORY: u64 = 50 * 1024;

struct Operator(Child);

impl Operator {
    fn start(server: &ApiServer, namespace: &str) -> Self {
        let arguments = ["run", "--namespace", namespace, "--watch-namespace", namespace];
        let images = ["--image-server", "example.org/server:1", "--image-gateway", "example.org/gateway:1"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_bigchaindb-operator"));
        command.args(arguments).args(images).args(["--listen", "127.0.0.1:0", "--dns-server", "10.0.0.10"]);
        command.env("KUBECONFIG", server.kubeconfig()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// What of it is in memory, in KiB: `VmRSS`.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn create(nodes: &Api<BigchainNode>, name: &str) {
    let spec = json!({"database": {"engine": "Embedded"}});
    let node = json!({
        "apiVersion": "bigchaindb.com/v1alpha1", "kind": "BigchainNode", "metadata": {"name": name}, "spec": spec,
    });
    nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
}

/// One that is from a time when the definition allowed anything.
async fn create_malformed(server: &ApiServer, client: &Client, namespace: &str) {
    let mut definitions = api::definitions();
    let definition = definitions.iter_mut().find(|definition| definition.spec.names.kind == "BigchainNode").unwrap();
    let schema = definition.spec.versions[0].schema.as_mut().unwrap();
    *schema = serde_json::from_value(json!({
        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }))
    .unwrap();
    server.install(&definitions).await;
    let anything = ApiResource::erase::<BigchainNode>(&());
    let nodes: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &anything);
    let mut malformed = DynamicObject::new("malformed", &anything);
    malformed.metadata.finalizers = Some(vec!["bigchaindb.com/operator".to_owned()]);
    malformed.data = json!({"spec": {"server": {"backlogReassignDelay": "two minutes"}}});
    nodes.create(&PostParams::default(), &malformed).await.unwrap();
    server.install(&api::definitions()).await;
}

#[tokio::test]
async fn one_that_does_not_read_stops_no_other_and_two_hundred_take_little_memory() {
    let Some(server) = ApiServer::start().await else { return };
    let (client, namespace) = (server.client().await, server.namespace().await);
    create_malformed(&server, &client, &namespace).await;
    let nodes = Api::<BigchainNode>::namespaced(client.clone(), &namespace);
    let operator = Operator::start(&server, &namespace);
    for number in 0..NODES {
        create(&nodes, &format!("node-{number}")).await;
    }

    let guarded = Api::<DeserializeGuard<BigchainNode>>::namespaced(client, &namespace);
    let deadline = Instant::now() + DEADLINE;
    loop {
        let all = guarded.list(&ListParams::default()).await.unwrap();
        let read = all.items.iter().filter_map(|node| node.0.as_ref().ok());
        let told: BTreeMap<String, bool> = read.map(|node| (node.name_any(), node.status.is_some())).collect();
        assert_eq!((all.items.len(), told.len()), (NODES + 1, NODES), "one does not read");
        if told.values().all(|told| *told) {
            break;
        }
        let missing = told.values().filter(|told| !**told).count();
        assert!(Instant::now() < deadline, "{missing} of {NODES} nodes have no status");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let anything = ApiResource::erase::<BigchainNode>(&());
    let untyped: Api<DynamicObject> = Api::namespaced_with(server.client().await, &namespace, &anything);
    let malformed = untyped.get("malformed").await.unwrap();
    let told = malformed.data["status"]["conditions"].to_string();
    assert!(told.contains("Unreadable") && told.contains("two minutes"), "{told}");
    untyped.delete("malformed", &DeleteParams::default()).await.unwrap();
    let uid = malformed.uid().unwrap();
    let gone = await_condition(untyped, "malformed", conditions::is_deleted(&uid));
    tokio::time::timeout(DEADLINE, gone).await.unwrap().unwrap();

    let memory = operator.memory();
    println!("{NODES} nodes: {memory} KiB");
    assert!(memory <= MEMORY, "{memory} KiB with {NODES} nodes; {MEMORY} are allowed");
}
