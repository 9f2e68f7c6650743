//! What the operator counts: one struct, registered once, every label from a closed set.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// An enum whose variants are the values of a label.
macro_rules! label {
    ($(#[$about:meta])* $name:ident { $($(#[$each:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$each])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The label's value.
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
                self.text().encode(encoder)
            }
        }
    };
}

label! {
    /// Which of our resources was looked after.
    Resource {
        /// `BigchainNode`
        Node => "BigchainNode",
    }
}

label! {
    /// How a round of looking after a resource ended.
    Outcome {
        /// What there was to do was done; the status may still name what somebody has to see to.
        Done => "done",
        /// Something did not succeed, and is tried again.
        Failed => "failed",
    }
}

label! {
    /// How a node is.
    NodeState {
        /// It serves.
        Ready => "ready",
        /// It is on its way there.
        Progressing => "progressing",
        /// Something is wrong with it.
        Degraded => "degraded",
        /// Its resource says that nothing is to be changed.
        Paused => "paused",
    }
}

label! {
    /// What was done to an object.
    Action {
        /// It was not there.
        Create => "create",
        /// It was there, and different.
        Update => "update",
        /// It is not wanted any more.
        Delete => "delete",
    }
}

label! {
    /// Kind of an object that the operator makes.
    Kind {
        /// `ConfigMap`
        ConfigMap => "ConfigMap",
        /// `Deployment`
        Deployment => "Deployment",
        /// `NetworkPolicy`
        NetworkPolicy => "NetworkPolicy",
        /// `PersistentVolumeClaim`
        PersistentVolumeClaim => "PersistentVolumeClaim",
        /// `PodDisruptionBudget`
        PodDisruptionBudget => "PodDisruptionBudget",
        /// `Secret`
        Secret => "Secret",
        /// `Service`
        Service => "Service",
        /// `ServiceAccount`
        ServiceAccount => "ServiceAccount",
        /// `StatefulSet`
        StatefulSet => "StatefulSet",
        /// Any other.
        Other => "other",
    }
}

impl Kind {
    /// The label of a kind as Kubernetes names it.
    pub fn of(kind: &str) -> Self {
        Self::ALL.iter().copied().find(|one| one.text() == kind).unwrap_or(Self::Other)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconciled {
    resource: Resource,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconciling {
    resource: Resource,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Node {
    state: NodeState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Applied {
    kind: Kind,
    action: Action,
}

/// See the module's page.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Reconciled, Counter>,
    reconcile_duration: Family<Reconciling, Histogram, fn() -> Histogram>,
    nodes: Family<Node, Gauge>,
    applied: Family<Applied, Counter>,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 14))
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("bigchaindb_operator");
        let reconciles = Family::default();
        let reconcile_duration = Family::new_with_constructor(seconds as fn() -> Histogram);
        let nodes = Family::default();
        let applied = Family::default();
        let leader = Gauge::default();
        registry.register("reconciles", "Rounds of looking after a resource", reconciles.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "Time of such a round",
            Unit::Seconds,
            reconcile_duration.clone(),
        );
        registry.register("nodes", "BigchainNodes by how they are", nodes.clone());
        registry.register("applied", "Objects written or deleted", applied.clone());
        registry.register(
            "leader",
            "1 where this process is the operator that works, 0 where it stands by",
            leader.clone(),
        );
        let metrics = Self { registry, reconciles, reconcile_duration, nodes, applied, leader };
        metrics.set_nodes([]);
        metrics
    }

    /// The text that Prometheus scrapes (OpenMetrics 1.0).
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A round of looking after a resource ended.
    pub fn reconciled(&self, resource: Resource, outcome: Outcome, took: Duration) {
        self.reconciles.get_or_create(&Reconciled { resource, outcome }).inc();
        self.reconcile_duration.get_or_create(&Reconciling { resource }).observe(took.as_secs_f64());
    }

    /// How all nodes are, each of them once.
    pub fn set_nodes(&self, states: impl IntoIterator<Item = NodeState>) {
        let states: Vec<_> = states.into_iter().collect();
        for &state in NodeState::ALL {
            let count = states.iter().filter(|one| **one == state).count();
            self.nodes.get_or_create(&Node { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// An object was written or deleted.
    pub fn applied(&self, kind: Kind, action: Action) {
        self.applied.get_or_create(&Applied { kind, action }).inc();
    }

    /// Whether this process is the operator that works.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_counts_what_happened() {
        let metrics = Metrics::new();
        metrics.reconciled(Resource::Node, Outcome::Failed, Duration::from_millis(7));
        metrics.applied(Kind::of("StatefulSet"), Action::Create);
        metrics.applied(Kind::of("CronJob"), Action::Delete);
        metrics.set_nodes([NodeState::Ready, NodeState::Ready, NodeState::Degraded]);
        metrics.set_nodes([NodeState::Ready, NodeState::Paused]);
        metrics.set_leader(true);
        let text = metrics.render();
        for line in [
            r#"bigchaindb_operator_reconciles_total{resource="BigchainNode",outcome="failed"} 1"#,
            r#"bigchaindb_operator_reconcile_duration_seconds_count{resource="BigchainNode"} 1"#,
            r#"bigchaindb_operator_applied_total{kind="StatefulSet",action="create"} 1"#,
            r#"bigchaindb_operator_applied_total{kind="other",action="delete"} 1"#,
            r#"bigchaindb_operator_nodes{state="ready"} 1"#,
            r#"bigchaindb_operator_nodes{state="degraded"} 0"#,
            r#"bigchaindb_operator_nodes{state="paused"} 1"#,
            "bigchaindb_operator_leader 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|one| one == line), "no `{line}` in:\n{text}");
        }
    }
}
