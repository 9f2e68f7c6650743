//! The plan carried out on a member, and each thing that can be in the way told apart.
#![allow(clippy::unwrap_used)] // A test may panic.

#[path = "mongo_admin/member.rs"]
mod member;

use std::time::Duration;

use bigchaindb_operator::mongo_admin::{Admin, AdminError, Code, Credentials, Target, connect};
use bigchaindb_operator::replica_set::{
    Command, Hindrance, MemberState, Observed, Pod, SERVER_ROLES, Server, Standing, Step, Wanted, plan,
};
use jiff::{SignedDuration, Timestamp};
use member::{Member, State, refusal};
use mongodb::bson::doc;
use pki::{Authority, Certificate, Leaf, PrivateKey, Role, Serial, Validity};

const SET: &str = "bigchain-rs";
const HOST: &str = "node-a-mdb.bigchain.svc:27017";

type Issued = (Certificate, PrivateKey);

/// A consortium.
struct World {
    authority: Authority,
    member: Issued,
    client: Issued,
}

fn validity(lifetime: SignedDuration) -> Validity {
    // rustls reads the machine's clock.
    Validity::starting(Timestamp::now(), lifetime).unwrap()
}

fn issue(authority: &Authority, role: Role, common_name: &str) -> Issued {
    let names = if role.is_server() { vec!["127.0.0.1".to_owned()] } else { Vec::new() };
    let (organization, common_name) = ("Consortium".to_owned(), common_name.to_owned());
    let leaf = Leaf { role, organization, common_name, names };
    let key = PrivateKey::generate().unwrap();
    let serial = Serial::random().unwrap();
    let certificate = authority.issue(&leaf, &key, &serial, validity(SignedDuration::from_hours(24))).unwrap();
    (certificate, key)
}

fn world() -> World {
    let (key, serial) = (PrivateKey::generate().unwrap(), Serial::random().unwrap());
    let validity = validity(SignedDuration::from_hours(48));
    let authority = Authority::create("Consortium", "Root", key, &serial, validity).unwrap();
    let member = issue(&authority, Role::Member, "node-a-mdb");
    let client = issue(&authority, Role::Client, "node-a-bdb");
    World { authority, member, client }
}

fn primary(set: &str, host: &str) -> State {
    let set = Some((set.to_owned(), host.to_owned()));
    State { set, state: 1, started_for: SET.to_owned(), ..State::default() }
}

impl World {
    async fn start(&self, state: State) -> Member {
        Member::start(self.authority.certificate(), &self.member.0, &self.member.1, state).await
    }

    fn admin(&self, port: u16) -> Admin {
        admin(port, self.authority.certificate(), &self.member)
    }

    fn wanted(&self) -> Wanted {
        let (member, client) = (self.member.0.clone(), self.client.0.clone());
        Wanted { set: SET.to_owned(), host: HOST.to_owned(), member, client }
    }

    fn plan(&self, server: Server) -> Result<Option<Step>, Hindrance> {
        let (name, uid) = ("node-a-mdb-0".to_owned(), "1".to_owned());
        let pod = Some(Pod { name, uid, is_ending: false, is_outdated: false });
        plan(&self.wanted(), &Observed { pod, server })
    }

    async fn standing(&self, state: State) -> Standing {
        let member = self.start(state).await;
        match self.admin(member.port).observe().await {
            Server::Open { standing, .. } => standing,
            server => panic!("{server:?}"),
        }
    }
}

fn admin(port: u16, authority: &Certificate, (certificate, key): &Issued) -> Admin {
    let target = Target { host: "127.0.0.1".to_owned(), port };
    let certificate_and_key_pem = format!("{}{}", certificate.pem(), *key.pem()).into();
    connect(&target, &Credentials { ca_pem: authority.pem(), certificate_and_key_pem }).unwrap()
}

