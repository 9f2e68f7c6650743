//! `spec.gateway`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Database, Findings, Observed};
use crate::api::common::Resources;
use crate::api::gateway::{AdditionalServer, GatewayMode, RateLimit, ServiceType, TlsVersion};
use crate::api::node::BigchainNodeSpec;

/// NGINX before the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    pub image: String,
    pub resources: Resources,
    /// DNS name for clients outside.
    pub server_name: Option<String>,
    /// `None`: plain HTTP.
    pub tls: Option<Tls>,
    pub service_type: ServiceType,
    /// Of the Service.
    pub annotations: BTreeMap<String, String>,
    /// The Service's port of both APIs.
    pub port: i32,
    /// The Service's port of the WebSocket API alone.
    pub websocket_port: i32,
    /// In NGINX's notation.
    pub max_body_size: String,
    pub rate_limit: RateLimit,
    /// Who may reach MongoDB; empty: the port is closed.
    pub mongodb_allowlist: Vec<Address>,
    pub dns_server: IpAddr,
}

/// TLS of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub oldest_version: TlsVersion,
    /// The user's Secret with the certificate of the server name; `None`: the operator issues one.
    pub secret: Option<String>,
    pub additional_servers: Vec<AdditionalServer>,
}

/// Addresses that begin alike: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub address: IpAddr,
    /// How many bits count.
    pub prefix: u8,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(longest), |prefix| prefix.parse().ok())?;
        (prefix <= longest).then_some(Self { address, prefix })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

pub(super) fn parse(
    spec: &BigchainNodeSpec,
    observed: &Observed,
    database: Option<&Database>,
    findings: &mut Findings,
) -> Option<Gateway> {
    let gateway = &spec.gateway;
    findings.resources("spec.gateway.resources", &gateway.resources);
    let mut allowlist = Vec::new();
    for (index, text) in gateway.mongodb_allowlist.iter().enumerate() {
        match Address::parse(text) {
            Some(address) => allowlist.push(address),
            None => findings.add(
                format!("spec.gateway.mongodbAllowlist[{index}]"),
                format!("`{text}` is no address; write it like 192.0.2.7 or 10.0.0.0/8"),
            ),
        }
    }
    if !allowlist.is_empty() && matches!(database, Some(Database::Embedded(_) | Database::External { .. })) {
        findings.add("spec.gateway.mongodbAllowlist", "the operator runs no MongoDB for this node: remove the list");
    }
    let additional = gateway.additional_servers.clone().unwrap_or_default();
    let mut names: BTreeSet<&str> = gateway.server_name.as_deref().into_iter().collect();
    for (index, server) in additional.iter().enumerate() {
        if !names.insert(&server.name) {
            findings.add(
                format!("spec.gateway.additionalServers[{index}].name"),
                format!("{} has a certificate already: name each server once", server.name),
            );
        }
    }
    let tls = match gateway.mode {
        GatewayMode::Http => None,
        GatewayMode::Https => Some(Tls {
            oldest_version: gateway.min_tls_version.unwrap_or_default(),
            secret: gateway.tls_secret_ref.as_ref().map(|secret| secret.name.clone()),
            additional_servers: additional,
        }),
    };
    let port = gateway.port.unwrap_or(if tls.is_some() { 443 } else { 80 });
    if port == gateway.websocket_port || [port, gateway.websocket_port].contains(&crate::desired::ports::MONGODB) {
        findings.add(
            "spec.gateway.websocketPort",
            format!(
                "port {port}, websocketPort {} and 27017, the port of MongoDB, must be three different ports",
                gateway.websocket_port
            ),
        );
    }
    let (field, text) = match &gateway.dns_server {
        Some(text) => ("spec.gateway.dnsServer", text),
        None => ("the operator's own DNS server", &observed.dns_server),
    };
    let Ok(dns_server) = text.parse() else {
        findings.add(field, format!("`{text}` is no IP address"));
        return None;
    };
    Some(Gateway {
        image: findings.image("spec.gateway.image", gateway.image.as_ref(), observed.images.gateway.as_ref()),
        resources: gateway.resources.clone(),
        server_name: gateway.server_name.clone(),
        tls,
        service_type: gateway.service_type,
        annotations: gateway.annotations.clone(),
        port,
        websocket_port: gateway.websocket_port,
        max_body_size: gateway.max_body_size.clone(),
        rate_limit: gateway.rate_limit.clone(),
        mongodb_allowlist: allowlist,
        dns_server,
    })
}
