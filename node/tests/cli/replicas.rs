//! `add-replicas`, `remove-replicas`, and the initiation of a set, against a member that has MongoDB's rules.

use mongodb::bson::doc;
use serde_json::Value;

use crate::mongod::Mongod;
use crate::program::Place;
use crate::wire::scripted::{Member, State};

const SET: &str = "bigchain-rs";
/// Nobody listens there.
const OTHERS: [&str; 3] = ["127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"];

fn place(member: &Member) -> Place {
    let mut place = Place::new();
    place.env("BIGCHAINDB_DATABASE_BACKEND", "mongodb").env("BIGCHAINDB_DATABASE_HOST", "127.0.0.1");
    place.env("BIGCHAINDB_DATABASE_PORT", &member.port().to_string()).env("BIGCHAINDB_DATABASE_MAX_TRIES", "1");
    place.env("BIGCHAINDB_DATABASE_CONNECTION_TIMEOUT", "20000");
    place
}

/// Of a set with the member itself and these others.
fn set(own: &str, others: &[&str]) -> State {
    let hosts = std::iter::once(own).chain(others.iter().copied());
    let members: Vec<_> = (0_i32..).zip(hosts).map(|(id, host)| doc! { "_id": id, "host": host }).collect();
    State { config: Some(doc! { "_id": SET, "version": 1, "members": members }), ..State::started_for(SET) }
}

fn hosts(member: &Member) -> Vec<String> {
    member.state().members().into_iter().map(|(host, _)| host).collect()
}

#[test]
fn members_are_added_one_after_the_other_once_a_majority_knows_of_the_one_before() {
    let member = Member::start(|own| State { asks_until_committed: 5, ..set(own, &[]) });
    let [first, second, third] = OTHERS;
    let ran = place(&member).run(&["add-replicas", first, second]);
    assert_eq!(ran.ok(), format!("Added ['{first}', '{second}'] to the replicaset.\n"));
    let expected = [(member.address(), 0), (first.to_owned(), 1), (second.to_owned(), 2)];
    assert_eq!((member.state().members(), member.state().version()), (expected.to_vec(), 3));
    assert_eq!((member.state().count("replSetReconfig"), member.state().uncommitted), (2, 0));
    let ran = place(&member).run(&["--json", "add-replicas", third]);
    assert_eq!(ran.ok(), format!("{{\"added\":[\"{third}\"]}}\n"));
}

#[test]
fn members_are_removed_one_after_the_other() {
    let member = Member::start(|own| State { asks_until_committed: 1, ..set(own, &OTHERS) });
    let [first, second, third] = OTHERS;
    let ran = place(&member).run(&["remove-replicas", first, third]);
    assert_eq!(ran.ok(), format!("Removed ['{first}', '{third}'] from the replicaset.\n"));
    assert_eq!(member.state().members(), [(member.address(), 0), (second.to_owned(), 2)]);
    let ran = place(&member).run(&["--json", "remove-replicas", second]);
    assert_eq!(ran.ok(), format!("{{\"removed\":[\"{second}\"]}}\n"));
    assert_eq!((hosts(&member), member.state().version()), (vec![member.address()], 4));
}

#[test]
fn a_change_that_cannot_be_made_whole_is_not_begun() {
    let member = Member::start(|own| set(own, &OTHERS[..2]));
    let (place, own) = (place(&member), member.address());
    let before = member.state().members();
    let [first, second, third] = OTHERS;
    for (arguments, said) in [
        (vec!["add-replicas", third, first], format!("`{first}` is a member of the replica set already; nothing was")),
        (vec!["add-replicas", third, third], format!("`{third}` is named twice; nothing was changed")),
        (
            vec!["remove-replicas", first, third],
            format!("`{third}` is no member of the replica set, which has `{own}`"),
        ),
        (vec!["remove-replicas", first, &own], format!("`{own}` is the primary of the replica set")),
        (vec!["remove-replicas", first, second, &own], "cannot be without a member; nothing was changed".to_owned()),
    ] {
        place.run(&arguments).failed(1, &said);
    }
    assert_eq!((member.state().members(), member.state().count("replSetReconfig")), (before, 0));
    let error: Value = serde_json::from_str(&place.run(&["--json", "add-replicas", first]).failed(1, "")).unwrap();
    assert!(error["error"].as_str().unwrap().contains("already"), "{error}");
}

