//! The workload of NGINX.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::labels::{self, Component};
use super::{Context, config_map, pod, ports};

/// User and group of the gateway's image.
const USER: i64 = 65532;

pub(super) fn deployment(context: &Context<'_>) -> Deployment {
    let Context { node, material, names } = context;
    let gateway = &node.gateway;
    let mut volumes = vec![pod::from_config_map("config", &names.gateway), pod::scratch("scratch")];
    let mut mounts = vec![pod::mount("config", pod::CONFIG), pod::writable("scratch", pod::SCRATCH)];
    if gateway.tls.is_some() {
        volumes.push(pod::from_secret("tls", &names.gateway_tls));
        mounts.push(pod::mount("tls", pod::TLS));
    }
    let mut exposed = vec![
        pod::port("api", ports::GATEWAY_API),
        pod::port("websocket", ports::GATEWAY_WEBSOCKET),
        pod::port("health", ports::GATEWAY_HEALTH),
    ];
    if !gateway.mongodb_allowlist.is_empty() {
        exposed.push(pod::port("mongodb", ports::MONGODB));
    }
    let container = Container {
        name: "nginx".to_owned(),
        image: Some(gateway.image.clone()),
        args: Some(vec!["-c".to_owned(), format!("{}/{}", pod::CONFIG, config_map::NGINX)]),
        ports: Some(exposed),
        resources: pod::resources(&gateway.resources),
        startup_probe: pod::http_probe("/health", "health", 12),
        liveness_probe: pod::http_probe("/health", "health", 6),
        readiness_probe: pod::http_probe("/health", "health", 2),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    // Certificates are read for each handshake; the configuration is read at the start.
    let content = [material.nginx_conf.as_str()];
    let template = pod::template(context, Component::Gateway, &names.gateway, USER, container, volumes, content);
    let spec = DeploymentSpec {
        replicas: Some(1),
        selector: LabelSelector {
            match_labels: Some(labels::selector(node, Component::Gateway)),
            ..LabelSelector::default()
        },
        template,
        ..DeploymentSpec::default()
    };
    let metadata = context.owned(&names.gateway, Component::Gateway);
    Deployment { metadata, spec: Some(spec), status: None }
}
