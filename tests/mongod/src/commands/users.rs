//! Users (MongoDB manual, "User Management Commands").

use bson::{Bson, Document, doc};

use crate::authorization::Role;
use crate::error::{
    BAD_VALUE, CommandError, MISSING_FIELD, ROLE_NOT_FOUND, TYPE_MISMATCH, UNKNOWN_ERROR, UNKNOWN_FIELD, USER_EXISTS,
    USER_NOT_FOUND,
};
use crate::server::Server;
use crate::users::{EXTERNAL, User};
use crate::wire::{Request, is_true};

/// Fields that any command may have.
const GENERIC: &[&str] = &[
    "apiVersion",
    "apiStrict",
    "apiDeprecationErrors",
    "comment",
    "lsid",
    "maxTimeMS",
    "readConcern",
    "txnNumber",
    "writeConcern",
];

/// Manual, `createUser`.
pub fn create(server: &Server, request: &Request) -> Result<Document, CommandError> {
    let body = &request.body;
    fields(request, &["roles", "pwd", "customData", "mechanisms", "digestPassword", "authenticationRestrictions"])?;
    let name = name(request)?;
    external(request)?;
    let found = roles(request)?;
    let roles = found.ok_or_else(|| {
        CommandError::new(MISSING_FIELD, "BSON field 'createUser.roles' is missing but a required field")
    })?;
    // Manual, "Use X.509 Certificates to Authenticate Clients": a member's name cannot be a user's.
    if server.tls.as_ref().is_some_and(|tls| tls.current().member.is_fellow_name(name)) {
        let reason =
            "Cannot create an x.509 user with a subjectname that would be recognized as an internal cluster member";
        return Err(CommandError::new(BAD_VALUE, reason));
    }
    if server.users.get(name, EXTERNAL).is_some() {
        return Err(CommandError::new(USER_EXISTS, format!("User \"{name}@{EXTERNAL}\" already exists")));
    }
    keep(server, User::new(name, roles, body.get_document("customData").ok().cloned()))
}

/// Manual, `updateUser`: what is named takes the place of what was.
pub fn update(server: &Server, request: &Request) -> Result<Document, CommandError> {
    let body = &request.body;
    fields(request, &["roles", "pwd", "customData", "mechanisms", "digestPassword", "authenticationRestrictions"])?;
    external(request)?;
    let roles = roles(request)?;
    let custom_data = body.get_document("customData").ok();
    if roles.is_none() && custom_data.is_none() {
        return Err(CommandError::new(BAD_VALUE, "Must specify at least one field to update in updateUser"));
    }
    let mut user = existing(server, request)?;
    user.roles = roles.unwrap_or(user.roles);
    user.custom_data = custom_data.cloned().or(user.custom_data);
    keep(server, user)
}

/// Manual, `grantRolesToUser`.
pub fn grant(server: &Server, request: &Request) -> Result<Document, CommandError> {
    let granted = some_roles(request)?;
    let mut user = existing(server, request)?;
    for role in granted {
        if !user.roles.contains(&role) {
            user.roles.push(role);
        }
    }
    keep(server, user)
}

/// Manual, `revokeRolesFromUser`.
pub fn revoke(server: &Server, request: &Request) -> Result<Document, CommandError> {
    let revoked = some_roles(request)?;
    let mut user = existing(server, request)?;
    user.roles.retain(|role| !revoked.contains(role));
    keep(server, user)
}

/// Manual, `dropUser`.
pub fn remove(server: &Server, request: &Request) -> Result<Document, CommandError> {
    fields(request, &[])?;
    let name = name(request)?;
    let removed = server.users.remove(name, request.database()).map_err(unknown)?;
    if removed {
        return Ok(Document::new());
    }
    Err(CommandError::new(USER_NOT_FOUND, format!("User '{name}@{}' not found", request.database())))
}

/// Manual, `dropAllUsersFromDatabase`.
pub fn remove_all(server: &Server, request: &Request) -> Result<Document, CommandError> {
    fields(request, &[])?;
    let removed = server.users.remove_all(request.database()).map_err(unknown)?;
    Ok(doc! { "n": i32::try_from(removed).unwrap_or(i32::MAX) })
}