#[test]
fn what_somebody_else_changes_meanwhile_stays() {
    let member = Member::start(|own| State { overtaken: 2, ..set(own, &[]) });
    place(&member).run(&["add-replicas", OTHERS[0], OTHERS[1]]).ok();
    assert_eq!((member.state().members().len(), member.state().version()), (3, 5));
}

#[test]
fn a_refusal_is_told_in_the_servers_words_and_with_what_was_done() {
    // A set whose every change is refused.
    let member = Member::start(|own| {
        let mut state = set(own, &[]);
        state
            .config
            .as_mut()
            .unwrap()
            .insert("members", vec![doc! { "_id": 0, "host": own }, doc! { "_id": 0, "host": "x:1" }]);
        state
    });
    let said = "the server refuses the change: Found two member configurations with same _id field \
                (NewReplicaSetConfigurationIncompatible, code 103)";
    place(&member).run(&["add-replicas", OTHERS[0]]).failed(1, said);
    let many = ["127.0.0.1:5", "127.0.0.1:6", "127.0.0.1:7", "127.0.0.1:8", "127.0.0.1:9"];
    let member = Member::start(|own| set(own, &many));
    let said = place(&member).run(&["add-replicas", OTHERS[0], OTHERS[1]]).failed(1, "contains 8 voting members");
    assert!(said.ends_with(&format!("; before that added: {}\n", OTHERS[0])), "{said}");
    assert_eq!(member.state().members().len(), 7);
    let member = Member::start(|own| set(own, &[]).forbid("replSetReconfig"));
    place(&member)
        .run(&["add-replicas", OTHERS[0]])
        .failed(1, "needs the role `clusterManager` on the database `admin`");
    let member = Member::start(|own| set(own, &[]).without("replSetGetConfig"));
    place(&member).run(&["remove-replicas", OTHERS[0]]).failed(1, "where it is hosted, members are added and removed");
    let member = Member::start(|own| State { is_secondary: true, ..set(own, &OTHERS[..1]) });
    let mut place = place(&member);
    place.env("BIGCHAINDB_DATABASE_CONNECTION_TIMEOUT", "500");
    place.run(&["add-replicas", OTHERS[1]]).failed(1, "no primary was found");
}

