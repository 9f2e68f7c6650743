//! Names of a node's objects.

use crate::validate::Validated;

/// Names of a node's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// `mongod`: StatefulSet, headless Service, ConfigMap, claim.
    pub member: String,
    /// The Service with an address of its own that the gateway reaches `mongod` by.
    pub member_address: String,
    /// The server: Deployment or StatefulSet, Service, ConfigMap, claim.
    pub server: String,
    /// NGINX: Deployment, Service, ConfigMap.
    pub gateway: String,
    /// Secret with the key pair that the operator made.
    pub keys: String,
    /// Secret with the certificate of `mongod`.
    pub member_tls: String,
    /// Secret with the server's client certificate.
    pub client_tls: String,
    /// Secret with the gateway's certificates.
    pub gateway_tls: String,
    /// The host under which the replica set knows the member.
    pub member_host: String,
}

impl Names {
    /// The names of a node's objects.
    pub fn of(node: &Validated) -> Self {
        Self::new(&node.name, &node.namespace)
    }

    /// The names of the objects of a node of this name, which may have a spec that cannot be used.
    pub fn new(name: &str, namespace: &str) -> Self {
        Self {
            member: format!("{name}-mdb"),
            member_address: format!("{name}-mdb-address"),
            server: format!("{name}-bdb"),
            gateway: format!("{name}-ngx"),
            keys: format!("{name}-keys"),
            member_tls: format!("{name}-member-tls"),
            client_tls: format!("{name}-client-tls"),
            gateway_tls: format!("{name}-gateway-tls"),
            member_host: format!("{name}-mdb.{namespace}.svc"),
        }
    }
}

/// The disruption budget of a consortium's members in one namespace.
pub fn members(cluster: &str) -> String {
    format!("{cluster}-members")
}
