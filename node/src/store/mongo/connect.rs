//! From settings to a client of a MongoDB replica set that answers, or to one sentence that says why not.
//!
//! Every server is asked by a connection of our own before the driver comes in ([`probe`]): the driver tells what is
//! wrong with a server only inside the text of a time-out, and knows no certificate revocation lists.

pub mod commands;
mod failure;
mod hello;
mod initiate;
mod options;
mod probe;
mod survey;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::doc;
use mongodb::{Client, Database};
use tokio::time::Instant;

use self::commands::Commands;
use self::failure::Failure;
use self::options::Prepared;
use self::survey::Membership;
use crate::secret::Secret;
use crate::store::{Result, StoreError};

/// How to reach the database. Its texts are those of the settings `database.*`.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Where it is and who logs in.
    pub server: Server,
    /// Name of the database, unless the connection string has one.
    pub database: String,
    /// Files for TLS; of no effect without TLS.
    pub tls: TlsFiles,
    /// How long servers may take: to be found in one attempt, and for each connection later.
    pub timeout: Duration,
    /// Attempts; 0: for ever.
    pub max_tries: u64,
    /// Whether commands are counted by their names, which costs some time for each.
    pub name_commands: bool,
}

/// Where a server is and who logs in.
#[derive(Clone, Debug)]
pub enum Server {
    /// A connection string, `mongodb://` or `mongodb+srv://`.
    Url(Secret),
    /// One member of a replica set; it tells the others.
    Host {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// Name that the set must have.
        replica_set: String,
        /// Whether TLS is spoken.
        tls: bool,
        /// Who logs in; `None`: nobody.
        login: Option<Login>,
    },
}

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Login {
    /// User name.
    pub user: String,
    /// SCRAM against the database itself; `None`: MONGODB-X509, with the client certificate.
    pub password: Option<Secret>,
}

/// PEM files. They are read at each attempt, so that renewed ones count.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Certificates of authorities; `None`: Mozilla's.
    pub ca: Option<PathBuf>,
    /// Certificate revocation lists, one for each authority that signed a server's certificate.
    ///
    /// As in 1.0.1 and in `mongod`, a list that has expired (`nextUpdate` is over) or that is missing for an authority
    /// refuses the connection: it cannot be told whether the certificate is revoked.
    pub crl: Option<PathBuf>,
    /// This node's own certificate.
    pub client: Option<ClientCertificate>,
}

/// A client certificate.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The certificate and those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// What the key is encrypted with (PKCS #8, PBES2).
    pub passphrase: Option<Secret>,
}

/// A database that answers.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The driver. It finds the primary, also after an election.
    pub client: Client,
    /// The ledger's database. Reads: primary, majority; writes: majority, journaled.
    pub database: Database,
    /// Name of the replica set.
    pub replica_set: String,
    /// What the client sends.
    pub commands: Arc<Commands>,
}

/// Between two looks at servers that do not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// What a server may take for an answer once it is connected to; 1.0.1's socket time-out.
const ANSWER: Duration = Duration::from_secs(20);

/// Connects, checks the servers and logs in. A server that was started as a member of a replica set and waits for its
/// initiation is made the only member of one, as 1.0.1 does, unless a connection string is given: that may name any
/// number of servers, and what each calls itself is not known.
///
/// Servers that do not answer are tried again, [`Connection::max_tries`] times [`Connection::timeout`]; then
/// [`StoreError::Unavailable`]. [`StoreError::Misconfigured`] at once: a refused login, a certificate that is not to be
/// trusted, another replica set or none, a server that is too old.
pub async fn connect(connection: &Connection) -> Result<Connected> {
    let place = options::place(connection);
    let milliseconds = connection.timeout.as_millis();
    let tries = if connection.max_tries == 0 { "∞".to_owned() } else { connection.max_tries.to_string() };
    let mut attempt: u64 = 0;
    loop {
        attempt += 1;
        let reason = match one_attempt(connection, attempt > 1).await {
            Ok(connected) => return Ok(connected),
            Err(Failure::Refused(reason)) => return Err(StoreError::Misconfigured(reason)),
            Err(Failure::Unreachable(reason)) => reason,
        };
        tracing::warn!(reason, "Attempt {attempt}/{tries}. Connection to {place} failed after {milliseconds}ms.");
        if attempt == connection.max_tries {
            return Err(StoreError::Unavailable(format!(
                "gave up connecting to {place} after {attempt} attempt(s) of {milliseconds} ms: {reason}"
            )));
        }
    }
}

