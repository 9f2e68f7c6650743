//! The workload of `mongod`: one member of the replica set.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{Container, HostAlias};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::labels::{self, Component};
use super::{Context, config_map, mongod_conf, pod, ports};
use crate::validate::Member;

/// User and group of MongoDB's images, and of the data files of 1.0.1.
const USER: i64 = 999;

pub(super) fn stateful_set(context: &Context<'_>, member: &Member) -> StatefulSet {
    let Context { node, names, .. } = context;
    let volumes = vec![
        pod::from_config_map("config", &names.member),
        pod::from_secret("tls", &names.member_tls),
        pod::from_claim("data", &member.volume, &names.member),
        pod::scratch("scratch"),
    ];
    let container = Container {
        name: "mongod".to_owned(),
        image: Some(member.image.clone()),
        command: Some(vec!["mongod".to_owned()]),
        args: Some(vec!["--config".to_owned(), format!("{}/{}", pod::CONFIG, config_map::MONGOD)]),
        ports: Some(vec![pod::port("mongodb", ports::MONGODB)]),
        resources: pod::resources(&member.resources),
        startup_probe: pod::tcp_probe("mongodb", pod::START_UP),
        // No readiness of peers: a member that waits for the others must be found by them.
        liveness_probe: pod::tcp_probe("mongodb", 6),
        readiness_probe: pod::tcp_probe("mongodb", 2),
        volume_mounts: Some(vec![
            pod::mount("config", pod::CONFIG),
            pod::mount("tls", pod::TLS),
            pod::writable("data", pod::DATA),
            pod::writable("scratch", pod::SCRATCH),
        ]),
        ..Container::default()
    };
    let text = mongod_conf::text(context, member);
    let content = [text.as_str()];
    let mut template = pod::template(context, Component::MongoDb, &names.member, USER, container, volumes, content);
    if let Some(spec) = &mut template.spec {
        // At its start a member looks for itself under its own name. While DNS still leads to the pod before this one it would
        // not find itself, and a set of one member is not asked again: it would stay REMOVED.
        let own = HostAlias { ip: "127.0.0.1".to_owned(), hostnames: Some(vec![names.member_host.clone()]) };
        spec.host_aliases = Some(vec![own]);
    }
    let spec = StatefulSetSpec {
        replicas: Some(1),
        selector: LabelSelector {
            match_labels: Some(labels::selector(node, Component::MongoDb)),
            ..LabelSelector::default()
        },
        service_name: Some(names.member.clone()),
        // The operator restarts members itself, one at a time, when the replica set can do without it.
        update_strategy: Some(StatefulSetUpdateStrategy { type_: Some("OnDelete".to_owned()), rolling_update: None }),
        template,
        ..StatefulSetSpec::default()
    };
    let metadata = context.owned(&names.member, Component::MongoDb);
    StatefulSet { metadata, spec: Some(spec), status: None }
}
