//! From a [`Connection`] to what the driver is told.

use std::sync::Arc;
use std::time::Duration;

use mongodb::Client;
use mongodb::options::{
    AuthMechanism, ClientOptions, ConnectionString, Credential, HostInfo, ReadConcern, ReadPreference,
    SelectionCriteria, ServerAddress, TlsOptions, WriteConcern,
};

use super::commands::Commands;
use super::failure::{Failure, User, one_line};
use super::tls::Tls;
use super::{Connection, Login, Server};
use crate::secret::Secret;

/// What servers show in their logs and in `currentOp`.
const APPLICATION: &str = "bigchaindb";

/// Settings with the files read and the names looked up.
pub struct Prepared {
    options: ClientOptions,
    tls: Option<Tls>,
    commands: Arc<Commands>,
    /// Name of the database.
    pub database: String,
}

impl Prepared {
    /// Looks up names of `mongodb+srv://` and reads the files.
    pub async fn new(connection: &Connection) -> Result<Self, Failure> {
        let mut options = match &connection.server {
            Server::Url(url) => of_url(url, connection.timeout).await?,
            Server::Host { host, port, replica_set, tls, login } => {
                let address = ServerAddress::Tcp { host: host.clone(), port: Some(*port) };
                let mut options = ClientOptions::builder().hosts(vec![address]).build();
                options.repl_set_name = Some(replica_set.clone());
                options.tls = Some(if *tls { TlsOptions::default().into() } else { mongodb::options::Tls::Disabled });
                options.credential = login.as_ref().map(|login| credential(login, &connection.database));
                options
            }
        };
        let tls = match options.tls.take() {
            Some(mongodb::options::Tls::Enabled(said)) => Some(Tls::read(&connection.tls, said)?),
            _ if connection.tls.ca.is_some() || connection.tls.crl.is_some() || connection.tls.client.is_some() => {
                return Err(Failure::Refused(
                    "files for TLS are given, but TLS is not switched on; set database.ssl to true (in a connection \
                     string: `tls=true`), or remove the files"
                        .to_owned(),
                ));
            }
            _ => None,
        };
        let database = options.default_database.clone().unwrap_or_else(|| connection.database.clone());
        options.default_database = Some(database.clone());
        options.app_name.get_or_insert_with(|| APPLICATION.to_owned());
        options.connect_timeout = Some(connection.timeout);
        options.server_selection_timeout = Some(connection.timeout);
        options.retry_reads = Some(true);
        options.retry_writes = Some(true);
        options.read_concern = Some(ReadConcern::majority());
        let mut durable = WriteConcern::majority();
        durable.journal = Some(true);
        options.write_concern = Some(durable);
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        let commands = Arc::new(Commands::default());
        commands.watch(connection.name_commands, &mut options);
        Ok(Self { options, tls, commands, database })
    }

    /// Who logs in, and into which database.
    pub fn user(&self) -> Option<User> {
        let credential = self.options.credential.as_ref()?;
        let name = credential.username.clone();
        Some(User { name, source: credential.source.clone().unwrap_or_else(|| "admin".to_owned()) })
    }

    /// Subject that the client certificate must have because it logs in.
    pub fn expected_subject(&self) -> Option<&str> {
        let credential = self.options.credential.as_ref();
        let credential = credential.filter(|c| c.mechanism == Some(AuthMechanism::MongoDbX509));
        credential.and_then(|credential| credential.username.as_deref())
    }

    /// The servers to ask first.
    pub fn seeds(&self) -> Vec<ServerAddress> {
        self.options.hosts.clone()
    }

    /// The servers to ask first, for words.
    pub fn place(&self) -> String {
        joined(&self.options.hosts)
    }

    /// Name that the replica set must have; `None`: any.
    pub fn replica_set(&self) -> Option<&str> {
        self.options.repl_set_name.as_deref()
    }

    /// How TLS is spoken; `None`: it is not.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Whether certificates are looked up in a revocation list.
    pub fn has_revocation_list(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.crl.is_some())
    }

    /// Counts what the client will send.
    pub fn commands(&self) -> Arc<Commands> {
        self.commands.clone()
    }

    /// The driver's client of a replica set.
    pub fn client(mut self, replica_set: &str) -> Result<Client, Failure> {
        self.options.repl_set_name = Some(replica_set.to_owned());
        self.made()
    }

    /// The driver's client of one server, whatever that is a member of.
    pub fn direct_client(mut self) -> Result<Client, Failure> {
        self.options.repl_set_name = None;
        self.options.direct_connection = Some(true);
        self.made()
    }

    fn made(self) -> Result<Client, Failure> {
        let Self { mut options, tls, .. } = self;
        let (tls, joined) = tls.map(Tls::into_driver).unzip();
        options.tls = tls.map(Into::into);
        let client = Client::with_options(options);
        // The driver reads the file while it makes the client, and never again.
        drop(joined);
        client.map_err(|error| Failure::Refused(one_line(&error.kind.to_string())))
    }
}

/// 1.0.1: against the database itself, or by certificate.
fn credential(login: &Login, database: &str) -> Credential {
    let mut credential = Credential::default();
    credential.username = Some(login.user.clone());
    match &login.password {
        Some(password) => {
            credential.password = Some(password.reveal().to_owned());
            credential.source = Some(database.to_owned());
        }
        None => {
            credential.mechanism = Some(AuthMechanism::MongoDbX509);
            credential.source = Some("$external".to_owned());
        }
    }
    credential
}

