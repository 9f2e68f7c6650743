//! Makes a replica set of a server that was started as a member of one and that nobody initiated, as 1.0.1 does.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};

use super::answer;
use super::failure::{self, Failure, one_line};
use super::options::Prepared;

/// MongoDB manual, "Error Codes".
const ALREADY_INITIALIZED: i32 = 23;

/// Initiates a set with `member` (`host:port`) as its only one. It may have no primary yet when this returns.
///
/// Asks first what set the server was started for (`getCmdLineOpts`). A server that does not tell is named in the log,
/// unless `silent`, and taken at its word that it waits for an initiation.
pub async fn initiate(
    prepared: Prepared,
    set: &str,
    member: &str,
    limit: Duration,
    silent: bool,
) -> Result<(), Failure> {
    let server = Server {
        place: prepared.place(),
        database: prepared.database.clone(),
        user: prepared.user(),
        client: prepared.direct_client()?,
        limit,
    };
    match server.ask(doc! { "getCmdLineOpts": 1 }).await? {
        Ok(options) => check_name(&options, &server.place, set)?,
        Err(error) if !silent => tracing::warn!(
            server = server.place,
            reason = reason(&error),
            "the server does not tell which replica set it was started for (getCmdLineOpts): it is initiated without"
        ),
        Err(_) => {}
    }
    let config = doc! { "_id": set, "members": [{ "_id": 0, "host": member }] };
    match server.ask(doc! { "replSetInitiate": config }).await? {
        Ok(_) => {
            tracing::info!(set, member, "initiated the replica set with this one member");
            Ok(())
        }
        // By another node, at the same time.
        Err(error) if code(&error) == Some(ALREADY_INITIALIZED) => Ok(()),
        Err(error) => Err(Failure::Unreachable(format!(
            "{}: its replica set is not initiated yet, and the server refuses to do it (replSetInitiate): {}; run \
             `rs.initiate()` there",
            server.place,
            reason(&error)
        ))),
    }
}

struct Server {
    place: String,
    database: String,
    user: Option<failure::User>,
    client: Client,
    limit: Duration,
}

impl Server {
    /// The answer, or what the server says against the command.
    async fn ask(&self, command: Document) -> Result<Result<Document, Error>, Failure> {
        let admin = self.client.database("admin");
        match answer(&self.place, self.limit, async move { admin.run_command(command).await }).await? {
            Err(error) if code(&error).is_none() => {
                Err(failure::of_driver(&error, &self.place, &self.database, self.user.as_ref()))
            }
            answer => Ok(answer),
        }
    }
}

/// The code of a refused command; `None`: the command did not come so far.
fn code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(failure) => Some(failure.code),
        _ => None,
    }
}

fn reason(error: &Error) -> String {
    match error.kind.as_ref() {
        ErrorKind::Command(failure) => format!("{} (code {})", one_line(&failure.message), failure.code),
        kind => one_line(&kind.to_string()),
    }
}

/// Compares the option `--replSet` with the configured name. `replSetName` is its name in a configuration file.
fn check_name(options: &Document, place: &str, configured: &str) -> Result<(), Failure> {
    let replication = options.get_document("parsed").and_then(|parsed| parsed.get_document("replication"));
    let option = |name: &str| replication.as_ref().ok().and_then(|replication| replication.get_str(name).ok());
    let Some(started_for) = option("replSetName").or_else(|| option("replSet")) else {
        return Err(Failure::Refused(format!(
            "{place}: mongod was not started with the replSet option; start it with `--replSet {configured}`"
        )));
    };
    // `--replSet` may name other members behind a slash.
    let name = started_for.split('/').next().unwrap_or_default();
    if name == configured {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "{place} was started for the replica set `{name}`, and database.replicaset is `{configured}`; correct the setting \
         or the server's option `--replSet`"
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    #[test]
    fn the_name_that_a_server_was_started_for_must_be_the_configured_one() {
        let check =
            |replication: Document| check_name(&doc! { "parsed": { "replication": replication } }, "db:1", "rs");
        for good in [doc! { "replSet": "rs" }, doc! { "replSetName": "rs" }, doc! { "replSet": "rs/other:27017" }] {
            assert_eq!(check(good), Ok(()));
        }
        let refusal = |answer: Result<(), Failure>| match answer {
            Err(Failure::Refused(text)) => text,
            other => panic!("{other:?}"),
        };
        let other = refusal(check(doc! { "replSetName": "rs2" }));
        assert!(other.contains("`rs2`") && other.contains("`rs`"), "{other}");
        assert!(refusal(check(doc! {})).contains("not started with the replSet option"));
        assert!(refusal(check_name(&doc! {}, "db:1", "rs")).contains("--replSet rs"));
    }
}
