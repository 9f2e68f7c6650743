//! When it starts, when it refuses to, and how it ends (MongoDB manual, "Configuration File Options" and "Exit Codes and
//! Statuses").

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use super::process::{Mongod, Place, run};
use mongodb::bson::doc;

/// What it must refuse, and what its log must name.
#[track_caller]
fn check_refused(change: impl FnOnce(&Place), hint: &str) {
    let place = Place::new();
    change(&place);
    let Some(code) = place.fails() else { return };
    assert_ne!(code, 0);
    assert!(place.log().contains(hint), "no `{hint}` in: {}", place.log());
}

#[test]
fn an_unknown_option_is_refused() {
    let place = Place::new();
    place.configure("sharding:\n  clusterRole: nothing\n");
    let Some(code) = place.fails() else { return };
    assert!(code == 2 || std::env::var_os("MONGOD").is_some(), "exit code {code}");
    place.configure("nett:\n  port: 1\n");
    assert_eq!(place.fails(), Some(2));
    assert!(place.log().contains("nett.port"), "{}", place.log());
}

#[test]
fn files_that_are_missing_or_hold_something_else_are_refused() {
    check_refused(|place| fs::remove_file(place.folder().join("crl.pem")).unwrap(), "crl.pem");
    check_refused(|place| fs::write(place.folder().join("crl.pem"), "nothing").unwrap(), "crl.pem");
    check_refused(|place| fs::remove_file(place.folder().join("ca.pem")).unwrap(), "ca.pem");
    check_refused(|place| fs::remove_file(place.folder().join("member.pem")).unwrap(), "member.pem");
}

#[test]
fn a_certificate_that_has_ended_is_refused() {
    check_refused(|place| place.pki.member(1, 2020), "expired");
}

#[test]
fn a_missing_data_folder_is_refused() {
    let place = Place::new();
    fs::remove_dir(place.folder().join("db")).unwrap();
    let Some(code) = place.fails() else { return };
    assert_eq!(code, 100);
}

#[test]
fn a_port_that_is_taken_is_refused() {
    let place = Place::new();
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, place.port)).unwrap();
    let Some(code) = place.fails() else { return };
    assert_eq!(code, 48);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_used_by_one_process_at_a_time() {
    let Some(server) = Mongod::new() else { return };
    let second = Place::new();
    let text = fs::read_to_string(second.folder().join("mongod.conf")).unwrap();
    let own = format!("{}/db", second.folder().display());
    let text = text.replace(&own, &format!("{}/db", server.place.folder().display()));
    fs::write(second.folder().join("mongod.conf"), text).unwrap();
    assert_eq!(second.fails(), Some(100));
    // The first goes on.
    run(&server.admin(), doc! { "ping": 1 }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_in_order_and_so_does_a_command() {
    let Some(server) = Mongod::initiated().await else { return };
    let (place, code) = server.stop();
    assert_eq!(code, 0);
    assert_eq!(fs::read_to_string(place.folder().join("db/mongod.lock")).unwrap(), "");
    let server = place.start().unwrap();
    server.is_primary().await;
    let admin = server.admin();
    // It has no successor: 262, ExceededTimeLimit.
    let refused = run(&admin, doc! { "shutdown": 1, "timeoutSecs": 1 }).await;
    assert_eq!(super::process::code(refused), 262);
    assert!(run(&admin, doc! { "shutdown": 1, "force": true }).await.is_err(), "the connection ends");
    assert_eq!(server.ended().1, 0);
}
