//! Network policies: who may connect to which part. Only inwards: peers are DNS names, which a policy cannot name.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{self, Component};
use super::{Context, Object, ports};
use crate::validate::Database;

pub(super) fn all(context: &Context<'_>) -> Vec<Object> {
    let Context { node, names, .. } = context;
    let of = |component| peer(labels::selector(node, component));
    // The operator's pods, in whichever namespace they are.
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        ..peer(BTreeMap::from([(labels::NAME.to_owned(), labels::OPERATOR.to_owned())]))
    };
    let mut policies = Vec::new();
    if matches!(node.database, Database::Member(_)) {
        // Members and servers of the consortium: anybody may give a pod its label, so only where the consortium is.
        let consortium = NetworkPolicyPeer {
            namespace_selector: Some(namespaces(&[&node.namespace, &node.cluster.namespace])),
            ..peer(BTreeMap::from([(labels::CLUSTER.to_owned(), node.cluster.name.clone())]))
        };
        let from = vec![consortium, operator.clone()];
        policies.push(policy(context, &names.member, Component::MongoDb, rule(&[ports::MONGODB], from)));
    }
    let from = vec![of(Component::Gateway), operator];
    policies.push(policy(context, &names.server, Component::Server, rule(&[ports::API, ports::WEBSOCKET], from)));
    let mut open = vec![ports::GATEWAY_API, ports::GATEWAY_WEBSOCKET];
    if !node.gateway.mongodb_allowlist.is_empty() {
        open.push(ports::MONGODB);
    }
    policies.push(policy(context, &names.gateway, Component::Gateway, rule(&open, Vec::new())));
    policies
}

/// By the label that Kubernetes itself gives each namespace.
fn namespaces(names: &[&str]) -> LabelSelector {
    let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let requirement = LabelSelectorRequirement {
        key: "kubernetes.io/metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(names.into_iter().collect()),
    };
    LabelSelector { match_expressions: Some(vec![requirement]), match_labels: None }
}

fn peer(labels: BTreeMap<String, String>) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }),
        ..NetworkPolicyPeer::default()
    }
}

/// `from`: empty means everybody.
fn rule(numbers: &[i32], from: Vec<NetworkPolicyPeer>) -> NetworkPolicyIngressRule {
    let port = |number: &i32| NetworkPolicyPort {
        port: Some(IntOrString::Int(*number)),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    NetworkPolicyIngressRule {
        ports: Some(numbers.iter().map(port).collect()),
        from: Some(from).filter(|from| !from.is_empty()),
    }
}

fn policy(context: &Context<'_>, name: &str, component: Component, rule: NetworkPolicyIngressRule) -> Object {
    let spec = NetworkPolicySpec {
        pod_selector: Some(LabelSelector {
            match_labels: Some(labels::selector(context.node, component)),
            ..LabelSelector::default()
        }),
        policy_types: Some(vec!["Ingress".to_owned()]),
        ingress: Some(vec![rule]),
        egress: None,
    };
    Object::NetworkPolicy(Box::new(NetworkPolicy { metadata: context.owned(name, component), spec: Some(spec) }))
}
