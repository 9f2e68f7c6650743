//! What is to be done next for a node's member of the replica set: from what is wanted and what was observed, one step at a
//! time, each safe to repeat.
//!
//! Pure: no client, no clock. The set has one member, which its operator initiates. A set of which others are members, too,
//! is recognised and left as it is.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::api::apps::v1::StatefulSet;
use pki::{Certificate, Serial};

/// Label of a StatefulSet's pods: the revision of the template that they were made from.
const REVISION: &str = "controller-revision-hash";

/// What the server's user may do (manual of 1.0.1, lines 1116 to 1124).
pub const SERVER_ROLES: &[Role] = &[
    Role { name: Cow::Borrowed("clusterAdmin"), database: Cow::Borrowed("admin") },
    Role { name: Cow::Borrowed("readWriteAnyDatabase"), database: Cow::Borrowed("admin") },
];

/// What is wanted of a node's member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the replica set.
    pub set: String,
    /// `host:port` of the member, as the set is to name it.
    pub host: String,
    /// The certificate that `mongod` is to show: the one in the Secret.
    pub member: Certificate,
    /// The certificate with which the server logs in.
    pub client: Certificate,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The member's pod; `None`: there is none.
    pub pod: Option<Pod>,
    /// What its `mongod` says.
    pub server: Server,
}

/// A member's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    /// Tells it from a later one of the same name.
    pub uid: String,
    /// It is being deleted.
    pub is_ending: bool,
    /// Its StatefulSet would make it otherwise now.
    pub is_outdated: bool,
}

impl Pod {
    /// Compares a pod with its StatefulSet. As long as the StatefulSet's controller has not seen the newest template, it
    /// cannot be told whether the pod is outdated; it is not, then.
    pub fn of(pod: &k8s_openapi::api::core::v1::Pod, set: &StatefulSet) -> Self {
        let status = set.status.as_ref();
        let seen = status.and_then(|status| status.observed_generation);
        let update =
            status.and_then(|status| status.update_revision.as_ref()).filter(|_| seen == set.metadata.generation);
        let revision = pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION));
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            is_ending: pod.metadata.deletion_timestamp.is_some(),
            is_outdated: matches!((update, revision), (Some(update), Some(revision)) if update != revision),
        }
    }
}

/// What a `mongod` says, or why it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// It could not be reached, or not in time.
    Away { reason: String },
    /// It is there, and one of both sides does not trust the other. `served`: serial number of the certificate that it
    /// shows, if it came so far.
    Closed { reason: String, served: Option<Serial> },
    /// It answers. `served`: serial number of the certificate that it shows.
    Open { served: Serial, standing: Standing },
}

/// How a `mongod` stands to its replica set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was started without a replica set's name.
    NoReplication,
    /// Nobody initiated the set. `started_for`: the name in its configuration, if it tells.
    NotInitiated { started_for: Option<String> },
    /// It has the configuration of a set.
    Initiated(ReplicaSet),
}

/// A replica set, as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSet {
    pub name: String,
    /// `host:port` of all members.
    pub hosts: Vec<String>,
    /// Of the member that was asked.
    pub state: MemberState,
    /// The users in `$external`; of the primary only.
    pub users: Vec<User>,
}

/// The state of a member (MongoDB manual, "Replica Set Member States"); shown in its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    Startup,
    Primary,
    Secondary,
    Recovering,
    Startup2,
    Unknown,
    Arbiter,
    Down,
    Rollback,
    Removed,
}

impl MemberState {
    /// From MongoDB's number.
    pub fn of(number: i32) -> Self {
        match number {
            0 => Self::Startup,
            1 => Self::Primary,
            2 => Self::Secondary,
            3 => Self::Recovering,
            5 => Self::Startup2,
            7 => Self::Arbiter,
            8 => Self::Down,
            9 => Self::Rollback,
            10 => Self::Removed,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Startup => "STARTUP",
            Self::Primary => "PRIMARY",
            Self::Secondary => "SECONDARY",
            Self::Recovering => "RECOVERING",
            Self::Startup2 => "STARTUP2",
            Self::Unknown => "UNKNOWN",
            Self::Arbiter => "ARBITER",
            Self::Down => "DOWN",
            Self::Rollback => "ROLLBACK",
            Self::Removed => "REMOVED",
        })
    }
}

/// A user of the database `$external`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Subject of a certificate, as RFC 2253 writes it.
    pub subject: String,
    pub roles: Vec<Role>,
}

/// A role in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    pub name: Cow<'static, str>,
    pub database: Cow<'static, str>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Delete this pod, and no later one of its name; its StatefulSet makes a new one.
    RestartMember { pod: String, uid: String },
    /// Have the member's `mongod` do this.
    Command(Command),
}

/// What a `mongod` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begin a replica set with this one member.
    Initiate { name: String, host: String },
    /// See that there is this user in `$external` with at least these roles.
    EnsureUser { subject: String, roles: &'static [Role] },
}

