//! The program as people and scripts run it: texts, exit codes, files.
#![allow(clippy::unwrap_used)] // A test may panic.

#[path = "cli/backup.rs"]
mod backup;
#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/bench_mongodb.rs"]
mod bench_mongodb;
#[path = "cli/configure.rs"]
mod configure;
#[cfg(target_os = "linux")] // Elsewhere nobody can limit another process's files.
#[path = "cli/failing.rs"]
mod failing;
#[path = "cli/fake.rs"]
mod fake;
#[path = "crash/http.rs"]
mod http;
mod mongod;
#[path = "cli/node.rs"]
mod node;
#[path = "cli/nodes.rs"]
mod nodes;
#[path = "cli/program.rs"]
mod program;
#[path = "cli/replicas.rs"]
mod replicas;
#[cfg(target_os = "linux")] // Elsewhere a machine has one address of its own, and a statsd may listen there.
#[path = "cli/statsd.rs"]
mod statsd;
#[path = "cli/tx.rs"]
mod tx;
mod wire;

use bigchaindb::cli::Cli;
use clap::CommandFactory;
use serde_json::Value;

use program::Place;

#[test]
fn the_version_names_both() {
    for option in ["--version", "-v"] {
        let expected = format!("bigchaindb 1.0.1 (bigchaindb-rs {})\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(Place::new().run(&[option]).ok(), expected);
    }
}

#[test]
fn no_command_prints_help_and_is_no_failure() {
    let help = Place::new().run(&[]).ok();
    for command in ["configure", "show-config", "export-my-pubkey", "init", "start", "set-shards", "add-replicas"] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let place = Place::new();
    for arguments in [
        &["fly"][..],
        &["configure"],
        &["configure", "oracle"],
        &["--log-level", "loud", "show-config"],
        &["set-shards", "many"],
        &["set-replicas"],
        &["add-replicas"],
        &["bench", "--rate", "0"],
        &["tx", "transfer"],
    ] {
        place.run(arguments).failed(2, "");
    }
}

#[test]
fn hosts_of_replicas_are_checked_as_1_0_1_does() {
    let place = Place::new();
    for command in ["add-replicas", "remove-replicas"] {
        let text = "expected host in the form `host:port`. Got `localhost` instead.";
        place.run(&[command, "localhost"]).failed(2, text);
        place.run(&[command, ":27017"]).failed(2, "expected host in the form");
        place.run(&[command, "db:99999"]).failed(2, "Port must be an integer between 0 and 65535: 99999");
        place.run(&[command, "db:27017", "db2:27017"]).failed(1, "no replica set");
    }
    place.run(&["set-shards", "3"]).failed(1, "no shards");
    place.run(&["set-replicas", "3"]).failed(1, "no replicas");
}

#[test]
fn faults_of_the_configuration_are_told_together() {
    let mut place = Place::new();
    place.env("BIGCHAINDB_SERVER_BIND", "nowhere").env("BIGCHAINDB_WSSERVER_PORT", "x");
    for command in ["show-config", "start", "init", "export-my-pubkey", "verify"] {
        let output = place.run(&[command]).failed(1, "The configuration has 2 faults:");
        assert!(output.contains("server.bind (environment variable BIGCHAINDB_SERVER_BIND)"), "{output}");
        assert!(output.contains("wsserver.port (environment variable BIGCHAINDB_WSSERVER_PORT)"), "{output}");
    }
    let error: Value = serde_json::from_str(&place.run(&["--json", "show-config"]).failed(1, "")).unwrap();
    assert!(error["error"].as_str().unwrap().contains("server.bind"));
}

#[test]
fn a_database_that_is_not_in_this_program_is_refused() {
    let mut place = Place::new();
    place.env("BIGCHAINDB_DATABASE_BACKEND", "rethinkdb");
    for command in ["start", "init", "verify", "drop"] {
        place.run(&[command]).failed(1, "The database backend `rethinkdb` is not in this program");
    }
    place.env("BIGCHAINDB_DATABASE_BACKEND", "mongodb");
    for command in [["backup", "x"], ["restore", "x"]] {
        place
            .run(&command)
            .failed(1, "works on the directory of the embedded store, and the database backend is `mongodb`");
    }
    place.run(&["start"]).failed(1, "Can't start BigchainDB, no keypair found.");
    let place = Place::new();
    place.run(&["start", "--dev-start-rethinkdb"]).failed(1, "Error starting RethinkDB, reason is: ");
}

#[test]
fn a_public_key_without_its_private_one_starts_nothing() {
    let mut place = Place::new();
    place.env("BIGCHAINDB_KEYPAIR_PUBLIC", "JEAkEJqLbbgDRAtMm8YAjGp759Aq2qTn9eaEHUj2XePE");
    place.run(&["start"]).failed(1, "Can't start BigchainDB, no keypair found. Did you run `bigchaindb configure`?\n");
    assert_eq!(place.run(&["export-my-pubkey"]).ok(), "JEAkEJqLbbgDRAtMm8YAjGp759Aq2qTn9eaEHUj2XePE\n");
}

#[test]
fn completions_are_made_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = place.run(&["completions", shell]).ok();
        assert!(script.contains("bigchaindb") && script.contains("show-config"), "{shell}");
        let json: Value = serde_json::from_str(&place.run(&["--json", "completions", shell]).ok()).unwrap();
        assert_eq!(json["script"], script);
    }
}

#[test]
fn the_api_describes_itself() {
    let document: Value = serde_json::from_str(&Place::new().run(&["openapi"]).ok()).unwrap();
    assert!(document["paths"]["/api/v1/transactions"].is_object(), "{document}");
}

#[test]
fn every_command_has_an_example() {
    fn check(command: &clap::Command, name: &str) {
        let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(example.contains(name.split(' ').next_back().unwrap()), "{name} has no example");
        for inner in command.get_subcommands() {
            check(inner, &format!("{name} {}", inner.get_name()));
        }
    }
    check(&Cli::command(), "bigchaindb");
}