#[test]
fn shards_and_the_number_of_copies_are_not_for_mongodb() {
    let member = Member::start(|own| set(own, &[]));
    for command in ["set-shards", "set-replicas"] {
        let said = place(&member).run(&[command, "3"]).failed(1, &format!("`{command}` is not there for MongoDB"));
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert!(member.state().heard.is_empty());
}

#[test]
fn a_server_that_waits_for_it_is_initiated_with_the_one_member_of_the_configuration() {
    let Some(storage) = Mongod::start(&[]) else { return };
    let behind = Some(storage.address());
    let member = Member::start(|_| State { behind, electing: 3, ..State::started_for(SET) });
    let mut place = place(&member);
    place.run(&["-y", "configure", "mongodb"]).ok();
    place.run(&["init"]).ok();
    assert_eq!(
        member.state().config,
        Some(doc! {
            "_id": SET, "members": [{ "_id": 0, "host": member.address() }], "version": 1, "term": 1_i64,
        })
    );
    // It is asked once, and only before.
    assert_eq!((member.state().count("getCmdLineOpts"), member.state().count("replSetInitiate")), (1, 1));
    assert_eq!(place.run(&["--json", "init"]).ok(), "{\"initialised\":false}\n");
    assert_eq!((member.state().count("getCmdLineOpts"), member.state().count("replSetInitiate")), (1, 1));
    // Another one in the configuration is not changed by that.
    place.env("BIGCHAINDB_DATABASE_REPLICASET", "other-rs");
    place.run(&["init"]).failed(1, "`other-rs`");
}

#[test]
fn a_server_that_is_not_of_the_configured_set_is_not_initiated() {
    let member = Member::start(|_| State::started_for("other-rs"));
    place(&member)
        .run(&["add-replicas", OTHERS[0]])
        .failed(1, "was started for the replica set `other-rs`, and database.replicaset is");
    assert_eq!(member.state().config, None);
    let member = Member::start(|_| State { hides_options: true, ..State::started_for(SET) });
    place(&member).run(&["add-replicas", OTHERS[0]]).failed(1, "mongod was not started with the replSet option");
    assert_eq!(member.state().config, None);
}

#[test]
fn a_server_that_does_not_tell_its_options_is_initiated_and_named_once() {
    let member = Member::start(|_| State::started_for(SET).forbid("getCmdLineOpts"));
    let ran = place(&member).run(&["add-replicas", OTHERS[0]]);
    assert_eq!(ran.ok(), format!("Added ['{}'] to the replicaset.\n", OTHERS[0]));
    assert_eq!(
        ran.stderr().matches("does not tell which replica set it was started for").count(),
        1,
        "{}",
        ran.stderr()
    );
}

#[test]
fn a_server_that_is_not_to_be_initiated_is_waited_for_and_told() {
    let member = Member::start(|_| State::started_for(SET).without("getCmdLineOpts").forbid("replSetInitiate"));
    let mut place = place(&member);
    place.env("BIGCHAINDB_DATABASE_CONNECTION_TIMEOUT", "700").env("BIGCHAINDB_DATABASE_MAX_TRIES", "2");
    let said = place.run(&["add-replicas", OTHERS[0]]).failed(1, "the server refuses to do it (replSetInitiate)");
    assert!(said.contains("run `rs.initiate()` there"), "{said}");
    assert_eq!(said.matches("does not tell which replica set").count(), 1, "{said}");
    assert!(member.state().count("replSetInitiate") >= 2);
    // A connection string does not say what the server calls itself.
    for name in ["HOST", "PORT"] {
        place.env_remove(&format!("BIGCHAINDB_DATABASE_{name}"));
    }
    let member = Member::start(|_| State::started_for(SET));
    place.env("BIGCHAINDB_DATABASE_URL", &format!("mongodb://{}", member.address()));
    place.run(&["add-replicas", OTHERS[0]]).failed(1, "is not initiated yet; run `rs.initiate()` there");
    assert_eq!(member.state().count("replSetInitiate"), 0);
}

#[test]
fn a_hosted_server_is_not_asked_what_it_refuses() {
    let Some(storage) = Mongod::start(&[]) else { return };
    let behind = Some(storage.address());
    let hosted = |own: &str| State { behind, ..set(own, &[]) }.forbid("getCmdLineOpts").forbid("replSetInitiate");
    let member = Member::start(hosted);
    let mut place = Place::new();
    place.env("BIGCHAINDB_DATABASE_BACKEND", "mongodb");
    place.run(&["-y", "configure", "mongodb"]).ok();
    place.env("BIGCHAINDB_DATABASE_URL", &format!("mongodb://{}/ledger", member.address()));
    let ran = place.run(&["init"]);
    assert_eq!(ran.ok(), "The ledger is ready.\n");
    assert!(!ran.stderr().contains("getCmdLineOpts"), "{}", ran.stderr());
    let asked = ["getCmdLineOpts", "replSetInitiate", "replSetReconfig"].map(|command| member.state().count(command));
    assert_eq!(asked, [0; 3]);
}
