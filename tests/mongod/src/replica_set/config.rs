//! The configuration of a replica set (MongoDB manual, "Self-Managed Replica Set Configuration").

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};

use crate::wire::{is_true, number};

const FIELDS: &[&str] =
    &["_id", "version", "term", "members", "protocolVersion", "writeConcernMajorityJournalDefault", "settings"];

const MEMBER_FIELDS: &[&str] =
    &["_id", "host", "arbiterOnly", "buildIndexes", "hidden", "priority", "tags", "secondaryDelaySecs", "votes"];

const SETTINGS: &[&str] = &[
    "chainingAllowed",
    "heartbeatIntervalMillis",
    "heartbeatTimeoutSecs",
    "electionTimeoutMillis",
    "catchUpTimeoutMillis",
    "catchUpTakeoverDelayMillis",
    "getLastErrorModes",
    "getLastErrorDefaults",
    "replicaSetId",
];

/// A configuration of which each field has its kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub name: String,
    pub version: i32,
    /// Of the primary that it was made on; `None`: it was forced.
    pub term: Option<i64>,
    pub members: Vec<Member>,
    pub id: ObjectId,
    is_journaled: bool,
    settings: Document,
}

/// A member in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub id: i32,
    /// `host:port`
    pub host: String,
    pub is_arbiter: bool,
    pub is_hidden: bool,
    pub priority: f64,
    pub votes: i32,
    pub tags: Document,
    builds_indexes: bool,
    /// Seconds.
    delay: i64,
}

impl Config {
    /// Reads one. `id`: that of the set, if the document names none.
    pub fn read(document: &Document, id: ObjectId) -> Result<Self, String> {
        known(document, FIELDS, "ReplSetConfig")?;
        let name = document.get_str("_id").map_err(|_| missing("ReplSetConfig._id", "string"))?.to_owned();
        let members = document.get_array("members").map_err(|_| missing("ReplSetConfig.members", "array"))?;
        let members = members.iter().map(Member::read).collect::<Result<Vec<_>, _>>()?;
        if whole(document, "protocolVersion", 1)? != 1 {
            return Err("protocolVersion must be 1: no other is supported".to_owned());
        }
        let mut settings = match document.get("settings") {
            None => Document::new(),
            Some(Bson::Document(settings)) => settings.clone(),
            Some(_) => return Err(missing("ReplSetConfig.settings", "object")),
        };
        known(&settings, SETTINGS, "ReplSetConfig.settings")?;
        let id = match settings.remove("replicaSetId") {
            None => id,
            Some(Bson::ObjectId(id)) => id,
            Some(_) => return Err(missing("ReplSetConfig.settings.replicaSetId", "objectId")),
        };
        let version = whole(document, "version", 1)?;
        Ok(Self {
            name,
            version: i32::try_from(version)
                .ok()
                .filter(|version| *version > 0)
                .ok_or_else(|| format!("version field value of {version} is out of range"))?,
            term: document.get("term").and_then(number).map(|_| whole(document, "term", 0)).transpose()?,
            members,
            id,
            is_journaled: document.get("writeConcernMajorityJournalDefault").is_none_or(|value| is_true(Some(value))),
            settings,
        })
    }

    /// What the manual demands of members, alone and together.
    pub fn validate(&self) -> Result<(), String> {
        if !(1..=50).contains(&self.members.len()) {
            return Err(format!("a replica set has 1 to 50 members, not {}", self.members.len()));
        }
        for (at, member) in self.members.iter().enumerate() {
            member.validate()?;
            let others = &self.members[..at];
            if others.iter().any(|other| other.id == member.id) {
                return Err(format!("Found two member configurations with same _id field, {}", member.id));
            }
            if others.iter().any(|other| other.host == member.host) {
                return Err(format!("Found two member configurations with same host field, {}", member.host));
            }
            if others.iter().any(|other| is_localhost(&other.host) != is_localhost(&member.host)) {
                return Err("Either all host names in a replica set configuration must be localhost references, or \
                            none must be"
                    .to_owned());
            }
        }
        let voters = self.members.iter().filter(|member| member.votes > 0).count();
        if !(1..=7).contains(&voters) {
            return Err(format!("Replica set configuration must contain 1 to 7 voting members, not {voters}"));
        }
        if !self.members.iter().any(Member::is_electable) {
            return Err(
                "Replica set configuration must contain at least one non-arbiter member with priority > 0".to_owned()
            );
        }
        Ok(())
    }

    /// Whether this one may follow the other (manual, `replSetReconfig`).
    pub fn may_follow(&self, old: &Self) -> Result<(), String> {
        if self.id != old.id {
            return Err(format!(
                "New and old configurations differ in replica set ID; old was {}, and new is {}",
                old.id, self.id
            ));
        }
        if self.version <= old.version {
            return Err(format!(
                "New replica set configuration version must be greater than old, but {} is not greater than {} for \
                 replica set {}",
                self.version, old.version, self.name
            ));
        }
        for member in &self.members {
            let Some(before) = old.members.iter().find(|before| before.host == member.host) else { continue };
            if before.id != member.id {
                return Err(format!(
                    "New and old configurations both have members with host of {} but in the new configuration the \
                     _id field is {} and in the old configuration it is {}",
                    member.host, member.id, before.id
                ));
            }
            if (before.is_arbiter, before.builds_indexes) != (member.is_arbiter, member.builds_indexes) {
                return Err(format!("the arbiterOnly and buildIndexes fields of {} cannot change", member.host));
            }
        }
        Ok(())
    }