#[tokio::test]
async fn step_by_step_an_empty_member_becomes_what_is_wanted() {
    let world = world();
    let member = world.start(State { started_for: SET.to_owned(), ..State::default() }).await;
    let admin = world.admin(member.port);
    let next = async || world.plan(admin.observe().await);
    let perform = async |step: Result<Option<Step>, Hindrance>| match step {
        Ok(Some(Step::Command(command))) => {
            admin.perform(&command).await.unwrap();
            // As if the operator had ended before it could note it.
            admin.perform(&command).await.unwrap();
            command
        }
        step => panic!("{step:?}"),
    };
    let initiate = perform(next().await).await;
    assert_eq!(initiate, Command::Initiate { name: SET.to_owned(), host: HOST.to_owned() });
    assert_eq!(next().await, Err(Hindrance::NotPrimary(MemberState::Secondary)));
    member.state.lock().unwrap().state = 1;
    let subject = world.client.0.subject().to_owned();
    let ensure = perform(next().await).await;
    assert_eq!(ensure, Command::EnsureUser { subject: subject.clone(), roles: SERVER_ROLES });
    assert_eq!(next().await, Ok(None));

    let told = std::mem::take(&mut member.state.lock().unwrap().told);
    let config = doc! { "_id": SET, "members": [{ "_id": 0, "host": HOST }] };
    let roles =
        vec![doc! { "role": "clusterAdmin", "db": "admin" }, doc! { "role": "readWriteAnyDatabase", "db": "admin" }];
    let durable = doc! { "w": "majority", "wtimeout": 5000 };
    let initiate = doc! { "replSetInitiate": config };
    let create = doc! { "createUser": &subject, "roles": roles.clone(), "writeConcern": durable.clone() };
    let grant = doc! { "grantRolesToUser": &subject, "roles": roles, "writeConcern": durable };
    assert_eq!(told, [initiate.clone(), initiate, create.clone(), create, grant]);
    assert_eq!(member.state.lock().unwrap().users[0].get_str("db").unwrap(), "$external");
}

#[tokio::test]
async fn a_certificate_that_is_not_the_secrets_is_seen_and_rotated() {
    let mut world = world();
    let member = world.start(primary(SET, HOST)).await;
    let admin = world.admin(member.port);
    let subject = world.client.0.subject().to_owned();
    admin.perform(&Command::EnsureUser { subject, roles: SERVER_ROLES }).await.unwrap();
    assert_eq!(world.plan(admin.observe().await), Ok(None));
    world.member = issue(&world.authority, Role::Member, "node-a-mdb");
    // The one in the Secret logs in, too.
    let admin = world.admin(member.port);
    let Server::Open { served, .. } = admin.observe().await else { panic!("it is not open") };
    assert_ne!(&served, world.member.0.serial());
    admin.rotate_certificates().await.unwrap();
    assert_eq!(member.state.lock().unwrap().told.last(), Some(&doc! { "rotateCertificates": 1 }));
}

#[tokio::test]
async fn a_member_of_something_else_is_told_apart() {
    let world = world();
    let Standing::Initiated(set) = world.standing(primary("rs0", "b:1")).await else { panic!("not initiated") };
    assert_eq!((set.name.as_str(), set.hosts, set.state), ("rs0", vec!["b:1".to_owned()], MemberState::Primary));

    let status = |code| ("replSetGetStatus", refusal(code, "no"));
    let config = doc! { "config": { "_id": SET, "members": [{ "_id": 0, "host": "b:1" }] }, "ok": 1.0 };
    let instead = vec![status(93), ("replSetGetConfig", config)];
    let Standing::Initiated(set) = world.standing(State { instead, ..State::default() }).await else {
        panic!("not initiated")
    };
    assert_eq!((set.name.as_str(), set.hosts, set.state), (SET, vec!["b:1".to_owned()], MemberState::Removed));

    let standing = world.standing(State { instead: vec![status(76)], ..State::default() }).await;
    assert_eq!(standing, Standing::NoReplication);
    let standing = world.standing(State { started_for: "rs0".to_owned(), ..State::default() }).await;
    assert_eq!(standing, Standing::NotInitiated { started_for: Some("rs0".to_owned()) });
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let world = world();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let Server::Away { reason } = world.admin(port).observe().await else { panic!("it answers") };
    assert!(reason.starts_with(&format!("127.0.0.1:{port} does not answer: ")), "{reason}");

    // It takes connections and hangs.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let Server::Away { reason } = world.admin(port).observe_within(Duration::from_millis(50)).await else {
        panic!("it answers")
    };
    assert!(reason.contains("did not tell how it stands in 50ms"), "{reason}");

    // It steps down between two questions.
    let instead = vec![("usersInfo", refusal(13436, "not master or secondary"))];
    let member = world.start(State { instead, ..primary(SET, HOST) }).await;
    let Server::Away { reason } = world.admin(member.port).observe().await else { panic!("it answers") };
    assert!(reason.contains("refuses usersInfo (it is not PRIMARY") && reason.contains("13436"), "{reason}");
}

