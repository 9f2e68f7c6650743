//! Speaks to the `mongod` of one member: looks at how it stands, and carries out one command of [`crate::replica_set`].
//!
//! The operator logs in with the member's own certificate. MongoDB takes a client whose O, OU and DC are the members' for a
//! member, who may do everything (MongoDB manual, "Use x.509 Certificate for Membership Authentication"). So it needs no
//! user before there is one, no exception for localhost and no shell in the pod.

mod error;
mod look;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{AuthMechanism, ClientOptions, Credential, ServerAddress, TlsOptions};
use tempfile::TempDir;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::replica_set::{Command, MemberState, ReplicaSet, Role, Server, Standing, User};
pub use error::{AdminError, Code};
use look::{Identity, Look};

/// The database of users that are named by certificates.
const EXTERNAL: &str = "$external";

/// What servers show in their logs and in `currentOp`.
const APPLICATION: &str = "bigchaindb-operator";

/// How long a connection may take, and a server that answers nothing.
const CONNECTING: Duration = Duration::from_secs(5);

/// How long a command may take. The longest waits for a majority, five seconds.
const COMMAND: Duration = Duration::from_secs(15);

/// How long a look may take, with all its commands: whoever looks waits.
const LOOK: Duration = Duration::from_secs(10);

/// Where a member is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A name that is in the member's certificate.
    pub host: String,
    pub port: u16,
}

/// By what both sides know each other. Debug output shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The authorities that the consortium trusts, PEM.
    pub ca_pem: String,
    /// The member's certificate, intermediate ones, and its key, PEM.
    pub certificate_and_key_pem: Zeroizing<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(...)")
    }
}

/// A connection to one member, whatever the others do.
pub struct Admin {
    client: Client,
    target: Target,
    identity: Identity,
    // Dropped after the client.
    _files: Files,
}

/// The driver takes certificates and keys only as names of files, and reads them some time after its client was made. So they
/// are in a folder that only this user enters, each file with mode 0600, for as long as there is a client.
struct Files {
    ca: PathBuf,
    certificate_and_key: PathBuf,
    // Removed when dropped.
    _folder: TempDir,
}

impl Files {
    fn write(credentials: &Credentials) -> io::Result<Self> {
        // Made with mode 0700.
        let folder = tempfile::Builder::new().prefix("bigchaindb-operator-").tempdir()?;
        let file = |name: &str, text: &str| {
            let file = tempfile::Builder::new().prefix(name).suffix(".pem").tempfile_in(folder.path())?;
            // Made with mode 0600; the folder's end is its end.
            let (mut file, path) = file.keep()?;
            file.write_all(text.as_bytes())?;
            Ok::<_, io::Error>(path)
        };
        let ca = file("ca", &credentials.ca_pem)?;
        let certificate_and_key = file("member", &credentials.certificate_and_key_pem)?;
        Ok(Self { ca, certificate_and_key, _folder: folder })
    }
}

/// Prepares a connection; nothing is sent yet. To be called inside a Tokio runtime.
pub fn connect(target: &Target, credentials: &Credentials) -> Result<Admin, AdminError> {
    let identity = Identity::read(credentials)?;
    let files = Files::write(credentials)
        .map_err(|error| AdminError::Material(format!("cannot write temporary files for the driver: {error}")))?;
    let tls = TlsOptions::builder()
        .ca_file_path(files.ca.clone())
        .cert_key_file_path(files.certificate_and_key.clone())
        .build();
    let credential = Credential::builder().mechanism(AuthMechanism::MongoDbX509).source(EXTERNAL.to_owned()).build();
    let address = ServerAddress::Tcp { host: target.host.clone(), port: Some(target.port) };
    let options = ClientOptions::builder()
        .hosts(vec![address])
        .direct_connection(true)
        .app_name(APPLICATION.to_owned())
        .connect_timeout(CONNECTING)
        .server_selection_timeout(CONNECTING)
        .max_pool_size(2)
        .tls(mongodb::options::Tls::from(tls))
        .credential(credential)
        .build();
    let client =
        Client::with_options(options).map_err(|error| AdminError::Material(error::one_line(&error.to_string())))?;
    Ok(Admin { client, target: target.clone(), identity, _files: files })
}

impl Admin {
    /// How the server stands. What hinders the look is in the answer.
    pub async fn observe(&self) -> Server {
        self.observe_within(LOOK).await
    }

    /// The same; one that has not told all in this time is away.
    pub async fn observe_within(&self, limit: Duration) -> Server {
        timeout(limit, self.look()).await.unwrap_or_else(|_| {
            let reason = format!("{} does not answer: it did not tell how it stands in {limit:?}", self.place());
            Server::Away { reason }
        })
    }

    async fn look(&self) -> Server {
        let Look { served, outcome } = look::at(&self.target, &self.identity, CONNECTING).await;
        let standing = match outcome {
            Ok(()) => self.standing().await,
            Err(error) => Err(error),
        };
        match (standing, served) {
            (Ok(standing), Some(served)) => Server::Open { served, standing },
            (Err(error), served) if !error.is_passing() => Server::Closed { reason: error.to_string(), served },
            (Err(error), _) => Server::Away { reason: error.to_string() },
            (Ok(_), None) => {
                Server::Closed { reason: format!("{}: its certificate does not read", self.place()), served: None }
            }
        }
    }

    /// Carries out a command; what is done already is done again without harm.
    pub async fn perform(&self, command: &Command) -> Result<(), AdminError> {
        match command {
            Command::Initiate { name, host } => {
                let config = doc! { "_id": name, "members": [{ "_id": 0, "host": host }] };
                let answer = self.run("admin", "replSetInitiate", doc! { "replSetInitiate": config }).await;
                done_already(answer, Code::AlreadyInitialized)
            }
            Command::EnsureUser { subject, roles } => self.ensure_user(subject, roles).await,
        }
    }

