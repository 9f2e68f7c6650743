//! What a command needs, by what it says.

use bson::{Bson, Document};

use super::known::{Access, Known, OTHER_USERS, lookup};
use crate::authorization::InDatabase::{Define, Drop, Find, Inspect, ManageUsers, Write};
use crate::authorization::{Cluster, Need, Role};
use crate::error::{CommandError, UNAUTHORIZED};
use crate::login::Login;
use crate::server::Server;
use crate::wire::{Request, is_true};

/// Refuses a command that this connection may not give.
pub fn check(server: &Server, login: &Login, known: &Known, request: &Request) -> Result<(), CommandError> {
    let name = request.name();
    if known.is_for_admin && request.database() != "admin" {
        let reason = format!("{name} may only be run against the admin database.");
        return Err(CommandError::new(UNAUTHORIZED, reason));
    }
    if known.access == Access::Anyone || !server.settings.authorization {
        return Ok(());
    }
    let needs = needs(server, login, known.access, request);
    let is_known = login.user(server).is_some();
    if (known.access == Access::User && is_known) || (known.access != Access::User && login.may(server, &needs)) {
        return Ok(());
    }
    let reason = if is_known {
        format!("not authorized on {} to execute command {}", request.database(), shown(&request.body))
    } else {
        format!("Command {name} requires authentication")
    };
    Err(CommandError::new(UNAUTHORIZED, reason))
}

/// A command as the refusal quotes it, without what every command has.
fn shown(body: &Document) -> String {
    let mut shown = body.clone();
    for hidden in ["lsid", "$clusterTime", "$readPreference", "pwd"] {
        shown.remove(hidden);
    }
    shown.to_string()
}

fn needs<'a>(server: &Server, login: &Login, access: Access, request: &'a Request) -> Vec<Need<'a>> {
    let (database, body) = (request.database(), &request.body);
    match access {
        Access::Anyone | Access::User => Vec::new(),
        Access::Cluster(action) => vec![Need::Cluster(action)],
        Access::Database(action) => vec![Need::Database(action, database)],
        Access::Content => match request.name() {
            "aggregate" => aggregate(body, database),
            "explain" => explain(body, database),
            "bulkWrite" => spaces(body).map(|space| Need::Database(Write, of_space(space))).collect(),
            "renameCollection" => rename(body),
            "listCollections" if is_true(body.get("nameOnly")) && is_true(body.get("authorizedCollections")) => {
                own_databases(login.roles(server), database)
            }
            "listCollections" => vec![Need::Database(Inspect, database)],
            "usersInfo" if is_oneself(server, login, body, database) => Vec::new(),
            "usersInfo" => vec![Need::Database(OTHER_USERS, database)],
            // Manual, `createUser`, "Required Access": `grantRole` on each role's database.
            _ => roles(body, database).map(|of| Need::Database(ManageUsers, of)).collect(),
        },
    }
}

/// Manual, `aggregate`, "Required Access": what its stages read and write.
fn aggregate<'a>(body: &'a Document, database: &'a str) -> Vec<Need<'a>> {
    let stages: Vec<&Document> = body
        .get_array("pipeline")
        .map(|stages| stages.iter().filter_map(Bson::as_document).collect())
        .unwrap_or_default();
    if stages.first().is_some_and(|stage| stage.contains_key("$currentOp")) {
        return vec![Need::Cluster(Cluster::Monitor)];
    }
    let mut needs = vec![Need::Database(Find, database)];
    for stage in stages {
        let Some((name, content)) = stage.iter().next() else { continue };
        let target = match (name.as_str(), content) {
            ("$out" | "$merge", Bson::String(_)) => Some(database),
            ("$out", Bson::Document(into)) => into.get_str("db").ok().or(Some(database)),
            ("$merge", Bson::Document(merge)) => {
                merge.get_document("into").and_then(|into| into.get_str("db")).ok().or(Some(database))
            }
            _ => None,
        };
        needs.extend(target.map(|target| Need::Database(Write, target)));
        // Manual, "Change Streams", "Access Control": of all databases but the system's own.
        if let ("$changeStream", Bson::Document(options)) = (name.as_str(), content)
            && is_true(options.get("allChangesForCluster"))
        {
            needs.push(Need::Database(Find, "*"));
        }
    }
    needs
}

/// Manual, `explain`, "Required Access": that of what is explained.
fn explain<'a>(body: &'a Document, database: &'a str) -> Vec<Need<'a>> {
    let inner = body.get_document("explain").ok();
    let name = inner.and_then(|inner| inner.keys().next()).map_or("", String::as_str);
    match (inner, lookup(name).map(|known| known.access)) {
        (Some(inner), Some(Access::Content)) if name == "aggregate" => aggregate(inner, database),
        (_, Some(Access::Database(action))) => vec![Need::Database(action, database)],
        _ => vec![Need::Database(Find, database)],
    }
}

/// Manual, `renameCollection`, "Required Access".
fn rename(body: &Document) -> Vec<Need<'_>> {
    let [from, to] = ["renameCollection", "to"].map(|name| of_space(body.get_str(name).unwrap_or_default()));
    let mut needs = vec![Need::Database(Define, from), Need::Database(Define, to)];
    if from != to {
        needs.extend([Need::Database(Find, from), Need::Database(Write, to)]);
    }
    if is_true(body.get("dropTarget")) {
        needs.push(Need::Database(Define, to));
    }
    needs
}

/// Manual, `bulkWrite`: what its operations write to.
fn spaces(body: &Document) -> impl Iterator<Item = &str> {
    let spaces = body.get_array("nsInfo").map(Vec::as_slice).unwrap_or_default();
    spaces.iter().filter_map(Bson::as_document).filter_map(|space| space.get_str("ns").ok())
}

fn of_space(space: &str) -> &str {
    space.split_once('.').map_or(space, |(database, _)| database)
}

/// Manual, `listCollections`, "Required Access": with `authorizedCollections` any privilege in the database will do.
fn own_databases(roles: Vec<Role>, database: &str) -> Vec<Need<'_>> {
    let any = [Find, Inspect, Write, Define, Drop].map(|action| Need::Database(action, database));
    let has = any.iter().find(|need| roles.iter().any(|role| role.allows(**need)));
    vec![has.copied().unwrap_or(Need::Database(Inspect, database))]
}

/// Manual, `usersInfo`, "Required Access": users can always look at themselves.
fn is_oneself(server: &Server, login: &Login, body: &Document, database: &str) -> bool {
    let Some((own, own_database)) = login.user(server) else { return false };
    match body.get("usersInfo") {
        Some(Bson::String(name)) => *name == own && database == own_database,
        Some(Bson::Document(user)) => {
            user.get_str("user").is_ok_and(|name| name == own)
                && user.get_str("db").is_ok_and(|name| name == own_database)
        }
        _ => false,
    }
}

/// The user's database, and those of the roles that the command names.
fn roles<'a>(body: &'a Document, database: &'a str) -> impl Iterator<Item = &'a str> {
    let roles = body.get_array("roles").map(Vec::as_slice).unwrap_or_default();
    let of_roles = roles.iter().filter_map(Bson::as_document).filter_map(|role| role.get_str("db").ok());
    std::iter::once(database).chain(of_roles)
}
