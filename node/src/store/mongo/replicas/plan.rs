//! From a replica set's configuration to the next one (MongoDB manual, "Replica Set Configuration"): no I/O.

use mongodb::bson::{Bson, Document, doc};
use thiserror::Error;

/// What is to become of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It joins.
    Add,
    /// It leaves.
    Remove,
}

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Asked for more than once.
    #[error("`{0}` is named twice; nothing was changed")]
    Twice(String),
    /// It cannot be added.
    #[error("`{0}` is a member of the replica set already; nothing was changed")]
    IsMember(String),
    /// It cannot be removed.
    #[error("`{host}` is no member of the replica set, which has {members}; nothing was changed")]
    IsNoMember {
        /// The one that was asked for.
        host: String,
        /// Those that there are.
        members: String,
    },
    /// Nobody would be left.
    #[error("a replica set cannot be without a member; nothing was changed")]
    NobodyLeft,
    /// The member that makes the change cannot be removed by it.
    #[error(
        "`{0}` is the primary of the replica set, which cannot remove itself: have another one elected \
         (`rs.stepDown()`), then remove it; nothing was changed"
    )]
    IsPrimary(String),
    /// What the server calls a configuration does not read.
    #[error("the server's answer is no configuration of a replica set: it has no {0}")]
    Unreadable(&'static str),
}

/// Whether the whole change can be made. `primary`: the member that would make it.
pub fn check(config: &Document, change: Change, hosts: &[String], primary: Option<&str>) -> Result<(), Fault> {
    for (at, host) in hosts.iter().enumerate() {
        if hosts.iter().take(at).any(|other| is_same(host, other)) {
            return Err(Fault::Twice(host.clone()));
        }
        match (change, has(config, host)?) {
            (Change::Add, true) => return Err(Fault::IsMember(host.clone())),
            (Change::Remove, false) => {
                let members = members(config)?.iter().map(|member| format!("`{}`", host_of(member)));
                let members = members.collect::<Vec<_>>().join(", ");
                return Err(Fault::IsNoMember { host: host.clone(), members });
            }
            _ => {}
        }
    }
    if change == Change::Add {
        return Ok(());
    }
    if members(config)?.iter().all(|member| hosts.iter().any(|host| is_same(host, host_of(member)))) {
        return Err(Fault::NobodyLeft);
    }
    match hosts.iter().find(|host| primary.is_some_and(|primary| is_same(host, primary))) {
        Some(host) => Err(Fault::IsPrimary(host.clone())),
        None => Ok(()),
    }
}

/// Whether the configuration is as the change wants it for this host.
pub fn is_made(config: &Document, change: Change, host: &str) -> Result<bool, Fault> {
    Ok(has(config, host)? == (change == Change::Add))
}

/// The configuration with the change made for this host, and the next version. A new member's `_id` is one more than the
/// highest, as in 1.0.1.
pub fn next(config: &Document, change: Change, host: &str) -> Result<Document, Fault> {
    let mut members = members(config)?.to_vec();
    match change {
        Change::Add => {
            let ids = members.iter().map(|member| member.as_document().and_then(|member| number(member, "_id")));
            let highest = ids.max().flatten().ok_or(Fault::Unreadable("`_id` of its members"))?;
            members.push(doc! { "_id": highest + 1, "host": host }.into());
        }
        Change::Remove => members.retain(|member| !is_same(host, host_of(member))),
    }
    let mut next = config.clone();
    next.insert("version", version(config)? + 1);
    next.insert("members", members);
    Ok(next)
}

/// The number of the configuration.
pub fn version(config: &Document) -> Result<i64, Fault> {
    number(config, "version").ok_or(Fault::Unreadable("`version`"))
}

fn members(config: &Document) -> Result<&[Bson], Fault> {
    config.get_array("members").map(Vec::as_slice).map_err(|_| Fault::Unreadable("`members`"))
}

fn host_of(member: &Bson) -> &str {
    member.as_document().and_then(|member| member.get_str("host").ok()).unwrap_or_default()
}

fn has(config: &Document, host: &str) -> Result<bool, Fault> {
    Ok(members(config)?.iter().any(|member| is_same(host, host_of(member))))
}

/// Names of hosts are compared without regard to case.
fn is_same(host: &str, other: &str) -> bool {
    host.eq_ignore_ascii_case(other)
}

/// Servers send these as 32 or 64 bits, shells as floating point.
fn number(document: &Document, name: &str) -> Option<i64> {
    match document.get(name)? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation)] // Versions and places are small whole numbers.
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    fn config() -> Document {
        doc! {
            "_id": "rs", "version": 4, "term": 2, "settings": { "chainingAllowed": true },
            "members": [{ "_id": 0, "host": "a:1", "priority": 2 }, { "_id": 7, "host": "b:2" }],
        }
    }

    fn hosts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_member_is_added_behind_the_highest_id_and_nothing_else_changes() {
        let next = next(&config(), Change::Add, "c:3").unwrap();
        let mut expected = config();
        expected.insert("version", 5_i64);
        let mut members = config().get_array("members").unwrap().clone();
        members.push(doc! { "_id": 8_i64, "host": "c:3" }.into());
        expected.insert("members", members);
        assert_eq!(next, expected);
        assert!(is_made(&next, Change::Add, "c:3").unwrap() && !is_made(&config(), Change::Add, "c:3").unwrap());
    }

    #[test]
    fn a_member_is_removed_and_the_others_keep_their_ids() {
        let next = next(&config(), Change::Remove, "A:1").unwrap();
        let members = next.get_array("members").unwrap();
        assert_eq!((members.len(), members[0].as_document().unwrap()), (1, &doc! { "_id": 7, "host": "b:2" }));
        assert_eq!(version(&next).unwrap(), 5);
        assert!(is_made(&next, Change::Remove, "a:1").unwrap() && !is_made(&config(), Change::Remove, "a:1").unwrap());
    }

    #[test]
    fn what_cannot_be_changed_is_named() {
        let check = |change, names: &[&str]| check(&config(), change, &hosts(names), Some("a:1"));
        assert_eq!(check(Change::Add, &["c:3", "d:4"]), Ok(()));
        assert_eq!(check(Change::Add, &["c:3", "B:2"]), Err(Fault::IsMember("B:2".to_owned())));
        assert_eq!(check(Change::Add, &["c:3", "d:4", "c:3"]), Err(Fault::Twice("c:3".to_owned())));
        assert_eq!(check(Change::Remove, &["b:2"]), Ok(()));
        assert_eq!(check(Change::Remove, &["a:1"]), Err(Fault::IsPrimary("a:1".to_owned())));
        assert_eq!(check(Change::Remove, &["b:2", "a:1"]), Err(Fault::NobodyLeft));
        let members = "`a:1`, `b:2`".to_owned();
        assert_eq!(check(Change::Remove, &["c:3"]), Err(Fault::IsNoMember { host: "c:3".to_owned(), members }));
    }

    #[test]
    fn what_is_no_configuration_is_told() {
        for (config, missing) in [
            (doc! {}, "`members`"),
            (doc! { "members": [] }, "`_id` of its members"),
            (doc! { "members": [{ "_id": "0" }] }, "`_id` of its members"),
            (doc! { "members": [{ "_id": 0 }] }, "`version`"),
        ] {
            assert_eq!(next(&config, Change::Add, "c:3"), Err(Fault::Unreadable(missing)), "{config}");
        }
    }
}
