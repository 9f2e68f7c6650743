//! How a node's workloads stand, from what the API server says of them. Pure.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use serde::de::DeserializeOwned;

use crate::apply::Applied;
use crate::desired::labels::{self, Component};
use crate::desired::names::Names;
use crate::pods;
use crate::status::{Standing, Standings};
use crate::validate::{Database, Validated};

/// How a node's parts stand. Specification and certificates were good, or nothing would have been applied.
pub fn standings(
    node: &Validated,
    applied: &[Applied],
    all_pods: &[Pod],
    claims: &[PersistentVolumeClaim],
) -> Standings {
    let names = Names::of(node);
    let stands = |what: &str, component: Component, workload: Workload| {
        let pods: Vec<&Pod> = all_pods
            .iter()
            .filter(|pod| self::component(pod) == Some(component.as_str()) && pod.metadata.deletion_timestamp.is_none())
            .collect();
        pods::standing(what, workload.ready, &pods, claims, workload.complaint)
    };
    let server = match &node.database {
        Database::Embedded(_) => of_stateful_set(applied, &names.server),
        Database::Member(_) | Database::External { .. } => of_deployment("the server", applied, &names.server),
    };
    let server = stands("the server", Component::Server, server);
    let database = match &node.database {
        Database::Member(_) => stands("mongod", Component::MongoDb, of_stateful_set(applied, &names.member)),
        Database::Embedded(_) => told_by("the database is a part of the server", &server),
        Database::External { .. } => {
            told_by("the server is not ready before the database of spec.database answers it", &server)
        }
    };
    let gateway = of_deployment("the gateway", applied, &names.gateway);
    Standings {
        specification: Standing::Good,
        certificates: Standing::Good,
        database,
        server,
        gateway: stands("the gateway", Component::Gateway, gateway),
    }
}

/// How a database stands that nobody but the server asks: the server is ready only if it has an answer.
fn told_by(relation: &str, server: &Standing) -> Standing {
    match server.cause() {
        None => Standing::Good,
        Some(cause) => Standing::waiting("ServerNotReady", format!("{relation}: {}", cause.message)),
    }
}

/// Of which part of its node a pod is.
pub fn component(pod: &Pod) -> Option<&str> {
    pod.labels().get(labels::COMPONENT).map(String::as_str)
}

/// A StatefulSet as it is there after it was applied.
pub fn stateful_set(applied: &[Applied], name: &str) -> Option<StatefulSet> {
    find(applied, "StatefulSet", name)
}

fn find<K: DeserializeOwned>(applied: &[Applied], kind: &str, name: &str) -> Option<K> {
    let found = applied.iter().find(|object| object.kind == kind && object.name == name)?;
    serde_json::from_value(serde_json::to_value(&found.live).ok()?).ok()
}

/// What a workload says of itself.
struct Workload {
    /// It has as many ready pods as it wants, all of them as it wants them now.
    ready: bool,
    /// What it says is wrong.
    complaint: Option<Standing>,
}

/// Ready when `kubectl rollout status` says so.
fn of_deployment(what: &str, applied: &[Applied], name: &str) -> Workload {
    let deployment: Deployment = find(applied, "Deployment", name).unwrap_or_default();
    let status = deployment.status.unwrap_or_default();
    let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    // What it says of an older specification does not count.
    if status.observed_generation.is_none() || status.observed_generation < deployment.metadata.generation {
        return Workload { ready: false, complaint: None };
    }
    let updated = status.updated_replicas.unwrap_or(0);
    let ready = updated >= wanted
        && status.replicas.unwrap_or(0) <= updated
        && status.available_replicas.unwrap_or(0) >= updated;
    let conditions = status.conditions.unwrap_or_default();
    let says = |type_: &str, status: &str| {
        let condition = conditions.iter().find(|condition| condition.type_ == type_ && condition.status == status)?;
        Some(condition.message.as_deref().unwrap_or("no more is said"))
    };
    let complaint = if let Some(words) = says("ReplicaFailure", "True") {
        Some(Standing::bad("PodsRefused", format!("the pods of {what} cannot be made: {words}")))
    } else {
        says("Progressing", "False")
            .map(|words| Standing::bad("RolloutStopped", format!("the pods of {what} do not get ready: {words}")))
    };
    Workload { ready, complaint }
}

/// StatefulSets have no conditions: why one makes no pod is told by events alone.
fn of_stateful_set(applied: &[Applied], name: &str) -> Workload {
    let set = stateful_set(applied, name).unwrap_or_default();
    let status = set.status.unwrap_or_default();
    let wanted = set.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = status.observed_generation.is_some()
        && status.observed_generation >= set.metadata.generation
        && status.ready_replicas.unwrap_or(0) >= wanted
        && status.current_revision == status.update_revision;
    Workload { ready, complaint: None }
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::*;

    fn deployment(status: Value) -> Vec<Applied> {
        let value = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "node-a-ngx", "generation": 2},
            "spec": {"replicas": 2}, "status": status,
        });
        let live: DynamicObject = serde_json::from_value(value).expect("a Deployment");
        vec![Applied { kind: "Deployment", name: "node-a-ngx".to_owned(), change: None, live }]
    }

    fn look(status: Value) -> Workload {
        of_deployment("the gateway", &deployment(status), "node-a-ngx")
    }

    #[test]
    fn a_deployment_is_ready_when_kubectl_rollout_status_says_so() {
        let status = |seen: u32, all: u32, updated: u32, available: u32| {
            json!({
                "observedGeneration": seen, "replicas": all, "updatedReplicas": updated, "readyReplicas": all,
                "availableReplicas": available,
            })
        };
        assert!(look(status(2, 2, 2, 2)).ready);
        for (why, status) in [
            ("nobody saw the newest", status(1, 2, 2, 2)),
            ("an old pod is still there", status(2, 3, 2, 3)),
            ("one is old", status(2, 2, 1, 2)),
            ("one is not available", status(2, 2, 2, 1)),
            ("nothing is said", json!({})),
        ] {
            assert!(!look(status).ready, "{why}");
        }
        assert!(!of_deployment("the gateway", &[], "node-a-ngx").ready);
    }

    #[test]
    fn what_a_deployment_says_is_wrong_is_passed_on() {
        let told = |seen: u32, type_: &str, status: &str| {
            let condition = json!({"type": type_, "status": status, "reason": "R", "message": "exceeded quota"});
            look(json!({"observedGeneration": seen, "conditions": [condition]})).complaint
        };
        let refused = "the pods of the gateway cannot be made: exceeded quota";
        assert_eq!(told(2, "ReplicaFailure", "True"), Some(Standing::bad("PodsRefused", refused)));
        let late = "the pods of the gateway do not get ready: exceeded quota";
        assert_eq!(told(2, "Progressing", "False"), Some(Standing::bad("RolloutStopped", late)));
        assert_eq!(told(1, "ReplicaFailure", "True"), None, "of an older specification");
        assert_eq!(told(2, "Progressing", "True"), None);
    }

    #[test]
    fn a_database_that_nobody_asks_is_as_ready_as_its_server() {
        assert_eq!(told_by("it is a part", &Standing::Good), Standing::Good);
        let waits = Standing::waiting("ServerNotReady", "it is a part: no such file");
        assert_eq!(told_by("it is a part", &Standing::bad("CrashLoop", "no such file")), waits);
    }
}
