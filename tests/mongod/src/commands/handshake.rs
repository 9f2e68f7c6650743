//! What drivers ask first.

use std::io;
use std::time::Duration;

use bson::{Bson, Document, doc};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::error::{AUTHENTICATION_FAILED, CommandError, MECHANISM_UNAVAILABLE};
use crate::replica_set::{MemberState, ReplicaSet, Standing};
use crate::server::Server;
use crate::wire::{Request, number};

/// What of the backend's own answer holds for this server.
const LIMITS: &[&str] =
    &["maxBsonObjectSize", "maxMessageSizeBytes", "maxWriteBatchSize", "localTime", "logicalSessionTimeoutMinutes"];

/// Manual, `hello`.
pub async fn hello(connection: &mut Connection, request: &Request) -> io::Result<Document> {
    let server = connection.server.clone();
    if let Some(set) = &server.set {
        await_change(set, &request.body).await;
    }
    let of_backend = connection.link.hello().await?;
    let mut answer = Document::new();
    if request.body.contains_key("helloOk") {
        answer.insert("helloOk", true);
    }
    let primary = if request.name() == "hello" { "isWritablePrimary" } else { "ismaster" };
    match &server.set {
        Some(set) => {
            answer.insert("topologyVersion", set.topology_version());
            answer.extend(member(&set.standing(), primary, &of_backend));
        }
        None => _ = answer.insert(primary, true),
    }
    for name in LIMITS {
        answer.extend(of_backend.get(name).map(|value| ((*name).to_owned(), value.clone())));
    }
    answer.insert("connectionId", connection.id);
    answer.insert("minWireVersion", 0);
    answer.insert("maxWireVersion", server.settings.version.wire());
    answer.insert("readOnly", false);
    if let Ok(attempt) = request.body.get_document("speculativeAuthenticate")
        // Specification "Authentication", "Speculative Authentication": without an answer to it, the driver logs in later.
        && attempt.contains_key("authenticate")
        && let Ok(user) = connection.login.authenticate(&server, attempt)
    {
        answer.insert("speculativeAuthenticate", user);
    }
    Ok(answer)
}

/// Specification "Server Discovery and Monitoring", "Awaitable hello": the answer waits until something has changed.
async fn await_change(set: &ReplicaSet, body: &Document) {
    let (Ok(seen), Some(limit)) = (body.get_document("topologyVersion"), body.get("maxAwaitTimeMS").and_then(number))
    else {
        return;
    };
    let is_this = seen.get_object_id("processId").is_ok_and(|process| process == set.process);
    let counter = seen.get("counter").and_then(number);
    let limit = Duration::try_from_secs_f64(limit / 1000.0).unwrap_or_default();
    let mut changes = set.changes();
    // Counters are small.
    let changed = changes.wait_for(|current| !is_this || counter != Some(*current as f64));
    // Either way there is an answer now.
    let _ = timeout(limit, changed).await;
}

/// The part of a member of a replica set.
fn member(standing: &Standing, primary: &str, of_backend: &Document) -> Document {
    let Some((config, own)) = standing.member() else {
        return doc! {
            primary: false,
            "secondary": false,
            "info": "Does not have a valid replica set config",
            "isreplicaset": true,
        };
    };
    let is_primary = standing.state == MemberState::Primary;
    let hosts = |wanted: &dyn Fn(&crate::replica_set::config::Member) -> bool| {
        let hosts = config.members.iter().filter(|member| !member.is_hidden && wanted(member));
        hosts.map(|member| member.host.clone()).collect::<Vec<_>>()
    };
    let mut answer = doc! { "hosts": hosts(&|member| member.priority > 0.0) };
    let passives = hosts(&|member| member.priority == 0.0);
    if !passives.is_empty() {
        answer.insert("passives", passives);
    }
    answer.extend(doc! {
        "setName": &config.name,
        "setVersion": config.version,
        primary: is_primary,
        "secondary": standing.state == MemberState::Secondary,
    });
    if is_primary {
        answer.insert("primary", &own.host);
    }
    if !own.tags.is_empty() {
        answer.insert("tags", own.tags.clone());
    }
    answer.insert("me", &own.host);
    if is_primary {
        let mut id = [0; 12];
        id[..4].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
        id[4..].copy_from_slice(&standing.term.to_be_bytes());
        answer.insert("electionId", bson::oid::ObjectId::from_bytes(id));
    }
    answer.insert("lastWrite", last_write(of_backend, standing.term));
    answer
}

/// The backend's last write, in this member's term.
pub fn last_write(of_backend: &Document, term: i64) -> Document {
    let mut written = of_backend.get_document("lastWrite").cloned().unwrap_or_default();
    for name in ["opTime", "majorityOpTime"] {
        if let Ok(time) = written.get_document_mut(name) {
            time.insert("t", term);
        }
    }
    written
}

/// Manual, "Authentication Commands": the mechanisms with passwords, which this stand-in does not have.
pub fn sasl(server: &Server, body: &Document) -> Result<Document, CommandError> {
    let mechanism = body.get_str("mechanism").unwrap_or_default();
    if server.settings.mechanisms.iter().any(|enabled| enabled == mechanism) {
        // As for every user that does not exist.
        return Err(CommandError::new(AUTHENTICATION_FAILED, "Authentication failed."));
    }
    let reason = format!("Received authentication for mechanism {mechanism} which is not enabled");
    Err(CommandError::new(MECHANISM_UNAVAILABLE, reason))
}

/// Manual, `connectionStatus`.
pub fn connection_status(connection: &Connection, body: &Document) -> Document {
    let server = &connection.server;
    let users = connection.login.user(server).map(|(user, database)| doc! { "user": user, "db": database });
    let roles: Vec<Document> =
        connection.login.roles(server).iter().map(crate::authorization::Role::document).collect();
    let mut info =
        doc! { "authenticatedUsers": users.into_iter().collect::<Vec<_>>(), "authenticatedUserRoles": roles };
    if crate::wire::is_true(body.get("showPrivileges")) {
        info.insert("authenticatedUserPrivileges", Bson::Array(Vec::new()));
    }
    doc! { "authInfo": info }
}
