//! Commands about the replica set (MongoDB manual, "Replication Commands").

use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, DateTime, Document, doc};

use super::Fault;
use super::handshake::last_write;
use crate::connection::Connection;
use crate::error::{
    BAD_VALUE, CommandError, FAILED_TO_PARSE, INVALID_REPLICA_SET_CONFIG, NO_REPLICATION_ENABLED, NOT_YET_INITIALIZED,
    TYPE_MISMATCH,
};
use crate::replica_set::config::Config;
use crate::replica_set::{MemberState, ReplicaSet};
use crate::server::Server;
use crate::wire::{Request, is_true, number};

const NO_CONFIG: &str = "no replset config has been received";

fn set(server: &Server) -> Result<&Arc<ReplicaSet>, CommandError> {
    server.set.as_ref().ok_or_else(|| CommandError::new(NO_REPLICATION_ENABLED, "not running with --replSet"))
}

/// Manual, `replSetInitiate`.
pub async fn initiate(server: &Server, body: &Document) -> Result<Document, CommandError> {
    let reason = "This node was not started with replication enabled.";
    let set = server.set.as_ref().ok_or_else(|| CommandError::new(NO_REPLICATION_ENABLED, reason))?;
    match body.get("replSetInitiate") {
        Some(Bson::Document(config)) if !config.is_empty() => {
            set.initiate(config).await?;
            Ok(Document::new())
        }
        // Manual: without one, the server makes one of itself alone.
        _ => {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let host = set.own_host(&name);
            let config = doc! { "_id": &set.name, "version": 1, "members": [{ "_id": 0, "host": &host }] };
            set.initiate(&config).await?;
            let info = "no configuration specified. Using a default configuration for the set";
            Ok(doc! { "info2": info, "me": host })
        }
    }
}

/// Manual, `replSetReconfig`.
pub async fn reconfigure(server: &Server, body: &Document) -> Result<Document, CommandError> {
    let set = set(server)?;
    let Ok(config) = body.get_document("replSetReconfig") else {
        return Err(CommandError::new(BAD_VALUE, "no configuration specified"));
    };
    set.reconfigure(config, is_true(body.get("force"))).await.map(|()| Document::new())
}

/// Manual, `replSetGetConfig`.
pub fn get_config(server: &Server, body: &Document) -> Result<Document, CommandError> {
    let standing = set(server)?.standing();
    let config = standing.config.as_ref().ok_or_else(|| CommandError::new(NOT_YET_INITIALIZED, NO_CONFIG))?;
    let mut answer = doc! { "config": config.document() };
    if is_true(body.get("commitmentStatus")) {
        if standing.state != MemberState::Primary {
            let reason = "commitmentStatus is only supported on primary.";
            return Err(CommandError::new(crate::error::NOT_WRITABLE_PRIMARY, reason));
        }
        // The only member has it.
        answer.insert("commitmentStatus", true);
    }
    Ok(answer)
}

/// The answer to whoever reads the configuration where a member stores it (manual, "The local Database"): the whole, as it
/// is the only document there.
pub fn stored_config(server: &Server, request: &Request) -> Option<Document> {
    let space = "local.system.replset";
    let is_it = request.name() == "find" && request.body.get_str("find").is_ok_and(|name| name == "system.replset");
    if !is_it || request.database() != "local" {
        return None;
    }
    let stored = server.set.as_ref().and_then(|set| set.standing().config);
    let batch: Vec<Document> = stored.iter().map(Config::document).collect();
    Some(doc! { "cursor": { "firstBatch": batch, "id": 0_i64, "ns": space }, "ok": 1.0 })
}

