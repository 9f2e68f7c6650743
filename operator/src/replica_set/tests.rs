#![allow(clippy::unwrap_used)] // A test may panic.

use jiff::{SignedDuration, Timestamp};
use pki::{Authority, Leaf, PrivateKey, Validity};

use super::*;

const HOST: &str = "node-a-mdb.bigchain.svc:27017";

/// What is wanted, and the next certificate of the member.
struct World {
    wanted: Wanted,
    renewed: Serial,
}

fn world() -> World {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let validity = Validity::starting(now, SignedDuration::from_hours(24)).unwrap();
    let serial = || Serial::random().unwrap();
    let key = || PrivateKey::generate().unwrap();
    let authority = Authority::create("Consortium", "Root", key(), &serial(), validity).unwrap();
    let leaf = |role: pki::Role, common_name: &str, names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let leaf = Leaf { role, organization: "Consortium".to_owned(), common_name: common_name.to_owned(), names };
        authority.issue(&leaf, &key(), &serial(), validity).unwrap()
    };
    let member = leaf(pki::Role::Member, "node-a-mdb", &["node-a-mdb.bigchain.svc"]);
    let client = leaf(pki::Role::Client, "node-a-bdb", &[]);
    let wanted = Wanted { set: "bigchain-rs".to_owned(), host: HOST.to_owned(), member, client };
    World { wanted, renewed: serial() }
}

impl World {
    fn pod(&self) -> Pod {
        let (name, uid) = ("node-a-mdb-0".to_owned(), "1".to_owned());
        Pod { name, uid, is_ending: false, is_outdated: false }
    }

    fn open(&self, standing: Standing) -> Server {
        Server::Open { served: self.wanted.member.serial().clone(), standing }
    }

    fn member(&self, state: MemberState, users: &[User]) -> Server {
        self.open(Standing::Initiated(self.set(state, users)))
    }

    fn set(&self, state: MemberState, users: &[User]) -> ReplicaSet {
        ReplicaSet { name: "bigchain-rs".to_owned(), hosts: vec![HOST.to_owned()], state, users: users.to_vec() }
    }

    fn user(&self, roles: &[Role]) -> User {
        User { subject: self.wanted.client.subject().to_owned(), roles: roles.to_vec() }
    }

    fn settled(&self) -> Server {
        self.member(MemberState::Primary, &[self.user(SERVER_ROLES)])
    }

    fn plan(&self, pod: Pod, server: Server) -> Result<Option<Step>, Hindrance> {
        plan(&self.wanted, &Observed { pod: Some(pod), server })
    }

    /// With a pod that is as it should be.
    #[track_caller]
    fn check(&self, server: Server, expected: Result<Option<Step>, Hindrance>) {
        assert_eq!(self.plan(self.pod(), server), expected);
    }
}

fn not_initiated(started_for: &str) -> Standing {
    Standing::NotInitiated { started_for: Some(started_for.to_owned()) }
}

fn command(command: Command) -> Result<Option<Step>, Hindrance> {
    Ok(Some(Step::Command(command)))
}

fn ensure_user(world: &World) -> Result<Option<Step>, Hindrance> {
    command(Command::EnsureUser { subject: world.wanted.client.subject().to_owned(), roles: SERVER_ROLES })
}

#[test]
fn an_empty_server_becomes_a_set_of_one_with_its_user_and_then_nothing_is_left_to_do() {
    let world = world();
    let initiate = || command(Command::Initiate { name: "bigchain-rs".to_owned(), host: HOST.to_owned() });
    world.check(world.open(not_initiated("bigchain-rs")), initiate());
    world.check(world.open(Standing::NotInitiated { started_for: None }), initiate());
    for state in [MemberState::Startup2, MemberState::Secondary] {
        world.check(world.member(state, &[]), Err(Hindrance::NotPrimary(state)));
    }
    world.check(world.member(MemberState::Primary, &[]), ensure_user(&world));
    world.check(world.settled(), Ok(None));
}

#[test]
fn a_user_lacks_roles_or_has_more_of_them() {
    let world = world();
    world.check(world.member(MemberState::Primary, &[world.user(&SERVER_ROLES[..1])]), ensure_user(&world));
    let other =
        User { subject: "CN=node-b-bdb,OU=BigchainDB-Instance,O=Consortium".to_owned(), ..world.user(SERVER_ROLES) };
    world.check(world.member(MemberState::Primary, std::slice::from_ref(&other)), ensure_user(&world));
    let mut roles = SERVER_ROLES.to_vec();
    roles.push(Role { name: "clusterMonitor".into(), database: "admin".into() });
    world.check(world.member(MemberState::Primary, &[other, world.user(&roles)]), Ok(None));
}

#[test]
fn a_users_roles_are_those_of_the_manual() {
    let roles: Vec<String> = SERVER_ROLES.iter().map(|role| format!("{}@{}", role.name, role.database)).collect();
    assert_eq!(roles, ["clusterAdmin@admin", "readWriteAnyDatabase@admin"]);
}

