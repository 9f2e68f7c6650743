//! `spec.gateway`: NGINX before the server.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::common::{Resources, SecretReference, addresses, texts};
use super::rules::{dns_name, naming};

/// NGINX before the server: the one way in from outside.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode == 'HTTPS' || (!has(self.tlsSecretRef) && !has(self.minTLSVersion) && !has(self.additionalServers))")
        .message("mode HTTP speaks no TLS: remove tlsSecretRef, minTLSVersion and additionalServers, or choose mode HTTPS")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("(has(self.port) ? self.port : (self.mode == 'HTTPS' ? 443 : 80)) != self.websocketPort && self.websocketPort != 27017 && (!has(self.port) || self.port != 27017)")
        .message("port (if absent 443, or 80 with mode HTTP), websocketPort and 27017, which is MongoDB's, must be three different ports")
        .field_path(".websocketPort"),
    validation = naming(
        "!has(self.serverName) || !has(self.additionalServers) || !self.additionalServers.exists(server, server.name == self.serverName)",
        "self.serverName + ' is serverName, which has its certificate in tlsSecretRef: remove it here'",
    )
    .reason(Reason::FieldValueForbidden)
    .field_path(".additionalServers")
)]
pub struct GatewaySpec {
    /// `HTTPS`: TLS with the certificate of `tlsSecretRef`, or one from the cluster's certificate authority. `HTTP`: no
    /// encryption, for a gateway behind another proxy.
    #[serde(default)]
    pub mode: GatewayMode,
    /// Container image of NGINX, with its `stream` module. Absent: the one that the operator was installed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// DNS name under which clients reach the node. Absent: the names of the gateway's Service only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = dns_name())]
    pub server_name: Option<String>,
    /// Secret with the certificate of `serverName`: `cert.pem` (followed by all intermediates) and `cert.key`, or `tls.crt`
    /// and `tls.key`. Absent: the operator issues one from the cluster's certificate authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_secret_ref: Option<SecretReference>,
    /// Further DNS names with a certificate each: the name that the whole consortium shares, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub additional_servers: Option<Vec<AdditionalServer>>,
    /// The oldest version of TLS that clients may speak. Absent: 1.2.
    #[serde(rename = "minTLSVersion", skip_serializing_if = "Option::is_none")]
    pub min_tls_version: Option<TlsVersion>,
    /// Type of the gateway's Service: `ClusterIP` is for clients in the Kubernetes cluster, `NodePort` and `LoadBalancer` also
    /// for those outside.
    #[serde(default)]
    pub service_type: ServiceType,
    /// Annotations of the gateway's Service, which cloud providers' load balancers are configured by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts")]
    pub annotations: BTreeMap<String, String>,
    /// Port of the gateway's Service for the HTTP API, and for the WebSocket API under `/api/v1/streams/`. Absent: 443 with
    /// HTTPS, 80 with HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Port of the gateway's Service for the WebSocket API alone, as BigchainDB Server 1.0.1 had it.
    #[serde(default = "websocket_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub websocket_port: i32,
    /// The largest request body, in bytes or with `k` or `m`. A larger one is answered 413.
    #[serde(default = "max_body_size")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = naming(
        "self.matches('^[1-9][0-9]*[km]?$')",
        "'`' + self + '` is no size of a request: write bytes, or a number with k or m, as in 15k'",
    ))]
    pub max_body_size: String,
    /// How many requests one address may send. What is beyond is answered 429.
    #[serde(default)]
    pub rate_limit: RateLimit,
    /// Addresses (CIDR) that may reach MongoDB through the gateway's port 27017. Absent or empty: nobody, the port is closed.
    /// Only with a database that the operator runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "addresses")]
    pub mongodb_allowlist: Vec<String>,
    /// Address of the DNS server that NGINX asks for the names of the server and of MongoDB. Absent: the one that the
    /// operator's own pod has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 45))]
    #[x_kube(validation = naming(
        "isIP(self)",
        "'`' + self + '` is no IP address: write it like 10.96.0.10'",
    ))]
    pub dns_server: Option<String>,
    /// What the container of NGINX may use. Absent: requests of 50m and 64Mi, a limit of 256Mi of memory.
    #[serde(default = "gateway_resources")]
    pub resources: Resources,
}

/// A DNS name with its certificate.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdditionalServer {
    /// The DNS name.
    #[schemars(length(max = 253))]
    #[x_kube(validation = dns_name())]
    pub name: String,
    /// Secret with its certificate, as in `spec.gateway.tlsSecretRef`.
    pub tls_secret_ref: SecretReference,
}

/// What clients speak.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, schemars::JsonSchema, PartialEq, Serialize)]
pub enum GatewayMode {
    #[default]
    #[serde(rename = "HTTPS")]
    Https,
    #[serde(rename = "HTTP")]
    Http,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, schemars::JsonSchema, PartialEq, Serialize)]
pub enum TlsVersion {
    #[default]
    #[serde(rename = "1.2")]
    V12,
    #[serde(rename = "1.3")]
    V13,
}

/// Type of a Service.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, schemars::JsonSchema, PartialEq, Serialize)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

impl ServiceType {
    /// As a Service writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// How many requests a client may send. What is beyond is answered 429.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests a second, from one address.
    #[serde(default = "requests_per_second")]
    #[schemars(range(min = 1, max = 100000))]
    pub requests_per_second: i32,
    /// Requests that may come at once beyond that.
    #[serde(default = "burst")]
    #[schemars(range(min = 0, max = 100000))]
    pub burst: i32,
}

fn requests_per_second() -> i32 {
    10
}

fn burst() -> i32 {
    20
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { requests_per_second: requests_per_second(), burst: burst() }
    }
}

fn websocket_port() -> i32 {
    81
}

fn max_body_size() -> String {
    "15k".to_owned()
}

fn gateway_resources() -> Resources {
    Resources::sized("50m", "64Mi", "256Mi")
}

impl Default for GatewaySpec {
    fn default() -> Self {
        Self {
            mode: GatewayMode::default(),
            image: None,
            server_name: None,
            tls_secret_ref: None,
            additional_servers: None,
            min_tls_version: None,
            service_type: ServiceType::default(),
            annotations: BTreeMap::new(),
            port: None,
            websocket_port: websocket_port(),
            max_body_size: max_body_size(),
            rate_limit: RateLimit::default(),
            mongodb_allowlist: Vec::new(),
            dns_server: None,
            resources: gateway_resources(),
        }
    }
}
