//! `BigchainCluster`: the consortium that nodes belong to, as one Kubernetes cluster sees it.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::common::{SecretReference, namespaces};
use super::rules::{naming, resource_name};

/// What a `BigchainCluster` asks for.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "bigchaindb.com",
    version = "v1alpha1",
    kind = "BigchainCluster",
    shortname = "bcc",
    category = "bigchaindb",
    namespaced,
    derive = "PartialEq",
    doc = "A consortium of BigchainDB nodes: the name of their replica set and their certificate authority.",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = resource_name()
)]
#[serde(rename_all = "camelCase")]
pub struct BigchainClusterSpec {
    /// The replica set that the nodes' databases form.
    #[serde(default)]
    pub replica_set: ReplicaSetSpec,
    /// The certificate authority.
    #[serde(default)]
    pub tls: ClusterTlsSpec,
    /// Namespaces whose BigchainNodes may refer to this BigchainCluster, beside its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "namespaces")]
    pub allowed_namespaces: Vec<String>,
}

/// A replica set of MongoDB.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct ReplicaSetSpec {
    /// Name of the replica set. Cannot be changed.
    #[serde(default = "replica_set_name")]
    #[schemars(length(max = 63))]
    #[x_kube(
        validation = naming(
            "self.matches('^[A-Za-z0-9][-_A-Za-z0-9]*$')",
            "'`' + self + '` cannot be the name of a replica set: use only letters, digits, - and _, as in bigchain-rs'",
        ),
        validation = naming(
            "self == oldSelf",
            "'cannot change from ' + oldSelf + ' to ' + self + ': MongoDB records it in the data of every member'",
        )
        .reason(Reason::FieldValueForbidden)
    )]
    pub name: String,
}

/// The certificate authority, and the certificates it issues.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.renewBeforeDays < self.certificateDays")
        .message("must be less than certificateDays: certificates would be renewed without end")
        .field_path(".renewBeforeDays"),
    validation = Rule::new("(has(self.organization) ? self.organization : '') == (has(oldSelf.organization) ? oldSelf.organization : '')")
        .message("cannot change: members that do not have the same organization do not know each other")
        .reason(Reason::FieldValueForbidden)
        .field_path(".organization")
)]
pub struct ClusterTlsSpec {
    /// Secret with a certificate authority of your own: `ca.crt` (or `ca.pem`) and `ca.key`, or `tls.crt` and `tls.key` as
    /// cert-manager writes it, and `crl.pem` with what it has revoked. It must have signed itself. Without its key every
    /// certificate must be supplied. Absent: the operator makes an authority and keeps it in the Secret `<cluster>-ca`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretReference>,
    /// Organization (O) in the subjects of all certificates; MongoDB knows members by it, so that it must be the same in the
    /// whole consortium. Absent: the name of the BigchainCluster. Cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub organization: Option<String>,
    /// Days for which a certificate is issued.
    #[serde(default = "certificate_days")]
    #[schemars(range(min = 1, max = 3650))]
    pub certificate_days: i32,
    /// Days before its end at which a certificate is renewed.
    #[serde(default = "renew_before_days")]
    #[schemars(range(min = 1, max = 3649))]
    pub renew_before_days: i32,
}

fn replica_set_name() -> String {
    "bigchain-rs".to_owned()
}

impl Default for ReplicaSetSpec {
    fn default() -> Self {
        Self { name: replica_set_name() }
    }
}

fn certificate_days() -> i32 {
    365
}

fn renew_before_days() -> i32 {
    60
}

impl Default for ClusterTlsSpec {
    fn default() -> Self {
        Self {
            ca_secret_ref: None,
            organization: None,
            certificate_days: certificate_days(),
            renew_before_days: renew_before_days(),
        }
    }
}