/// Where a connection goes, for people; nothing secret.
pub fn place(connection: &Connection) -> String {
    match &connection.server {
        Server::Host { host, port, .. } => ServerAddress::Tcp { host: host.clone(), port: Some(*port) }.to_string(),
        Server::Url(url) => match parse(url).map(|parsed| parsed.host_info) {
            Ok(HostInfo::HostIdentifiers(hosts)) => joined(&hosts),
            Ok(HostInfo::DnsRecord(name)) => name,
            _ => "the servers of database.url".to_owned(),
        },
    }
}

fn joined(hosts: &[ServerAddress]) -> String {
    hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

async fn of_url(url: &Secret, limit: Duration) -> Result<ClientOptions, Failure> {
    let mut parsed = parse(url)?;
    // The driver refuses what other drivers take, and what is common in connection strings.
    #[allow(deprecated)] // Only so that nobody expects it to have an effect.
    let ignored = parsed.socket_timeout.take().is_some();
    if ignored {
        tracing::warn!("database.url: socketTimeoutMS has no effect");
    }
    let name = match &parsed.host_info {
        HostInfo::DnsRecord(name) => name.clone(),
        _ => String::new(),
    };
    // A future of the driver must not be dropped half-way.
    let resolved = tokio::spawn(async move { ClientOptions::parse(parsed).await });
    match tokio::time::timeout(limit, resolved).await {
        Ok(Ok(Ok(options))) => Ok(options),
        Ok(Ok(Err(error))) if !name.is_empty() => {
            Err(Failure::Unreachable(format!("{name}: {}", one_line(&error.kind.to_string()))))
        }
        Ok(Ok(Err(error))) => Err(Failure::Refused(format!("database.url: {}", one_line(&error.kind.to_string())))),
        Ok(Err(_)) => Err(Failure::Unreachable("the driver gave up reading database.url".to_owned())),
        Err(_) => Err(Failure::Unreachable(format!("{name}: the DNS records of the servers were not found in time"))),
    }
}

/// Reads a connection string. The driver's errors may quote a part of the password that was taken for something else,
/// so that a string whose secrets are replaced is tried first.
fn parse(url: &Secret) -> Result<ConnectionString, Failure> {
    let malformed = |reason: &str| Failure::Refused(format!("database.url is malformed: {}", one_line(reason)));
    let text = url.reveal();
    let (scheme, rest) = text.split_once("://").ok_or_else(|| malformed("it has no `://`"))?;
    let shown = match rest.rsplit_once('@') {
        None => text.to_owned(),
        Some((user, _)) if user.contains(['/', '?', '#', '[', ']', '@']) || user.matches(':').count() > 1 => {
            return Err(malformed(
                "one of `/ ? # [ ] @ :` is in the user name or the password (or an `@` behind the host); write it \
                 percent-encoded, `%40` for `@`",
            ));
        }
        Some((user, servers)) => {
            let password = if user.contains(':') { ":password" } else { "" };
            format!("{scheme}://user{password}@{servers}")
        }
    };
    if let Err(error) = ConnectionString::parse(&shown) {
        let reason = match error.kind.as_ref() {
            mongodb::error::ErrorKind::InvalidArgument { message, .. } => message.clone(),
            kind => kind.to_string(),
        };
        return Err(malformed(&reason));
    }
    ConnectionString::parse(text).map_err(|_| malformed("the user name or the password is not percent-encoded"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        match parse(&Secret::new(url.to_owned())) {
            Err(Failure::Refused(text)) => text,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn nothing_of_a_password_is_in_what_is_told_of_a_malformed_string() {
        for url in [
            "mongodb://me:hush/hush@db",
            "mongodb://me:hush?hush@db/",
            "mongodb://me:hush@hush@db",
            "mongodb://me:hush:hush@db",
            "mongodb://me:hush%zz@db",
            "mongodb://me:hush@db:port",
            "mongodb://me:hush@db/?unknown&x",
        ] {
            let refusal = refusal(url);
            assert!(
                refusal.starts_with("database.url is malformed: ") && !refusal.contains("hush"),
                "{url}: {refusal}"
            );
        }
        let by_certificate = "mongodb://CN%3Dnode@db/?authMechanism=MONGODB-X509&tls=true".to_owned();
        assert!(parse(&Secret::new(by_certificate)).is_ok());
        // Without an `@` a password looks like a port.
        assert!(refusal("mongodb://db:port").contains("port"));
    }

    #[tokio::test]
    async fn concerns_are_ours_whatever_a_connection_string_says() {
        let url = "mongodb://u:p@a:1,b/ledger?w=1&readConcernLevel=local&readPreference=secondary&retryWrites=false\
                   &replicaSet=rs&socketTimeoutMS=5&authSource=users";
        let connection = Connection {
            server: Server::Url(Secret::new(url.to_owned())),
            database: "bigchain".to_owned(),
            tls: super::super::TlsFiles::default(),
            timeout: Duration::from_secs(1),
            max_tries: 1,
            name_commands: false,
        };
        let prepared = Prepared::new(&connection).await.unwrap();
        assert_eq!((prepared.place().as_str(), prepared.replica_set()), ("a:1,b:27017", Some("rs")));
        let user = User { name: Some("u".to_owned()), source: "users".to_owned() };
        assert_eq!((prepared.database.as_str(), prepared.user()), ("ledger", Some(user)));
        let options = &prepared.options;
        let mut durable = WriteConcern::majority();
        durable.journal = Some(true);
        assert_eq!((&options.write_concern, options.retry_writes), (&Some(durable), Some(true)));
        assert_eq!((&options.read_concern, options.retry_reads), (&Some(ReadConcern::majority()), Some(true)));
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        assert_eq!(options.selection_criteria, Some(primary));
        assert_eq!(options.app_name.as_deref(), Some("bigchaindb"));
    }
}