    /// As `replSetGetConfig` shows it.
    pub fn document(&self) -> Document {
        let mut document = doc! { "_id": &self.name, "version": self.version };
        if let Some(term) = self.term {
            document.insert("term", term);
        }
        document.insert("members", self.members.iter().map(Member::document).collect::<Vec<_>>());
        document.insert("protocolVersion", 1_i64);
        document.insert("writeConcernMajorityJournalDefault", self.is_journaled);
        // Manual, the same page: the defaults.
        let mut settings = doc! {
            "chainingAllowed": true,
            "heartbeatIntervalMillis": 2000,
            "heartbeatTimeoutSecs": 10,
            "electionTimeoutMillis": 10_000,
            "catchUpTimeoutMillis": -1,
            "catchUpTakeoverDelayMillis": 30_000,
            "getLastErrorModes": {},
            "getLastErrorDefaults": { "w": 1, "wtimeout": 0 },
        };
        settings.extend(self.settings.clone());
        settings.insert("replicaSetId", self.id);
        document.insert("settings", settings);
        document
    }
}

impl Member {
    fn read(value: &Bson) -> Result<Self, String> {
        let Bson::Document(document) = value else { return Err(missing("ReplSetConfig.members.0", "object")) };
        known(document, MEMBER_FIELDS, "MemberConfig")?;
        if !document.contains_key("_id") {
            return Err("BSON field 'MemberConfig._id' is missing but a required field".to_owned());
        }
        let id = whole(document, "_id", 0)?;
        let host = document.get_str("host").map_err(|_| missing("MemberConfig.host", "string"))?;
        let host = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.to_owned()
        } else {
            format!("{host}:27017")
        };
        let switch = |name, default| match document.get(name) {
            None => Ok(default),
            Some(value @ (Bson::Boolean(_) | Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_))) => {
                Ok(is_true(Some(value)))
            }
            Some(_) => Err(missing(&format!("MemberConfig.{name}"), "bool")),
        };
        let is_arbiter = switch("arbiterOnly", false)?;
        let tags = match document.get("tags") {
            None => Document::new(),
            Some(Bson::Document(tags)) if tags.values().all(|value| value.as_str().is_some()) => tags.clone(),
            Some(_) => return Err("tags must be an object whose values are strings".to_owned()),
        };
        let priority = match document.get("priority") {
            None => f64::from(u8::from(!is_arbiter)),
            Some(value) => number(value).ok_or_else(|| missing("MemberConfig.priority", "number"))?,
        };
        let votes = whole(document, "votes", 1)?;
        Ok(Self {
            id: i32::try_from(id)
                .ok()
                .filter(|id| (0..=255).contains(id))
                .ok_or_else(|| format!("_id field value of {id} is out of range"))?,
            host,
            is_arbiter,
            is_hidden: switch("hidden", false)?,
            priority,
            votes: i32::try_from(votes).unwrap_or(i32::MAX),
            tags,
            builds_indexes: switch("buildIndexes", true)?,
            delay: whole(document, "secondaryDelaySecs", 0)?,
        })
    }

    fn validate(&self) -> Result<(), String> {
        if !(0.0..=1000.0).contains(&self.priority) {
            return Err(format!("priority field value of {} is out of range", self.priority));
        }
        if !(0..=1).contains(&self.votes) {
            return Err(format!("votes field value is {} but must be 0 or 1", self.votes));
        }
        let reason = if self.is_arbiter && self.votes == 0 {
            return Err("Arbiter must vote (cannot have 0 votes)".to_owned());
        } else if self.is_arbiter && self.priority > 1.0 {
            return Err("priority must be 0 or 1 for arbiter".to_owned());
        } else if self.votes == 0 {
            "non-voting (votes:0)"
        } else if self.is_hidden {
            "hidden=true"
        } else if self.delay > 0 {
            "secondaryDelaySecs is used"
        } else if !self.builds_indexes {
            "buildIndexes=false"
        } else {
            return Ok(());
        };
        if self.priority > 0.0 { Err(format!("priority must be 0 when {reason}")) } else { Ok(()) }
    }

    /// Whether it can become primary.
    pub fn is_electable(&self) -> bool {
        !self.is_arbiter && self.priority > 0.0
    }

    fn document(&self) -> Document {
        doc! {
            "_id": self.id,
            "host": &self.host,
            "arbiterOnly": self.is_arbiter,
            "buildIndexes": self.builds_indexes,
            "hidden": self.is_hidden,
            "priority": self.priority,
            "tags": self.tags.clone(),
            "secondaryDelaySecs": self.delay,
            "votes": self.votes,
        }
    }
}

fn is_localhost(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "[::1]") || name.starts_with("127.")
}

fn known(document: &Document, fields: &[&str], of: &str) -> Result<(), String> {
    match document.keys().find(|name| !fields.contains(&name.as_str())) {
        Some(unknown) => Err(format!("BSON field '{of}.{unknown}' is an unknown field.")),
        None => Ok(()),
    }
}

fn missing(field: &str, kind: &str) -> String {
    format!("BSON field '{field}' is missing or is no {kind}")
}

/// A whole number, in whichever kind it is written.
fn whole(document: &Document, field: &str, default: i64) -> Result<i64, String> {
    match document.get(field) {
        None => Ok(default),
        Some(Bson::Int64(value)) => Ok(*value),
        Some(value) => match number(value).filter(|number| number.fract() == 0.0 && number.abs() < 1e15) {
            // Below 2^53.
            Some(number) => Ok(number as i64),
            None => Err(missing(field, "whole number")),
        },
    }
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