/// Manual, `replSetStepDown`.
pub fn step_down(server: &Server, body: &Document) -> Result<Document, CommandError> {
    let set = set(server)?;
    let is_forced = is_true(body.get("force"));
    let pause = seconds(body, "replSetStepDown")?.unwrap_or(60);
    let wait = seconds(body, "secondaryCatchUpPeriodSecs")?.unwrap_or(if is_forced { 0 } else { 10.min(pause) });
    if pause < wait {
        let reason = "stepdown period must be longer than secondaryCatchUpPeriodSecs";
        return Err(CommandError::new(BAD_VALUE, reason));
    }
    set.step_down(Duration::from_secs(pause), is_forced).map(|()| Document::new())
}

/// Manual, `replSetFreeze`.
pub fn freeze(server: &Server, body: &Document) -> Result<Document, CommandError> {
    let pause = seconds(body, "replSetFreeze")?.unwrap_or_default();
    set(server)?.freeze(Duration::from_secs(pause)).map(|()| Document::new())
}

fn seconds(body: &Document, name: &str) -> Result<Option<u64>, CommandError> {
    match body.get(name).map(number) {
        None => Ok(None),
        // Above a year is as good as a year.
        Some(Some(seconds)) if seconds >= 0.0 => Ok(Some(seconds.min(31_536_000.0) as u64)),
        Some(Some(_)) => Err(CommandError::new(BAD_VALUE, format!("{name} must be a non-negative integer"))),
        Some(None) => Err(CommandError::new(TYPE_MISMATCH, format!("{name} must be a number"))),
    }
}

/// Manual, `replSetGetStatus`.
pub async fn get_status(connection: &mut Connection) -> Result<Document, Fault> {
    let server = connection.server.clone();
    let set = set(&server)?;
    let standing = set.standing();
    let Some((config, own)) = standing.member() else {
        return Err(Fault::Refused(match standing.state {
            MemberState::Removed => {
                let reason = "Our replica set config is invalid or we are not a member of it";
                CommandError::new(INVALID_REPLICA_SET_CONFIG, reason)
            }
            _ => CommandError::new(NOT_YET_INITIALIZED, NO_CONFIG),
        }));
    };
    let written = last_write(&connection.link.hello().await?, standing.term);
    let (Ok(time), Ok(date)) = (written.get_document("opTime"), written.get_datetime("lastWriteDate")) else {
        return Err(CommandError::new(FAILED_TO_PARSE, "secantusd-rs does not tell its last write").into());
    };
    let is_primary = standing.state == MemberState::Primary;
    let mut member = doc! {
        "_id": own.id,
        "name": &own.host,
        "health": 1.0,
        "state": standing.state as i32,
        "stateStr": standing.state.name(),
        "uptime": i32::try_from(server.started.elapsed().as_secs()).unwrap_or(i32::MAX),
        "optime": time.clone(),
        "optimeDate": *date,
        "lastAppliedWallTime": *date,
        "lastDurableWallTime": *date,
        "syncSourceHost": "",
        "syncSourceId": -1,
        "infoMessage": "",
    };
    if is_primary {
        member.insert("electionTime", standing.elected);
        member.insert("electionDate", DateTime::from_millis(i64::from(standing.elected.time) * 1000));
    }
    member.extend(doc! {
        "configVersion": config.version,
        "configTerm": config.term.unwrap_or(-1),
        "self": true,
        "lastHeartbeatMessage": "",
    });
    Ok(doc! {
        "set": &config.name,
        "date": DateTime::now(),
        "myState": standing.state as i32,
        "term": standing.term,
        "syncSourceHost": "",
        "syncSourceId": -1,
        "heartbeatIntervalMillis": 2000_i64,
        "majorityVoteCount": 1,
        "writeMajorityCount": 1,
        "votingMembersCount": 1,
        "writableVotingMembersCount": 1,
        "optimes": {
            "lastCommittedOpTime": time.clone(),
            "lastCommittedWallTime": *date,
            "readConcernMajorityOpTime": time.clone(),
            "appliedOpTime": time.clone(),
            "durableOpTime": time.clone(),
            "lastAppliedWallTime": *date,
            "lastDurableWallTime": *date,
        },
        "members": [member],
    })
}