/// Manual, `usersInfo`.
pub fn info(server: &Server, request: &Request) -> Result<Document, CommandError> {
    fields(
        request,
        &["showCredentials", "showCustomData", "showPrivileges", "showAuthenticationRestrictions", "filter"],
    )?;
    let all = server.users.all();
    let wrong = || CommandError::new(BAD_VALUE, "UserName must be either a string or an object");
    let named = |value: &Bson| match value {
        Bson::String(name) => Ok((name.clone(), request.database().to_owned())),
        Bson::Document(user) => match (user.get_str("user"), user.get_str("db")) {
            (Ok(name), Ok(database)) => Ok((name.to_owned(), database.to_owned())),
            _ => Err(CommandError::new(BAD_VALUE, "UserName must contain a field named: user, and one named: db")),
        },
        _ => Err(wrong()),
    };
    let found: Vec<&User> = match request.body.get("usersInfo").ok_or_else(wrong)? {
        Bson::Document(which) if which.contains_key("forAllDBs") => all.iter().collect(),
        Bson::Array(names) => {
            let names = names.iter().map(named).collect::<Result<Vec<_>, _>>()?;
            all.iter().filter(|user| names.iter().any(|(name, database)| user.is(name, database))).collect()
        }
        value if is_true(Some(value)) => all.iter().filter(|_| request.database() == EXTERNAL).collect(),
        value => {
            let (name, database) = named(value)?;
            all.iter().filter(|user| user.is(&name, &database)).collect()
        }
    };
    let shows = |name: &str, default| request.body.get(name).map_or(default, |value| is_true(Some(value)));
    let document = |user: &&User| {
        let mut document = user.document();
        if !shows("showCustomData", true) {
            document.remove("customData");
        }
        document
    };
    Ok(doc! { "users": found.iter().map(document).collect::<Vec<_>>() })
}

fn keep(server: &Server, user: User) -> Result<Document, CommandError> {
    server.users.put(user).map(|()| Document::new()).map_err(unknown)
}

fn unknown(error: std::io::Error) -> CommandError {
    CommandError::new(UNKNOWN_ERROR, error.to_string())
}

/// The user that the command is about.
fn existing(server: &Server, request: &Request) -> Result<User, CommandError> {
    let (name, database) = (name(request)?, request.database());
    let missing = || CommandError::new(USER_NOT_FOUND, format!("Could not find user \"{name}\" for db \"{database}\""));
    server.users.get(name, database).ok_or_else(missing)
}

fn name(request: &Request) -> Result<&str, CommandError> {
    match request.body.get(request.name()) {
        Some(Bson::String(name)) if name.is_empty() => {
            Err(CommandError::new(BAD_VALUE, "User document needs 'user' field to be non-empty"))
        }
        Some(Bson::String(name)) => Ok(name),
        _ => {
            let reason = format!("BSON field '{}' is the wrong type, expected type 'string'", request.name());
            Err(CommandError::new(TYPE_MISMATCH, reason))
        }
    }
}

/// Users with passwords are not kept by this stand-in, and those without are in one database only (manual, `createUser`).
fn external(request: &Request) -> Result<(), CommandError> {
    let reason = match (request.database() == EXTERNAL, request.body.contains_key("pwd")) {
        (true, false) => return Ok(()),
        (true, true) => "Cannot set the password for users defined on the '$external' database",
        (false, true) => "this stand-in for mongod has no users with passwords: create them in '$external'",
        (false, false) => {
            "Must provide a 'pwd' field for all user documents, except those with '$external' as the user's source db"
        }
    };
    Err(CommandError::new(BAD_VALUE, reason))
}

fn fields(request: &Request, allowed: &[&str]) -> Result<(), CommandError> {
    let command = request.name();
    let is_known =
        |name: &str| name == command || name.starts_with('$') || GENERIC.contains(&name) || allowed.contains(&name);
    match request.body.keys().find(|name| !is_known(name)) {
        Some(name) => {
            let reason = format!("BSON field '{command}.{name}' is an unknown field.");
            Err(CommandError::new(UNKNOWN_FIELD, reason))
        }
        None => Ok(()),
    }
}

fn roles(request: &Request) -> Result<Option<Vec<Role>>, CommandError> {
    let list = match request.body.get("roles") {
        None => return Ok(None),
        Some(Bson::Array(list)) => list,
        Some(_) => {
            let reason = format!("BSON field '{}.roles' is the wrong type, expected type 'array'", request.name());
            return Err(CommandError::new(TYPE_MISMATCH, reason));
        }
    };
    let mut roles = Vec::new();
    for value in list {
        let reason = "Role names must be either strings or objects with the fields role and db";
        let role = Role::read(value, request.database()).ok_or_else(|| CommandError::new(BAD_VALUE, reason))?;
        if !role.is_known() {
            let reason = format!("Could not find role: {}@{}", role.name, role.database);
            return Err(CommandError::new(ROLE_NOT_FOUND, reason));
        }
        roles.push(role);
    }
    Ok(Some(roles))
}

fn some_roles(request: &Request) -> Result<Vec<Role>, CommandError> {
    fields(request, &["roles"])?;
    let roles = roles(request)?.unwrap_or_default();
    if roles.is_empty() {
        let reason = format!("{} command requires a non-empty \"roles\" array", request.name());
        return Err(CommandError::new(BAD_VALUE, reason));
    }
    Ok(roles)
}
