//! `configure`, `show-config`, `export-my-pubkey`: as in 1.0.1, to the letter where the specification gives letters.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::program::Place;

fn config(place: &Place) -> Value {
    serde_json::from_str(&place.read(".bigchaindb")).unwrap()
}

#[test]
fn questions_come_in_order_and_answers_are_taken() {
    let place = Place::new();
    let answers = "0.0.0.0:9984\nwss\n\n65000\ndb.example\n\n\nrs0\n30\n";
    let ran = place.run_with(&["configure", "mongodb"], answers);
    assert_eq!(ran.ok(), "");
    let path = place.path(".bigchaindb");
    assert_eq!(
        ran.stderr(),
        format!(
            "Generating keypair\n\
             Generating default configuration for backend mongodb\n\
             API Server bind? (default `localhost:9984`): \
             WebSocket Server scheme? (default `ws`): \
             WebSocket Server host? (default `localhost`): \
             WebSocket Server port? (default `9985`): \
             Database host? (default `localhost`): \
             Database port? (default `27017`): \
             Database name? (default `bigchain`): \
             Database replicaset? (default `bigchain-rs`): \
             Stale transaction reassignment delay (in seconds)? (default `120`): \
             Configuration written to {}\n\
             Ready to go!\n",
            path.display()
        )
    );
    let config = config(&place);
    assert_eq!(config["server"]["bind"], "0.0.0.0:9984");
    assert_eq!(config["wsserver"], json!({"scheme": "wss", "host": "localhost", "port": 65000}));
    assert_eq!(config["database"]["host"], "db.example");
    assert_eq!(config["database"]["replicaset"], "rs0");
    assert_eq!(config["backlog_reassign_delay"], 30);
    // The file holds the private key.
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_file_has_the_members_of_1_0_1_in_its_order() {
    let place = Place::new();
    place.run(&["-y", "configure", "mongodb"]).ok();
    let text = place.read(".bigchaindb");
    assert!(text.starts_with("{\n    \"server\": {\n        \"bind\": \"localhost:9984\",\n"), "{text}");
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let config = config(&place);
    assert_eq!(names(&config), "server wsserver database keypair keyring backlog_reassign_delay log graphite");
    assert_eq!(
        names(&config["database"]),
        "backend connection_timeout max_tries ssl ca_cert certfile keyfile keyfile_passphrase crlfile host port name \
         replicaset login password"
    );
    assert_eq!(names(&config["keypair"]), "public private");
    assert_eq!(
        names(&config["log"]),
        "file error_file level_console level_logfile datefmt_console datefmt_logfile fmt_console fmt_logfile \
         granular_levels"
    );
    let key = config["keypair"]["public"].as_str().unwrap();
    assert_eq!(place.run(&["export-my-pubkey"]).ok(), format!("{key}\n"));
}

#[test]
fn the_embedded_store_is_asked_for_its_path() {
    let place = Place::new();
    let ran = place.run_with(&["configure", "embedded"], "\n\n\n\n/srv/ledger\n\n");
    assert!(
        ran.stderr().contains("Database path? (default `./bigchaindb-data`): Stale transaction"),
        "{}",
        ran.stderr()
    );
    assert_eq!(config(&place)["database"], json!({"backend": "embedded", "path": "/srv/ledger"}));
}

#[test]
fn a_wrong_answer_is_asked_for_again() {
    let place = Place::new();
    let ran = place.run_with(&["configure", "embedded"], "nowhere\nhost:1\n\n\nmany\n4\n\n\n");
    ran.ok();
    assert!(ran.stderr().contains("`nowhere` is not HOST:PORT"), "{}", ran.stderr());
    assert!(ran.stderr().contains("`many` is not a whole number"), "{}", ran.stderr());
    assert_eq!((&config(&place)["server"]["bind"], &config(&place)["wsserver"]["port"]), (&json!("host:1"), &json!(4)));
}

#[test]
fn an_existing_file_is_overwritten_only_by_consent() {
    let place = Place::new();
    place.write(".bigchaindb", "precious");
    for answer in ["\n", "n\n", "Y\n", "yes\n"] {
        let ran = place.run_with(&["configure", "mongodb"], answer);
        assert_eq!(ran.ok(), "");
        let question = format!(
            "Config file `{}` exists, do you want to override it? (cannot be undone) [y/N]: ",
            place.path(".bigchaindb").display()
        );
        assert_eq!(ran.stderr(), question);
        assert_eq!(place.read(".bigchaindb"), "precious");
    }
    let declined = place.run_with(&["--json", "configure", "mongodb"], "n\n").ok();
    let answer: Value = serde_json::from_str(&declined).unwrap();
    assert_eq!(answer, json!({"path": place.path(".bigchaindb"), "written": false}));
    place.run(&["configure", "mongodb"]).failed(1, "standard input has ended");
    assert_eq!(place.read(".bigchaindb"), "precious");
    place.run_with(&["configure", "mongodb"], &format!("y\n{}", "\n".repeat(9))).ok();
    assert_eq!(config(&place)["database"]["backend"], "mongodb");
}

#[test]
fn a_file_of_ones_own_or_standard_output() {
    let place = Place::new();
    let own = place.path("own.json");
    let ran = place.run(&["-y", "--json", "-c", own.to_str().unwrap(), "configure", "embedded"]);
    let answer: Value = serde_json::from_str(&ran.ok()).unwrap();
    assert_eq!((&answer["path"], &answer["written"]), (&json!(own), &json!(true)));
    assert!(!place.path(".bigchaindb").exists());
    assert_eq!(
        place.run(&["-c", own.to_str().unwrap(), "export-my-pubkey"]).ok().trim(),
        answer["public_key"].as_str().unwrap()
    );

    let ran = place.run(&["-y", "-c", "-", "configure", "rethinkdb"]);
    let printed = ran.ok();
    assert!(printed.starts_with("{\n    \"backlog_reassign_delay\": 120,\n    \"database\": {\n"), "{printed}");
    assert!(ran.stderr().contains("Configuration written to -\n"));
    let backend = &serde_json::from_str::<Value>(&printed).unwrap()["database"];
    let expected = json!({"backend": "rethinkdb", "connection_timeout": 5000, "host": "localhost", "max_tries": 3,
        "name": "bigchain", "port": 28015});
    assert_eq!(*backend, expected);
    assert!(!place.path("-").exists());
}

#[test]
fn the_environment_gives_the_defaults() {
    let mut place = Place::new();
    place.env("BIGCHAINDB_WSSERVER_PORT", "1234").env("BIGCHAINDB_KEYRING", "");
    place.run(&["-y", "configure", "embedded"]).ok();
    assert_eq!(config(&place)["wsserver"]["port"], 1234);
    place.env("BIGCHAINDB_WSSERVER_PORT", "x");
    place.run(&["-y", "configure", "embedded"]).failed(1, "wsserver.port (environment variable");
}

#[test]
fn a_place_that_cannot_be_written_is_told() {
    let place = Place::new();
    place
        .run(&["-y", "-c", "missing/config.json", "configure", "embedded"])
        .failed(1, "`missing/config.json` cannot be");
}

#[test]
fn what_is_in_force_is_shown_sorted_and_without_secrets() {
    let place = Place::new();
    place.run(&["-y", "configure", "mongodb"]).ok();
    let private = config(&place)["keypair"]["private"].as_str().unwrap().to_owned();
    let shown = place.run(&["-l", "debug", "show-config"]).ok();
    assert!(
        shown.starts_with("{\n    \"backlog_reassign_delay\": 120,\n    \"database\": {\n        \"backend\""),
        "{shown}"
    );
    assert!(!shown.contains(&private));
    let value: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(value["keypair"]["private"], "x".repeat(45));
    assert_eq!(value["log"]["level_console"], "debug");
    let json: Value = serde_json::from_str(&place.run(&["--json", "show-config"]).ok()).unwrap();
    assert_eq!(json["log"]["level_console"], "info");
}

#[test]
fn without_a_key_there_is_none_to_export() {
    let place = Place::new();
    let text = "This node's public key wasn't set anywhere so it can't be exported\n";
    assert_eq!(place.run(&["export-my-pubkey"]).failed(1, ""), text);
    let shown: Value = serde_json::from_str(&place.run(&["show-config"]).ok()).unwrap();
    assert_eq!(shown["keypair"]["private"], Value::Null);
}
