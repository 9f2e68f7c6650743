//! The configuration: where values come from, what is refused, what is shown.
#![allow(clippy::unwrap_used)] // A test may panic.

#[path = "config/mongo.rs"]
mod mongo;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bigchaindb::config::fault::{ConfigError, Source};
use bigchaindb::config::keyring::Keyring;
use bigchaindb::config::level::Level;
use bigchaindb::config::sources::Sources;
use bigchaindb::config::{Config, KeyringSource, Remarks, keypair};
use serde_json::{Value, json};

const PUBLIC: &str = "G7J7bXF8cqSrjrxUKwcF8tCriEKC5CgyPHmtGwUi4BK3";
const PRIVATE: &str = "CT6nWhSyE7dF2znpx3vwXuceSrmeMy9ChBfi9U92HMSP";
const OTHER: &str = "JEAkEJqLbbgDRAtMm8YAjGp759Aq2qTn9eaEHUj2XePE";

/// An empty place: no home directory, no ledger.
struct Place {
    directory: tempfile::TempDir,
    sources: Sources,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut place = Self { directory, sources: Sources::default() };
        let data = place.path("data");
        place.env("BIGCHAINDB_DATABASE_PATH", data.to_str().unwrap());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.sources.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(&mut self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes the configuration file and points to it.
    fn config_file(&mut self, value: &Value) -> &mut Self {
        let path = self.file("config.json", &value.to_string());
        self.env("BIGCHAINDB_CONFIG_PATH", path.to_str().unwrap())
    }

    fn load(&self) -> (Config, Remarks) {
        Config::load(&self.sources).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(&self) -> ConfigError {
        Config::load(&self.sources).map(|(config, _)| config.to_masked_json()).unwrap_err()
    }

    /// One setting as `show-config` shows it.
    fn shown(&self, path: &str) -> Value {
        let (config, _) = self.load();
        path.split('.').fold(config.to_masked_json(), |value, name| value[name].clone())
    }
}

#[track_caller]
fn check_fault(error: &ConfigError, path: &str, source: &Source, hint: &str) {
    let found = error.faults.iter().any(|f| f.path == path && f.source == *source && f.message.contains(hint));
    assert!(found, "no fault of {path} ({source}) with `{hint}` in: {error}");
}

fn variable(name: &str) -> Source {
    Source::Environment(name.to_owned())
}

#[test]
fn nothing_configured_is_a_whole_configuration() {
    let (config, remarks) = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.server.bind.to_string(), "localhost:9984");
    assert_eq!(config.websocket.bind.to_string(), "localhost:9985");
    assert_eq!(config.database.path, Path::new("./bigchaindb-data"));
    assert_eq!(config.backlog_reassign_delay.as_secs(), 120);
    assert_eq!((config.log.console.level, config.validation), (Level::Info, None));
    // There is no home directory to put log files into.
    assert_eq!((config.log.file, config.log.error_file), (None, None));
    assert_eq!(remarks.warnings, [] as [String; 0]);
}

#[test]
fn options_win_over_environment_over_file_over_defaults() {
    let mut place = Place::new();
    assert_eq!(place.shown("log.level_console"), "info");
    place.config_file(&json!({"log": {"level_console": "warning"}, "graphite": {"host": "from.file"}}));
    assert_eq!(place.shown("log.level_console"), "warning");
    place.env("BIGCHAINDB_LOG_LEVEL_CONSOLE", "error");
    assert_eq!(place.shown("log.level_console"), "error");
    place.sources.flags = vec![("log.level_console", json!("debug"), "--log-level")];
    assert_eq!(place.shown("log.level_console"), "debug");
    assert_eq!((place.shown("graphite.host"), place.shown("log.level_logfile")), (json!("from.file"), json!("info")));
}

#[test]
fn every_variable_of_1_0_1_works() {
    let mut place = Place::new();
    let mut pem = |name: &str, text: &str| place.file(name, text).to_str().unwrap().to_owned();
    let (ca, certificate) = (pem("ca", mongo::CERTIFICATE), pem("certificate", mongo::CERTIFICATE));
    let (key, list) = (pem("key", mongo::ENCRYPTED_KEY), pem("list", mongo::LIST));
    let cases = [
        ("BIGCHAINDB_KEYPAIR_PUBLIC", PUBLIC, "keypair.public", json!(PUBLIC)),
        ("BIGCHAINDB_KEYPAIR_PRIVATE", PRIVATE, "keypair.private", json!("x".repeat(45))),
        ("BIGCHAINDB_KEYRING", &format!("{OTHER}:{PUBLIC}"), "keyring", json!([OTHER, PUBLIC])),
        ("BIGCHAINDB_DATABASE_BACKEND", "mongodb", "database.backend", json!("mongodb")),
        ("BIGCHAINDB_DATABASE_HOST", "db.example", "database.host", json!("db.example")),
        ("BIGCHAINDB_DATABASE_PORT", "27018", "database.port", json!(27018)),
        ("BIGCHAINDB_DATABASE_NAME", "chain", "database.name", json!("chain")),
        ("BIGCHAINDB_DATABASE_REPLICASET", "rs", "database.replicaset", json!("rs")),
        ("BIGCHAINDB_DATABASE_CONNECTION_TIMEOUT", "6000", "database.connection_timeout", json!(6000)),
        ("BIGCHAINDB_DATABASE_MAX_TRIES", "0", "database.max_tries", json!(0)),
        ("BIGCHAINDB_DATABASE_SSL", "true", "database.ssl", json!(true)),
        ("BIGCHAINDB_DATABASE_LOGIN", "me", "database.login", json!("me")),
        ("BIGCHAINDB_DATABASE_PASSWORD", "secret", "database.password", json!("x".repeat(45))),
        ("BIGCHAINDB_DATABASE_CA_CERT", &ca, "database.ca_cert", json!(ca)),
        ("BIGCHAINDB_DATABASE_CERTFILE", &certificate, "database.certfile", json!(certificate)),
        ("BIGCHAINDB_DATABASE_KEYFILE", &key, "database.keyfile", json!(key)),
        ("BIGCHAINDB_DATABASE_KEYFILE_PASSPHRASE", "p", "database.keyfile_passphrase", json!("x".repeat(45))),
        ("BIGCHAINDB_DATABASE_CRLFILE", &list, "database.crlfile", json!(list)),
        ("BIGCHAINDB_SERVER_BIND", "0.0.0.0:9984", "server.bind", json!("0.0.0.0:9984")),
        ("BIGCHAINDB_SERVER_LOGLEVEL", "DEBUG", "server.loglevel", json!("DEBUG")),
        ("BIGCHAINDB_SERVER_WORKERS", "5", "server.workers", json!(5)),
        ("BIGCHAINDB_WSSERVER_SCHEME", "wss", "wsserver.scheme", json!("wss")),
        ("BIGCHAINDB_WSSERVER_HOST", "0.0.0.0", "wsserver.host", json!("0.0.0.0")),
        ("BIGCHAINDB_WSSERVER_PORT", "65000", "wsserver.port", json!(65000)),
        ("BIGCHAINDB_BACKLOG_REASSIGN_DELAY", "30", "backlog_reassign_delay", json!(30)),
        ("BIGCHAINDB_LOG_FILE", "/var/log/b.log", "log.file", json!("/var/log/b.log")),
        ("BIGCHAINDB_LOG_ERROR_FILE", "/var/log/e.log", "log.error_file", json!("/var/log/e.log")),
        ("BIGCHAINDB_LOG_LEVEL_CONSOLE", "Critical", "log.level_console", json!("Critical")),
        ("BIGCHAINDB_LOG_LEVEL_LOGFILE", "notset", "log.level_logfile", json!("notset")),
        ("BIGCHAINDB_LOG_DATEFMT_CONSOLE", "%x %X %Z", "log.datefmt_console", json!("%x %X %Z")),
        ("BIGCHAINDB_LOG_DATEFMT_LOGFILE", "%c %z", "log.datefmt_logfile", json!("%c %z")),
        ("BIGCHAINDB_LOG_FMT_CONSOLE", "%(message)s", "log.fmt_console", json!("%(message)s")),
        ("BIGCHAINDB_LOG_FMT_LOGFILE", "%(name)s", "log.fmt_logfile", json!("%(name)s")),
        ("BIGCHAINDB_LOG_GRANULAR_LEVELS", r#"{"a.b": "debug"}"#, "log.granular_levels", json!({"a.b": "debug"})),
        ("BIGCHAINDB_GRAPHITE_HOST", "10.0.0.5", "graphite.host", json!("10.0.0.5")),
    ];
    place.sources.environment.clear();
    for (name, value, ..) in &cases {
        place.env(name, value);
    }
    for (name, _, path, expected) in cases {
        assert_eq!(place.shown(path), expected, "{name}");
    }
    let (config, remarks) = place.load();
    assert_eq!(remarks.warnings, [] as [String; 0]);
    assert_eq!(config.server.workers, Some(5));
    assert_eq!(config.websocket.bind.to_string(), "0.0.0.0:65000");
    assert_eq!(config.keypair.unwrap().public.to_string(), PUBLIC);
}

#[test]
fn the_whole_log_section_fits_into_one_variable() {
    let mut place = Place::new();
    place.env("BIGCHAINDB_LOG", r#"{"level_console": "debug", "granular_levels": {"bigchaindb.core": "error"}}"#);
    assert_eq!(place.shown("log.granular_levels"), json!({"bigchaindb.core": "error"}));
    place.env("BIGCHAINDB_LOG_LEVEL_CONSOLE", "error");
    assert_eq!(place.shown("log.level_console"), "error");
    place.env("BIGCHAINDB_LOG", "debug");
    check_fault(&place.refused(), "log", &variable("BIGCHAINDB_LOG"), "no JSON object");
}

#[test]
fn all_faults_are_told_at_once_each_with_its_place() {
    let mut place = Place::new();
    place.config_file(&json!({
        "server": {"bind": "nowhere", "workers": "many"},
        "wsserver": {"port": 70000, "scheme": "http"},
        "log": {"level_console": 10, "granular_levels": {"bigchaindb.web": "loud"}, "fmt_console": "%(colour)s"},
        "consensus_plugin": "mine",
    }));
    place.env("BIGCHAINDB_KEYRING", "abc").env("BIGCHAINDB_VALIDATION", "lax");
    place.env("BIGCHAINDB_KEYPAIR_PRIVATE", "not-a-key-but-secret").env("BIGCHAINDB_BACKLOG_REASSIGN_DELAY", "0");
    place.sources.flags = vec![("log.level_logfile", json!("loudest"), "--log-level")];
    let error = place.refused();
    let file = Source::File(place.path("config.json"));
    check_fault(&error, "server.bind", &file, "`nowhere` is not HOST:PORT");
    check_fault(&error, "server.workers", &file, "`many` is not a whole number");
    check_fault(&error, "wsserver.port", &file, "70000");
    check_fault(&error, "wsserver.scheme", &file, "`http` is neither");
    check_fault(&error, "log.level_console", &file, "Log level must be a string!");
    check_fault(&error, "log.granular_levels.bigchaindb.web", &file, "`loud`");
    check_fault(&error, "log.fmt_console", &file, "colour");
    check_fault(&error, "consensus_plugin", &file, "cannot load");
    check_fault(&error, "keyring", &variable("BIGCHAINDB_KEYRING"), "`abc`");
    check_fault(&error, "validation", &variable("BIGCHAINDB_VALIDATION"), "`lax`");
    check_fault(&error, "keypair.private", &variable("BIGCHAINDB_KEYPAIR_PRIVATE"), "base58");
    check_fault(&error, "backlog_reassign_delay", &variable("BIGCHAINDB_BACKLOG_REASSIGN_DELAY"), "between 1");
    check_fault(&error, "log.level_logfile", &Source::Flag("--log-level"), "`loudest`");
    assert_eq!(error.faults.len(), 13, "{error}");
    assert!(error.to_string().starts_with("The configuration has 13 faults:\n  "));
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn a_file_that_is_asked_for_must_exist_and_be_json() {
    let mut place = Place::new();
    let missing = place.path("missing.json");
    place.env("BIGCHAINDB_CONFIG_PATH", missing.to_str().unwrap());
    let (_, remarks) = place.load();
    assert!(remarks.notes.iter().any(|note| note.contains("Cannot find config file")), "{:?}", remarks.notes);
    place.sources.file = Some(missing.clone());
    check_fault(&place.refused(), "", &Source::File(missing), "cannot be read");
    let bad = place.file("bad.json", "{\"keypair\": {\"private\": \"secret\", }");
    place.sources.file = Some(bad.clone());
    let error = place.refused();
    check_fault(&error, "", &Source::File(bad), "Failed to parse the JSON configuration from `");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn the_home_directory_is_where_1_0_1_looked() {
    let mut place = Place::new();
    let home = place.directory.path().to_owned();
    place.file(".bigchaindb", r#"{"graphite": {"host": "from.home"}}"#);
    place.env("HOME", home.to_str().unwrap());
    assert_eq!(place.shown("graphite.host"), "from.home");
    assert_eq!(place.shown("log.file"), json!(home.join("bigchaindb.log")));
    place.sources.ignore_file = true;
    assert_eq!(place.shown("graphite.host"), "localhost");
}

#[test]
fn a_file_of_1_0_1_is_read_as_it_is() {
    let mut place = Place::new();
    place.config_file(&json!({
        "server": {"bind": "localhost:9984", "loglevel": "info", "workers": null},
        "wsserver": {"scheme": "ws", "host": "localhost", "port": 9985},
        "database": {
            "backend": "mongodb", "connection_timeout": 5000, "max_tries": 3, "ssl": false, "ca_cert": null,
            "certfile": null, "keyfile": null, "keyfile_passphrase": null, "crlfile": null, "host": "localhost",
            "port": 27017, "name": "bigchain", "replicaset": "bigchain-rs", "login": null, "password": null
        },
        "keypair": {"public": PUBLIC, "private": PRIVATE},
        "keyring": [OTHER],
        "backlog_reassign_delay": 120,
        "log": {
            "file": "/data/bigchaindb.log", "error_file": "/data/bigchaindb-errors.log",
            "level_console": "info", "level_logfile": "info",
            "datefmt_console": "%Y-%m-%d %H:%M:%S", "datefmt_logfile": "%Y-%m-%d %H:%M:%S",
            "fmt_console": "[%(asctime)s] [%(levelname)s] (%(name)s) %(message)s (%(processName)-10s - pid: %(process)d)",
            "fmt_logfile": "[%(asctime)s] [%(levelname)s] (%(name)s) %(message)s (%(processName)-10s - pid: %(process)d)",
            "granular_levels": {}
        },
        "graphite": {"host": "localhost"}
    }));
    place.sources.environment.remove("BIGCHAINDB_DATABASE_PATH");
    let (config, remarks) = place.load();
    assert_eq!(remarks.warnings, [] as [String; 0]);
    assert_eq!(config.keyring, KeyringSource::Fixed(vec![OTHER.parse().unwrap()]));
}

#[test]
fn what_is_not_known_is_a_warning() {
    let mut place = Place::new();
    place.config_file(&json!({"server": {"bnd": "x", "threads": 4}, "extra": {"a": 1}, "database": {"host": "db"}}));
    place.env("BIGCHAINDB_SERVR_BIND", "x").env("BIGCHAINDB_DATABASE_NAME", "n");
    // Kubernetes makes such names for a Service called `bigchaindb`.
    place.env("BIGCHAINDB_SERVICE_HOST", "10.0.0.1").env("BIGCHAINDB_PORT_9984_TCP", "tcp://10.0.0.1:9984");
    let (_, remarks) = place.load();
    let expected = [
        "server.bnd",
        "server.threads",
        "extra.a",
        "database.host",
        "BIGCHAINDB_SERVR_BIND",
        "BIGCHAINDB_DATABASE_NAME",
    ];
    assert_eq!(remarks.warnings.len(), expected.len(), "{:?}", remarks.warnings);
    for name in expected {
        assert!(remarks.warnings.iter().any(|warning| warning.contains(name)), "{name}: {:?}", remarks.warnings);
    }
}

#[test]
fn secrets_are_shown_nowhere() {
    let mut place = Place::new();
    place.env("BIGCHAINDB_KEYPAIR_PRIVATE", PRIVATE).env("BIGCHAINDB_DATABASE_BACKEND", "mongodb");
    place.env("BIGCHAINDB_DATABASE_LOGIN", "me").env("BIGCHAINDB_DATABASE_PASSWORD", "open sesame");
    place.sources.environment.remove("BIGCHAINDB_DATABASE_PATH");
    let (config, _) = place.load();
    let shown = config.to_masked_json().to_string();
    for secret in [PRIVATE, "open sesame"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    // The public key follows from the private one.
    assert_eq!(place.shown("keypair.public"), PUBLIC);
    let debug = format!("{:?}", config.keypair);
    assert!(!debug.contains(PRIVATE) && debug.contains(PUBLIC), "{debug}");
}

#[test]
fn keys_that_do_not_belong_together_are_refused() {
    let mut place = Place::new();
    place.env("BIGCHAINDB_KEYPAIR_PRIVATE", PRIVATE).env("BIGCHAINDB_KEYPAIR_PUBLIC", OTHER);
    check_fault(&place.refused(), "keypair.public", &variable("BIGCHAINDB_KEYPAIR_PUBLIC"), "belongs to");
}

#[test]
fn a_private_key_comes_from_a_mounted_file() {
    let mut place = Place::new();
    for text in [format!("{PRIVATE}\n"), json!({"public": PUBLIC, "private": PRIVATE}).to_string()] {
        let path = place.file("secret", &text);
        place.env("BIGCHAINDB_KEYPAIR_PRIVATE_FILE", path.to_str().unwrap());
        assert_eq!(place.shown("keypair.public"), PUBLIC);
        assert_eq!(place.shown("keypair.private"), "x".repeat(45));
    }
    for text in ["secret!", "{\"private\": \"secret!\"}", "{\"public\": \"x\"}", "{"] {
        place.file("secret", text);
        let error = place.refused();
        check_fault(&error, "keypair.private_file", &variable("BIGCHAINDB_KEYPAIR_PRIVATE_FILE"), "secret: ");
        assert!(!error.to_string().contains("secret!"), "{error}");
    }
    place.env("BIGCHAINDB_KEYPAIR_PRIVATE_FILE", "/nonexistent/key");
    check_fault(
        &place.refused(),
        "keypair.private_file",
        &variable("BIGCHAINDB_KEYPAIR_PRIVATE_FILE"),
        "cannot be read",
    );
}

#[test]
fn an_embedded_node_makes_its_key_pair_once() {
    let place = Place::new();
    let (mut config, _) = place.load();
    assert!(config.keypair.is_none());
    let made = config.ensure_keypair().unwrap().unwrap();
    let path = keypair::file_in(&place.path("data"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(place.path("data")).unwrap().count(), 1, "temporary files are left over");
    let (mut again, _) = place.load();
    assert_eq!(again.keypair.as_ref().unwrap().public, made.public);
    assert_eq!(again.ensure_keypair().unwrap().unwrap().public, made.public);
    assert_eq!(place.shown("keypair.private"), "x".repeat(45));
    std::fs::write(&path, "{\"private\": \"broken\"}").unwrap();
    check_fault(&place.refused(), "keypair", &Source::File(path), "`private` is not");
}

#[test]
fn the_embedded_store_is_for_one_node() {
    let mut place = Place::new();
    place.env("BIGCHAINDB_KEYRING", OTHER);
    check_fault(&place.refused(), "keyring", &variable("BIGCHAINDB_KEYRING"), "names other nodes");
    // Its own key is nobody else.
    place.env("BIGCHAINDB_KEYPAIR_PRIVATE", PRIVATE).env("BIGCHAINDB_KEYRING", PUBLIC);
    place.load();
    place.env("BIGCHAINDB_KEYRING", "");
    place.load();
}

#[test]
fn a_keyring_file_names_the_whole_federation() {
    let mut place = Place::new();
    let text = json!({"generation": 3, "previous": [OTHER], "active": [PUBLIC], "next": [], "known": [OTHER, PUBLIC]});
    let path = place.file("keyring.json", &text.to_string());
    place.env("BIGCHAINDB_KEYPAIR_PRIVATE", PRIVATE).env("BIGCHAINDB_KEYRING_FILE", path.to_str().unwrap());
    let (config, _) = place.load();
    let keyring = config.keyring.keyring(PUBLIC.parse().unwrap());
    assert_eq!((keyring.generation, keyring.active.len(), keyring.known.len()), (3, 1, 2));

    place.file("keyring.json", r#"{"generation": -1, "active": ["x"], "knwon": []}"#);
    let error = place.refused();
    for hint in ["`generation`", "`active`, entry 0", "`knwon`"] {
        check_fault(&error, "keyring_file", &Source::File(path.clone()), hint);
    }
    place.env("BIGCHAINDB_KEYRING", PUBLIC);
    place.file("keyring.json", &text.to_string());
    check_fault(&place.refused(), "keyring_file", &variable("BIGCHAINDB_KEYRING_FILE"), "only one of them");
}

#[test]
fn keyrings_are_checked() {
    let keyring = Keyring::parse(&json!({"generation": 0, "active": [PUBLIC, OTHER]}).to_string()).unwrap();
    assert_eq!(keyring.known, keyring.active);
    let (own, other) = (PUBLIC.parse().unwrap(), OTHER.parse().unwrap());
    assert_eq!(keyring.others(&own), [other]);
    assert_eq!(Keyring::fixed(own, &[other, own]).active, [own, other]);
    for (text, hint) in [
        (json!({"generation": 1, "active": []}), "at least one"),
        (json!({"generation": 1, "active": [PUBLIC], "known": [OTHER]}), "must be in `known`"),
        (json!({"generation": 1, "active": [PUBLIC, PUBLIC]}), "twice"),
        (json!({"generation": 1, "active": PUBLIC}), "must be a list"),
        (json!([]), "no object"),
    ] {
        let faults = Keyring::parse(&text.to_string()).unwrap_err();
        assert!(faults.iter().any(|fault| fault.contains(hint)), "{text}: {faults:?}");
    }
}

#[test]
fn the_advertised_address_falls_back_to_the_bound_one_part_by_part() {
    let mut place = Place::new();
    let url = |place: &Place| place.load().0.websocket.advertised_url(1234);
    assert_eq!(url(&place), "ws://localhost:1234/api/v1/streams/valid_transactions");
    place.env("BIGCHAINDB_WSSERVER_ADVERTISED_SCHEME", "wss").env("BIGCHAINDB_WSSERVER_HOST", "::1");
    assert_eq!(url(&place), "wss://[::1]:1234/api/v1/streams/valid_transactions");
    place
        .env("BIGCHAINDB_WSSERVER_ADVERTISED_HOST", "ledger.example")
        .env("BIGCHAINDB_WSSERVER_ADVERTISED_PORT", "443");
    assert_eq!(url(&place), "wss://ledger.example:443/api/v1/streams/valid_transactions");
}

#[test]
fn bind_addresses_are_gunicorns() {
    let mut place = Place::new();
    for (text, expected) in [
        ("localhost:9984", Some("localhost:9984")),
        (":9984", Some("0.0.0.0:9984")),
        ("[::1]:9984", Some("[::1]:9984")),
        ("0.0.0.0:0", Some("0.0.0.0:0")),
        ("localhost", None),
        ("::1:9984", None),
        ("localhost:99999", None),
        ("unix:/run/node.sock", None),
        ("local host:1", None),
    ] {
        place.env("BIGCHAINDB_SERVER_BIND", text);
        let bound = Config::load(&place.sources).ok().map(|(config, _)| config.server.bind.to_string());
        assert_eq!(bound.as_deref(), expected, "{text}");
    }
}