    /// Has the server read certificates, keys and revocation lists again.
    pub async fn rotate_certificates(&self) -> Result<(), AdminError> {
        self.run("admin", "rotateCertificates", doc! { "rotateCertificates": 1 }).await.map(drop)
    }

    /// Roles that somebody else gave the user stay.
    async fn ensure_user(&self, subject: &str, roles: &[Role]) -> Result<(), AdminError> {
        let roles = || -> Vec<Document> {
            roles.iter().map(|role| doc! { "role": role.name.as_ref(), "db": role.database.as_ref() }).collect()
        };
        // The manual's own.
        let durable = || doc! { "w": "majority", "wtimeout": 5000 };
        let create = doc! { "createUser": subject, "roles": roles(), "writeConcern": durable() };
        match self.run(EXTERNAL, "createUser", create).await {
            Err(AdminError::Command { code: Code::UserExists, .. }) => {
                let grant = doc! { "grantRolesToUser": subject, "roles": roles(), "writeConcern": durable() };
                self.run(EXTERNAL, "grantRolesToUser", grant).await.map(drop)
            }
            answer => answer.map(drop),
        }
    }

    async fn standing(&self) -> Result<Standing, AdminError> {
        let status = match self.run("admin", "replSetGetStatus", doc! { "replSetGetStatus": 1 }).await {
            Ok(status) => status,
            Err(AdminError::Command { code: Code::NoReplicationEnabled, .. }) => return Ok(Standing::NoReplication),
            Err(AdminError::Command { code: Code::NotYetInitialized, .. }) => {
                return Ok(Standing::NotInitiated { started_for: self.started_for().await? });
            }
            // Its configuration does not name it.
            Err(AdminError::Command { code: Code::InvalidReplicaSetConfig, .. }) => {
                return Ok(Standing::Initiated(self.removed().await?));
            }
            Err(error) => return Err(error),
        };
        let state = MemberState::of(number(&status, "myState").unwrap_or(-1));
        let hosts = documents(&status, "members").filter_map(|member| text(member, "name")).collect();
        let users = if state == MemberState::Primary { self.users().await? } else { Vec::new() };
        Ok(Standing::Initiated(ReplicaSet { name: text(&status, "set").unwrap_or_default(), hosts, state, users }))
    }

    /// The name in the server's configuration (`getCmdLineOpts`).
    async fn started_for(&self) -> Result<Option<String>, AdminError> {
        let options = self.run("admin", "getCmdLineOpts", doc! { "getCmdLineOpts": 1 }).await?;
        let replication = options.get_document("parsed").and_then(|parsed| parsed.get_document("replication")).ok();
        let name = |option| replication.and_then(|replication| text(replication, option));
        Ok(name("replSetName").or_else(|| name("replSet")))
    }

    async fn removed(&self) -> Result<ReplicaSet, AdminError> {
        let answer = self.run("admin", "replSetGetConfig", doc! { "replSetGetConfig": 1 }).await?;
        let config = answer.get_document("config").cloned().unwrap_or_default();
        Ok(ReplicaSet {
            name: text(&config, "_id").unwrap_or_default(),
            hosts: documents(&config, "members").filter_map(|member| text(member, "host")).collect(),
            state: MemberState::Removed,
            users: Vec::new(),
        })
    }

    async fn users(&self) -> Result<Vec<User>, AdminError> {
        let answer = self.run(EXTERNAL, "usersInfo", doc! { "usersInfo": 1 }).await?;
        let role =
            |role: &Document| Some(Role { name: text(role, "role")?.into(), database: text(role, "db")?.into() });
        let user = |user: &Document| {
            Some(User { subject: text(user, "user")?, roles: documents(user, "roles").filter_map(role).collect() })
        };
        Ok(documents(&answer, "users").filter_map(user).collect())
    }

    async fn run(&self, database: &str, name: &'static str, command: Document) -> Result<Document, AdminError> {
        let place = self.place();
        let database = self.client.database(database);
        let answer = match timeout(COMMAND, database.run_command(command)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(error::of_driver(&error, &place, name, self.identity.subject())),
            Err(_) => {
                let reason = format!("no answer to {name} in {} seconds", COMMAND.as_secs());
                return Err(AdminError::Away { place, reason });
            }
        };
        match answer.get_document("writeConcernError") {
            Ok(problem) => Err(AdminError::Command {
                place,
                command: name,
                code: Code::of(number(problem, "code").unwrap_or_default()),
                message: text(problem, "errmsg").unwrap_or_default(),
            }),
            Err(_) => Ok(answer),
        }
    }

    fn place(&self) -> String {
        format!("{}:{}", self.target.host, self.target.port)
    }
}

fn done_already(answer: Result<Document, AdminError>, already: Code) -> Result<(), AdminError> {
    match answer {
        Err(AdminError::Command { code, .. }) if code == already => Ok(()),
        answer => answer.map(drop),
    }
}

fn text(document: &Document, name: &str) -> Option<String> {
    document.get_str(name).ok().map(str::to_owned)
}

/// A whole number, in whichever of its kinds the server writes it.
fn number(document: &Document, name: &str) -> Option<i32> {
    match document.get(name)? {
        Bson::Int32(number) => Some(*number),
        Bson::Int64(number) => i32::try_from(*number).ok(),
        Bson::Double(number) if number.fract() == 0.0 => Some(*number as i32),
        _ => None,
    }
}

fn documents<'a>(document: &'a Document, name: &str) -> impl Iterator<Item = &'a Document> {
    document.get_array(name).map(Vec::as_slice).unwrap_or_default().iter().filter_map(Bson::as_document)
}
