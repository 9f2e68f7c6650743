//! `spec.database`: where the ledger is kept.

use kube::KubeSchema;
use kube::core::{Message, Reason, Rule};
use serde::{Deserialize, Serialize};

use super::common::{Amount, Resources, SecretKeyReference, SecretReference};
use super::rules::{bytes_with_unit, naming};

/// Where the ledger is kept.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = naming(
        "self.engine == oldSelf.engine",
        "'cannot change from ' + oldSelf.engine + ' to ' + self.engine + ': a ledger stays where it was begun. Make a new BigchainNode'",
    )
    .reason(Reason::FieldValueForbidden)
    .field_path(".engine"),
    validation = Rule::new("self.engine != 'Embedded' || (self.mode == 'Managed' && !has(self.uri) && !has(self.uriSecretRef) && !has(self.tlsSecretRef))")
        .message("engine Embedded keeps the ledger inside the server: remove mode External, uri, uriSecretRef and tlsSecretRef, or choose engine MongoDB")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.engine != 'Embedded' || (!has(self.image) && !has(self.cacheSizeGB) && !has(self.resources) && !has(self.memberTlsSecretRef))")
        .message("engine Embedded runs no mongod: remove image, cacheSizeGB, resources and memberTlsSecretRef, or choose engine MongoDB")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.engine == 'Embedded' || self.mode == 'Managed' || has(self.uri) || has(self.uriSecretRef)")
        .message("mode External needs the address of a MongoDB: give uri, or uriSecretRef if the address holds a password")
        .reason(Reason::FieldValueRequired)
        .field_path(".uri"),
    validation = Rule::new("!has(self.uri) || !has(self.uriSecretRef)")
        .message("uriSecretRef says where the database is already: give only one of both")
        .reason(Reason::FieldValueForbidden)
        .field_path(".uri"),
    validation = Rule::new("self.engine == 'Embedded' || self.mode == 'External' || (!has(self.uri) && !has(self.uriSecretRef))")
        .message("with mode Managed the operator runs the database: remove uri and uriSecretRef, or choose mode External")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.engine == 'Embedded' || self.mode == 'Managed' || (!has(self.image) && !has(self.cacheSizeGB) && !has(self.resources) && !has(self.storage) && !has(self.memberTlsSecretRef))")
        .message("with mode External the operator runs no mongod: remove image, cacheSizeGB, resources, storage and memberTlsSecretRef, or choose mode Managed")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.engine == 'Embedded' || self.mode == 'External' || has(self.memberTlsSecretRef) == has(self.tlsSecretRef)")
        .message("mongod and server must trust the same authority: give both memberTlsSecretRef and tlsSecretRef, or neither")
        .reason(Reason::FieldValueRequired),
    validation = of_a_volume_that_stays("(has(self.storage) && has(self.storage.existingClaim) ? self.storage.existingClaim : '') == (has(oldSelf.storage) && has(oldSelf.storage.existingClaim) ? oldSelf.storage.existingClaim : '')")
        .message("cannot change: the ledger would be left behind on the other volume. Make a new BigchainNode")
        .reason(Reason::FieldValueForbidden)
        .field_path(".storage.existingClaim"),
    validation = of_a_volume_that_stays("(has(self.storage) && has(self.storage.className) ? self.storage.className : '') == (has(oldSelf.storage) && has(oldSelf.storage.className) ? oldSelf.storage.className : '')")
        .message("cannot change: Kubernetes moves no volume to another class. Make a new BigchainNode")
        .reason(Reason::FieldValueForbidden)
        .field_path(".storage.className"),
    validation = size_never_shrinks()
)]
pub struct DatabaseSpec {
    /// `MongoDB`, or `Embedded`: a store inside the server, for a ledger of one node. Cannot be changed.
    #[serde(default)]
    pub engine: Engine,
    /// `Managed`: the operator runs a member of the replica set, `<node>-mdb`. `External`: somebody else runs the
    /// database, and `uri` or `uriSecretRef` says where it is.
    #[serde(default)]
    pub mode: Mode,
    /// Connection string of an external MongoDB, without a password: `mongodb://db1,db2/bigchain?replicaSet=rs0`. With
    /// mode External, this or `uriSecretRef` is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(
        validation = Rule::new("self.matches('^mongodb([+]srv)?://[^/]')")
            .message("begin it with mongodb:// or mongodb+srv:// and a host, as in mongodb://db.example.org/bigchain"),
        validation = Rule::new("!self.matches('^[^/]*//[^@?]*:[^@?]*@|[?&](?i:[a-z]*password)=')")
            .message("it holds a password, which everybody who may read the resource could read: put the connection string into a Secret and name it in uriSecretRef")
            .reason(Reason::FieldValueForbidden)
    )]
    pub uri: Option<String>,
    /// A Secret's key that holds the connection string of an external MongoDB, with its password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri_secret_ref: Option<SecretKeyReference>,
    /// Secret with what the server reaches the database with: `bdb-instance.pem`, `bdb-instance.key`, `ca.pem` and, if
    /// there is one, the revocation list `crlfile`; or as cert-manager writes it: `tls.crt`, `tls.key`, `ca.crt`, and
    /// `crl.pem`. Absent: with mode Managed the operator issues a certificate; with External the connection string alone
    /// counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_secret_ref: Option<SecretReference>,
    /// Secret with the certificate of `mongod`: `mdb-instance.pem` (certificate, then key), `ca.pem` and, if there is
    /// one, `mdb-crl.pem`; or as cert-manager writes it, with `crl.pem`. Its names must be `localhost` and
    /// `<node>-mdb.<namespace>.svc`, its key usage both server and client. Absent: the operator issues one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_tls_secret_ref: Option<SecretReference>,
    /// Container image of `mongod`, MongoDB 5.0 to 8.0. Absent: the one that the operator was installed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// The volume of the ledger: that of `mongod`, or with engine Embedded that of the server. Absent: a new one of 20Gi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSpec>,
    /// Size of WiredTiger's cache, GB (1024³ bytes). Absent: what `mongod` chooses, half of its memory limit less 1 GB, but
    /// at least 0.25.
    #[serde(rename = "cacheSizeGB", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.25, max = 10000))]
    pub cache_size_gb: Option<f64>,
    /// What the container of `mongod` may use. Absent: requests of 250m and 1Gi, a limit of 2Gi of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

