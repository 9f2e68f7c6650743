//! Labels: whose an object is.

use std::collections::BTreeMap;

use crate::validate::Validated;

/// Label with the name of the BigchainNode.
pub const NODE: &str = "bigchaindb.com/node";

/// Label with the name of the BigchainCluster.
pub const CLUSTER: &str = "bigchaindb.com/cluster";

/// Label with the part of a node.
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// Label of the program that an object belongs to, also of the operator's own pods.
pub const NAME: &str = "app.kubernetes.io/name";

/// Label of the program that looks after an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// This operator, as [`MANAGED_BY`] says it, and as the [`NAME`] of its own pods does.
pub const OPERATOR: &str = "bigchaindb-operator";

/// A part of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    MongoDb,
    Server,
    Gateway,
}

impl Component {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MongoDb => "mongodb",
            Self::Server => "server",
            Self::Gateway => "gateway",
        }
    }
}

/// All labels of an object. No version is among them: an upgrade of the operator alone changes nothing.
pub(super) fn all(node: &Validated, component: Component) -> BTreeMap<String, String> {
    let mut labels = selector(node, component);
    labels.extend([
        (MANAGED_BY.to_owned(), OPERATOR.to_owned()),
        (NODE.to_owned(), node.name.clone()),
        (CLUSTER.to_owned(), node.cluster.name.clone()),
    ]);
    labels
}

/// The labels that pods are found by, which Kubernetes never lets change.
pub(super) fn selector(node: &Validated, component: Component) -> BTreeMap<String, String> {
    BTreeMap::from([
        (NAME.to_owned(), "bigchaindb".to_owned()),
        ("app.kubernetes.io/instance".to_owned(), node.name.clone()),
        (COMPONENT.to_owned(), component.as_str().to_owned()),
    ])
}
