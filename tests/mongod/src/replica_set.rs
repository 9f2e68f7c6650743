//! This server's part in its replica set, which has no other member (MongoDB manual, "Replication").

pub mod config;
pub mod itself;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bson::oid::ObjectId;
use bson::{DateTime, Document, Timestamp, doc};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use self::config::{Config, Member};
use self::itself::Listening;
use crate::error::{
    ALREADY_INITIALIZED, CommandError, EXCEEDED_TIME_LIMIT, INVALID_REPLICA_SET_CONFIG, NEW_CONFIG_INCOMPATIBLE,
    NODE_NOT_FOUND, NOT_SECONDARY, NOT_WRITABLE_PRIMARY, NOT_YET_INITIALIZED, UNKNOWN_ERROR,
};
use crate::files::Files;

const FILE: &str = "replica-set";

/// Manual, "Replica Set Member States".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    Startup = 0,
    Primary = 1,
    Secondary = 2,
    Removed = 10,
}

impl MemberState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "STARTUP",
            Self::Primary => "PRIMARY",
            Self::Secondary => "SECONDARY",
            Self::Removed => "REMOVED",
        }
    }
}

/// How it stands.
#[derive(Clone, Debug)]
pub struct Standing {
    pub state: MemberState,
    pub config: Option<Config>,
    /// Counts elections.
    pub term: i64,
    /// When it was elected last.
    pub elected: Timestamp,
    /// Until when it does not stand for election.
    frozen: Option<Instant>,
}

impl Standing {
    /// The configuration of a set that this server is in, and this server in it.
    pub fn member(&self) -> Option<(&Config, &Member)> {
        let config = self.config.as_ref().filter(|_| self.state != MemberState::Removed)?;
        Some((config, config.members.first()?))
    }
}

/// The set.
pub struct ReplicaSet {
    /// `replication.replSetName`
    pub name: String,
    /// Tells this process from later ones at the same place (specification "Server Discovery and Monitoring",
    /// `topologyVersion`).
    pub process: ObjectId,
    listening: Listening,
    files: Files,
    standing: Mutex<Standing>,
    changes: watch::Sender<i64>,
    /// One change of the configuration at a time.
    configuring: tokio::sync::Mutex<()>,
}

impl ReplicaSet {
    /// Reads what was stored. A member that finds itself in the configuration is elected at once: it has the only vote.
    /// One that does not, because its name leads elsewhere for instance, is REMOVED (manual, "Replica Set Member States").
    /// `mongod` looks again when a heartbeat of another member comes; here there is no other, so it stays so until it is
    /// restarted or a configuration is forced on it.
    pub async fn open(name: String, listening: Listening, files: Files) -> io::Result<Arc<Self>> {
        let stored = files.read(FILE)?;
        let mut standing = Standing {
            state: MemberState::Startup,
            config: None,
            term: 0,
            elected: Timestamp { time: 0, increment: 0 },
            frozen: None,
        };
        if let Some(stored) = stored {
            let config = stored.get_document("config").map_err(io::Error::other)?;
            let config = Config::read(config, ObjectId::new()).map_err(io::Error::other)?;
            standing.term = stored.get_i64("term").unwrap_or_default();
            let is_listed = match config.members.first() {
                Some(member) => config.name == name && listening.is(&member.host).await,
                None => false,
            };
            standing.state = if is_listed { MemberState::Secondary } else { MemberState::Removed };
            standing.config = Some(config);
        }
        let set = Arc::new(Self {
            name,
            process: ObjectId::new(),
            listening,
            files,
            standing: Mutex::new(standing),
            changes: watch::Sender::new(0),
            configuring: tokio::sync::Mutex::new(()),
        });
        set.elect()?;
        Ok(set)
    }

    pub fn standing(&self) -> Standing {
        self.standing.lock().clone()
    }

    /// Counts changes of its state and configuration.
    pub fn changes(&self) -> watch::Receiver<i64> {
        self.changes.subscribe()
    }

    /// Specification "Server Discovery and Monitoring", `topologyVersion`.
    pub fn topology_version(&self) -> Document {
        doc! { "processId": self.process, "counter": *self.changes.borrow() }
    }

