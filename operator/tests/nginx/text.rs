//! The configuration as a text, and settings that contradict each other.

use std::path::Path;
use std::time::Duration;

use bigchaindb_operator::nginx::values::{FilePath, HostName, Network, ServerName};
use bigchaindb_operator::nginx::{
    self, KeyPairFiles, MONGODB_CONNECTIONS, MongoDb, Named, RATE_LIMIT, RateLimit, Settings, Tls, TlsVersion, config,
};

use crate::gateway::{MONGODB, settings};

fn path(text: &str) -> FilePath {
    FilePath::parse("path", text).unwrap()
}

fn files(directory: &str) -> KeyPairFiles {
    KeyPairFiles { certificate: path(&format!("{directory}/tls.crt")), key: path(&format!("{directory}/tls.key")) }
}

/// Settings in which everything is used.
fn full() -> Settings {
    let name = |name: &str| ServerName::parse("serverName", name).unwrap();
    let network = |network: &str| Network::parse("mongodbAllowlist", network).unwrap();
    let named = Named { names: vec![name("api.example.org"), name("*.nodes.example.org")], files: files("/certs/1") };
    Settings {
        listen: vec!["0.0.0.0".parse().unwrap(), "::".parse().unwrap()],
        port: 8443,
        websocket_port: Some(8081),
        dns_servers: vec!["10.0.0.10:53".parse().unwrap(), "[fd00::10]:53".parse().unwrap()],
        tls: Some(Tls { min_version: TlsVersion::V1_2, default: files("/certs/0"), named: vec![named] }),
        mongodb: Some(MongoDb {
            port: 27017,
            host: HostName::parse("host", MONGODB).unwrap(),
            host_port: 27017,
            allow: vec![network("192.0.2.0/24"), network("2001:db8::/32")],
            connections: MONGODB_CONNECTIONS,
        }),
        rate_limit: Some(RATE_LIMIT),
        stream_module: Some(path("/usr/lib/nginx/modules/ngx_stream_module.so")),
        ..smallest()
    }
}

fn smallest() -> Settings {
    let mut settings = settings(&crate::Dns::start());
    settings.dns_servers = vec!["10.0.0.10:53".parse().unwrap()];
    settings
}

#[test]
fn the_text_is_the_committed_one() {
    for (name, settings) in [("smallest.conf", smallest()), ("full.conf", full())] {
        settings.check().unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nginx").join(name);
        let text = config(&settings);
        if std::env::var_os("REGENERATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        assert!(text == committed, "{name} is not current; REGENERATE=1 writes it anew:\n{text}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_told_all_at_once() {
    let mut settings = full();
    settings.websocket_port = Some(settings.port);
    settings.health_port = 0;
    settings.dns_servers.clear();
    settings.rate_limit = Some(RateLimit { per_second: 0, burst: 0 });
    let tls = settings.tls.as_mut().unwrap();
    tls.named.push(tls.named[0].clone());
    let faults: Vec<_> = settings.check().unwrap_err().iter().map(ToString::to_string).collect();
    let expected = [
        "`websocketPort`: `8443` is the port of `port`, too",
        "`healthPort`: `0` is no port",
        "`dnsServer`: `` is empty: at least one address is needed",
        "`rateLimit`: `0` is not at least 1",
        "`serverName`: `api.example.org` is given twice",
        "`serverName`: `*.nodes.example.org` is given twice",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn defaults_are_the_production_guides() {
    let text = config(&full());
    for directive in [
        "client_max_body_size 15360;",
        "client_header_timeout 10000ms;",
        "client_body_timeout 10000ms;",
        "keepalive_timeout 20000ms;",
        "rate=10r/s;",
        "limit_req zone=requests burst=20 nodelay;",
        "proxy_read_timeout 300000ms;",
        "valid=20s;",
        "limit_conn connections 16;",
        "underscores_in_headers on;",
    ] {
        assert!(text.contains(directive), "{directive}");
    }
    assert_eq!(nginx::DNS_VALID, Duration::from_secs(20));
}
