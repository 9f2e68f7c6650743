//! Environment variables of the server.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};

use super::pod::{CONFIG, DATA, KEYS, TLS};
use super::{Context, config_map, ports, secret};
use crate::validate::{Connection, Database};

/// Variables that the operator sets, which a spec must not.
pub const OWN_VARIABLES: &[&str] = &[
    "HOME",
    "BIGCHAINDB_CONFIG_PATH",
    "BIGCHAINDB_SERVER_BIND",
    "BIGCHAINDB_SERVER_WORKERS",
    "BIGCHAINDB_WSSERVER_HOST",
    "BIGCHAINDB_WSSERVER_PORT",
    "BIGCHAINDB_WSSERVER_ADVERTISED_SCHEME",
    "BIGCHAINDB_WSSERVER_ADVERTISED_HOST",
    "BIGCHAINDB_WSSERVER_ADVERTISED_PORT",
    "BIGCHAINDB_KEYPAIR_PUBLIC",
    "BIGCHAINDB_KEYPAIR_PRIVATE",
    "BIGCHAINDB_KEYPAIR_PRIVATE_FILE",
    "BIGCHAINDB_KEYRING",
    "BIGCHAINDB_KEYRING_FILE",
    "BIGCHAINDB_VALIDATION",
    "BIGCHAINDB_BACKLOG_REASSIGN_DELAY",
    "BIGCHAINDB_LOG_LEVEL_CONSOLE",
    "BIGCHAINDB_DATABASE_BACKEND",
    "BIGCHAINDB_DATABASE_PATH",
    "BIGCHAINDB_DATABASE_HOST",
    "BIGCHAINDB_DATABASE_PORT",
    "BIGCHAINDB_DATABASE_MAX_TRIES",
    "BIGCHAINDB_DATABASE_REPLICASET",
    "BIGCHAINDB_DATABASE_URL",
    "BIGCHAINDB_DATABASE_SSL",
    "BIGCHAINDB_DATABASE_CA_CERT",
    "BIGCHAINDB_DATABASE_CRLFILE",
    "BIGCHAINDB_DATABASE_CERTFILE",
    "BIGCHAINDB_DATABASE_KEYFILE",
    "BIGCHAINDB_DATABASE_LOGIN",
];

/// All variables, the spec's own last.
pub(super) fn variables(context: &Context<'_>) -> Vec<EnvVar> {
    let Context { node, material, names } = context;
    let server = &node.server;
    let mut pairs = vec![
        // There is no home: the server writes no log files, the console is kept by Kubernetes.
        ("HOME", String::new()),
        ("BIGCHAINDB_CONFIG_PATH", format!("{CONFIG}/bigchaindb.json")),
        ("BIGCHAINDB_SERVER_BIND", format!("0.0.0.0:{}", ports::API)),
        ("BIGCHAINDB_WSSERVER_HOST", "0.0.0.0".to_owned()),
        ("BIGCHAINDB_WSSERVER_PORT", ports::WEBSOCKET.to_string()),
        ("BIGCHAINDB_WSSERVER_ADVERTISED_SCHEME", server.advertised.scheme.as_str().to_owned()),
        ("BIGCHAINDB_WSSERVER_ADVERTISED_HOST", server.advertised.host.clone()),
        ("BIGCHAINDB_WSSERVER_ADVERTISED_PORT", server.advertised.port.to_string()),
        ("BIGCHAINDB_KEYPAIR_PUBLIC", material.key_pair.public.clone()),
        ("BIGCHAINDB_KEYPAIR_PRIVATE_FILE", format!("{KEYS}/{}", secret::PRIVATE_KEY)),
        ("BIGCHAINDB_KEYRING_FILE", format!("{CONFIG}/{}", config_map::KEYRING)),
        ("BIGCHAINDB_BACKLOG_REASSIGN_DELAY", server.backlog_reassign_delay.to_string()),
        ("BIGCHAINDB_LOG_LEVEL_CONSOLE", server.log_level.as_str().to_owned()),
    ];
    if let Some(workers) = server.workers {
        pairs.push(("BIGCHAINDB_SERVER_WORKERS", workers.to_string()));
    }
    if let Some(rules) = server.validation {
        pairs.push(("BIGCHAINDB_VALIDATION", rules.as_str().to_owned()));
    }
    let backend = if matches!(node.database, Database::Embedded(_)) { "embedded" } else { "mongodb" };
    pairs.push(("BIGCHAINDB_DATABASE_BACKEND", backend.to_owned()));
    if !matches!(node.database, Database::Embedded(_)) {
        // Again and again: a database that comes up later than the server is no reason to end.
        pairs.push(("BIGCHAINDB_DATABASE_MAX_TRIES", "0".to_owned()));
    }
    let mut variables = Vec::new();
    match &node.database {
        Database::Embedded(_) => pairs.push(("BIGCHAINDB_DATABASE_PATH", format!("{DATA}/ledger"))),
        Database::Member(_) => {
            pairs.push(("BIGCHAINDB_DATABASE_HOST", names.member_host.clone()));
            pairs.push(("BIGCHAINDB_DATABASE_PORT", ports::MONGODB.to_string()));
            pairs.push(("BIGCHAINDB_DATABASE_REPLICASET", node.cluster.replica_set.clone()));
        }
        Database::External { connection: Connection::Uri(uri), .. } => {
            pairs.push(("BIGCHAINDB_DATABASE_URL", uri.clone()));
        }
        Database::External { connection: Connection::Secret(reference), .. } => variables.push(EnvVar {
            name: "BIGCHAINDB_DATABASE_URL".to_owned(),
            value_from: Some(EnvVarSource {
                secret_key_ref: Some(SecretKeySelector {
                    name: reference.name.clone(),
                    key: reference.key.clone(),
                    optional: None,
                }),
                ..EnvVarSource::default()
            }),
            value: None,
        }),
    }
    if let Some(tls) = &material.client_tls {
        // A connection string says itself whether TLS is spoken, and who logs in.
        let by_fields = matches!(node.database, Database::Member(_));
        if by_fields {
            pairs.push(("BIGCHAINDB_DATABASE_SSL", "true".to_owned()));
        }
        pairs.push(("BIGCHAINDB_DATABASE_CA_CERT", format!("{TLS}/{}", secret::AUTHORITIES)));
        if tls.trust.lists.is_some() {
            pairs.push(("BIGCHAINDB_DATABASE_CRLFILE", format!("{TLS}/{}", secret::LISTS)));
        }
        if let Some(identity) = &tls.identity {
            pairs.push(("BIGCHAINDB_DATABASE_CERTFILE", format!("{TLS}/{}", secret::CERTIFICATE)));
            pairs.push(("BIGCHAINDB_DATABASE_KEYFILE", format!("{TLS}/{}", secret::KEY)));
            if by_fields {
                pairs.push(("BIGCHAINDB_DATABASE_LOGIN", identity.subject.clone()));
            }
        }
    }
    let own = pairs.into_iter().map(|(name, value)| plain(name, &value));
    let extra = node.server.extra_env.iter().map(|variable| plain(&variable.name, &variable.value));
    own.chain(variables).chain(extra).collect()
}

/// Kubernetes replaces `$(NAME)` in a value; `$$` stands for a dollar.
fn plain(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.replace('$', "$$")), value_from: None }
}
