//! The workload of the BigchainDB server.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::labels::{self, Component};
use super::{Context, Object, environment, pod, ports};
use crate::validate::{Connection, Database};

/// User and group of the server's image.
const USER: i64 = 65532;

/// A Deployment; a StatefulSet if the ledger is inside the server, of which there must never be two.
pub(super) fn workload(context: &Context<'_>) -> Object {
    let metadata = context.owned(&context.names.server, Component::Server);
    let template = template(context);
    let selector = LabelSelector {
        match_labels: Some(labels::selector(context.node, Component::Server)),
        ..LabelSelector::default()
    };
    if matches!(context.node.database, Database::Embedded(_)) {
        let spec = StatefulSetSpec {
            replicas: Some(1),
            // In order, a pod that cannot start would stay for ever, also when what keeps it from starting was mended.
            pod_management_policy: Some("Parallel".to_owned()),
            selector,
            service_name: Some(context.names.server.clone()),
            template,
            ..StatefulSetSpec::default()
        };
        return Object::StatefulSet(Box::new(StatefulSet { metadata, spec: Some(spec), status: None }));
    }
    let spec = DeploymentSpec {
        replicas: Some(1),
        selector,
        // Two processes with one key would take turns by their lease: nothing is gained by an overlap.
        strategy: Some(DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }),
        template,
        ..DeploymentSpec::default()
    };
    Object::Deployment(Box::new(Deployment { metadata, spec: Some(spec), status: None }))
}

fn template(context: &Context<'_>) -> PodTemplateSpec {
    let Context { node, material, names } = context;
    let mut volumes = vec![
        pod::from_config_map("config", &names.server),
        pod::from_secret("keys", node.server.key_pair_secret.as_deref().unwrap_or(&names.keys)),
        pod::scratch("scratch"),
    ];
    let mut mounts =
        vec![pod::mount("config", pod::CONFIG), pod::mount("keys", pod::KEYS), pod::writable("scratch", pod::SCRATCH)];
    if material.client_tls.is_some() {
        volumes.push(pod::from_secret("tls", &names.client_tls));
        mounts.push(pod::mount("tls", pod::TLS));
    }
    if let Database::Embedded(volume) = &node.database {
        volumes.push(pod::from_claim("data", volume, &names.server));
        mounts.push(pod::writable("data", pod::DATA));
    } else {
        volumes.push(pod::scratch("data"));
        mounts.push(pod::writable("data", pod::DATA));
    }
    let container = Container {
        name: "bigchaindb".to_owned(),
        image: Some(node.server.image.clone()),
        args: Some(vec!["start".to_owned()]),
        env: Some(environment::variables(context)),
        ports: Some(vec![pod::port("api", ports::API), pod::port("websocket", ports::WEBSOCKET)]),
        resources: pod::resources(&node.server.resources),
        startup_probe: pod::http_probe("/healthz", "api", pod::START_UP),
        liveness_probe: pod::http_probe("/healthz", "api", 6),
        readiness_probe: pod::http_probe("/readyz", "api", 2),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    // The address of an external database is read at the start; a variable that names a Secret does not show a change.
    let external = matches!(&node.database, Database::External { connection: Connection::Secret(_), .. });
    let content = material.connection_digest.as_deref().filter(|_| external);
    let content: Vec<&str> = content.into_iter().chain([material.key_pair.public.as_str()]).collect();
    pod::template(context, Component::Server, &names.server, USER, container, volumes, content)
}
