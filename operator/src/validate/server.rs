//! `spec.server`.

use super::{Findings, Gateway, Observed};
use crate::api::common::Resources;
use crate::api::server::{LogLevel, ServerSpec, ValidationRules, Variable, WebSocketScheme};
use crate::desired::environment::OWN_VARIABLES;

/// The BigchainDB server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub image: String,
    pub resources: Resources,
    /// The Secret with the key pair, if it is the user's.
    pub key_pair_secret: Option<String>,
    /// Seconds.
    pub backlog_reassign_delay: i32,
    pub log_level: LogLevel,
    pub workers: Option<i32>,
    pub validation: Option<ValidationRules>,
    pub advertised: Advertised,
    pub extra_env: Vec<Variable>,
}

/// The address of the WebSocket API as clients are told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    pub scheme: WebSocketScheme,
    pub host: String,
    pub port: i32,
}

/// `gateway`: `None` if it has faults, which nobody is told twice. `service`: the gateway's Service.
pub(super) fn parse(
    spec: &ServerSpec,
    observed: &Observed,
    gateway: Option<&Gateway>,
    service: &str,
    findings: &mut Findings,
) -> Server {
    findings.resources("spec.server.resources", &spec.resources);
    for (index, variable) in spec.extra_env.iter().enumerate() {
        if OWN_VARIABLES.contains(&variable.name.as_str()) {
            findings.add(
                format!("spec.server.extraEnv[{index}].name"),
                format!("the operator sets {} itself: remove it, and use the field that stands for it", variable.name),
            );
        }
    }
    let encrypted = gateway.is_none_or(|gateway| gateway.tls.is_some());
    let scheme = if encrypted { WebSocketScheme::Wss } else { WebSocketScheme::Ws };
    let name = gateway.and_then(|gateway| gateway.server_name.as_deref()).unwrap_or(service);
    let advertised = &spec.advertised;
    Server {
        image: findings.image("spec.server.image", spec.image.as_ref(), observed.images.server.as_ref()),
        resources: spec.resources.clone(),
        key_pair_secret: spec.key_pair_secret_ref.as_ref().map(|secret| secret.name.clone()),
        backlog_reassign_delay: spec.backlog_reassign_delay,
        log_level: spec.log_level,
        workers: spec.workers,
        validation: spec.validation,
        advertised: Advertised {
            scheme: advertised.scheme.unwrap_or(scheme),
            host: advertised.host.clone().unwrap_or_else(|| name.to_owned()),
            port: advertised.port.or(gateway.map(|gateway| gateway.port)).unwrap_or(443),
        },
        extra_env: spec.extra_env.clone(),
    }
}
