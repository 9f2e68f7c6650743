//! Parts that several fields share.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::rules::{memory_with_unit, naming};

/// A Secret of the resource's own namespace.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct SecretReference {
    /// Name of the Secret, in the resource's own namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// One value in a Secret of the resource's own namespace.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct SecretKeyReference {
    /// Name of the Secret, in the resource's own namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// An amount as Kubernetes writes it: `500m`, `20Gi`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Amount(pub String);

impl From<&str> for Amount {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [naming(
                "self.matches('^[0-9]+([.][0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$')",
                "'`' + self + '` is no amount: write it like 500m, 2 or 20Gi'",
            )],
        })
    }
}

/// What a container may use.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[x_kube(
    validation = Rule::new("!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || !isQuantity(self.requests[name]) || !isQuantity(self.limits[name]) || quantity(self.requests[name]).compareTo(quantity(self.limits[name])) <= 0)")
        .message("no pod can have a request that is more than its limit: lower the one in requests, or raise the one in limits")
        .reason(Reason::FieldValueForbidden)
)]
pub struct Resources {
    /// What is kept free for the container on the machine it runs on: `cpu`, `memory` and the like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    #[x_kube(validation = memory_with_unit())]
    pub requests: BTreeMap<String, Amount>,
    /// What the container never gets more of. More memory than this ends it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    #[x_kube(validation = memory_with_unit())]
    pub limits: BTreeMap<String, Amount>,
}

impl Resources {
    /// Requests of both, and a limit of memory: a limit of processor time would only slow a node that has work to do.
    pub(super) fn sized(cpu: &str, memory: &str, memory_limit: &str) -> Self {
        Self {
            requests: BTreeMap::from([("cpu".to_owned(), cpu.into()), ("memory".to_owned(), memory.into())]),
            limits: BTreeMap::from([("memory".to_owned(), memory_limit.into())]),
        }
    }
}

/// The schema of a Kubernetes object that is handed on as it is: Kubernetes itself says what is wrong with it.
pub(super) fn handed_on(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A list of such objects.
pub(super) fn list_handed_on(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    })
}

/// A list of namespaces.
pub(super) fn namespaces(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": {
            "type": "string",
            "maxLength": 63,
            "x-kubernetes-validations": [naming(
                "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                "'`' + self + '` is no namespace: name each one, there are no wildcards'",
            )],
        },
    })
}

/// A list of IP addresses, and of addresses that begin alike (CIDR).
pub(super) fn addresses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": {
            "type": "string",
            "maxLength": 49,
            "x-kubernetes-validations": [naming(
                "isIP(self) || isCIDR(self)",
                "'`' + self + '` is no address: write it like 192.0.2.7 or 10.0.0.0/8'",
            )],
        },
    })
}

/// The schema of labels, annotations and the like.
pub(super) fn texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}
