//! The replica-set member of a node: what it says, and the next step to what is wanted of it.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams, Preconditions};
use pki::Certificate;
use zeroize::Zeroizing;

use crate::api::status::MemberStatus;
use crate::desired::material::{ClientTls, MemberTls};
use crate::desired::names::Names;
use crate::desired::ports;
use crate::mongo_admin::{self, Admin, AdminError, Credentials, Target};
use crate::replica_set::{self, Command, MemberState, Observed, Server, Standing as MemberStanding, Step, Wanted};
use crate::report::POLL;
use crate::rotation::{self, Due, Rotations};
use crate::status::Standing;
use crate::validate::Validated;

/// What came of a look.
pub struct Look {
    pub standing: Standing,
    pub member: Option<MemberStatus>,
    /// What was done, for people.
    pub done: Vec<String>,
    /// When to look again: pods and workloads tell when they change; a database does not.
    pub again: Duration,
}

impl Look {
    fn of(standing: Standing, member: Option<MemberStatus>) -> Self {
        Self { standing, member, done: Vec::new(), again: SOON }
    }

    fn bad(reason: &'static str, message: impl Into<String>) -> Self {
        Self::of(Standing::bad(reason, message), None)
    }
}

/// After which time a member is looked at again that is being set up.
const SOON: Duration = Duration::from_secs(2);

/// The same, of one that did not answer: the look itself may have taken as long.
const AFTER_SILENCE: Duration = Duration::from_secs(10);

/// Looks at the member and takes the next step, if there is one.
pub async fn look_after(
    client: &Client,
    node: &Validated,
    member_tls: &MemberTls,
    client_tls: &ClientTls,
    set: &StatefulSet,
    pod: Option<&Pod>,
    rotations: &Rotations,
) -> Result<Look, kube::Error> {
    let target = Target { host: Names::of(node).member_host, port: u16::try_from(ports::MONGODB).unwrap_or(u16::MAX) };
    let wanted = match wanted(node, &target, member_tls, client_tls) {
        Ok(wanted) => wanted,
        Err(error) => return Ok(Look::bad("CertificateUnusable", error.to_string())),
    };
    let credentials = Credentials {
        ca_pem: member_tls.trust.authorities.clone(),
        certificate_and_key_pem: Zeroizing::new(member_tls.certificate_and_key.reveal().to_owned()),
    };
    let admin = match mongo_admin::connect(&target, &credentials) {
        Ok(admin) => admin,
        Err(error) => return Ok(Look::bad("CertificateUnusable", error.to_string())),
    };
    // Without a pod that runs there is nobody to wait for.
    let server = match pod.is_some_and(runs) {
        true => admin.observe().await,
        false => Server::Away { reason: format!("the pod of mongod does not run yet: {} is not asked", target.host) },
    };
    let observed = Observed { pod: pod.map(|pod| replica_set::Pod::of(pod, set)), server };
    let mut look = take_step(client, node, &admin, &wanted, &observed, status(&target, &observed.server)).await?;
    if look.standing == Standing::Good {
        look.again = POLL;
    }
    match (&observed.server, &observed.pod) {
        (Server::Open { served, .. }, Some(pod)) => {
            let is_current = served == wanted.member.serial();
            // Whatever else is in the way must not hinder a renewal.
            if !is_current || look.standing == Standing::Good {
                rotate(&admin, rotations, &pod.uid, is_current, &mut look).await;
            }
        }
        (Server::Away { .. }, _) => look.again = if pod.is_some_and(runs) { AFTER_SILENCE } else { POLL },
        _ => {}
    }
    Ok(look)
}

