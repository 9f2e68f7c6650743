//! A replica set of one member (MongoDB manual, "Replication Commands").

use mongodb::bson::{Bson, Document, bson, doc};

use super::process::{DEADLINE, Mongod, SET, code, free_port, run, wait};

fn config(version: i32, host: &str) -> Document {
    doc! { "_id": SET, "version": version, "members": [{ "_id": 0, "host": host }] }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_initiation_it_says_so_and_does_nothing() {
    let Some(server) = Mongod::new() else { return };
    let admin = server.admin();
    let hello = run(&admin, doc! { "hello": 1 }).await.unwrap();
    assert!(hello.get_bool("isreplicaset").unwrap() && !hello.get_bool("isWritablePrimary").unwrap(), "{hello}");
    assert!(!hello.contains_key("setName") && !hello.get_bool("secondary").unwrap(), "{hello}");
    // `replSetGetStatus`, `replSetGetConfig`, `replSetReconfig`: 94, NotYetInitialized.
    assert_eq!(code(run(&admin, doc! { "replSetGetStatus": 1 }).await), 94);
    assert_eq!(code(run(&admin, doc! { "replSetGetConfig": 1 }).await), 94);
    assert_eq!(code(run(&admin, doc! { "replSetReconfig": config(2, &server.place.host()) }).await), 94);
    // "Error Codes": NotWritablePrimary, NotPrimaryOrSecondary.
    let data = admin.client().database("bigchain");
    assert_eq!(code(run(&data, doc! { "insert": "c", "documents": [{}] }).await), 10107);
    let external = admin.client().database("$external");
    assert_eq!(code(run(&external, doc! { "createUser": "CN=a", "roles": [] }).await), 10107);
    assert_eq!(code(run(&data, doc! { "find": "c" }).await), 13436);
    // `getCmdLineOpts`: what it was started for.
    let options = run(&admin, doc! { "getCmdLineOpts": 1 }).await.unwrap();
    let replication = options.get_document("parsed").unwrap().get_document("replication").unwrap();
    assert_eq!(replication.get_str("replSetName").unwrap(), SET);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_initiated_once_with_a_configuration_of_itself() {
    let Some(server) = Mongod::new() else { return };
    let (admin, host) = (server.admin(), server.place.host());
    let initiate = async |config: Document| run(&admin, doc! { "replSetInitiate": config }).await;
    // `replSetInitiate`: 93, InvalidReplicaSetConfig.
    assert_eq!(code(initiate(doc! { "_id": "other", "members": [{ "_id": 0, "host": &host }] }).await), 93);
    // An address for documentation (RFC 5737): no machine has it.
    assert_eq!(code(initiate(config(1, &format!("192.0.2.1:{}", server.place.port))).await), 93);
    assert_eq!(code(initiate(config(2, &host)).await), 93);
    assert_eq!(code(initiate(doc! { "_id": SET, "members": [{ "_id": 0, "host": &host, "votes": 0 }] }).await), 93);
    initiate(config(1, &host)).await.unwrap();
    server.is_primary().await;
    // 23, AlreadyInitialized.
    assert_eq!(code(initiate(config(1, &host)).await), 23);

    let hello = run(&admin, doc! { "hello": 1 }).await.unwrap();
    assert_eq!((hello.get_str("setName").unwrap(), hello.get_i32("setVersion").unwrap()), (SET, 1));
    assert_eq!((hello.get_str("me").unwrap(), hello.get_str("primary").unwrap()), (host.as_str(), host.as_str()));
    assert_eq!(hello.get_array("hosts").unwrap(), &[Bson::from(host.as_str())]);
    for field in ["electionId", "lastWrite", "topologyVersion", "logicalSessionTimeoutMinutes", "$clusterTime"] {
        assert!(hello.contains_key(field), "no {field} in {hello}");
    }
    let status = run(&admin, doc! { "replSetGetStatus": 1 }).await.unwrap();
    assert_eq!((status.get_str("set").unwrap(), status.get_i32("myState").unwrap()), (SET, 1));
    let member = status.get_array("members").unwrap()[0].as_document().unwrap();
    assert_eq!((member.get_str("name").unwrap(), member.get_str("stateStr").unwrap()), (host.as_str(), "PRIMARY"));
    assert!(member.get_bool("self").unwrap());
    let status = run(&admin, doc! { "serverStatus": 1 }).await.unwrap();
    assert_eq!(status.get_document("repl").unwrap().get_str("setName").unwrap(), SET);
    // "The local Database".
    let stored = admin.client().database("local").collection::<Document>("system.replset");
    let stored = stored.find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(stored.get_str("_id").unwrap(), SET);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_configuration_changes_by_higher_versions_only() {
    let Some(server) = Mongod::initiated().await else { return };
    let admin = server.admin();
    let read = async || {
        let answer = run(&admin, doc! { "replSetGetConfig": 1, "commitmentStatus": true }).await.unwrap();
        assert!(answer.get_bool("commitmentStatus").unwrap());
        answer.get_document("config").unwrap().clone()
    };
    let mut config = read().await;
    let reconfigure = async |config: &Document| run(&admin, doc! { "replSetReconfig": config.clone() }).await;
    let member = doc! {
        "_id": 0, "host": server.place.host(), "priority": 5, "votes": 1, "tags": { "bdbOwner": "node-a" },
    };
    config.insert("members", bson!([member]));
    // `replSetReconfig`: the version must grow; 103, NewReplicaSetConfigurationIncompatible.
    assert_eq!(code(reconfigure(&config).await), 103);
    config.insert("version", 2);
    reconfigure(&config).await.unwrap();
    let changed = read().await;
    assert_eq!(changed.get_i32("version").unwrap(), 2);
    let member = changed.get_array("members").unwrap()[0].as_document().unwrap();
    assert_eq!(member.get_document("tags").unwrap(), &doc! { "bdbOwner": "node-a" });
    assert_eq!(member.get_f64("priority").unwrap(), 5.0);
    let hello = run(&admin, doc! { "hello": 1 }).await.unwrap();
    assert_eq!(hello.get_i32("setVersion").unwrap(), 2);
    assert_eq!(hello.get_document("tags").unwrap(), &doc! { "bdbOwner": "node-a" });
    // Without the only vote.
    let mut voteless = changed.clone();
    voteless.insert("version", 3);
    voteless.insert("members", bson!([{ "_id": 0, "host": server.place.host(), "votes": 0, "priority": 0 }]));
    assert_eq!(code(reconfigure(&voteless).await), 103);
    assert_eq!(read().await, changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_steps_down_when_forced_and_is_elected_again() {
    let Some(server) = Mongod::initiated().await else { return };
    let admin = server.admin();
    let term = async || run(&admin, doc! { "replSetGetStatus": 1 }).await.unwrap().get_i64("term").unwrap();
    let before = term().await;
    // `replSetStepDown`: 262, ExceededTimeLimit, as there is no other; `replSetFreeze`: 95, NotSecondary.
    let willing = doc! { "replSetStepDown": 60, "secondaryCatchUpPeriodSecs": 1 };
    assert_eq!(code(run(&admin, willing).await), 262);
    assert_eq!(code(run(&admin, doc! { "replSetFreeze": 1 }).await), 95);
    run(&admin, doc! { "replSetStepDown": 3600, "force": true }).await.unwrap();
    let hello = run(&admin, doc! { "hello": 1 }).await.unwrap();
    assert!(hello.get_bool("secondary").unwrap() && !hello.contains_key("primary"), "{hello}");
    let data = admin.client().database("bigchain");
    assert_eq!(code(run(&data, doc! { "insert": "c", "documents": [{}] }).await), 10107);
    // Reading from a secondary is allowed: the client, of this one server, asks for it.
    run(&data, doc! { "find": "c" }).await.unwrap();
    run(&admin, doc! { "replSetFreeze": 0 }).await.unwrap();
    server.is_primary().await;
    assert!(term().await > before);
    run(&data, doc! { "insert": "c", "documents": [{}] }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_watches_learns_at_once_that_it_stepped_down() {
    let Some(server) = Mongod::initiated().await else { return };
    let admin = server.admin();
    let hello = run(&admin, doc! { "hello": 1 }).await.unwrap();
    let version = hello.get_document("topologyVersion").unwrap().clone();
    // Would wait for a quarter of an hour.
    let watch = doc! { "hello": 1, "topologyVersion": version, "maxAwaitTimeMS": 900_000 };
    let watcher = server.admin();
    let watching = tokio::spawn(async move { run(&watcher, watch).await });
    run(&admin, doc! { "replSetStepDown": 3600, "force": true }).await.unwrap();
    let seen = tokio::time::timeout(DEADLINE, watching).await.expect("it answers").unwrap().unwrap();
    assert!(!seen.get_bool("isWritablePrimary").unwrap(), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_configuration_users_and_data() {
    let Some(server) = Mongod::initiated().await else { return };
    let client = server.user("node", bson!([{ "role": "readWrite", "db": "bigchain" }])).await;
    let data = client.database("bigchain").collection::<Document>("transactions");
    data.insert_one(doc! { "_id": 1 }).await.unwrap();
    let id = async |server: &Mongod| {
        let answer = run(&server.admin(), doc! { "replSetGetConfig": 1 }).await.unwrap();
        answer.get_document("config").unwrap().get_document("settings").unwrap().get_object_id("replicaSetId").unwrap()
    };
    let before = id(&server).await;
    let (place, code) = server.stop();
    assert_eq!(code, 0);
    let server = place.start().unwrap();
    server.is_primary().await;
    assert_eq!(id(&server).await, before);
    let found = async || data.count_documents(doc! {}).await.ok();
    wait("the document is found", async || found().await == Some(1)).await;
    data.insert_one(doc! { "_id": 2 }).await.unwrap();
    // And with no chance to write anything at its end.
    let server = server.kill().start().unwrap();
    server.is_primary().await;
    wait("both documents are found", async || found().await == Some(2)).await;
    assert_eq!(id(&server).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_find_itself_is_removed_until_it_does() {
    let Some(server) = Mongod::initiated().await else { return };
    let host = server.place.host();
    let (mut place, _) = server.stop();
    place.port = free_port();
    place.configure("");
    let server = place.start().unwrap();
    let admin = server.admin();
    // Before it has looked it says 94, NotYetInitialized; then 93, InvalidReplicaSetConfig.
    let status = async || code(run(&admin, doc! { "replSetGetStatus": 1 }).await);
    wait("it has looked for itself", async || status().await == 93).await;
    let hello = run(&admin, doc! { "hello": 1 }).await.unwrap();
    assert!(hello.get_bool("isreplicaset").unwrap() && !hello.contains_key("setName"), "{hello}");
    let answer = run(&admin, doc! { "replSetGetConfig": 1 }).await.unwrap();
    let mut config = answer.get_document("config").unwrap().clone();
    let member = config.get_array("members").unwrap()[0].as_document().unwrap().clone();
    assert_eq!(member.get_str("host").unwrap(), host);
    assert_eq!(code(run(&admin, doc! { "replSetInitiate": self::config(1, &server.place.host()) }).await), 23);
    let data = admin.client().database("bigchain");
    assert_eq!(code(run(&data, doc! { "insert": "c", "documents": [{}] }).await), 10107);
    // "Reconfigure a Replica Set with Unavailable Members".
    let mut moved = member;
    moved.insert("host", server.place.host());
    config.insert("members", bson!([moved]));
    assert_eq!(code(run(&admin, doc! { "replSetReconfig": config.clone() }).await), 10107);
    run(&admin, doc! { "replSetReconfig": config.clone(), "force": true }).await.unwrap();
    server.is_primary().await;
    let answer = run(&admin, doc! { "replSetGetConfig": 1 }).await.unwrap();
    let version = answer.get_document("config").unwrap().get_i32("version").unwrap();
    assert!(version > config.get_i32("version").unwrap() + 1, "forcing makes it jump: {version}");
}
