//! What all pods of a node have in common: the *restricted* Pod Security Standard, a root that nobody can write to, no
//! token, no variables about other Services.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction,
    LocalObjectReference, PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
    ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{self, Component};
use super::{CONTENT_HASH, Context};
use crate::api::common::{Amount, Resources};
use crate::validate::Volume as Storage;

/// Where data is mounted.
pub(super) const DATA: &str = "/data";
/// Where configuration files are mounted.
pub(super) const CONFIG: &str = "/etc/bigchaindb";
/// Where certificates are mounted.
pub(super) const TLS: &str = "/etc/bigchaindb-tls";
/// Where the key pair is mounted.
pub(super) const KEYS: &str = "/etc/bigchaindb-keys";
/// Where a process may write what is not kept.
pub(super) const SCRATCH: &str = "/tmp";

/// Seconds between two looks of a probe.
const PERIOD: i32 = 5;

/// The pod of a component. `content`: what its process reads at its start and nowhere else.
pub(super) fn template<'a>(
    context: &Context<'_>,
    component: Component,
    account: &str,
    user: i64,
    container: Container,
    volumes: Vec<Volume>,
    content: impl IntoIterator<Item = &'a str>,
) -> PodTemplateSpec {
    let node = context.node;
    let pods = &node.pods;
    let mut all_labels = pods.labels.clone();
    all_labels.extend(labels::all(node, component));
    let mut annotations = pods.annotations.clone();
    annotations.insert(CONTENT_HASH.to_owned(), super::digest(content));
    let secrets = node.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(all_labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(account.to_owned()),
            automount_service_account_token: Some(false),
            // They would inject variables that begin with BIGCHAINDB_.
            enable_service_links: Some(false),
            image_pull_secrets: Some(secrets.collect::<Vec<_>>()).filter(|secrets| !secrets.is_empty()),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(user),
                run_as_group: Some(user),
                fs_group: Some(user),
                // A volume with much data is not walked through at each start.
                fs_group_change_policy: Some("OnRootMismatch".to_owned()),
                seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
                ..PodSecurityContext::default()
            }),
            termination_grace_period_seconds: Some(60),
            node_selector: Some(pods.node_selector.clone()).filter(|selector| !selector.is_empty()),
            tolerations: Some(pods.tolerations.clone()).filter(|tolerations| !tolerations.is_empty()),
            affinity: pods.affinity.clone(),
            topology_spread_constraints: Some(pods.topology_spread_constraints.clone())
                .filter(|constraints| !constraints.is_empty()),
            priority_class_name: pods.priority_class_name.clone(),
            containers: vec![Container {
                security_context: Some(SecurityContext {
                    allow_privilege_escalation: Some(false),
                    read_only_root_filesystem: Some(true),
                    capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
                    ..SecurityContext::default()
                }),
                // A program that ends says why: the condition of the node repeats it.
                termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
                ..container
            }],
            volumes: Some(volumes),
            ..PodSpec::default()
        }),
    }
}

pub(super) fn resources(resources: &Resources) -> Option<ResourceRequirements> {
    let amounts = |amounts: &BTreeMap<String, Amount>| {
        let amounts: BTreeMap<String, Quantity> =
            amounts.iter().map(|(name, amount)| (name.clone(), Quantity(amount.0.clone()))).collect();
        Some(amounts).filter(|amounts| !amounts.is_empty())
    };
    let (requests, limits) = (amounts(&resources.requests), amounts(&resources.limits));
    Some(ResourceRequirements { requests, limits, claims: None })
}

pub(super) fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// Asks a path of a named port until `attempts` in a row have failed.
pub(super) fn http_probe(path: &str, port: &str, attempts: i32) -> Option<Probe> {
    let get = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::String(port.to_owned()),
        ..HTTPGetAction::default()
    };
    Some(Probe { http_get: Some(get), ..probe(attempts) })
}

/// Connects to a named port until `attempts` in a row have failed.
pub(super) fn tcp_probe(port: &str, attempts: i32) -> Option<Probe> {
    let socket = TCPSocketAction { port: IntOrString::String(port.to_owned()), host: None };
    Some(Probe { tcp_socket: Some(socket), ..probe(attempts) })
}

fn probe(attempts: i32) -> Probe {
    Probe {
        period_seconds: Some(PERIOD),
        timeout_seconds: Some(PERIOD),
        failure_threshold: Some(attempts),
        ..Probe::default()
    }
}

/// Attempts of a start-up probe: a recovery after a crash may take an hour.
pub(super) const START_UP: i32 = 3600 / PERIOD;

pub(super) fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

pub(super) fn writable(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: None, ..mount(volume, path) }
}

pub(super) fn from_secret(name: &str, secret: &str) -> Volume {
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        // Its group is the process's own: read by it and by nobody else.
        default_mode: Some(0o440),
        ..SecretVolumeSource::default()
    };
    Volume { name: name.to_owned(), secret: Some(source), ..Volume::default() }
}

pub(super) fn from_config_map(name: &str, map: &str) -> Volume {
    let source =
        ConfigMapVolumeSource { name: map.to_owned(), default_mode: Some(0o444), ..ConfigMapVolumeSource::default() };
    Volume { name: name.to_owned(), config_map: Some(source), ..Volume::default() }
}

pub(super) fn scratch(name: &str) -> Volume {
    let source = EmptyDirVolumeSource::default();
    Volume { name: name.to_owned(), empty_dir: Some(source), ..Volume::default() }
}

/// The volume of a claim: one that is there, or the one that the operator makes under the workload's name.
pub(super) fn from_claim(name: &str, storage: &Storage, own: &str) -> Volume {
    let claim_name = match storage {
        Storage::New { .. } => own.to_owned(),
        Storage::Existing(claim) => claim.clone(),
    };
    let source = PersistentVolumeClaimVolumeSource { claim_name, read_only: None };
    Volume { name: name.to_owned(), persistent_volume_claim: Some(source), ..Volume::default() }
}
