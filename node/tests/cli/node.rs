//! A running node, as `start` makes it.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::http::Connection;
use crate::program::Place;

const DEADLINE: Duration = Duration::from_secs(60);

/// A node on ports that the system chose; ended when dropped.
pub struct Node {
    pub place: Place,
    pub url: String,
    child: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    pub fn start(place: Place) -> Self {
        Self::start_with(place, &["start"])
    }

    fn start_with(place: Place, arguments: &[&str]) -> Self {
        Self::start_by(place, |place| place.command(arguments))
    }

    /// Runs what `command` makes of the place.
    pub fn start_by(place: Place, command: impl FnOnce(&Place) -> Command) -> Self {
        let mut node = Self::spawn(place, command);
        let marker = "Listening to client connections on: ";
        node.wait_until(|node| {
            let console = node.place.read("console");
            let address = console.split_once(marker).and_then(|(_, rest)| rest.split_once('\n'));
            node.url = address.map_or_else(String::new, |(address, _)| format!("http://{address}"));
            !node.url.is_empty()
        });
        let url = node.url.clone();
        node.place.env("BIGCHAINDB_URL", &url);
        node
    }

    /// Does not wait for anything.
    fn spawn(mut place: Place, command: impl FnOnce(&Place) -> Command) -> Self {
        place.env("BIGCHAINDB_SERVER_BIND", "127.0.0.1:0").env("BIGCHAINDB_WSSERVER_HOST", "127.0.0.1");
        place.env("BIGCHAINDB_WSSERVER_PORT", "0");
        let [answer, console] = ["answer", "console"].map(|name| File::create(place.path(name)).unwrap());
        let child = command(&place).stdin(Stdio::null()).stdout(answer).stderr(console).spawn().unwrap();
        Self { place, url: String::new(), child }
    }

