//! A real server of the MongoDB wire protocol for tests: the program `secantusd-rs` (crate `secantus-mdb`), which
//! reports itself as the only member of a replica set named [`REPLICA_SET`].
#![allow(dead_code)] // Each test program uses a part of it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bigchaindb::store::mongo::connect::{Connection, Server, TlsFiles};

/// The set that the server says it belongs to.
pub const REPLICA_SET: &str = "secantus";

/// How long the server may take to listen.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running server with a directory of its own; killed when dropped.
pub struct Mongod {
    program: PathBuf,
    arguments: Vec<String>,
    directory: tempfile::TempDir,
    child: Child,
    port: u16,
}

/// `BIGCHAINDB_TEST_MONGOD`, or where `make` keeps the program.
pub fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("BIGCHAINDB_TEST_MONGOD") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "BIGCHAINDB_TEST_MONGOD names `{}`, which is no file", path.display());
        return Some(path);
    }
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let caches = [variable("CACHE"), variable("HOME").map(|home| home.join(".cache/bigchaindb-k8s"))];
    let mut programs = caches.into_iter().flatten().map(|cache| cache.join("secantus/bin/secantusd-rs"));
    programs.find(|path| path.is_file())
}

impl Mongod {
    /// Starts a server with these further arguments, on a port that the system chooses, in an empty directory. `None`,
    /// and a loud line, if there is no such program.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let Some(program) = program() else {
            eprintln!(
                "SKIPPED: there is no `secantusd-rs`, the server of MongoDB's protocol for tests; `make test` builds it, \
                 or name it in BIGCHAINDB_TEST_MONGOD"
            );
            return None;
        };
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let directory = tempfile::tempdir().unwrap();
        let (child, port) = launch(&program, &arguments, &directory, 0)
            .unwrap_or_else(|said| panic!("`{}` {arguments:?} does not listen; it said: {said}", program.display()));
        Some(Self { program, arguments, directory, child, port })
    }

    /// Connection string, without a database and options.
    pub fn url(&self) -> String {
        format!("mongodb://{}", self.address())
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How a node reaches it.
    pub fn connection(&self, timeout: Duration, max_tries: u64) -> Connection {
        let server = Server::Host {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            replica_set: REPLICA_SET.to_owned(),
            tls: false,
            login: None,
        };
        let (database, tls) = ("bigchain".to_owned(), TlsFiles::default());
        Connection { server, database, tls, timeout, max_tries, name_commands: false }
    }

    /// The database of a ledger, with a node's own concerns.
    pub async fn database(&self) -> mongodb::Database {
        let options = "directConnection=true&w=majority&journal=true&serverSelectionTimeoutMS=2000";
        let client = mongodb::Client::with_uri_str(format!("{}/?{options}", self.url())).await;
        client.unwrap().database("bigchain")
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server (SIGKILL) and waits for its end. Started without `--sync-on-commit` it loses its last writes,
    /// also those that it confirmed as journaled.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Starts it again, with the same data, port and arguments.
    pub fn restart(&mut self) {
        self.kill9();
        // Somebody else's connection may have taken the port for a moment.
        let deadline = Instant::now() + DEADLINE;
        loop {
            match launch(&self.program, &self.arguments, &self.directory, self.port) {
                Ok((child, port)) => {
                    assert_eq!(port, self.port);
                    self.child = child;
                    return;
                }
                Err(said) => assert!(Instant::now() < deadline, "the server does not listen again; it said: {said}"),
            }
        }
    }

    /// Starts it again, with the same data and port and with other arguments.
    pub fn restart_with(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.restart();
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process and its port, or what it printed instead.
fn launch(
    program: &PathBuf,
    arguments: &[String],
    directory: &tempfile::TempDir,
    port: u16,
) -> Result<(Child, u16), String> {
    let errors = directory.path().join("stderr");
    let mut child = Command::new(program)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        // The defaults take 4 GB of memory and 128 MB of disk for an empty store.
        .args(["--cache-size", "256M", "--log-file-max", "32MB"])
        .arg("--storage-path")
        .arg(directory.path().join("data"))
        .args(arguments)
        // It looks for a configuration in both.
        .current_dir(directory.path())
        .env("HOME", directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&errors).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("`{}` does not start: {error}", program.display()));
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (found, port) = mpsc::channel();
    // Reads to the end: a full pipe would stop the server. Ends with it.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let port = line.split_once("listening on ").and_then(|(_, address)| address.trim().rsplit(':').next());
            if let Some(port) = port.and_then(|port| port.parse::<u16>().ok()) {
                let _ = found.send(port);
            }
        }
    });
    match port.recv_timeout(DEADLINE) {
        Ok(port) => Ok((child, port)),
        Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(std::fs::read_to_string(&errors).unwrap_or_default())
        }
    }
}
