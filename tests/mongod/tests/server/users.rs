//! Logins, users and what their roles allow (MongoDB manual, "Use X.509 Certificates to Authenticate Clients", "User
//! Management Commands" and "Built-In Roles").

use mongodb::Database;
use mongodb::bson::{Document, bson, doc};
use mongodb::error::ErrorKind;

use super::pki::{CLIENT, MEMBER, subject};
use super::process::{Mongod, Place, code, run};

/// A client with a certificate and TLS that does not log in.
fn stranger(place: &Place) -> Database {
    let tls = mongodb::options::TlsOptions::builder()
        .ca_file_path(place.pki.file("ca.pem"))
        .cert_key_file_path(place.pki.client(CLIENT, "stranger", 300))
        .build();
    let mut options = place.options();
    options.tls = Some(tls.into());
    mongodb::Client::with_options(options).unwrap().database("admin")
}

/// Whether the login of a certificate is refused.
async fn is_login_refused(place: &Place, unit: &str, name: &str) -> bool {
    let client = place.client(&place.pki.client(unit, name, 300));
    match run(&client.database("admin"), doc! { "ping": 1 }).await.map_err(|error| *error.kind) {
        Ok(_) => false,
        Err(ErrorKind::Authentication { .. }) => true,
        Err(other) => panic!("another error: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_login_there_is_little_to_be_had() {
    let Some(server) = Mongod::initiated().await else { return };
    let admin = stranger(&server.place);
    for allowed in ["hello", "isMaster", "ping", "buildInfo", "connectionStatus", "listCommands"] {
        run(&admin, doc! { allowed: 1 }).await.unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    for refused in [
        "replSetGetStatus",
        "replSetGetConfig",
        "serverStatus",
        "getCmdLineOpts",
        "rotateCertificates",
        "listDatabases",
    ] {
        assert_eq!(code(run(&admin, doc! { refused: 1 }).await), 13, "{refused}");
    }
    let external = admin.client().database("$external");
    assert_eq!(code(run(&external, doc! { "createUser": "CN=a", "roles": [] }).await), 13);
    assert_eq!(code(run(&admin.client().database("bigchain"), doc! { "find": "c" }).await), 13);
    assert_eq!(code(run(&admin, doc! { "noSuchCommand": 1 }).await), 59);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_user_can_be_made_on_the_same_machine_where_that_is_not_closed() {
    let place = Place::new();
    let file = place.folder().join("mongod.conf");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("enableLocalhostAuthBypass: false", "enableLocalhostAuthBypass: true")).unwrap();
    let Some(server) = place.start() else { return };
    let admin = stranger(&server.place);
    let config = doc! { "_id": super::process::SET, "members": [{ "_id": 0, "host": server.place.host() }] };
    run(&admin, doc! { "replSetInitiate": config }).await.unwrap();
    server.is_primary().await;
    // "Localhost Exception": for the first user, and for nothing else.
    assert_eq!(code(run(&admin.client().database("bigchain"), doc! { "find": "c" }).await), 13);
    let external = admin.client().database("$external");
    let roles = bson!([{ "role": "userAdminAnyDatabase", "db": "admin" }]);
    let create = |name: &str| doc! { "createUser": subject(CLIENT, name), "roles": roles.clone() };
    run(&external, create("first")).await.unwrap();
    assert_eq!(code(run(&external, create("second")).await), 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_known_by_organization_and_unit_and_others_by_their_user() {
    let Some(server) = Mongod::initiated().await else { return };
    let place = &server.place;
    assert!(is_login_refused(place, CLIENT, "node").await);
    assert!(is_login_refused(place, "MongoDB-Mon-Instance", "operator").await);
    assert!(!is_login_refused(place, MEMBER, "whoever").await);
    // `authenticate`: UserNotFound is told, other reasons are not (AuthenticationFailed).
    let external = stranger(place).client().database("$external");
    let authenticate = doc! { "authenticate": 1, "mechanism": "MONGODB-X509" };
    assert_eq!(code(run(&external, authenticate.clone()).await), 11);
    let mut other = authenticate.clone();
    other.insert("user", subject(MEMBER, "node-mdb"));
    assert_eq!(code(run(&external, other).await), 18);
    let status = run(&server.admin(), doc! { "connectionStatus": 1 }).await.unwrap();
    let users = status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap().clone();
    assert_eq!(users, [bson!({ "user": "__system", "db": "local" })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_counts_in_its_database_only() {
    let Some(server) = Mongod::initiated().await else { return };
    let client = server.user("node", bson!([{ "role": "readWrite", "db": "bigchain" }])).await;
    let (own, other) = (client.database("bigchain"), client.database("other"));
    let write = || doc! { "insert": "c", "documents": [{ "_id": 1 }] };
    let read = || doc! { "find": "c" };
    run(&own, write()).await.unwrap();
    run(&own, read()).await.unwrap();
    assert_eq!(code(run(&other, write()).await), 13);
    assert_eq!(code(run(&other, read()).await), 13);
    let out = doc! { "aggregate": "c", "pipeline": [{ "$out": { "db": "other", "coll": "c" } }], "cursor": {} };
    assert_eq!(code(run(&own, out).await), 13, "into another database");
    assert_eq!(code(run(&own, doc! { "dropDatabase": 1 }).await), 13);
    assert_eq!(code(run(&own, doc! { "usersInfo": 1 }).await), 13);
    assert_eq!(code(run(&client.database("admin"), doc! { "replSetGetStatus": 1 }).await), 13);
    let rename = doc! { "renameCollection": "bigchain.c", "to": "other.c" };
    assert_eq!(code(run(&client.database("admin"), rename).await), 13);
    // `listDatabases` shows what may be read.
    let shown = run(&client.database("admin"), doc! { "listDatabases": 1, "nameOnly": true }).await.unwrap();
    let names: Vec<_> = shown.get_array("databases").unwrap().iter().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_made_changed_and_dropped() {
    let Some(server) = Mongod::initiated().await else { return };
    let external = server.admin().client().database("$external");
    let name = subject(CLIENT, "node");
    let reader = || bson!([{ "role": "read", "db": "bigchain" }]);
    let client = server.user("node", reader()).await;
    let own = client.database("bigchain");
    let write = async || run(&own, doc! { "insert": "c", "documents": [{}] }).await;
    assert_eq!(code(write().await), 13);
    // `createUser`: 51003; unknown roles: 31, RoleNotFound; a password: 2, BadValue.
    assert_eq!(code(run(&external, doc! { "createUser": &name, "roles": reader() }).await), 51003);
    let unknown = bson!([{ "role": "write", "db": "bigchain" }]);
    assert_eq!(code(run(&external, doc! { "createUser": "CN=x", "roles": unknown }).await), 31);
    assert_eq!(code(run(&external, doc! { "createUser": "CN=x", "pwd": "secret", "roles": [] }).await), 2);
    assert_eq!(code(run(&external, doc! { "createUser": "CN=x" }).await), 40414);
    assert_eq!(code(run(&external, doc! { "createUser": "CN=x", "roles": [], "role": 1 }).await), 40415);
    // A member's name is no user's.
    assert_eq!(code(run(&external, doc! { "createUser": subject(MEMBER, "x"), "roles": [] }).await), 2);

    let writer = bson!([{ "role": "readWrite", "db": "bigchain" }]);
    run(&external, doc! { "grantRolesToUser": &name, "roles": writer }).await.unwrap();
    write().await.unwrap();
    let shown = run(&external, doc! { "usersInfo": 1 }).await.unwrap();
    let user = shown.get_array("users").unwrap()[0].as_document().unwrap();
    assert_eq!((user.get_str("user").unwrap(), user.get_str("db").unwrap()), (name.as_str(), "$external"));
    let roles = user.get_array("roles").unwrap();
    for role in ["read", "readWrite"] {
        assert!(roles.contains(&bson!({ "role": role, "db": "bigchain" })), "{roles:?}");
    }
    // `usersInfo`: users may look at themselves.
    let own_external = client.database("$external");
    let shown = run(&own_external, doc! { "usersInfo": { "user": &name, "db": "$external" } }).await.unwrap();
    assert_eq!(shown.get_array("users").unwrap().len(), 1);
    assert_eq!(code(run(&own_external, doc! { "usersInfo": 1 }).await), 13);

    run(&external, doc! { "updateUser": &name, "roles": reader() }).await.unwrap();
    assert_eq!(code(write().await), 13);
    run(&external, doc! { "dropUser": &name }).await.unwrap();
    assert_eq!(code(run(&own, doc! { "find": "c" }).await), 13);
    assert!(is_login_refused(&server.place, CLIENT, "node").await);
    for command in ["dropUser", "updateUser", "grantRolesToUser"] {
        let roles = if command == "dropUser" {
            Document::new()
        } else {
            doc! { "roles": reader() }
        };
        let mut missing = doc! { command: &name };
        missing.extend(roles);
        assert_eq!(code(run(&external, missing).await), 11, "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_of_a_node_do_for_a_node() {
    let Some(server) = Mongod::initiated().await else { return };
    let roles = bson!([{ "role": "clusterAdmin", "db": "admin" }, { "role": "readWriteAnyDatabase", "db": "admin" }]);
    let client = server.user("node", roles).await;
    let admin = client.database("admin");
    for command in ["replSetGetStatus", "replSetGetConfig", "serverStatus", "getCmdLineOpts", "listDatabases"] {
        run(&admin, doc! { command: 1 }).await.unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    let data = client.database("bigchain");
    run(&data, doc! { "create": "blocks" }).await.unwrap();
    let index = doc! { "createIndexes": "blocks", "indexes": [{ "key": { "id": 1 }, "name": "id" }] };
    run(&data, index).await.unwrap();
    run(&data, doc! { "listCollections": 1 }).await.unwrap();
    run(&data, doc! { "dropDatabase": 1 }).await.unwrap();
    assert_eq!(code(run(&client.database("$external"), doc! { "usersInfo": 1 }).await), 13);
}
