//! How the resources are found and shown.

use serde_json::{Value, json};

use crate::requests::Requests;

fn object(kind: &str) -> Value {
    json!({"apiVersion": "bigchaindb.com/v1alpha1", "kind": kind, "metadata": {"name": "node-a"}})
}

fn texts(values: &Value, name: &str) -> Vec<String> {
    values.as_array().unwrap().iter().map(|value| value[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn they_have_short_names_and_a_category() {
    let Some(requests) = Requests::start().await else { return };
    let served = requests.get("/apis/bigchaindb.com/v1alpha1").await;
    let of = |name: &str| {
        let resources = served["resources"].as_array().unwrap();
        resources.iter().find(|resource| resource["name"] == name).cloned().unwrap()
    };
    for (name, short) in [("bigchainnodes", "bcn"), ("bigchainclusters", "bcc")] {
        let resource = of(name);
        assert_eq!(resource["shortNames"], json!([short]));
        assert_eq!(resource["categories"], json!(["bigchaindb"]));
        assert_eq!(resource["namespaced"], true);
    }
    assert!(of("bigchainnodes/status")["verbs"].as_array().unwrap().contains(&json!("update")));
}

#[tokio::test]
async fn columns_show_how_a_resource_is() {
    let Some(requests) = Requests::start().await else { return };
    let ready = json!({
        "type": "Ready",
        "status": "False",
        "reason": "Starting",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    for (kind, status, columns, wide, cells) in [
        (
            "BigchainNode",
            json!({"conditions": [ready], "apiUrl": "https://node-a.test", "publicKey": "7u3k"}),
            vec!["Name", "Ready", "Reason", "URL", "Engine", "Public key", "Age"],
            vec!["Engine", "Public key"],
            vec!["node-a", "False", "Starting", "https://node-a.test", "MongoDB", "7u3k"],
        ),
        ("BigchainCluster", Value::Null, vec!["Name", "Age"], vec![], vec!["node-a"]),
    ] {
        let mut object = requests.create(&object(kind)).await.unwrap();
        if !status.is_null() {
            object["status"] = status;
            requests.replace(&object, "/status").await.unwrap();
        }
        let table = requests.get(&requests.path(&object)).await;
        assert_eq!(texts(&table["columnDefinitions"], "name"), columns);
        let definitions = table["columnDefinitions"].as_array().unwrap().iter();
        let hidden = definitions.filter(|column| column["priority"] != 0).cloned().collect();
        assert_eq!(texts(&Value::Array(hidden), "name"), wide);
        let row = table["rows"][0]["cells"].as_array().unwrap();
        assert_eq!(row[..cells.len()], cells.into_iter().map(Value::from).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn specification_and_status_are_written_apart() {
    let Some(requests) = Requests::start().await else { return };
    let mut written = object("BigchainNode");
    written["status"] = json!({"publicKey": "7u3k"});
    let created = requests.create(&written).await.unwrap();
    assert_eq!(created.get("status"), None);

    let mut object = created.clone();
    object["status"] = json!({"publicKey": "7u3k"});
    object["spec"]["paused"] = json!(true);
    let told = requests.replace(&object, "/status").await.unwrap();
    assert_eq!((&told["spec"], &told["status"]), (&created["spec"], &object["status"]));
    assert_eq!(told["metadata"]["generation"], 1);

    object["metadata"]["resourceVersion"] = told["metadata"]["resourceVersion"].clone();
    object["status"] = json!({"publicKey": "other"});
    let changed = requests.replace(&object, "").await.unwrap();
    assert_eq!((&changed["spec"]["paused"], &changed["status"]), (&json!(true), &told["status"]));
    assert_eq!(changed["metadata"]["generation"], 2);
}
