//! A spec and what was observed, parsed once: later steps never read the raw spec.
//!
//! The API server has refused what the schema's rules forbid; here is what they cannot say, and what a file that no API
//! server has seen can have wrong.

mod database;
mod gateway;
mod server;

use std::fmt;

use kube::ResourceExt as _;

use crate::api::common::Resources;
use crate::api::node::PodTemplate;
use crate::api::{BigchainCluster, BigchainNode};

pub use database::{Certificates, Connection, Database, Member, Volume};
pub use gateway::{Address, Gateway, Tls};
pub use server::{Advertised, Server};

/// Names of BigchainNodes are at most this long, so that those of their Services and pods are short enough.
const LONGEST_NAME: usize = 40;

/// Beginnings of labels and annotations that are the operator's own.
const OWN_KEYS: &[&str] = &["app.kubernetes.io/", "bigchaindb.com/"];

/// What a spec is judged against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The BigchainCluster of the node.
    pub cluster: Cluster,
    /// Images of containers whose spec names none.
    pub images: Images,
    /// Address of the DNS server, for a gateway whose spec names none.
    pub dns_server: String,
}

/// Container images; `None`: the operator was installed with none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// The BigchainDB server.
    pub server: Option<String>,
    /// `mongod`.
    pub mongodb: Option<String>,
    /// NGINX.
    pub gateway: Option<String>,
}

/// What a node needs to know of its BigchainCluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub name: String,
    pub namespace: String,
    /// Name of the replica set.
    pub replica_set: String,
    /// Organization in the certificates' subjects.
    pub organization: String,
    /// Namespaces whose nodes may belong to it, beside its own.
    pub allowed_namespaces: Vec<String>,
}

impl Cluster {
    /// What a BigchainCluster says of itself.
    pub fn of(cluster: &BigchainCluster) -> Self {
        let spec = &cluster.spec;
        let name = cluster.name_any();
        Self {
            namespace: cluster.namespace().unwrap_or_default(),
            replica_set: spec.replica_set.name.clone(),
            organization: spec.tls.organization.clone().unwrap_or_else(|| name.clone()),
            allowed_namespaces: spec.allowed_namespaces.clone(),
            name,
        }
    }
}

/// A spec without faults.
#[derive(Clone, Debug, PartialEq)]
pub struct Validated {
    /// Name of the BigchainNode.
    pub name: String,
    pub namespace: String,
    /// Its identity in Kubernetes; `None`: it is not there yet, as in `render`.
    pub uid: Option<String>,
    pub cluster: Cluster,
    /// DNS domain of the Kubernetes cluster.
    pub cluster_domain: String,
    /// Names of Secrets.
    pub image_pull_secrets: Vec<String>,
    pub server: Server,
    pub database: Database,
    pub gateway: Gateway,
    pub pods: PodTemplate,
}

/// A field with a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field: `spec.server.extraEnv[2].name`.
    pub field: String,
    /// What is wrong with which value, and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Everything that is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

impl std::error::Error for Faults {}

/// Faults that are being collected.
#[derive(Default)]
struct Findings(Vec<Fault>);

impl Findings {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { field: field.into(), message: message.into() });
    }

    fn image(&mut self, field: &str, given: Option<&String>, default: Option<&String>) -> String {
        let image = given.or(default);
        if image.is_none() {
            self.add(
                field,
                "there is no image: name one here, or install the operator with one (nodeImages of its chart)",
            );
        }
        image.cloned().unwrap_or_default()
    }

    fn resources(&mut self, field: &str, resources: &Resources) {
        for (part, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
            for (name, amount) in amounts {
                self.amount(&format!("{field}.{part}.{name}"), &amount.0);
            }
        }
    }

    fn amount(&mut self, field: &str, text: &str) {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
        let units = ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        if !number || digits.parse::<f64>().is_err() || !units.contains(&&text[digits.len()..]) {
            self.add(field, format!("`{text}` is no amount; write it like 500m, 2 or 20Gi"));
        }
    }
}

/// Parses a node's spec; all faults at once.
pub fn validate(node: &BigchainNode, observed: &Observed) -> Result<Validated, Faults> {
    let mut findings = Findings::default();
    let name = node.name_any();
    let namespace = node.namespace().unwrap_or_else(|| "default".to_owned());
    let spec = &node.spec;
    check_name(&name, &mut findings);
    check_cluster(&namespace, &observed.cluster, &mut findings);
    check_pods(&spec.pod_template, &mut findings);
    let database = database::parse(spec, &observed.images, &mut findings);
    let gateway = gateway::parse(spec, observed, database.as_ref(), &mut findings);
    let service = format!("{name}-ngx.{namespace}.svc");
    let server = server::parse(&spec.server, observed, gateway.as_ref(), &service, &mut findings);
    match (database, gateway) {
        (Some(database), Some(gateway)) if findings.0.is_empty() => Ok(Validated {
            uid: node.uid(),
            cluster: observed.cluster.clone(),
            cluster_domain: spec.cluster_domain.clone(),
            image_pull_secrets: spec.image_pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
            pods: spec.pod_template.clone(),
            name,
            namespace,
            server,
            database,
            gateway,
        }),
        _ => Err(Faults(findings.0)),
    }
}

fn check_name(name: &str, findings: &mut Findings) {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || name.ends_with('-') || !name.chars().all(letters) || name.len() > LONGEST_NAME {
        findings.add(
            "metadata.name",
            format!(
                "`{name}` cannot be the beginning of a Service's name: begin with a letter, use only a-z, 0-9 and -, at most \
                 {LONGEST_NAME} characters"
            ),
        );
    }
}

fn check_cluster(namespace: &str, cluster: &Cluster, findings: &mut Findings) {
    if cluster.namespace != namespace && !cluster.allowed_namespaces.iter().any(|allowed| allowed == namespace) {
        findings.add(
            "spec.clusterRef",
            format!(
                "BigchainCluster {} in namespace {} does not let in nodes of namespace {namespace}: add it to its \
                 spec.allowedNamespaces",
                cluster.name, cluster.namespace
            ),
        );
    }
}

fn check_pods(template: &PodTemplate, findings: &mut Findings) {
    for (part, texts) in [("labels", &template.labels), ("annotations", &template.annotations)] {
        for key in texts.keys().filter(|key| OWN_KEYS.iter().any(|own| key.starts_with(own))) {
            findings
                .add(format!("spec.podTemplate.{part}"), format!("`{key}` is the operator's own: choose another key"));
        }
    }
}