#[test]
fn a_member_is_never_made_a_user() {
    let mut world = world();
    world.wanted.client = world.wanted.member.clone();
    let answer = world.plan(world.pod(), world.member(MemberState::Primary, &[]));
    let Err(hindrance @ Hindrance::ClientIsMember(_)) = answer else { panic!("{answer:?}") };
    assert!(hindrance.to_string().contains("OU=MongoDB-Instance") && !hindrance.is_passing(), "{hindrance}");
}

#[test]
fn a_renewed_certificate_changes_no_step() {
    let world = world();
    let old = |standing| Server::Open { served: world.renewed.clone(), standing };
    let standing = |users: &[User]| Standing::Initiated(world.set(MemberState::Primary, users));
    world.check(old(standing(&[])), ensure_user(&world));
    world.check(old(standing(&[world.user(SERVER_ROLES)])), Ok(None));
}

#[test]
fn a_server_that_lets_nobody_in_is_restarted_only_if_that_gives_it_another_certificate() {
    let world = world();
    let closed = |served| Server::Closed { reason: "its certificate has expired".to_owned(), served };
    let restart = Step::RestartMember { pod: "node-a-mdb-0".to_owned(), uid: "1".to_owned() };
    world.check(closed(Some(world.renewed.clone())), Ok(Some(restart)));
    let refusal = || Err(Hindrance::Closed("its certificate has expired".to_owned()));
    world.check(closed(Some(world.wanted.member.serial().clone())), refusal());
    world.check(closed(None), refusal());
}

#[test]
fn an_outdated_pod_is_replaced_before_all_else_unless_others_are_members() {
    let world = world();
    let outdated = || Pod { is_outdated: true, ..world.pod() };
    let restart = Ok(Some(Step::RestartMember { pod: "node-a-mdb-0".to_owned(), uid: "1".to_owned() }));
    let away = Server::Away { reason: "no route".to_owned() };
    for server in [away, world.open(not_initiated("bigchain-rs")), world.settled()] {
        assert_eq!(world.plan(outdated(), server), restart);
    }
    let ending = Pod { is_ending: true, ..outdated() };
    assert_eq!(world.plan(ending, world.settled()), Err(Hindrance::PodEnding("node-a-mdb-0".to_owned())));
    let mut set = world.set(MemberState::Primary, &[]);
    set.hosts.push("node-b-mdb:27017".to_owned());
    let answer = world.plan(outdated(), world.open(Standing::Initiated(set)));
    assert!(matches!(answer, Err(Hindrance::OtherMembers { .. })), "{answer:?}");
}

#[test]
fn what_is_in_the_way_is_told_apart() {
    let world = world();
    let check = |server, reason: &str, is_passing, words: &[&str]| {
        let hindrance = world.plan(world.pod(), server).unwrap_err();
        assert_eq!((hindrance.reason(), hindrance.is_passing()), (reason, is_passing));
        let text = hindrance.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    check(Server::Away { reason: "a:1 does not answer".to_owned() }, "Unreachable", true, &["a:1 does not answer"]);
    check(world.open(Standing::NoReplication), "NoReplication", false, &["`bigchain-rs`"]);
    check(world.open(not_initiated("rs0")), "OtherReplicaSet", false, &["`rs0`", "`bigchain-rs`"]);
    let other = ReplicaSet { name: "rs0".to_owned(), ..world.set(MemberState::Primary, &[]) };
    check(world.open(Standing::Initiated(other)), "OtherReplicaSet", false, &["`rs0`", "`bigchain-rs`"]);
    let hosts = vec!["b:1".to_owned(), "c:2".to_owned()];
    let elsewhere = ReplicaSet { hosts, ..world.set(MemberState::Removed, &[]) };
    check(world.open(Standing::Initiated(elsewhere)), "NotAMember", false, &["`b:1`, `c:2`", HOST]);
    let without = plan(&world.wanted, &Observed { pod: None, server: world.settled() });
    assert_eq!(without, Err(Hindrance::NoPod));
}

#[test]
fn a_pod_is_outdated_only_by_a_revision_that_its_stateful_set_has_made() {
    let pod = |value: serde_json::Value| serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(value).unwrap();
    let set = |seen: i64, revision: &str| {
        let value = serde_json::json!({
            "metadata": {"generation": 2},
            "status": {"observedGeneration": seen, "updateRevision": revision, "replicas": 1},
        });
        serde_json::from_value::<StatefulSet>(value).unwrap()
    };
    let running = pod(serde_json::json!({"metadata": {"name": "m-0", "uid": "u", "labels": {REVISION: "m-1"}}}));
    assert!(Pod::of(&running, &set(2, "m-2")).is_outdated);
    assert!(!Pod::of(&running, &set(2, "m-1")).is_outdated);
    assert!(!Pod::of(&running, &set(1, "m-2")).is_outdated);
    let ending = pod(serde_json::json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    let ending = Pod::of(&ending, &StatefulSet::default());
    assert!(ending.is_ending && !ending.is_outdated);
}
