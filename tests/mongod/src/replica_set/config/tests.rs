//! Which configurations are accepted, and which changes.
#![allow(clippy::unwrap_used)] // A test may panic.

use bson::bson;

use super::*;

fn read(document: &Document) -> Config {
    Config::read(document, ObjectId::from_bytes([1; 12])).unwrap()
}

fn with_members(members: Bson) -> Document {
    doc! { "_id": "rs", "version": 2, "members": members }
}

#[track_caller]
fn check_unread(document: &Document, hint: &str) {
    let said = Config::read(document, ObjectId::new()).unwrap_err();
    assert!(said.contains(hint), "no `{hint}` in: {said}");
}

#[track_caller]
fn check_invalid(members: Bson, hint: &str) {
    let said = read(&with_members(members)).validate().unwrap_err();
    assert!(said.contains(hint), "no `{hint}` in: {said}");
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_manual() {
    let config = read(&doc! { "_id": "rs", "members": [{ "_id": 0, "host": "a" }] });
    assert_eq!(config.validate(), Ok(()));
    let shown = config.document();
    let member = shown.get_array("members").unwrap()[0].as_document().unwrap();
    assert_eq!(member.get_str("host").unwrap(), "a:27017");
    assert_eq!((member.get_f64("priority").unwrap(), member.get_i32("votes").unwrap()), (1.0, 1));
    assert_eq!(shown.get_i32("version").unwrap(), 1);
    assert_eq!(shown.get_document("settings").unwrap().get_i32("electionTimeoutMillis").unwrap(), 10_000);
    assert_eq!(read(&shown).document(), shown, "what is shown is read as the same");
}

#[test]
fn what_has_the_wrong_form_is_not_read() {
    let members = bson!([{ "_id": 0, "host": "a:1" }]);
    check_unread(&doc! { "members": members.clone() }, "_id");
    check_unread(&doc! { "_id": "rs" }, "members");
    check_unread(&doc! { "_id": "rs", "members": members.clone(), "configsrv": true }, "'ReplSetConfig.configsrv'");
    check_unread(&doc! { "_id": "rs", "members": members.clone(), "version": 0 }, "version field value of 0");
    check_unread(&doc! { "_id": "rs", "members": members.clone(), "protocolVersion": 0 }, "protocolVersion");
    check_unread(&doc! { "_id": "rs", "members": members, "settings": { "electionTimeout": 1 } }, "electionTimeout");
    check_unread(&with_members(bson!([{ "host": "a:1" }])), "MemberConfig._id");
    check_unread(&with_members(bson!([{ "_id": 256, "host": "a:1" }])), "256 is out of range");
    check_unread(&with_members(bson!([{ "_id": 0, "host": "a:1", "slaveDelay": 1 }])), "slaveDelay");
    check_unread(&with_members(bson!([{ "_id": 0, "host": "a:1", "tags": { "owner": 1 } }])), "tags");
    check_unread(&with_members(bson!([{ "_id": 0, "host": "a:1", "votes": "one" }])), "votes");
}

#[test]
fn members_that_contradict_themselves_or_each_other_are_refused() {
    check_invalid(bson!([]), "1 to 50 members");
    check_invalid(bson!([{ "_id": 0, "host": "a:1", "priority": 1001 }]), "priority field value of 1001");
    check_invalid(bson!([{ "_id": 0, "host": "a:1", "votes": 2 }]), "must be 0 or 1");
    check_invalid(bson!([{ "_id": 0, "host": "a:1", "votes": 0 }]), "priority must be 0 when non-voting");
    check_invalid(bson!([{ "_id": 0, "host": "a:1", "hidden": true }]), "priority must be 0 when hidden");
    check_invalid(bson!([{ "_id": 0, "host": "a:1", "votes": 0, "priority": 0 }]), "1 to 7 voting members");
    check_invalid(bson!([{ "_id": 0, "host": "a:1", "priority": 0 }]), "priority > 0");
    check_invalid(bson!([{ "_id": 0, "host": "a:1" }, { "_id": 0, "host": "b:1" }]), "same _id field, 0");
    check_invalid(bson!([{ "_id": 0, "host": "a:1" }, { "_id": 1, "host": "a:1" }]), "same host field, a:1");
    check_invalid(bson!([{ "_id": 0, "host": "a:1" }, { "_id": 1, "host": "localhost:1" }]), "localhost");
}

#[test]
fn a_configuration_follows_an_older_one_of_the_same_set_only() {
    let old = read(&with_members(bson!([{ "_id": 0, "host": "a:1" }])));
    let next = |version: i32, id: i32| {
        read(&doc! { "_id": "rs", "version": version, "members": [{ "_id": id, "host": "a:1", "votes": 1 }] })
    };
    assert_eq!(next(3, 0).may_follow(&old), Ok(()));
    assert!(next(2, 0).may_follow(&old).unwrap_err().contains("2 is not greater than 2"));
    assert!(next(3, 1).may_follow(&old).unwrap_err().contains("_id field is 1"));
    let mut other = next(3, 0);
    other.id = ObjectId::new();
    assert!(other.may_follow(&old).unwrap_err().contains("differ in replica set ID"));
}
