//! One BigchainNode at a time: look, validate, prepare, build, apply, prune, set up the database, report.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::finalizer::{self, Event as Finalizing, finalizer};
use kube::{Client, ResourceExt as _};

use crate::api::node::DeletionPolicy;
use crate::api::{BigchainCluster, BigchainNode};
use crate::apply::{self, ApplyError};
use crate::credentials::{self, Credentials, Lifetimes, Source};
use crate::desired::labels::Component;
use crate::desired::names::{self, Names};
use crate::desired::{self, MANAGER, Material};
use crate::membership;
use crate::metrics::{Action::Delete, Kind, Metrics};
use crate::observe::{self, IMPLICIT};
use crate::report::{POLL, Report, Urls};
use crate::rotation::Rotations;
use crate::status::{Cause, Standing};
use crate::validate::{self, Cluster, Connection, Database, Images, Observed, Validated, Volume};
use crate::workloads;

/// Annotation of a BigchainNode: `true` lets it go without deleting anything of what is kept, whatever its policy.
const SKIP_FINALIZER: &str = "bigchaindb.com/skip-finalizer";

/// What reconciling needs beside the resource.
pub struct Operator {
    pub client: Client,
    pub images: Images,
    pub dns_server: IpAddr,
    pub recorder: Recorder,
    pub metrics: Arc<Metrics>,
    pub rotations: Rotations,
}

