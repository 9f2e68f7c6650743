//! `spec.database`.

use super::{Findings, Images};
use crate::api::common::{Amount, Resources, SecretKeyReference};
use crate::api::database::{Engine, Mode, StorageSpec};
use crate::api::node::BigchainNodeSpec;

/// Where the ledger is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Database {
    /// In the server itself, on a volume.
    Embedded(Volume),
    /// In a member of the replica set that the operator runs.
    Member(Box<Member>),
    /// In a MongoDB that somebody else runs.
    External {
        connection: Connection,
        /// The user's Secret with certificate authority and client certificate.
        tls_secret: Option<String>,
    },
}

/// A `mongod`.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub image: String,
    pub resources: Resources,
    /// GB (1024³ bytes).
    pub cache_size_gb: Option<f64>,
    pub volume: Volume,
    /// `None`: the operator issues them.
    pub supplied: Option<Certificates>,
}

/// Names of Secrets of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// What `mongod` shows.
    pub member: String,
    /// What the server shows.
    pub client: String,
}

/// Where an external database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// A connection string without secrets.
    Uri(String),
    /// A value in a Secret.
    Secret(SecretKeyReference),
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Volume {
    /// A claim that the operator makes.
    New { size: Amount, class: Option<String> },
    /// A claim that is there.
    Existing(String),
}

pub(super) fn parse(spec: &BigchainNodeSpec, images: &Images, findings: &mut Findings) -> Option<Database> {
    let database = &spec.database;
    let tls_secret = database.tls_secret_ref.as_ref().map(|secret| secret.name.clone());
    let member_secret = database.member_tls_secret_ref.as_ref().map(|secret| secret.name.clone());
    match (database.engine, database.mode) {
        (Engine::Embedded, _) => {
            if spec.cluster_ref.is_some() {
                findings.add("spec.clusterRef", "an embedded ledger is one node's alone: remove clusterRef");
            }
            if database.uri.is_some() || database.uri_secret_ref.is_some() || tls_secret.is_some() {
                findings.add(
                    "spec.database.engine",
                    "with Embedded the ledger is inside the server: remove uri, uriSecretRef and tlsSecretRef, or choose \
                     MongoDB",
                );
            }
            Some(Database::Embedded(volume(database.storage.as_ref(), findings)))
        }
        (Engine::MongoDb, Mode::External) => {
            let connection = match (&database.uri, &database.uri_secret_ref) {
                (Some(uri), None) => Connection::Uri(uri.clone()),
                (None, Some(secret)) => Connection::Secret(secret.clone()),
                _ => {
                    findings.add("spec.database.uri", "mode External needs uri or uriSecretRef, and only one of them");
                    return None;
                }
            };
            Some(Database::External { connection, tls_secret })
        }
        (Engine::MongoDb, Mode::Managed) => {
            let supplied = match (member_secret, tls_secret) {
                (Some(member), Some(client)) => Some(Certificates { member, client }),
                (None, None) => None,
                _ => {
                    findings.add(
                        "spec.database.memberTlsSecretRef",
                        "give both memberTlsSecretRef and tlsSecretRef, or neither: mongod and server must trust the same \
                         authority",
                    );
                    return None;
                }
            };
            let resources = database.member_resources();
            findings.resources("spec.database.resources", &resources);
            Some(Database::Member(Box::new(Member {
                image: findings.image("spec.database.image", database.image.as_ref(), images.mongodb.as_ref()),
                resources,
                cache_size_gb: database.cache_size_gb,
                volume: volume(database.storage.as_ref(), findings),
                supplied,
            })))
        }
    }
}

fn volume(spec: Option<&StorageSpec>, findings: &mut Findings) -> Volume {
    let spec = spec.cloned().unwrap_or_default();
    match spec.existing_claim {
        Some(claim) => Volume::Existing(claim),
        None => {
            findings.amount("spec.database.storage.size", &spec.size.0);
            Volume::New { size: spec.size, class: spec.class_name }
        }
    }
}
