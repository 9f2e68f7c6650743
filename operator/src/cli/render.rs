//! `bigchaindb-operator render`.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use kube::ResourceExt as _;
use serde_json::Value;

use crate::api::{BigchainCluster, BigchainNode, cluster::BigchainClusterSpec};
use crate::desired::{self, Material, Object, nginx_conf};
use crate::validate::{Cluster, Images, Observed, validate};
use crate::yaml;

/// What `render` is told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A file with BigchainNodes and their BigchainClusters; `-`: standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,

    /// Image of servers whose resource names none
    #[arg(long, value_name = "IMAGE", env = "RELATED_IMAGE_SERVER", default_value = "bigchaindb/node")]
    image_server: String,

    /// Image of gateways whose resource names none
    #[arg(long, value_name = "IMAGE", env = "RELATED_IMAGE_GATEWAY", default_value = "bigchaindb/gateway")]
    image_gateway: String,

    /// Image of MongoDB members whose resource names none
    #[arg(long, value_name = "IMAGE", env = "RELATED_IMAGE_MONGODB", default_value = "mongo:7")]
    image_mongodb: String,

    /// The DNS server of the Kubernetes cluster, which gateways ask
    #[arg(long, value_name = "ADDRESS", default_value = "10.96.0.10")]
    dns_server: String,
}

/// Prints what would be applied.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let name = arguments.file.display();
    let mut text = String::new();
    match arguments.file.as_os_str() == "-" {
        true => drop(std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?),
        false => text = std::fs::read_to_string(&arguments.file).with_context(|| format!("cannot read {name}"))?,
    }
    let text = rendered(&text, arguments).with_context(|| format!("{name}"))?;
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

fn rendered(text: &str, arguments: &Arguments) -> anyhow::Result<String> {
    let (mut nodes, mut clusters) = (Vec::<BigchainNode>::new(), Vec::<BigchainCluster>::new());
    for document in yaml::values(text)? {
        match document["kind"].as_str() {
            Some("BigchainNode") => nodes.push(read(document)?),
            Some("BigchainCluster") => clusters.push(read(document)?),
            kind => bail!(
                "it holds a {}: only BigchainNode and BigchainCluster are rendered",
                kind.unwrap_or("thing without kind")
            ),
        }
    }
    ensure!(!nodes.is_empty(), "it holds no BigchainNode");
    let mut objects: Vec<Object> = Vec::new();
    for node in &mut nodes {
        node.metadata.namespace.get_or_insert_with(|| "default".to_owned());
        let observed = Observed {
            cluster: Cluster::of(&cluster_of(node, &clusters)),
            images: Images {
                server: Some(arguments.image_server.clone()),
                mongodb: Some(arguments.image_mongodb.clone()),
                gateway: Some(arguments.image_gateway.clone()),
            },
            dns_server: arguments.dns_server.clone(),
        };
        let node = validate(node, &observed).with_context(|| format!("BigchainNode {}", node.name_any()))?;
        let conf = nginx_conf::text(&node).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", faults.join("; "))
        })?;
        let material = Material::placeholders(&node, conf);
        objects.extend(desired::build(&node, &material).into_iter().map(Object::without_secrets));
    }
    Ok(yaml::documents(&objects)?)
}

fn read<T: serde::de::DeserializeOwned>(mut document: Value) -> anyhow::Result<T> {
    // As the API server fills it in.
    if document["spec"].is_null() {
        document["spec"] = Value::Object(serde_json::Map::new());
    }
    let name = document["metadata"]["name"].as_str().unwrap_or("without name").to_owned();
    let kind = document["kind"].as_str().unwrap_or_default().to_owned();
    serde_json::from_value(document).with_context(|| format!("{kind} {name}"))
}

/// The one that the node names, or what stands for one that is not in the file.
fn cluster_of(node: &BigchainNode, clusters: &[BigchainCluster]) -> BigchainCluster {
    let own = node.namespace();
    let (name, namespace) = match &node.spec.cluster_ref {
        Some(reference) => (reference.name.clone(), reference.namespace.clone().or(own)),
        None => (node.name_any(), own),
    };
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    let found = clusters.iter().find(|cluster| {
        cluster.name_any() == name && cluster.namespace().unwrap_or_else(|| "default".to_owned()) == namespace
    });
    let mut cluster = found.cloned().unwrap_or_else(|| {
        let allowed_namespaces = node.namespace().into_iter().collect();
        BigchainCluster::new(&name, BigchainClusterSpec { allowed_namespaces, ..Default::default() })
    });
    cluster.metadata.namespace = Some(namespace);
    cluster
}
