//! Disruption budgets: of the members in one namespace at most one is evicted at a time.

use std::collections::BTreeMap;

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{self, Component};
use super::names;
use super::{Context, Object};
use crate::validate::Database;

/// One for each consortium and namespace, the same from whichever of its nodes it is applied.
pub(super) fn of_members(context: &Context<'_>) -> Option<Object> {
    let node = context.node;
    if !matches!(node.database, Database::Member(_)) {
        return None;
    }
    let cluster = (labels::CLUSTER.to_owned(), node.cluster.name.clone());
    let component = (labels::COMPONENT.to_owned(), Component::MongoDb.as_str().to_owned());
    let metadata = ObjectMeta {
        name: Some(names::members(&node.cluster.name)),
        namespace: Some(node.namespace.clone()),
        labels: Some(BTreeMap::from([cluster.clone(), (labels::MANAGED_BY.to_owned(), labels::OPERATOR.to_owned())])),
        ..ObjectMeta::default()
    };
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([cluster, component])),
            ..LabelSelector::default()
        }),
        ..PodDisruptionBudgetSpec::default()
    };
    let budget = PodDisruptionBudget { metadata, spec: Some(spec), status: None };
    Some(Object::PodDisruptionBudget(Box::new(budget)))
}
