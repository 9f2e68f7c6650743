//! What is done with a command.

mod access;
mod handshake;
mod known;
mod process;
mod replication;
mod users;

use std::io;

use bson::{Document, doc};

use self::known::{Known, Own, State};
use crate::connection::Connection;
use crate::error::{
    COMMAND_NOT_FOUND, CommandError, NOT_PRIMARY_NO_SECONDARY_OK, NOT_PRIMARY_OR_SECONDARY, NOT_WRITABLE_PRIMARY,
    UNSUPPORTED_OP_QUERY,
};
use crate::replica_set::MemberState;
use crate::server::Server;
use crate::wire::Request;

/// What becomes of a command.
pub enum Outcome {
    /// The backend answers it.
    Pass,
    Answer(Document),
    /// The connection ends without an answer.
    Close,
}

/// Why there is no answer.
pub enum Fault {
    /// Told to the client.
    Refused(CommandError),
    /// Ends the connection.
    Broken(io::Error),
}

impl From<CommandError> for Fault {
    fn from(error: CommandError) -> Self {
        Self::Refused(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Checks a command and answers it, or leaves it to the backend.
pub async fn handle(connection: &mut Connection, request: &Request) -> io::Result<Outcome> {
    let known = match permitted(connection, request) {
        Ok(known) => known,
        Err(error) => return Ok(Outcome::Answer(refusal(&connection.server, request, &error))),
    };
    let Some(own) = known.own else {
        let read = replication::stored_config(&connection.server, request);
        return Ok(read.map_or(Outcome::Pass, Outcome::Answer));
    };
    let mut answer = match answer(connection, own, request).await {
        Ok(Some(answer)) => answer,
        Ok(None) => return Ok(Outcome::Close),
        Err(Fault::Refused(error)) => refusal(&connection.server, request, &error),
        Err(Fault::Broken(error)) => return Err(error),
    };
    if !answer.contains_key("ok") {
        answer.insert("ok", 1.0);
    }
    let is_member = connection.server.set.as_ref().is_some_and(|set| set.standing().member().is_some());
    if is_member && !answer.contains_key("operationTime") {
        // Specification "Causal Consistency": every answer of a member says how far it is.
        let clock = connection.link.ask(&doc! { "ping": 1, "$db": "admin" }).await?;
        for name in ["$clusterTime", "operationTime"] {
            answer.extend(clock.get(name).map(|value| (name.to_owned(), value.clone())));
        }
    }
    Ok(Outcome::Answer(answer))
}

fn permitted(connection: &Connection, request: &Request) -> Result<&'static Known, CommandError> {
    let server = &connection.server;
    let name = request.name();
    let known = known::lookup(name)
        .ok_or_else(|| CommandError::new(COMMAND_NOT_FOUND, format!("no such command: '{name}'")))?;
    // Manual, "Release Notes for MongoDB 5.1": the old form is for `hello` and `isMaster` only.
    if request.is_query() && known.own != Some(Own::Hello) && server.settings.version.major > 5 {
        let reason = format!(
            "Unsupported OP_QUERY command: {name}. The client driver may require an upgrade. For more details see the \
             manual's page \"Legacy Opcodes\""
        );
        return Err(CommandError::new(UNSUPPORTED_OP_QUERY, reason));
    }
    access::check(server, &connection.login, known, request)?;
    in_state(server, known.state, request)?;
    Ok(known)
}

/// Manual, "Replica Set Member States": what a member does in its state. The database `local` is its own.
fn in_state(server: &Server, wanted: State, request: &Request) -> Result<(), CommandError> {
    let Some(set) = &server.set else { return Ok(()) };
    let state = set.standing().state;
    if wanted == State::Any || state == MemberState::Primary || request.database() == "local" {
        return Ok(());
    }
    if wanted == State::Primary {
        return Err(CommandError::new(NOT_WRITABLE_PRIMARY, "not primary"));
    }
    let mode = request.body.get_document("$readPreference").and_then(|preference| preference.get_str("mode"));
    if matches!(mode, Err(_) | Ok("primary")) {
        return Err(CommandError::new(NOT_PRIMARY_NO_SECONDARY_OK, "not primary and secondaryOk=false"));
    }
    if state != MemberState::Secondary {
        let reason = "node is not in primary or recovering state";
        return Err(CommandError::new(NOT_PRIMARY_OR_SECONDARY, reason));
    }
    Ok(())
}

/// The answer to a command that is refused.
fn refusal(server: &Server, request: &Request, error: &CommandError) -> Document {
    let mut answer = error.document();
    let states = [NOT_WRITABLE_PRIMARY, NOT_PRIMARY_NO_SECONDARY_OK, NOT_PRIMARY_OR_SECONDARY];
    let Some(set) = server.set.as_ref().filter(|_| states.iter().any(|state| state.0 == error.code)) else {
        return answer;
    };
    // Specifications "Server Discovery and Monitoring" and "Retryable Writes".
    answer.insert("topologyVersion", set.topology_version());
    if request.body.contains_key("txnNumber") {
        let in_transaction = request.body.contains_key("autocommit");
        answer
            .insert("errorLabels", [if in_transaction { "TransientTransactionError" } else { "RetryableWriteError" }]);
    }
    answer
}

/// `None`: there is none.
async fn answer(connection: &mut Connection, own: Own, request: &Request) -> Result<Option<Document>, Fault> {
    let body = &request.body;
    let server = connection.server.clone();
    let answer = match own {
        Own::Hello => handshake::hello(connection, request).await?,
        Own::Authenticate => connection.login.authenticate(&server, body)?,
        Own::Sasl => handshake::sasl(&server, body)?,
        Own::Logout => {
            connection.login.forget();
            Document::new()
        }
        Own::ConnectionStatus => handshake::connection_status(connection, body),
        Own::WhatsMyUri => doc! { "you": connection.peer.to_string() },
        Own::BuildInfo => process::build_info(connection, body).await?,
        Own::ListCommands => process::list_commands(),
        Own::ListDatabases => process::list_databases(connection, body).await?,
        Own::ServerStatus => process::server_status(connection, body).await?,
        Own::GetCmdLineOpts => {
            doc! { "argv": server.settings.arguments.clone(), "parsed": server.settings.parsed.clone() }
        }
        Own::GetParameter => process::get_parameter(connection, body).await?,
        Own::RotateCertificates => process::rotate_certificates(&server)?,
        Own::SetCompatibility => server.compatibility.set(body).map(|()| Document::new())?,
        Own::Shutdown => {
            process::shutdown(&server, body)?;
            return Ok(None);
        }
        Own::Initiate => replication::initiate(&server, body).await?,
        Own::Reconfigure => replication::reconfigure(&server, body).await?,
        Own::GetConfig => replication::get_config(&server, body)?,
        Own::GetStatus => replication::get_status(connection).await?,
        Own::StepDown => replication::step_down(&server, body)?,
        Own::Freeze => replication::freeze(&server, body)?,
        Own::CreateUser => users::create(&server, request)?,
        Own::UpdateUser => users::update(&server, request)?,
        Own::GrantRoles => users::grant(&server, request)?,
        Own::RevokeRoles => users::revoke(&server, request)?,
        Own::DropUser => users::remove(&server, request)?,
        Own::DropAllUsers => users::remove_all(&server, request)?,
        Own::UsersInfo => users::info(&server, request)?,
    };
    Ok(Some(answer))
}