    /// This server under a name of this machine.
    pub fn own_host(&self, name: &str) -> String {
        format!("{name}:{}", self.listening.port)
    }

    /// Begins a set (manual, `replSetInitiate`).
    pub async fn initiate(&self, wanted: &Document) -> Result<(), CommandError> {
        let _alone = self.configuring.lock().await;
        if self.standing().config.is_some() {
            return Err(CommandError::new(ALREADY_INITIALIZED, "already initialized"));
        }
        let invalid = |reason: String| CommandError::new(INVALID_REPLICA_SET_CONFIG, reason);
        let mut config = Config::read(wanted, ObjectId::new()).map_err(invalid)?;
        if config.name != self.name {
            return Err(invalid(format!(
                "Attempting to initiate a replica set with name {}, but command line reports {}; rejecting",
                config.name, self.name
            )));
        }
        if config.version != 1 {
            let reason = format!("Initial version must be 1, found {}", config.version);
            return Err(invalid(reason));
        }
        config.validate().map_err(invalid)?;
        self.find_itself(&config).await.map_err(invalid)?;
        self.reach_others(&config)?;
        config.term = Some(0);
        let mut standing = self.standing();
        standing.config = Some(config);
        standing.state = MemberState::Secondary;
        self.keep(standing)?;
        self.elect().map_err(unknown)
    }

    /// Changes the configuration (manual, `replSetReconfig`).
    pub async fn reconfigure(&self, wanted: &Document, is_forced: bool) -> Result<(), CommandError> {
        let _alone = self.configuring.lock().await;
        let mut standing = self.standing();
        let Some(old) = standing.config.clone() else {
            let reason = "Node not yet initialized; use the replSetInitiate command";
            return Err(CommandError::new(NOT_YET_INITIALIZED, reason));
        };
        if !is_forced && standing.state != MemberState::Primary {
            let state = standing.state.name();
            let reason = format!("Safe reconfig is only allowed on a writable PRIMARY. Current state: {state}");
            return Err(CommandError::new(NOT_WRITABLE_PRIMARY, reason));
        }
        let mut wanted = wanted.clone();
        if is_forced {
            // Manual: "force" makes the version jump, so that it is above one that others may have made meanwhile.
            wanted.insert("version", old.version.saturating_add(10_000));
        }
        let invalid = |reason: String| CommandError::new(INVALID_REPLICA_SET_CONFIG, reason);
        let mut config = Config::read(&wanted, old.id).map_err(invalid)?;
        if config.name != self.name {
            return Err(invalid(format!(
                "Attempting to reconfigure a replica set with name {}, but command line reports {}; rejecting",
                config.name, self.name
            )));
        }
        let incompatible = |reason: String| CommandError::new(NEW_CONFIG_INCOMPATIBLE, reason);
        config.validate().and_then(|()| config.may_follow(&old)).map_err(incompatible)?;
        self.find_itself(&config).await.map_err(|reason| CommandError::new(NODE_NOT_FOUND, reason))?;
        self.reach_others(&config)?;
        config.term = if is_forced { None } else { Some(standing.term) };
        standing.config = Some(config);
        if standing.state == MemberState::Removed {
            standing.state = MemberState::Secondary;
        }
        self.keep(standing)?;
        self.elect().map_err(unknown)
    }

    /// Becomes secondary for a while (manual, `replSetStepDown`): without force only when an electable secondary has
    /// caught up, and there is none.
    pub fn step_down(self: &Arc<Self>, pause: Duration, is_forced: bool) -> Result<(), CommandError> {
        let mut standing = self.standing.lock();
        if standing.state != MemberState::Primary {
            return Err(CommandError::new(NOT_WRITABLE_PRIMARY, "not primary so can't step down"));
        }
        if !is_forced {
            let reason = "No electable secondaries caught up. Please use the replSetStepDown command with the argument \
                          {force: true} to force node to step down.";
            return Err(CommandError::new(EXCEEDED_TIME_LIMIT, reason));
        }
        let until = Instant::now() + pause;
        standing.state = MemberState::Secondary;
        standing.frozen = Some(until);
        drop(standing);
        self.count();
        self.stand_again(until);
        Ok(())
    }

