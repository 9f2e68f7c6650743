//! Commands about this process.

use std::io;

use bson::{Bson, Document, doc};

use super::Fault;
use super::known;
use crate::authorization::{InDatabase, Need};
use crate::connection::Connection;
use crate::error::{CommandError, EXCEEDED_TIME_LIMIT, INVALID_OPTIONS, INVALID_TLS_CONFIGURATION};
use crate::log;
use crate::replica_set::MemberState;
use crate::server::Server;
use crate::wire::is_true;

/// Manual, `buildInfo`.
pub async fn build_info(connection: &mut Connection, body: &Document) -> io::Result<Document> {
    let version = connection.server.settings.version;
    let mut answer = connection.link.ask(body).await?;
    answer.remove("secantusVersion");
    if answer.contains_key("version") {
        answer.insert("version", version.to_string());
        let numbers = [version.major, version.minor, version.patch, 0].map(|number| Bson::Int32(number.cast_signed()));
        answer.insert("versionArray", Bson::Array(numbers.to_vec()));
    }
    Ok(answer)
}

/// Manual, `listCommands`.
pub fn list_commands() -> Document {
    let mut commands = Document::new();
    for name in known::names() {
        let is_for_admin = known::lookup(name).is_some_and(|known| known.is_for_admin);
        commands.insert(name, doc! { "help": "", "adminOnly": is_for_admin });
    }
    doc! { "commands": commands }
}

/// Manual, `listDatabases`, "Required Access": without the privilege for all, those that may be read.
pub async fn list_databases(connection: &mut Connection, body: &Document) -> io::Result<Document> {
    let mut answer = connection.link.ask(body).await?;
    let Connection { server, login, .. } = connection;
    if !login.may(server, &[Need::Cluster(known::ALL_DATABASES)])
        && let Ok(databases) = answer.get_array_mut("databases")
    {
        databases.retain(|database| {
            let name = database.as_document().and_then(|database| database.get_str("name").ok()).unwrap_or_default();
            login.may(server, &[Need::Database(InDatabase::Find, name)])
        });
    }
    Ok(answer)
}

/// Manual, `serverStatus`.
pub async fn server_status(connection: &mut Connection, body: &Document) -> io::Result<Document> {
    let mut answer = connection.link.ask(body).await?;
    let server = &connection.server;
    let seconds = server.started.elapsed().as_secs_f64();
    for (name, value) in [
        ("version", Bson::String(server.settings.version.to_string())),
        ("process", Bson::String("mongod".to_owned())),
        ("pid", Bson::Int64(i64::from(std::process::id()))),
        ("uptime", Bson::Double(seconds.floor())),
    ] {
        if answer.contains_key(name) {
            answer.insert(name, value);
        }
    }
    // What is only the backend's.
    answer.remove("secantus");
    // Manual: each section is left out by name.
    if body.get("repl").is_none_or(|wanted| is_true(Some(wanted)))
        && let Some(set) = &server.set
        && let Some((config, own)) = set.standing().member()
    {
        let is_primary = set.standing().state == MemberState::Primary;
        let repl = doc! {
            "topologyVersion": set.topology_version(),
            "hosts": config.members.iter().map(|member| member.host.clone()).collect::<Vec<_>>(),
            "setName": &config.name,
            "setVersion": config.version,
            "isWritablePrimary": is_primary,
            "secondary": !is_primary,
            "me": &own.host,
        };
        answer.insert("repl", repl);
    }
    Ok(answer)
}

/// Manual, `getParameter`: what this process was started with, and what the backend knows.
pub async fn get_parameter(connection: &mut Connection, body: &Document) -> Result<Document, Fault> {
    let own = parameters(&connection.server);
    let wants_all = body.get_str("getParameter").is_ok_and(|which| which == "*");
    let is_asked = |name: &str| wants_all || body.contains_key(name);
    let mut rest = body.clone();
    for name in own.keys() {
        rest.remove(name);
    }
    let asked = rest.keys().any(|name| {
        !matches!(name.as_str(), "getParameter" | "lsid" | "comment" | "maxTimeMS") && !name.starts_with('$')
    });
    let mut answer = Document::new();
    if wants_all || asked {
        let found = connection.link.ask(&rest).await?;
        if is_true(found.get("ok")) {
            answer = found;
        }
    }
    let found = own.into_iter().filter(|(name, _)| is_asked(name)).collect::<Vec<_>>();
    if found.is_empty() && answer.is_empty() {
        return Err(CommandError::new(INVALID_OPTIONS, "no option found to get").into());
    }
    answer.extend(found);
    Ok(answer)
}

fn parameters(server: &Server) -> Document {
    let settings = &server.settings;
    let mut parameters = settings.parsed.get_document("setParameter").cloned().unwrap_or_default();
    let option = |section: &str, name: &str, default: &str| {
        let found = settings.parsed.get_document(section).and_then(|section| section.get_str(name));
        found.unwrap_or(default).to_owned()
    };
    let tls = settings.parsed.get_document("net").and_then(|net| net.get_document("tls"));
    let mode = tls.and_then(|tls| tls.get_str("mode")).unwrap_or("disabled").to_owned();
    parameters.extend(doc! {
        "featureCompatibilityVersion": server.compatibility.document(),
        "authenticationMechanisms": settings.mechanisms.clone(),
        "enableLocalhostAuthBypass": settings.localhost_exception,
        "clusterAuthMode": option("security", "clusterAuthMode", "undefined"),
        "tlsMode": mode,
    });
    parameters
}

/// Manual, `rotateCertificates`.
pub fn rotate_certificates(server: &Server) -> Result<Document, CommandError> {
    let rotated = match &server.tls {
        Some(tls) => tls.rotate(),
        None => Err("TLS is not configured".to_owned()),
    };
    rotated.map_err(|reason| CommandError::new(INVALID_TLS_CONFIGURATION, reason))?;
    log::info("NETWORK", 4_913_400, "conn", "Successfully rotated X509 certificates.", &serde_json::Value::Null);
    Ok(Document::new())
}

/// Manual, `shutdown`: the primary only goes without force when a secondary has caught up, and there is none.
pub fn shutdown(server: &Server, body: &Document) -> Result<(), CommandError> {
    let is_primary = server.set.as_ref().is_some_and(|set| set.standing().state == MemberState::Primary);
    if is_primary && !is_true(body.get("force")) {
        return Err(CommandError::new(EXCEEDED_TIME_LIMIT, "No electable secondaries caught up"));
    }
    server.stop();
    Ok(())
}