async fn take_step(
    client: &Client,
    node: &Validated,
    admin: &Admin,
    wanted: &Wanted,
    observed: &Observed,
    member: Option<MemberStatus>,
) -> Result<Look, kube::Error> {
    match replica_set::plan(wanted, observed) {
        Ok(None) => Ok(Look::of(Standing::Good, member)),
        Err(hindrance) => {
            let message = hindrance.to_string();
            let standing = match hindrance.is_passing() {
                true => Standing::waiting(hindrance.reason(), message),
                false => Standing::bad(hindrance.reason(), message),
            };
            Ok(Look::of(standing, member))
        }
        Ok(Some(Step::RestartMember { pod, uid })) => {
            let api: Api<Pod> = Api::namespaced(client.clone(), &node.namespace);
            let preconditions = Some(Preconditions { uid: Some(uid), resource_version: None });
            match api.delete(&pod, &DeleteParams { preconditions, ..DeleteParams::default() }).await {
                // It is gone, or another one has its name.
                Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
                deleted => drop(deleted?),
            }
            let told =
                format!("the pod {pod} of the MongoDB member is restarted: it was made from an older specification");
            Ok(Look { done: vec![told.clone()], ..Look::of(Standing::waiting("Restarting", told), member) })
        }
        Ok(Some(Step::Command(command))) => Ok(perform(admin, &command, member).await),
    }
}

/// Has a member that answers read its files again when that is due, which changes nothing for those who use it.
async fn rotate(admin: &Admin, rotations: &Rotations, uid: &str, is_current: bool, look: &mut Look) {
    match rotations.due(uid, is_current, Instant::now()) {
        Due::Nothing => {}
        Due::News => look.done.push("mongod uses its renewed certificate".to_owned()),
        Due::Rotation => match admin.rotate_certificates().await {
            Ok(()) => rotations.told(uid, is_current, Instant::now()),
            Err(error) if look.standing == Standing::Good => {
                let told = "mongod is told to read its certificates and revocation lists again";
                look.standing = Standing::waiting("StepFailed", format!("{told}: {error}; it is tried again"));
                look.again = AFTER_SILENCE;
            }
            // What is worse is told, and this tried again, too.
            Err(_) => {}
        },
    }
    if !is_current {
        look.again = look.again.min(rotation::AGAIN);
    }
}

/// Whether its containers were started.
pub fn runs(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

async fn perform(admin: &Admin, command: &Command, member: Option<MemberStatus>) -> Look {
    let (reason, told) = match command {
        Command::Initiate { name, host } => ("Initiating", format!("the replica set {name} is initiated with {host}")),
        Command::EnsureUser { subject, .. } => ("MakingUser", format!("the MongoDB user {subject} is made")),
    };
    let outcome: Result<(), AdminError> = admin.perform(command).await;
    let (standing, done) = match outcome {
        Ok(()) => (Standing::waiting(reason, told.clone()), vec![told]),
        Err(error) => (Standing::waiting("StepFailed", format!("{told}: {error}; it is tried again")), Vec::new()),
    };
    Look { done, ..Look::of(standing, member) }
}

fn wanted(
    node: &Validated,
    target: &Target,
    member_tls: &MemberTls,
    client_tls: &ClientTls,
) -> Result<Wanted, pki::Error> {
    let first = |pem: &str| {
        let certificates = Certificate::from_pem(pem.as_bytes())?;
        certificates.into_iter().next().ok_or(pki::Error::NoSection("CERTIFICATE"))
    };
    let client = client_tls.identity.as_ref().map_or("", |identity| identity.certificate.as_str());
    Ok(Wanted {
        set: node.cluster.replica_set.clone(),
        host: format!("{}:{}", target.host, target.port),
        member: first(member_tls.certificate_and_key.reveal())?,
        client: first(client)?,
    })
}

fn status(target: &Target, server: &Server) -> Option<MemberStatus> {
    let state = match server {
        Server::Open { standing: MemberStanding::Initiated(set), .. } => set.state,
        Server::Open { .. } => MemberState::Startup,
        Server::Away { .. } | Server::Closed { .. } => MemberState::Unknown,
    };
    Some(MemberStatus { host: format!("{}:{}", target.host, target.port), state: state.to_string() })
}