/// Why there is no step although not all is as wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hindrance {
    #[error("the pod of the MongoDB member is not there yet")]
    NoPod,
    #[error("the pod `{0}` of the MongoDB member is being deleted; a new one follows")]
    PodEnding(String),
    #[error("{0}")]
    Away(String),
    #[error("{0}")]
    Closed(String),
    #[error(
        "`mongod` was started without a replica set; its configuration must have replication.replSetName `{wanted}`"
    )]
    NoReplication { wanted: String },
    #[error(
        "the member belongs to the replica set `{found}`, and `{wanted}` is wanted: its volume holds the data of another \
         set; correct the cluster's spec.replicaSet.name, or give the node an empty volume"
    )]
    OtherSet { found: String, wanted: String },
    #[error(
        "the replica set `{set}` was initiated without this member: it names {}, and not `{host}`; the volume holds the \
         data of another node, or the member's host has changed: give the node its own volume and its former host back",
        listed(.hosts)
    )]
    NotListed { set: String, hosts: Vec<String>, host: String },
    #[error("the member is {0}, not PRIMARY yet")]
    NotPrimary(MemberState),
    #[error("{0}")]
    ClientIsMember(String),
    #[error(
        "the pod `{pod}` is to be restarted, but the replica set has {} members ({}), and only the member of a set of one is \
         restarted without being asked: delete the pod when a majority of the others is well",
        .hosts.len(),
        listed(.hosts)
    )]
    OtherMembers { pod: String, hosts: Vec<String> },
}

impl Hindrance {
    /// Whether it is to go by itself; else somebody must change something.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::NoPod | Self::PodEnding(_) | Self::Away(_) | Self::NotPrimary(_))
    }

    /// The reason in a condition: one word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoPod => "PodMissing",
            Self::PodEnding(_) => "PodEnding",
            Self::Away(_) => "Unreachable",
            Self::Closed(_) => "AccessRefused",
            Self::NoReplication { .. } => "NoReplication",
            Self::OtherSet { .. } => "OtherReplicaSet",
            Self::NotListed { .. } => "NotAMember",
            Self::NotPrimary(_) => "WaitingForPrimary",
            Self::ClientIsMember(_) => "ClientIsMember",
            Self::OtherMembers { .. } => "RestartByHand",
        }
    }
}

fn listed(hosts: &[String]) -> String {
    let quoted: Vec<String> = hosts.iter().map(|host| format!("`{host}`")).collect();
    if quoted.is_empty() { "no member".to_owned() } else { quoted.join(", ") }
}

/// The next step; `None`: all is as wanted. `Err`: there is nothing to do but to wait or to ask for help.
pub fn plan(wanted: &Wanted, observed: &Observed) -> Result<Option<Step>, Hindrance> {
    let pod = observed.pod.as_ref().ok_or(Hindrance::NoPod)?;
    if pod.is_ending {
        return Err(Hindrance::PodEnding(pod.name.clone()));
    }
    if pod.is_outdated {
        return restart(pod, &observed.server).map(Some);
    }
    let standing = match &observed.server {
        Server::Away { reason } => return Err(Hindrance::Away(reason.clone())),
        // It cannot be told to read the Secret's certificate, and does so at its start.
        Server::Closed { served: Some(served), .. } if served != wanted.member.serial() => {
            return restart(pod, &observed.server).map(Some);
        }
        Server::Closed { reason, .. } => return Err(Hindrance::Closed(reason.clone())),
        Server::Open { served: _, standing } => standing,
    };
    let set = match standing {
        Standing::NoReplication => return Err(Hindrance::NoReplication { wanted: wanted.set.clone() }),
        Standing::NotInitiated { started_for: Some(found) } if *found != wanted.set => {
            return Err(other_set(found, wanted));
        }
        Standing::NotInitiated { .. } => {
            let (name, host) = (wanted.set.clone(), wanted.host.clone());
            return Ok(Some(Step::Command(Command::Initiate { name, host })));
        }
        Standing::Initiated(set) => set,
    };
    if set.name != wanted.set {
        return Err(other_set(&set.name, wanted));
    }
    if !set.hosts.contains(&wanted.host) {
        let (hosts, host) = (set.hosts.clone(), wanted.host.clone());
        return Err(Hindrance::NotListed { set: set.name.clone(), hosts, host });
    }
    ensure_user(wanted, set)
}

fn other_set(found: &str, wanted: &Wanted) -> Hindrance {
    Hindrance::OtherSet { found: found.to_owned(), wanted: wanted.set.clone() }
}

fn ensure_user(wanted: &Wanted, set: &ReplicaSet) -> Result<Option<Step>, Hindrance> {
    if set.state != MemberState::Primary {
        return Err(Hindrance::NotPrimary(set.state));
    }
    if let Some(fault) = pki::check::apart(&wanted.member, &wanted.client) {
        return Err(Hindrance::ClientIsMember(fault.to_string()));
    }
    let subject = wanted.client.subject();
    let user = set.users.iter().find(|user| user.subject == subject);
    if user.is_some_and(|user| SERVER_ROLES.iter().all(|role| user.roles.contains(role))) {
        return Ok(None);
    }
    let command = Command::EnsureUser { subject: subject.to_owned(), roles: SERVER_ROLES };
    Ok(Some(Step::Command(command)))
}

/// The only member of its set, and one that does not answer, has no majority to lose.
fn restart(pod: &Pod, server: &Server) -> Result<Step, Hindrance> {
    if let Server::Open { standing: Standing::Initiated(set), .. } = server
        && set.hosts.len() > 1
    {
        return Err(Hindrance::OtherMembers { pod: pod.name.clone(), hosts: set.hosts.clone() });
    }
    Ok(Step::RestartMember { pod: pod.name.clone(), uid: pod.uid.clone() })
}

#[cfg(test)]
mod tests;
