//! The settings of the gateway's NGINX, from a node's spec.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::names::Names;
use super::pod::{SCRATCH, TLS};
use super::{ports, secret};
use crate::api::gateway::TlsVersion;
use crate::nginx::values::{ByteSize, FilePath, HostName, Invalid, Network, ServerName};
use crate::nginx::{self, KeyPairFiles, MongoDb, Named, RateLimit, Server, Settings, Tls};
use crate::validate::Validated;

/// Where the image has NGINX's module for TCP.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// The port of DNS.
const DNS: u16 = 53;

/// NGINX's whole configuration.
pub fn text(node: &Validated) -> Result<String, Vec<Invalid>> {
    let settings = settings(node).map_err(|fault| vec![fault])?;
    settings.check()?;
    Ok(nginx::config(&settings))
}

fn settings(node: &Validated) -> Result<Settings, Invalid> {
    let (gateway, names) = (&node.gateway, Names::of(node));
    let host = |field, service: &str| {
        HostName::parse(field, &format!("{service}.{}.svc.{}", node.namespace, node.cluster_domain))
    };
    let mongodb = match gateway.mongodb_allowlist.is_empty() {
        true => None,
        false => Some(MongoDb {
            port: port(ports::MONGODB),
            host: host("mongodb", &names.member_address)?,
            host_port: port(ports::MONGODB),
            allow: gateway
                .mongodb_allowlist
                .iter()
                .map(|address| Network::parse("spec.gateway.mongodbAllowlist", &address.to_string()))
                .collect::<Result<_, _>>()?,
            connections: nginx::MONGODB_CONNECTIONS,
        }),
    };
    Ok(Settings {
        listen: vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        port: port(ports::GATEWAY_API),
        websocket_port: Some(port(ports::GATEWAY_WEBSOCKET)),
        health_port: port(ports::GATEWAY_HEALTH),
        tls: gateway.tls.as_ref().map(|tls| tls_settings(node, tls)).transpose()?,
        server: Server {
            host: host("server", &names.server)?,
            http_port: port(ports::API),
            websocket_port: port(ports::WEBSOCKET),
        },
        mongodb,
        dns_servers: vec![SocketAddr::new(gateway.dns_server, DNS)],
        dns_valid: nginx::DNS_VALID,
        max_body_size: ByteSize::parse("spec.gateway.maxBodySize", &gateway.max_body_size)?,
        rate_limit: Some(RateLimit {
            per_second: gateway.rate_limit.requests_per_second.unsigned_abs(),
            burst: gateway.rate_limit.burst.unsigned_abs(),
        }),
        client_timeout: nginx::CLIENT_TIMEOUT,
        answer_timeout: nginx::ANSWER_TIMEOUT,
        keep_alive: nginx::KEEP_ALIVE,
        stream_timeout: nginx::STREAM_TIMEOUT,
        directory: FilePath::parse("directory", SCRATCH)?,
        stream_module: Some(FilePath::parse("module", STREAM_MODULE)?),
    })
}

fn tls_settings(node: &Validated, tls: &crate::validate::Tls) -> Result<Tls, Invalid> {
    let files = |index| {
        let (certificate, key) = secret::server_files(index);
        Ok(KeyPairFiles {
            certificate: FilePath::parse("certificate", &format!("{TLS}/{certificate}"))?,
            key: FilePath::parse("key", &format!("{TLS}/{key}"))?,
        })
    };
    let mut named = Vec::new();
    if let Some(name) = &node.gateway.server_name {
        named.push(Named { names: vec![ServerName::parse("spec.gateway.serverName", name)?], files: files(0)? });
    }
    for (index, server) in tls.additional_servers.iter().enumerate() {
        let names = vec![ServerName::parse("spec.gateway.additionalServers", &server.name)?];
        named.push(Named { names, files: files(index + 1)? });
    }
    let min_version = match tls.oldest_version {
        TlsVersion::V12 => nginx::TlsVersion::V1_2,
        TlsVersion::V13 => nginx::TlsVersion::V1_3,
    };
    Ok(Tls { min_version, default: files(0)?, named })
}

/// A container's port, which is a constant of [`ports`].
fn port(number: i32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
