//! `BigchainNode`: one party's node.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration, TopologySpreadConstraint};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::common::{SecretReference, handed_on, list_handed_on, texts};
use super::database::DatabaseSpec;
use super::gateway::GatewaySpec;
use super::rules::{dns_name, resource_name};
use super::server::ServerSpec;
use super::status::NodeStatus;

/// What a `BigchainNode` asks for. Everything has a default: an empty one is a node on a MongoDB of its own, behind a
/// gateway that speaks HTTPS.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "bigchaindb.com",
    version = "v1alpha1",
    kind = "BigchainNode",
    shortname = "bcn",
    category = "bigchaindb",
    namespaced,
    status = "NodeStatus",
    derive = "PartialEq",
    doc = "One party's BigchainDB node: a server, its database, and the gateway in front of both.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.apiUrl"),
    printcolumn(name = "Engine", type_ = "string", json_path = ".spec.database.engine", priority = 1),
    printcolumn(name = "Public key", type_ = "string", json_path = ".status.publicKey", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = resource_name()
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.clusterRef) == has(oldSelf.clusterRef) && (!has(self.clusterRef) || self.clusterRef == oldSelf.clusterRef)")
        .message("cannot change: a node belongs to one consortium for all its life. Make a new BigchainNode")
        .reason(Reason::FieldValueForbidden)
        .field_path(".clusterRef"),
    validation = Rule::new("self.database.engine != 'Embedded' || !has(self.clusterRef)")
        .message("with database.engine Embedded the ledger is one node's alone: remove it, or choose engine MongoDB")
        .reason(Reason::FieldValueForbidden)
        .field_path(".clusterRef"),
    validation = Rule::new("(self.database.engine == 'MongoDB' && self.database.mode == 'Managed') || !has(self.gateway.mongodbAllowlist) || size(self.gateway.mongodbAllowlist) == 0")
        .message("the operator runs no MongoDB for this node: remove it, or choose database.engine MongoDB and database.mode Managed")
        .reason(Reason::FieldValueForbidden)
        .field_path(".gateway.mongodbAllowlist")
)]
pub struct BigchainNodeSpec {
    /// The BigchainCluster that the node belongs to: its nodes share its certificate authority and its settings. Each has
    /// a ledger of its own, as the operator does not join their ledgers yet. Absent: a consortium of its own, for which the
    /// operator makes a BigchainCluster of the node's name. Cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<ClusterReference>,
    /// `true`: the operator changes nothing of this node until it is `false` again. Its pods go on running.
    #[serde(default)]
    pub paused: bool,
    /// What happens to the ledger, the key pair and, if the consortium is the node's own, the certificate authority when the
    /// BigchainNode is deleted: `Retain` keeps the volume claim and the Secrets, `Delete` deletes them.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Secrets to pull the images with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<SecretReference>,
    /// DNS domain of the Kubernetes cluster.
    #[serde(default = "cluster_domain")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = dns_name())]
    pub cluster_domain: String,
    /// The BigchainDB server.
    #[serde(default)]
    pub server: ServerSpec,
    /// Where the ledger is kept.
    #[serde(default)]
    pub database: DatabaseSpec,
    /// NGINX before the server: the one way in from outside.
    #[serde(default)]
    pub gateway: GatewaySpec,
    /// What all pods of the node get.
    #[serde(default)]
    pub pod_template: PodTemplate,
}

/// A `BigchainCluster`.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct ClusterReference {
    /// Name of the BigchainCluster.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace, which its `allowedNamespaces` must let the node's in. Absent: the node's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// What happens to data when a node is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, schemars::JsonSchema, PartialEq, Serialize)]
pub enum DeletionPolicy {
    #[default]
    Retain,
    Delete,
}

/// What all pods of a node get.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels of the pods beside the operator's own, which cannot be changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods beside the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts")]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a machine must have for the pods to run on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of machines that the pods tolerate, as in `spec.tolerations` of a Pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "list_handed_on")]
    pub tolerations: Vec<Toleration>,
    /// To which machines and other pods the pods are drawn, as in `spec.affinity` of a Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "handed_on")]
    pub affinity: Option<Affinity>,
    /// How the pods are spread over machines or zones, as in `spec.topologySpreadConstraints` of a Pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "list_handed_on")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The PriorityClass of the pods. Absent: the Kubernetes cluster's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}

fn cluster_domain() -> String {
    "cluster.local".to_owned()
}

impl Default for BigchainNodeSpec {
    fn default() -> Self {
        Self {
            cluster_ref: None,
            paused: false,
            deletion_policy: DeletionPolicy::default(),
            image_pull_secrets: Vec::new(),
            cluster_domain: cluster_domain(),
            server: ServerSpec::default(),
            database: DatabaseSpec::default(),
            gateway: GatewaySpec::default(),
            pod_template: PodTemplate::default(),
        }
    }
}