impl DatabaseSpec {
    /// What the container of `mongod` may use.
    pub fn member_resources(&self) -> Resources {
        self.resources.clone().unwrap_or_else(|| Resources::sized("250m", "1Gi", "2Gi"))
    }
}

/// Where the ledger is kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, schemars::JsonSchema, PartialEq, Serialize)]
pub enum Engine {
    #[default]
    #[serde(rename = "MongoDB")]
    MongoDb,
    Embedded,
}

/// Who runs the database.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, schemars::JsonSchema, PartialEq, Serialize)]
pub enum Mode {
    #[default]
    Managed,
    External,
}

/// A volume.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.existingClaim) || !has(self.className)")
        .message("existingClaim has its class already: remove className, or existingClaim for a new volume")
        .reason(Reason::FieldValueForbidden)
        .field_path(".className")
)]
pub struct StorageSpec {
    /// Size of a new volume. It can grow if its class allows that, and never shrinks.
    #[serde(default = "storage_size")]
    #[x_kube(validation = bytes_with_unit())]
    pub size: Amount,
    /// StorageClass of a new volume. Absent: the Kubernetes cluster's default class. Cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// A PersistentVolumeClaim of the same namespace to use, with the data that is on it; the operator neither changes nor
    /// deletes it. Absent: the operator makes one of the name of the StatefulSet. Cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub existing_claim: Option<String>,
}

/// A transition rule that holds as long as the operator keeps the volume, before and after.
fn of_a_volume_that_stays(rule: &str) -> Rule {
    Rule::new(format!("self.mode == 'External' || oldSelf.mode == 'External' || ({rule})"))
}

fn size_never_shrinks() -> Rule {
    let size = |object: &str| format!("(has({object}.storage) ? {object}.storage.size : '{}')", storage_size().0);
    let claimed = |object: &str| format!("(has({object}.storage) && has({object}.storage.existingClaim))");
    let (new, old) = (size("self"), size("oldSelf"));
    let shrinks = format!("isQuantity({new}) && isQuantity({old}) && quantity({new}).isLessThan(quantity({old}))");
    of_a_volume_that_stays(&format!("{} || {} || !({shrinks})", claimed("self"), claimed("oldSelf")))
        .message(Message::Expression(format!(
            "'cannot shrink from ' + {old} + ' to ' + {new} + ': Kubernetes makes no volume smaller'"
        )))
        .reason(Reason::FieldValueForbidden)
        .field_path(".storage.size")
}

fn storage_size() -> Amount {
    "20Gi".into()
}

impl Default for StorageSpec {
    fn default() -> Self {
        Self { size: storage_size(), class_name: None, existing_claim: None }
    }
}