    #[track_caller]
    pub fn wait_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !done(self) {
            assert!(Instant::now() < deadline, "not in time: {}", self.place.read("console"));
            std::thread::yield_now();
        }
    }

    /// Where the HTTP API listens.
    pub fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().unwrap()
    }

    pub fn process(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).unwrap();
    }

    /// Stops as a process manager does; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits for the end; the exit code.
    pub fn ended(&mut self) -> Option<i32> {
        self.wait_until(|node| node.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

#[test]
fn a_node_with_nothing_configured_starts_stops_and_starts_again() {
    let mut node = Node::start(Place::new());
    let key = node.place.run(&["export-my-pubkey"]).ok();
    let pair = node.place.path("bigchaindb-data/keypair.json");
    assert_eq!(std::fs::metadata(pair).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(node.stop(), Some(0));
    // The key, and with it the ledger, is the same afterwards.
    let mut node = Node::start(std::mem::replace(&mut node.place, Place::new()));
    assert_eq!(node.place.run(&["export-my-pubkey"]).ok(), key);
    assert_eq!(node.stop(), Some(0));
    let clean: Value = serde_json::from_str(&node.place.run(&["--json", "verify"]).ok()).unwrap();
    assert_eq!((&clean["clean"], &clean["blocks"]), (&Value::Bool(true), &Value::from(1)));
}

#[test]
fn logs_go_to_the_files_and_in_the_form_that_are_configured() {
    let mut place = Place::new();
    place.env("BIGCHAINDB_LOG_FMT_CONSOLE", "<%(levelname)s> %(name)s: %(message)s");
    place.env("BIGCHAINDB_LOG_LEVEL_CONSOLE", "error").env("BIGCHAINDB_LOG_FORMAT_LOGFILE", "json");
    place.env("BIGCHAINDB_LOG_GRANULAR_LEVELS", r#"{"bigchaindb.app": "error"}"#);
    let mut node = Node::start(place);
    assert_eq!(node.stop(), Some(0));
    assert!(!node.place.read("console").contains("INFO"), "{}", node.place.read("console"));
    let log = node.place.read("bigchaindb.log");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let version = lines.iter().find(|line| line["message"].as_str().unwrap().starts_with("BigchainDB Version 1.0.1"));
    assert_eq!(version.unwrap()["level"], "INFO", "{log}");
    assert!(lines.iter().all(|line| line["target"] != "bigchaindb::app"), "{log}");
    assert!(node.place.path("bigchaindb-errors.log").exists());
}

#[test]
fn levels_by_module_reach_what_1_0_1_called_so() {
    let answer = |place: Place| {
        let mut node = Node::start(place);
        assert_eq!(Connection::open(node.address()).unwrap().post("/api/v1/transactions", b"[]").unwrap().status, 400);
        assert_eq!(node.stop(), Some(0));
        std::mem::replace(&mut node.place, Place::new())
    };
    let mut place = answer(Place::new());
    for log in ["console", "bigchaindb.log", "bigchaindb-errors.log"] {
        assert!(place.read(log).contains("(bigchaindb.web.views.base) HTTP API error: 400"), "{}", place.read(log));
        std::fs::remove_file(place.path(log)).unwrap();
    }
    let levels = r#"{"bigchaindb.web": "critical", "bigchaindb.processes": "debug", "bigchaindb.voting": "debug"}"#;
    place.env("BIGCHAINDB_LOG_GRANULAR_LEVELS", levels);
    let place = answer(place);
    for log in ["console", "bigchaindb.log"] {
        let log = place.read(log);
        assert!(!log.contains("HTTP API error") && log.contains("all requests answered"), "{log}");
        assert_eq!(log.matches("`bigchaindb.voting` is no module").count(), 1, "{log}");
        assert_eq!(log.matches("is no module").count(), 1, "{log}");
    }
    assert_eq!(place.read("bigchaindb-errors.log"), "");
}

#[test]
fn without_a_writable_home_there_is_the_console() {
    let mut place = Place::new();
    place.env("HOME", "/nonexistent");
    let mut node = Node::start(place);
    assert_eq!(node.stop(), Some(0));
    let console = node.place.read("console");
    assert_eq!(console.matches("logging to the console only").count(), 1, "{console}");

    let mut place = Place::new();
    place.env("BIGCHAINDB_LOG_FILE", "/nonexistent/node.log");
    place.run(&["start"]).failed(1, "log.file: `/nonexistent/node.log` cannot be opened");
}

#[test]
fn a_second_node_on_the_same_directory_is_refused() {
    let mut node = Node::start(Place::new());
    // The fault is in the log, which the console shows.
    node.place.run(&["start"]).failed(1, "bigchaindb-data");
    node.place.run(&["verify"]).failed(1, "bigchaindb-data");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_start_is_answered_in_json() {
    let mut node = Node::spawn(Place::new(), |place| place.command(&["--json", "start"]));
    node.wait_until(|node| node.place.read("answer").ends_with('\n'));
    let answer: Value = serde_json::from_str(&node.place.read("answer")).unwrap();
    let address = |name: &str| answer[name].as_str().unwrap().parse().unwrap();
    assert_eq!(Connection::open(address("api")).unwrap().get("/healthz").unwrap().status, 200);
    assert_eq!(Connection::open(address("stream")).unwrap().get("/").unwrap().status, 404);
    assert!(!node.place.read("console").contains("Listening"), "{}", node.place.read("console"));
    // A refusal too, as the last line.
    let refused = node.place.run(&["--json", "start"]).failed(1, "");
    let error: Value = serde_json::from_str(refused.lines().last().unwrap()).unwrap();
    assert!(error["error"].as_str().unwrap().contains("bigchaindb-data"), "{error}");
    // A log that says nothing does not leave the reason out.
    node.place.run(&["-l", "critical", "start"]).failed(1, "bigchaindb-data");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_ledger_is_made_by_init_and_only_once() {
    let place = Place::new();
    place.run(&["start", "--no-init"]).failed(1, "bigchaindb init");
    place.run(&["verify"]).ran_with(1);
    place.run(&["init"]).ok();
    let again = place.run(&["init"]);
    assert_eq!(again.ok(), "");
    assert_eq!(again.stderr(), "The database already exists.\nIf you wish to re-initialize it, first drop it.\n");
    assert_eq!(place.run(&["--json", "init"]).ok(), "{\"initialised\":false}\n");
    place.run(&["verify"]).ok();
    let mut node = Node::start_with(place, &["start", "--no-init", "--dev-allow-temp-keypair"]);
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_ledger_keeps_its_rules() {
    let mut place = Place::new();
    place.env("BIGCHAINDB_VALIDATION", "v1.0.1");
    place.run(&["init"]).ok();
    place.env("BIGCHAINDB_VALIDATION", "strict");
    place.run(&["start"]).failed(1, "`v1.0.1`");
    place.run(&["verify"]).failed(1, "`v1.0.1`");
    // Not asked for: what the ledger records.
    let rules = |place: &Place| {
        let report: Value = serde_json::from_str(&place.run(&["--json", "verify"]).ok()).unwrap();
        report["rules"].clone()
    };
    place.env_remove("BIGCHAINDB_VALIDATION");
    assert_eq!(rules(&place), "v1.0.1");
    let mut node = Node::start(place);
    assert_eq!(node.stop(), Some(0));
    // And the strict ones for a new one.
    let place = Place::new();
    place.run(&["init"]).ok();
    assert_eq!(rules(&place), "strict");
}

#[test]
fn clients_are_told_the_advertised_address_of_the_stream() {
    let mut place = Place::new();
    place.env("BIGCHAINDB_WSSERVER_ADVERTISED_SCHEME", "wss");
    place.env("BIGCHAINDB_WSSERVER_ADVERTISED_HOST", "ledger.example.com");
    place.env("BIGCHAINDB_WSSERVER_ADVERTISED_PORT", "443");
    let mut node = Node::start(place);
    let mut connection = Connection::open(node.address()).unwrap();
    let mut told = |path: &str, pointer: &str| {
        let index: Value = serde_json::from_str(&connection.get(path).unwrap().body).unwrap();
        index.pointer(pointer).unwrap().clone()
    };
    let address = "wss://ledger.example.com:443/api/v1/streams/valid_transactions";
    assert_eq!((told("/", "/api/v1/streams"), told("/api/v1", "/streams")), (address.into(), address.into()));
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn dev_ignores_the_configuration_file() {
    let place = Place::new();
    place.write(".bigchaindb", "{\"database\": {\"backend\": \"rethinkdb\"}}");
    place.run(&["start"]).failed(1, "not in this program");
    std::fs::remove_file(place.path("bigchaindb.log")).unwrap();
    let mut node = Node::start_with(place, &["start", "--dev"]);
    assert_eq!(node.stop(), Some(0));
    assert!(!node.place.path("bigchaindb.log").exists());
}

#[test]
fn a_ledger_is_dropped_only_by_consent() {
    let place = Place::new();
    place.run(&["init"]).ok();
    for answer in ["n\n", "\n", "Y\n"] {
        let ran = place.run_with(&["drop"], answer);
        ran.ok();
        assert_eq!(ran.stderr(), "Do you want to drop `./bigchaindb-data` database? [y/n]: ");
        place.run(&["verify"]).ok();
    }
    assert_eq!(place.run_with(&["--json", "drop"], "n\n").ok(), "{\"dropped\":false}\n");
    place.run(&["verify"]).ok();
    place.run(&["drop"]).failed(1, "standard input has ended");
    let key = place.run(&["export-my-pubkey"]).ok();
    assert_eq!(place.run_with(&["--json", "drop"], "y\n").ok(), "{\"dropped\":true}\n");
    place.run(&["verify"]).failed(1, "There is no ledger in `./bigchaindb-data`");
    assert_eq!(place.run(&["export-my-pubkey"]).ok(), key);
    let again = place.run(&["-y", "drop"]);
    again.ok();
    assert_eq!(again.stderr(), "Cannot drop './bigchaindb-data'. The database does not exist.\n");

    let mut node = Node::start(place);
    node.place.run(&["-y", "drop"]).failed(1, "bigchaindb-data");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_low_limit_of_open_files_is_raised() {
    let mut node = Node::start_by(Place::new(), |place| place.shell("ulimit -Sn 128 && exec \"$0\" start"));
    let mut connections: Vec<_> = (0..200).map(|_| Connection::open(node.address()).unwrap()).collect();
    // The second time shows that they are open at once: none had to be closed for another.
    for _ in 0..2 {
        for connection in &mut connections {
            assert_eq!(connection.get("/healthz").unwrap().status, 200);
        }
    }
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_start_that_waits_for_its_database_can_be_stopped() {
    let mut place = Place::new();
    let pair: Value = serde_json::from_str(&place.run(&["key", "new", "--json"]).ok()).unwrap();
    place.env("BIGCHAINDB_KEYPAIR_PRIVATE", pair["private"].as_str().unwrap());
    // Nobody listens there, and it is tried for ever.
    place.env("BIGCHAINDB_DATABASE_BACKEND", "mongodb").env("BIGCHAINDB_DATABASE_URL", "mongodb://127.0.0.1:1");
    place.env("BIGCHAINDB_DATABASE_MAX_TRIES", "0").env("BIGCHAINDB_DATABASE_CONNECTION_TIMEOUT", "100");
    let mut node = Node::spawn(place, |place| place.command(&["start"]));
    node.wait_until(|node| node.place.read("console").contains("Attempt 2"));
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_hangup_changes_nothing_where_there_is_no_keyring_file() {
    let mut node = Node::start(Place::new());
    for count in 1..=2 {
        node.signal(Signal::HUP);
        node.wait_until(|node| node.place.read("console").matches("SIGHUP: there is no keyring file").count() == count);
        assert_eq!(Connection::open(node.address()).unwrap().get("/healthz").unwrap().status, 200);
    }
    assert_eq!(node.stop(), Some(0));
}
