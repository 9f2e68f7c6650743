//! A `mongod` with a folder of its own, and clients of it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{AuthMechanism, ClientOptions, Credential, ServerAddress, Tls, TlsOptions};
use mongodb::{Client, Database};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::pki::{CLIENT, MEMBER, Pki};

/// How long anything may take.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The replica set's name.
pub const SET: &str = "bigchain-rs";

/// The manual's own for users.
const WRITTEN: &str = "majority";

/// The files and the port of a server that may run.
pub struct Place {
    folder: TempDir,
    pub pki: Pki,
    pub port: u16,
}

/// A running one; killed when dropped.
pub struct Mongod {
    pub place: Place,
    child: Running,
}

/// Killed when dropped.
struct Running(Child);

/// The program and its environment; `None`, and a loud line, if the stand-in lacks what it is made of.
fn program() -> Option<Command> {
    if let Some(program) = std::env::var_os("MONGOD").filter(|program| !program.is_empty()) {
        return Some(Command::new(program));
    }
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let caches = [variable("CACHE"), variable("HOME").map(|home| home.join(".cache/bigchaindb-k8s"))];
    let cached = caches.into_iter().flatten().map(|cache| cache.join("secantus/bin/secantusd-rs"));
    let Some(backend) = variable("BIGCHAINDB_TEST_MONGOD").into_iter().chain(cached).find(|path| path.is_file()) else {
        eprintln!(
            "SKIPPED: there is no `secantusd-rs`, which keeps the data of the stand-in for mongod; `make test` builds it"
        );
        return None;
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_mongod"));
    command.env("SECANTUSD", backend);
    Some(command)
}

/// Free again, and not given to anybody else soon.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl Place {
    /// With certificates, and a configuration as the operator writes it.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::new(folder.path());
        let port = free_port();
        fs::create_dir(folder.path().join("db")).unwrap();
        let place = Self { folder, pki, port };
        place.configure("");
        place
    }

    /// Writes `mongod.conf`, with further lines.
    pub fn configure(&self, more: &str) {
        let text = format!(
            "\
net:
  port: {port}
  bindIp: 127.0.0.1
  unixDomainSocket:
    enabled: false
  compression:
    compressors: snappy,zstd,zlib
  tls:
    mode: requireTLS
    certificateKeyFile: {folder}/member.pem
    CAFile: {folder}/ca.pem
    CRLFile: {folder}/crl.pem
    allowConnectionsWithoutCertificates: false
    allowInvalidCertificates: false
    allowInvalidHostnames: false
    disabledProtocols: TLS1_0,TLS1_1
security:
  authorization: enabled
  clusterAuthMode: x509
setParameter:
  authenticationMechanisms: MONGODB-X509,SCRAM-SHA-256
  enableLocalhostAuthBypass: false
replication:
  replSetName: {SET}
storage:
  dbPath: {folder}/db
  directoryPerDB: true
  wiredTiger:
    collectionConfig:
      blockCompressor: snappy
    indexConfig:
      prefixCompression: true
    engineConfig:
      cacheSizeGB: 0.25
{more}",
            port = self.port,
            folder = self.folder().display(),
        );
        fs::write(self.folder().join("mongod.conf"), text).unwrap();
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn launch(&self) -> Option<Child> {
        let log = fs::File::options().create(true).append(true).open(self.folder().join("log")).unwrap();
        let mut command = program()?;
        command.arg("--config").arg(self.folder().join("mongod.conf"));
        Some(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// Starts a server that must end by itself; its exit code. `None`: there is no program.
    pub fn fails(&self) -> Option<i32> {
        let mut child = self.launch()?;
        Some(ended(&mut child, self))
    }

    /// Starts a server that must listen.
    pub fn start(self) -> Option<Mongod> {
        let child = self.launch()?;
        let mut server = Mongod { place: self, child: Running(child) };
        server.listens();
        Some(server)
    }

    /// A client with this certificate that knows this one server only.
    pub fn client(&self, certificate: &Path) -> Client {
        let tls = TlsOptions::builder()
            .ca_file_path(self.pki.file("ca.pem"))
            .cert_key_file_path(certificate.to_owned())
            .build();
        let credential =
            Credential::builder().mechanism(AuthMechanism::MongoDbX509).source("$external".to_owned()).build();
        let mut options = self.options();
        (options.tls, options.credential) = (Some(Tls::from(tls)), Some(credential));
        Client::with_options(options).unwrap()
    }

    /// Without certificate, login and TLS.
    pub fn options(&self) -> ClientOptions {
        ClientOptions::builder()
            .hosts(vec![ServerAddress::Tcp { host: "localhost".to_owned(), port: Some(self.port) }])
            .direct_connection(true)
            .connect_timeout(DEADLINE)
            .server_selection_timeout(DEADLINE)
            .build()
    }

    /// `host:port` as the set names the server.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

fn ended(child: &mut Child, place: &Place) -> i32 {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if begun.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("it goes on; its log: {}", place.log());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

impl Mongod {
    /// One that listens, not yet initiated.
    pub fn new() -> Option<Self> {
        Place::new().start()
    }

    /// One that is the primary of its set.
    pub async fn initiated() -> Option<Self> {
        let server = Self::new()?;
        let config = doc! { "_id": SET, "members": [{ "_id": 0, "host": server.place.host() }] };
        let admin = server.admin();
        run(&admin, doc! { "replSetInitiate": config }).await.unwrap();
        server.is_primary().await;
        Some(server)
    }

    fn listens(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.place.port)).is_err() {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                panic!("it ended with {status}; its log: {}", self.place.log());
            }
            assert!(begun.elapsed() < DEADLINE, "it does not listen; its log: {}", self.place.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The database `admin`, for whoever has a member's certificate.
    pub fn admin(&self) -> Database {
        self.place.client(&self.place.pki.client(MEMBER, "operator", 100)).database("admin")
    }

    /// A client of the server's, with a user that has these roles.
    pub async fn user(&self, name: &str, roles: Bson) -> Client {
        let external = self.admin().client().database("$external");
        let create = doc! {
            "createUser": super::pki::subject(CLIENT, name), "roles": roles,
            "writeConcern": { "w": WRITTEN, "wtimeout": 5000 },
        };
        run(&external, create).await.unwrap();
        self.place.client(&self.place.pki.client(CLIENT, name, 200))
    }

    /// Waits until it is primary.
    pub async fn is_primary(&self) {
        let admin = self.admin();
        wait("it is primary", async || {
            let hello = run(&admin, doc! { "hello": 1 }).await.unwrap_or_default();
            hello.get_bool("isWritablePrimary").unwrap_or_default()
        })
        .await;
    }

    /// Asks it to end; its exit code.
    pub fn stop(self) -> (Place, i32) {
        let pid = Pid::from_raw(self.child.0.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.ended()
    }

    /// Waits for its end; its exit code.
    pub fn ended(mut self) -> (Place, i32) {
        let code = ended(&mut self.child.0, &self.place);
        (self.place, code)
    }

    /// Ends it with no chance to do anything.
    pub fn kill(self) -> Place {
        drop(self.child);
        self.place
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command; its answer.
pub async fn run(database: &Database, command: Document) -> Result<Document, Error> {
    database.run_command(command).await
}

/// The number of the error that a command is refused with.
#[track_caller]
pub fn code(answer: Result<Document, Error>) -> i32 {
    match answer.map_err(|error| *error.kind) {
        Err(ErrorKind::Command(failure)) => failure.code,
        other => panic!("not refused by the server: {other:?}"),
    }
}

/// Waits for something to be so.
pub async fn wait(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < DEADLINE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