/// Looks again at the certificates of all servers of the replica set and of `known` ones (`host:port`), with the
/// revocation list as it is now. To be called from time to time and when members join: the driver itself opens new
/// connections without looking at the list.
///
/// [`StoreError::Misconfigured`]: a certificate is revoked, or the list does not say whether it is. A server that does
/// not answer is left out, as nothing is known against it. Does nothing without TLS or without a list.
pub async fn recheck(connection: &Connection, known: &[String]) -> Result<()> {
    let checked = async {
        let prepared = Prepared::new(connection).await?;
        survey::revocation(&prepared, known, connection.timeout).await
    };
    match checked.await {
        Ok(()) => Ok(()),
        Err(Failure::Refused(reason)) => Err(StoreError::Misconfigured(reason)),
        Err(Failure::Unreachable(reason)) => Err(StoreError::Unavailable(reason)),
    }
}

async fn one_attempt(connection: &Connection, told: bool) -> std::result::Result<Connected, Failure> {
    let deadline = Instant::now() + connection.timeout;
    let mut initiation_told = told;
    let (prepared, replica_set) = loop {
        let looked = async {
            let prepared = Prepared::new(connection).await?;
            match survey::replica_set(&prepared, deadline).await? {
                Membership::Set(name) => Ok((prepared, name)),
                Membership::AwaitsInitiation => {
                    let told = std::mem::replace(&mut initiation_told, true);
                    Err(initiated(connection, prepared, told).await)
                }
            }
        };
        match looked.await {
            Ok(found) => break found,
            Err(Failure::Unreachable(_)) if Instant::now() + PAUSE < deadline => tokio::time::sleep(PAUSE).await,
            Err(Failure::Unreachable(reason)) => {
                tokio::time::sleep_until(deadline).await;
                return Err(Failure::Unreachable(reason));
            }
            Err(refused) => return Err(refused),
        }
    };
    let place = prepared.place();
    match log_in(prepared, replica_set, connection.timeout).await? {
        Some(connected) => Ok(connected),
        // The driver does not tell why. It speaks to the members under the names that the set has for them.
        None => {
            let trouble = survey::trouble(&Prepared::new(connection).await?, connection.timeout).await;
            Err(Failure::Unreachable(match trouble {
                Some(trouble) => format!("{place}: no primary was found; {trouble}"),
                None => format!("{place}: no primary was found; the replica set may be electing one"),
            }))
        }
    }
}

/// Has a set initiated, and says why there is no connection yet: somebody has to look again.
async fn initiated(connection: &Connection, prepared: Prepared, told: bool) -> Failure {
    let place = prepared.place();
    let waits = match &connection.server {
        Server::Url(_) => format!("{place}: its replica set is not initiated yet; run `rs.initiate()` there"),
        Server::Host { replica_set, .. } => {
            match initiate::initiate(prepared, replica_set, &place, connection.timeout, told).await {
                Ok(()) => format!("{place}: its replica set was initiated just now"),
                Err(failure) => return failure,
            }
        }
    };
    Failure::Unreachable(waits)
}

/// What a server answers. A future of the driver must not be dropped half-way: a task of its own goes on when nobody waits
/// any more.
async fn answer<T: Send + 'static>(
    place: &str,
    limit: Duration,
    question: impl Future<Output = T> + Send + 'static,
) -> std::result::Result<T, Failure> {
    match tokio::time::timeout(limit + ANSWER, tokio::spawn(question)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Failure::Unreachable(format!("{place}: the driver gave up"))),
        Err(_) => Err(Failure::Unreachable(format!("{place}: no answer within {} s", ANSWER.as_secs()))),
    }
}

/// Makes the driver's client and sees that it may work with the database. `None`: it finds no primary.
async fn log_in(
    prepared: Prepared,
    replica_set: String,
    limit: Duration,
) -> std::result::Result<Option<Connected>, Failure> {
    let name = prepared.database.clone();
    let user = prepared.user();
    let subject = prepared.expected_subject().map(str::to_owned);
    let place = prepared.place();
    let commands = prepared.commands();
    let client = prepared.client(&replica_set)?;
    let database = client.database(&name);
    let asked = database.clone();
    let questions = async move {
        asked.run_command(doc! {"listCollections": 1, "nameOnly": true, "cursor": {"batchSize": 1}}).await?;
        asked.run_command(doc! {"connectionStatus": 1}).await
    };
    let status = match answer(&place, limit, questions).await? {
        Ok(status) => status,
        Err(error) if failure::is_without_primary(&error) => return Ok(None),
        Err(error) => return Err(failure::of_driver(&error, &place, &name, user.as_ref())),
    };
    if let Some(expected) = subject {
        failure::check_subject(&status, &expected, &place)?;
    }
    Ok(Some(Connected { client, database, replica_set, commands }))
}