#[track_caller]
fn assert_closed(server: &Server, served: Option<&Certificate>, words: &str) {
    let Server::Closed { reason, served: found } = server else { panic!("{server:?}") };
    assert!(reason.contains(words), "{reason}");
    assert_eq!(found.as_ref(), served.map(Certificate::serial));
}

#[tokio::test]
async fn who_does_not_trust_whom_is_told_apart() {
    let (own, other) = (world(), world());
    let member = own.start(primary(SET, HOST)).await;
    let (port, served) = (member.port, Some(&own.member.0));
    let observe =
        async |authority: &World, shown: &Issued| admin(port, authority.authority.certificate(), shown).observe().await;
    let untrusted = observe(&other, &own.member).await;
    assert_closed(&untrusted, served, "not signed by an authority that the operator trusts");
    assert_closed(&observe(&own, &other.member).await, served, "it refuses the operator's certificate");
    assert_closed(
        &observe(&own, &own.client).await,
        served,
        "refuses the login of `CN=node-a-bdb,OU=BigchainDB-Instance",
    );
    // A user, and still no member.
    let subject = own.client.0.subject();
    member.state.lock().unwrap().users.push(doc! { "user": subject, "db": "$external", "roles": [] });
    assert_closed(&observe(&own, &own.client).await, served, "does not take `CN=node-a-bdb,OU=BigchainDB-Instance");
}

#[tokio::test]
async fn what_a_member_refuses_is_passed_on_with_the_code_and_no_key() {
    let world = world();
    let command = Command::Initiate { name: SET.to_owned(), host: HOST.to_owned() };
    let instead = vec![("replSetInitiate", refusal(74, "No host described maps to this node"))];
    let member = world.start(State { instead, ..State::default() }).await;
    let error = world.admin(member.port).perform(&command).await.unwrap_err();
    assert!(matches!(error, AdminError::Command { code: Code::NodeNotFound, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("must be able to reach itself") && text.contains("(code 74)"), "{text}");

    let late = doc! { "ok": 1.0, "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" } };
    let member = world.start(State { instead: vec![("createUser", late)], ..primary(SET, HOST) }).await;
    let ensure = Command::EnsureUser { subject: "CN=a".to_owned(), roles: SERVER_ROLES };
    let error = world.admin(member.port).perform(&ensure).await.unwrap_err();
    assert!(error.is_passing() && error.to_string().contains("not confirmed by a majority"), "{error}");
}

#[tokio::test]
async fn a_key_that_does_not_read_is_refused_and_not_shown() {
    let world = world();
    let target = Target { host: "127.0.0.1".to_owned(), port: 1 };
    let with = |pem: String| {
        let credentials =
            Credentials { ca_pem: world.authority.certificate().pem(), certificate_and_key_pem: pem.into() };
        assert_eq!(format!("{credentials:?}"), "Credentials(...)");
        connect(&target, &credentials).err().unwrap().to_string()
    };
    let pem = world.member.0.pem();
    assert!(with(pem.clone()).ends_with("there is no private key that reads"));
    let other = with(format!("{pem}{}", *world.client.1.pem()));
    assert!(other.starts_with("the certificate of the MongoDB member: "), "{other}");
    // Without line breaks all of it is one line, which the library quotes as numbers.
    let digits = world.member.1.pem().lines().nth(1).unwrap()[..8].to_owned();
    let numbers = digits.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    for between in ["\\n", " "] {
        let pasted = format!("{pem}{}", world.member.1.pem().replace('\n', between));
        let told = with(pasted);
        assert!(told.contains("line breaks") && !told.contains(&digits) && !told.contains(&numbers), "{told}");
    }
}
