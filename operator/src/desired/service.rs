//! Services. Names of ports are those of the template of 1.0.1: people look them up as SRV records.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{self, Component};
use super::{Context, Object, ports};
use crate::api::gateway::ServiceType;
use crate::validate::Database;

pub(super) fn all(context: &Context<'_>) -> Vec<Object> {
    let names = &context.names;
    let mut services = Vec::new();
    if matches!(context.node.database, Database::Member(_)) {
        let headless = ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            // A member finds itself and the others before it is ready.
            publish_not_ready_addresses: Some(true),
            ..internal(vec![port("mdb-port", ports::MONGODB, "mongodb")])
        };
        services.push(service(context, &names.member, Component::MongoDb, headless));
        if !context.node.gateway.mongodb_allowlist.is_empty() {
            // NGINX remembers addresses: those of pods change, this one does not.
            let address = internal(vec![port("mdb-port", ports::MONGODB, "mongodb")]);
            services.push(service(context, &names.member_address, Component::MongoDb, address));
        }
    }
    let server =
        internal(vec![port("bdb-port", ports::API, "api"), port("bdb-ws-port", ports::WEBSOCKET, "websocket")]);
    services.push(service(context, &names.server, Component::Server, server));
    services.push(gateway(context));
    services.into_iter().map(|service| Object::Service(Box::new(service))).collect()
}

fn gateway(context: &Context<'_>) -> Service {
    let gateway = &context.node.gateway;
    // The template's two gateways have two names for it: `ngx-public-bdb-port` is the encrypted one's.
    let api = if gateway.tls.is_some() { "ngx-public-bdb-port" } else { "ngx-public-api-port" };
    let mut exposed =
        vec![port(api, gateway.port, "api"), port("ngx-public-ws-port", gateway.websocket_port, "websocket")];
    if !gateway.mongodb_allowlist.is_empty() {
        exposed.push(port("ngx-public-mdb-port", ports::MONGODB, "mongodb"));
    }
    let outside = gateway.service_type != ServiceType::ClusterIP;
    let spec = ServiceSpec {
        type_: Some(gateway.service_type.as_str().to_owned()),
        // Without it every client has the address of a machine: limits and lists by address would mean nothing.
        external_traffic_policy: outside.then(|| "Local".to_owned()),
        ..internal(exposed)
    };
    let mut service = service(context, &context.names.gateway, Component::Gateway, spec);
    service.metadata.annotations = Some(gateway.annotations.clone()).filter(|annotations| !annotations.is_empty());
    service
}

fn internal(ports: Vec<ServicePort>) -> ServiceSpec {
    ServiceSpec { type_: Some("ClusterIP".to_owned()), ports: Some(ports), ..ServiceSpec::default() }
}

fn service(context: &Context<'_>, name: &str, component: Component, spec: ServiceSpec) -> Service {
    Service {
        metadata: context.owned(name, component),
        spec: Some(ServiceSpec { selector: Some(labels::selector(context.node, component)), ..spec }),
        ..Service::default()
    }
}

/// A port of the Service that leads to a named port of the container.
fn port(name: &str, number: i32, target: &str) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::String(target.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
