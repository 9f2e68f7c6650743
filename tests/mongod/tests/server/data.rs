//! Reads and writes through it.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, bson, doc};
use mongodb::options::ReturnDocument;
use mongodb::{Client, Collection};

use super::process::{Mongod, run, wait};

/// A client that finds the primary by the set's name, as a node does.
async fn node(server: &Mongod) -> Client {
    let roles = bson!([{ "role": "clusterAdmin", "db": "admin" }, { "role": "readWriteAnyDatabase", "db": "admin" }]);
    server.user("node", roles).await
}

fn assets(client: &Client) -> Collection<Document> {
    client.database("bigchain").collection("assets")
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_written_found_changed_and_counted() {
    let Some(server) = Mongod::initiated().await else { return };
    let assets = assets(&node(&server).await);
    let documents: Vec<Document> = (0..1000).map(|number| doc! { "_id": number, "of": number % 10 }).collect();
    assets.insert_many(&documents).await.unwrap();
    let index = mongodb::IndexModel::builder().keys(doc! { "of": 1 }).build();
    assets.create_index(index).await.unwrap();
    // More than one batch.
    let found: Vec<Document> = assets.find(doc! { "of": 3 }).batch_size(7).await.unwrap().try_collect().await.unwrap();
    assert_eq!(found.len(), 100);
    let grouped = [doc! { "$group": { "_id": "$of", "count": { "$sum": 1 } } }, doc! { "$sort": { "_id": 1 } }];
    let grouped: Vec<Document> = assets.aggregate(grouped).await.unwrap().try_collect().await.unwrap();
    assert_eq!((grouped.len(), grouped[0].get_i32("count").unwrap()), (10, 100));
    let changed = assets.find_one_and_update(doc! { "_id": 1 }, doc! { "$set": { "of": 77 } });
    let changed = changed.return_document(ReturnDocument::After).await.unwrap().unwrap();
    assert_eq!(changed, doc! { "_id": 1, "of": 77 });
    assert_eq!(assets.delete_many(doc! { "of": 77 }).await.unwrap().deleted_count, 1);
    assert_eq!(assets.count_documents(doc! {}).await.unwrap(), 999);
    let error = assets.insert_one(doc! { "_id": 2 }).await.unwrap_err();
    assert!(error.to_string().contains("11000"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_all_or_nothing() {
    let Some(server) = Mongod::initiated().await else { return };
    let client = node(&server).await;
    let assets = assets(&client);
    run(&client.database("bigchain"), doc! { "create": "assets" }).await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    assets.insert_one(doc! { "_id": 1 }).session(&mut session).await.unwrap();
    session.abort_transaction().await.unwrap();
    session.start_transaction().await.unwrap();
    assets.insert_one(doc! { "_id": 2 }).session(&mut session).await.unwrap();
    assert_eq!(assets.count_documents(doc! {}).await.unwrap(), 0);
    session.commit_transaction().await.unwrap();
    let found: Vec<Document> = assets.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    assert_eq!(found, [doc! { "_id": 2 }]);
    // Specification "Causal Consistency": what a node waits for.
    let answer = run(&client.database("bigchain"), doc! { "ping": 1 }).await.unwrap();
    assert!(answer.contains_key("operationTime") && answer.contains_key("$clusterTime"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_stream_goes_on_where_it_was_after_a_restart() {
    let Some(server) = Mongod::initiated().await else { return };
    let client = node(&server).await;
    let assets = assets(&client);
    assets.insert_one(doc! { "_id": 0 }).await.unwrap();
    let mut stream = assets.watch().await.unwrap();
    assets.insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }]).await.unwrap();
    let first = stream.try_next().await.unwrap().unwrap();
    assert_eq!(first.full_document.unwrap(), doc! { "_id": 1 });
    // While one connection waits for changes, others are answered.
    let waiting = tokio::spawn(async move {
        let second = stream.try_next().await.unwrap().unwrap();
        (second.id, stream.try_next().await)
    });
    assert_eq!(assets.count_documents(doc! {}).await.unwrap(), 3);
    assets.insert_one(doc! { "_id": 3 }).await.unwrap();
    let (token, third) = waiting.await.unwrap();
    assert_eq!(third.unwrap().unwrap().full_document.unwrap(), doc! { "_id": 3 });
    let (place, _) = server.stop();
    let server = place.start().unwrap();
    server.is_primary().await;
    wait("it is found again", async || assets.count_documents(doc! {}).await.is_ok()).await;
    assets.insert_one(doc! { "_id": 4 }).await.unwrap();
    let mut resumed = assets.watch().resume_after(token).await.unwrap();
    for expected in [3, 4] {
        let event = resumed.try_next().await.unwrap().unwrap();
        assert_eq!(event.full_document.unwrap(), doc! { "_id": expected });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_whose_features_are_used_is_kept() {
    let Some(server) = Mongod::initiated().await else { return };
    let read = async |server: &Mongod| {
        let asked = doc! { "getParameter": 1, "featureCompatibilityVersion": 1 };
        let answer = run(&server.admin(), asked).await.unwrap();
        answer.get_document("featureCompatibilityVersion").unwrap().get_str("version").unwrap().to_owned()
    };
    let admin = server.admin();
    let build = run(&admin, doc! { "buildInfo": 1 }).await.unwrap();
    let major = build.get_array("versionArray").unwrap()[0].as_i32().unwrap();
    let before = if major == 5 { "4.4".to_owned() } else { format!("{}.0", major - 1) };
    let mut command = doc! { "setFeatureCompatibilityVersion": &before };
    if major >= 7 {
        // Manual, `setFeatureCompatibilityVersion`: from 7.0 it wants a confirmation.
        assert!(run(&admin, command.clone()).await.is_err());
        command.insert("confirm", true);
    }
    assert_eq!(read(&server).await, format!("{major}.0"));
    run(&admin, command.clone()).await.unwrap();
    command.insert("setFeatureCompatibilityVersion", "3.6");
    assert!(run(&admin, command).await.is_err());
    let (place, _) = server.stop();
    let server = place.start().unwrap();
    server.is_primary().await;
    assert_eq!(read(&server).await, before);
}