/// Why a node could not be looked after now; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the API server: {0}")]
    Kubernetes(#[from] kube::Error),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the resource has no namespace or no identity")]
    Nameless,
    #[error("the API server or the database did not answer in time")]
    TimedOut,
    #[error("finalizer: {0}")]
    Finalizer(#[source] Box<finalizer::Error<Error>>),
}

/// Looks after a node once.
pub async fn reconcile(node: Arc<BigchainNode>, operator: &Operator) -> Result<Action, Error> {
    let namespace = node.namespace().ok_or(Error::Nameless)?;
    let api: Api<BigchainNode> = Api::namespaced(operator.client.clone(), &namespace);
    finalizer(&api, MANAGER, node, |event| async {
        match event {
            Finalizing::Apply(node) => look_after(&node, &namespace, operator).await,
            Finalizing::Cleanup(node) => clean_up(&node, &namespace, operator).await,
        }
    })
    .await
    .map_err(|error| Error::Finalizer(Box::new(error)))
}

async fn look_after(node: &BigchainNode, namespace: &str, operator: &Operator) -> Result<Action, Error> {
    let now = Timestamp::now();
    let report = match node.spec.paused {
        true => Report::paused(),
        false => bring_about(node, namespace, operator, now).await?,
    };
    report.publish(node, &operator.client, &operator.recorder, now).await?;
    Ok(Action::requeue(report.again))
}

async fn bring_about(
    node: &BigchainNode,
    namespace: &str,
    operator: &Operator,
    now: Timestamp,
) -> Result<Report, Error> {
    let client = &operator.client;
    let cluster = match observe::cluster(client, node).await? {
        Ok(cluster) => cluster,
        Err(cause) => return Ok(Report::stopped(cause)),
    };
    let observed = Observed {
        cluster: Cluster::of(&cluster),
        images: operator.images.clone(),
        dns_server: operator.dns_server.to_string(),
    };
    let validated = match validate::validate(node, &observed) {
        Ok(validated) => validated,
        Err(faults) => {
            return Ok(Report::stopped(Cause { reason: "SpecificationRefused", message: faults.to_string() }));
        }
    };
    let credentials = match prepare(client, &cluster, &validated, now).await? {
        Ok(credentials) => credentials,
        Err(cause) => return Ok(Report::without_certificates(cause)),
    };
    if let Some(cause) = other_key(node, &credentials.key_pair.public) {
        return Ok(Report::without_certificates(cause));
    }
    let (certificates, issued) = (credentials.certificates.clone(), credentials.issued.clone());
    let (public_key, ending) = (credentials.key_pair.public.clone(), credentials.ending.clone());
    let (member_tls, client_tls) = (credentials.member_tls.clone(), credentials.client_tls.clone());
    let material = match material(client, &validated, credentials).await? {
        Ok(material) => material,
        Err(cause) => return Ok(Report::stopped(cause)),
    };
    let objects = desired::build(&validated, &material);
    let present = apply::Present::look(client, &validated).await?;
    let applied = match apply::apply(client, &validated, &present, &objects).await {
        Ok(applied) => applied,
        Err(error) => {
            let cause = error.cause().ok_or(error)?;
            return Ok(Report::stopped(cause));
        }
    };
    for object in &applied {
        if let Some(action) = object.change {
            operator.metrics.applied(Kind::of(object.kind), action);
        }
    }
    let uid = node.uid().ok_or(Error::Nameless)?;
    for (kind, _) in apply::prune(client, namespace, &uid, &present, &objects).await? {
        operator.metrics.applied(Kind::of(kind), Delete);
    }

    let pods = observe::pods(client, namespace, &validated.name).await?;
    let claims = claims(client, &validated).await?;
    let mut standings = workloads::standings(&validated, &applied, &pods, &claims);
    if let Some(cause) = ending {
        standings.certificates = Standing::Ending(cause);
    }
    let (mut member, mut steps, mut again) = (None, Vec::new(), POLL);
    if let (Some(member_tls), Some(client_tls)) = (&member_tls, &client_tls) {
        let set = workloads::stateful_set(&applied, &Names::of(&validated).member).unwrap_or_default();
        let pod = pods.iter().find(|pod| workloads::component(pod) == Some(Component::MongoDb.as_str()));
        let look = membership::look_after(client, &validated, member_tls, client_tls, &set, pod, &operator.rotations);
        let look = look.await?;
        // Why a pod does not run says more than that nobody answers there.
        if !matches!(standings.database, Standing::Bad(_)) {
            standings.database = look.standing;
        }
        member = look.member;
        steps.extend(look.done);
        again = look.again;
    }
    let urls = Some(Urls::of(&validated));
    Ok(Report { standings, public_key: Some(public_key), urls, certificates, member, issued, steps, again })
}

/// A node that has signed goes on with its key: with another one, nobody would know the voter of its old blocks.
fn other_key(node: &BigchainNode, public: &str) -> Option<Cause> {
    let before = node.status.as_ref()?.public_key.as_deref().filter(|before| *before != public)?;
    let secret = match &node.spec.server.key_pair_secret_ref {
        Some(reference) => reference.name.clone(),
        None => Names::new(&node.name_any(), "").keys,
    };
    let message = format!(
        "this node has signed with the key {before}, and the Secret {secret} does not hold it: restore that Secret. A node \
         cannot change its key; a new BigchainNode begins with a new one"
    );
    Some(Cause { reason: "KeyPairChanged", message })
}

async fn prepare(
    client: &Client,
    cluster: &BigchainCluster,
    node: &Validated,
    now: Timestamp,
) -> Result<Result<Credentials, Cause>, Error> {
    let secrets = observe::secrets(client, &node.namespace, &credentials::secret_names(node)).await?;
    let consortium = match credentials::needs_authority(node) {
        false => None,
        true => match observe::consortium(client, cluster, &node.cluster.organization, now).await? {
            Ok(consortium) => Some(consortium),
            Err(cause) => return Ok(Err(cause)),
        },
    };
    let days = |days: i32| SignedDuration::from_hours(24 * i64::from(days));
    let lifetimes = Lifetimes {
        certificate: days(cluster.spec.tls.certificate_days),
        renew_before: days(cluster.spec.tls.renew_before_days),
    };
    let source = Source { node, secrets: &secrets, consortium: consortium.as_ref(), lifetimes, now };
    Ok(credentials::prepare(&source))
}

async fn material(
    client: &Client,
    node: &Validated,
    credentials: Credentials,
) -> Result<Result<Material, Cause>, Error> {
    let connection_digest = match &node.database {
        Database::External { connection: Connection::Secret(reference), .. } => {
            let secrets = observe::secrets(client, &node.namespace, std::slice::from_ref(&reference.name)).await?;
            match secrets.get(&reference.name).and_then(|data| data.get(&reference.key)) {
                Some(value) => Some(desired::digest([String::from_utf8_lossy(&value.0).as_ref()])),
                None => {
                    let message = format!(
                        "spec.database.uriSecretRef: there is no Secret {} with the key {} in the namespace {}: create it",
                        reference.name, reference.key, node.namespace
                    );
                    return Ok(Err(Cause { reason: "SecretMissing", message }));
                }
            }
        }
        _ => None,
    };
    let nginx_conf = match desired::nginx_conf::text(node) {
        Ok(text) => text,
        Err(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            return Ok(Err(Cause { reason: "SpecificationRefused", message: faults.join("; ") }));
        }
    };
    let Credentials { key_pair, keyring, member_tls, client_tls, gateway_tls, .. } = credentials;
    Ok(Ok(Material { key_pair, keyring, member_tls, client_tls, gateway_tls, nginx_conf, connection_digest }))
}

async fn claims(client: &Client, node: &Validated) -> Result<Vec<PersistentVolumeClaim>, Error> {
    let names = Names::of(node);
    let (volume, own) = match &node.database {
        Database::Embedded(volume) => (volume, &names.server),
        Database::Member(member) => (&member.volume, &names.member),
        Database::External { .. } => return Ok(Vec::new()),
    };
    let name = match volume {
        Volume::New { .. } => own,
        Volume::Existing(name) => name,
    };
    Ok(observe::claim(client, &node.namespace, name).await?.into_iter().collect())
}

/// What owner references do not delete: the disruption budget of a consortium that was made for this node alone; under
/// `Delete` the volume claims, the key pair, and that consortium. It needs nothing of the spec but the policy, so that no
/// fault in it keeps a node from going; [`SKIP_FINALIZER`] keeps all of it.
async fn clean_up(node: &BigchainNode, namespace: &str, operator: &Operator) -> Result<Action, Error> {
    let client = &operator.client;
    let name = node.name_any();
    if node.annotations().get(SKIP_FINALIZER).map(String::as_str) == Some("true") {
        return Ok(Action::await_change());
    }
    let names = Names::new(&name, namespace);
    let clusters: Api<BigchainCluster> = Api::namespaced(client.clone(), namespace);
    let implicit = clusters.get_opt(&name).await?.is_some_and(|cluster| cluster.labels().contains_key(IMPLICIT));
    let alone = node.spec.cluster_ref.is_none() && implicit;
    if alone {
        apply::delete_own::<PodDisruptionBudget>(client, namespace, &names::members(&name)).await?;
    }
    if node.spec.deletion_policy == DeletionPolicy::Retain {
        return Ok(Action::await_change());
    }
    for claim in [&names.member, &names.server] {
        apply::delete_own::<PersistentVolumeClaim>(client, namespace, claim).await?;
    }
    apply::delete_own::<Secret>(client, namespace, &names.keys).await?;
    if alone {
        apply::delete_own::<Secret>(client, namespace, &format!("{name}-ca")).await?;
        match clusters.delete(&name, &kube::api::DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            deleted => drop(deleted?),
        }
    }
    Ok(Action::await_change())
}