    /// Does not stand for election for a while, or does again (manual, `replSetFreeze`).
    pub fn freeze(self: &Arc<Self>, pause: Duration) -> Result<(), CommandError> {
        let mut standing = self.standing.lock();
        if standing.state != MemberState::Secondary {
            let state = standing.state.name();
            let reason = format!("cannot freeze node when primary or running for election. state: {state}");
            return Err(CommandError::new(NOT_SECONDARY, reason));
        }
        let until = Instant::now() + pause;
        standing.frozen = Some(until);
        drop(standing);
        self.stand_again(until);
        Ok(())
    }

    fn stand_again(self: &Arc<Self>, at: Instant) {
        let set = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            if let Some(set) = set.upgrade()
                && let Err(error) = set.elect()
            {
                crate::log::error("ELECTION", 0, "ReplCoord", "The election is not stored", &error.to_string().into());
            }
        });
    }

    /// Becomes primary, if it may be.
    fn elect(&self) -> io::Result<()> {
        let mut standing = self.standing.lock();
        let is_frozen = standing.frozen.is_some_and(|until| until > Instant::now());
        if standing.state == MemberState::Secondary && !is_frozen {
            let now = DateTime::now().timestamp_millis() / 1000;
            let mut elected = standing.clone();
            elected.term += 1;
            elected.elected = Timestamp { time: u32::try_from(now).unwrap_or(u32::MAX), increment: 1 };
            elected.state = MemberState::Primary;
            elected.frozen = None;
            // Manual, "Self-Managed Replica Set Configuration", `term`: that of the primary that uses it.
            if let Some(config) = elected.config.as_mut().filter(|config| config.term.is_some()) {
                config.term = Some(elected.term);
            }
            self.store(&elected)?;
            *standing = elected;
        }
        drop(standing);
        self.count();
        Ok(())
    }

    fn keep(&self, standing: Standing) -> Result<(), CommandError> {
        self.store(&standing).map_err(unknown)?;
        *self.standing.lock() = standing;
        Ok(())
    }

    fn store(&self, standing: &Standing) -> io::Result<()> {
        let Some(config) = &standing.config else { return Ok(()) };
        self.files.write(FILE, &doc! { "config": config.document(), "term": standing.term })
    }

    fn count(&self) {
        self.changes.send_modify(|counter| *counter += 1);
    }

    async fn find_itself(&self, config: &Config) -> Result<(), String> {
        let mut own = Vec::new();
        for member in &config.members {
            if self.listening.is(&member.host).await {
                own.push(member);
            }
        }
        let shown = format!("{{version: {}, term: {}}}", config.version, config.term.unwrap_or(-1));
        match own[..] {
            [] => Err(format!(
                "No host described in new configuration with {shown} for replica set {} maps to this node",
                config.name
            )),
            [member] if member.is_electable() => Ok(()),
            [member] => Err(format!(
                "This node, {}, with _id {} is not electable under the new configuration with {shown} for replica set {}",
                member.host, member.id, config.name
            )),
            _ => Err(format!(
                "The hosts {} all map to this node in new configuration with {shown} for replica set {}",
                own.iter().map(|member| member.host.as_str()).collect::<Vec<_>>().join(", "),
                config.name
            )),
        }
    }

    /// There is no heartbeat in this stand-in: every other member counts as one that does not answer.
    fn reach_others(&self, config: &Config) -> Result<(), CommandError> {
        let mut others = Vec::new();
        for member in config.members.iter().skip(1) {
            others.push(member.host.as_str());
        }
        if others.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "Quorum check failed because not all proposed set members responded affirmatively: {} (this stand-in for \
             mongod plays sets of one member)",
            others.join(", ")
        );
        Err(CommandError::new(NODE_NOT_FOUND, reason))
    }
}

fn unknown(error: io::Error) -> CommandError {
    CommandError::new(UNKNOWN_ERROR, error.to_string())
}
