//! Adding members to a replica set and removing them, as `add-replicas` and `remove-replicas` of 1.0.1 do.
//!
//! MongoDB 4.4 and newer add or remove one voting member at a time, and begin the next change only once a majority has the
//! one before (manual, `replSetReconfig`). So the members are changed one after the other.

mod plan;

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::{Client, Database};
use tokio::time::Instant;

pub use self::plan::Change;
use self::plan::Fault;
use super::fault;

/// Between two looks at a configuration that a majority does not have yet.
const PAUSE: Duration = Duration::from_millis(200);

/// MongoDB manual, "Error Codes".
const UNAUTHORIZED: i32 = 13;
const COMMAND_NOT_FOUND: i32 = 59;
/// What a server says while another change or an election is under way: `ConfigurationInProgress`,
/// `CurrentConfigNotCommittedYet`, `NotWritablePrimary`, `PrimarySteppedDown`, `InterruptedDueToReplStateChange`.
const PASSING: [i32; 5] = [109, 308, 10107, 189, 11602];

/// Why a change was not made, or not whole.
#[derive(Debug, thiserror::Error)]
#[error("{reason}{}", told(.change, .done))]
pub struct Failed {
    change: Change,
    /// The members that were changed before.
    done: Vec<String>,
    reason: String,
}

fn told(change: &Change, done: &[String]) -> String {
    let how = match change {
        Change::Add => "added",
        Change::Remove => "removed",
    };
    if done.is_empty() { String::new() } else { format!("; before that {how}: {}", done.join(", ")) }
}

/// Makes the change for all hosts (`host:port`), each once a majority has the one before; returns when a majority has the
/// last. `patience`: how long each may take.
///
/// A host that is a member already, or is none, is refused before anything is changed.
pub async fn change(client: &Client, change: Change, hosts: &[String], patience: Duration) -> Result<(), Failed> {
    let set = Set { admin: client.database("admin") };
    let mut done = Vec::new();
    let changed = async {
        let Current { config, .. } = set.current(Instant::now() + patience).await?;
        let primary = set.primary(Instant::now() + patience).await?;
        plan::check(&config, change, hosts, primary.as_deref())?;
        for host in hosts {
            set.ensure(change, host, Instant::now() + patience).await?;
            done.push(host.clone());
        }
        Ok::<(), Refusal>(())
    }
    .await;
    changed.map_err(|refusal| Failed { change, done, reason: refusal.text })
}

struct Set {
    admin: Database,
}

struct Current {
    config: Document,
    /// Whether a majority has it.
    is_committed: bool,
}

/// What a server says against a command.
struct Refusal {
    text: String,
    may_pass: bool,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { text: fault.to_string(), may_pass: false }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let said = fault::text(&error);
        match error.kind.as_ref() {
            ErrorKind::Command(failure) if failure.code == UNAUTHORIZED => Self {
                text: format!(
                    "the user is not allowed to change the replica set: it needs the role `clusterManager` on the database \
                     `admin`; the server says: {said}"
                ),
                may_pass: false,
            },
            ErrorKind::Command(failure) if failure.code == COMMAND_NOT_FOUND => Self {
                text: format!(
                    "this server does not let its replica set be changed from outside; where it is hosted, members are \
                     added and removed; it says: {said}"
                ),
                may_pass: false,
            },
            ErrorKind::Command(failure) => Self {
                text: format!("the server refuses the change: {said}"),
                may_pass: PASSING.contains(&failure.code),
            },
            _ => Self { text: said, may_pass: true },
        }
    }
}

impl Set {
    /// Has the change made for one host and a majority know of it. Whoever else changes the set meanwhile (a server does
    /// it itself when a new member has its data) only makes this begin again.
    async fn ensure(&self, change: Change, host: &str, deadline: Instant) -> Result<(), Refusal> {
        let mut last = format!("a majority does not have the configuration with `{host}` changed");
        loop {
            match self.step(change, host, deadline).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(refusal) if refusal.may_pass => last = refusal.text,
                Err(refusal) => return Err(refusal),
            }
            if Instant::now() + PAUSE > deadline {
                let text = format!("`{host}`: not done in time, and it may still come to be; {last}");
                return Err(Refusal { text, may_pass: false });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// `true`: done.
    async fn step(&self, change: Change, host: &str, deadline: Instant) -> Result<bool, Refusal> {
        let Current { config, is_committed } = self.current(deadline).await?;
        if !is_committed {
            return Ok(false);
        }
        if plan::is_made(&config, change, host)? {
            return Ok(true);
        }
        let next = plan::next(&config, change, host)?;
        let Err(refusal) = self.run(doc! { "replSetReconfig": next }, deadline).await else { return Ok(false) };
        let now = self.current(deadline).await?.config;
        if plan::version(&now)? == plan::version(&config)? { Err(refusal) } else { Ok(false) }
    }

    async fn current(&self, deadline: Instant) -> Result<Current, Refusal> {
        let mut answer = self.run(doc! { "replSetGetConfig": 1, "commitmentStatus": true }, deadline).await?;
        let is_committed = answer.get_bool("commitmentStatus").unwrap_or(true);
        let config = match answer.remove("config") {
            Some(mongodb::bson::Bson::Document(config)) => config,
            _ => return Err(Fault::Unreadable("`config`").into()),
        };
        Ok(Current { config, is_committed })
    }

    /// The member that the driver speaks to.
    async fn primary(&self, deadline: Instant) -> Result<Option<String>, Refusal> {
        let hello = self.run(doc! { "hello": 1 }, deadline).await?;
        Ok(hello.get_str("primary").ok().map(str::to_owned))
    }

    async fn run(&self, command: Document, deadline: Instant) -> Result<Document, Refusal> {
        let admin = self.admin.clone();
        // A future of the driver must not be dropped half-way.
        let answer = tokio::spawn(async move { admin.run_command(command).await });
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => Ok(answer?),
            Ok(Err(_)) => Err(Refusal { text: "the driver gave up".to_owned(), may_pass: false }),
            Err(_) => Err(Refusal { text: "the server does not answer in time".to_owned(), may_pass: true }),
        }
    }
}
