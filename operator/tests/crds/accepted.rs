//! What is accepted, and what it becomes.

use std::fs;

use bigchaindb_operator::yaml;
use serde_json::{Value, json};

use crate::requests::Requests;
use crate::{check, files, folder};

#[tokio::test]
async fn the_smallest_resources_are_filled_up_with_defaults() {
    let Some(requests) = Requests::start().await else { return };
    for kind in ["BigchainNode", "BigchainCluster"] {
        let golden = folder("tests/crds").join(format!("{}.yaml", kind.to_lowercase()));
        let smallest = json!({"apiVersion": "bigchaindb.com/v1alpha1", "kind": kind, "metadata": {"name": "node-a"}});
        let spec = |object: Value| json!({"spec": object["spec"]});
        let filled = spec(requests.judge(&smallest).await.unwrap());
        check(&golden, &yaml::documents(&[&filled]).unwrap());

        // However little is written, it means the same.
        for written in [json!({}), json!({"database": {}, "gateway": {}, "server": {}, "replicaSet": {}, "tls": {}})] {
            let mut object = smallest.clone();
            let known = |part: &str| filled["spec"].get(part).is_some();
            let written = written.as_object().unwrap().iter().filter(|(part, _)| known(part));
            object["spec"] = written.map(|(part, value)| (part.clone(), value.clone())).collect();
            assert_eq!(spec(requests.judge(&object).await.unwrap()), filled, "{object}");
        }
    }
}

#[tokio::test]
async fn what_is_close_to_a_refusal_is_accepted() {
    let Some(requests) = Requests::start().await else { return };
    let name = "a".repeat(40);
    for spec in [
        json!({"database": {"mode": "External", "uri": "mongodb://db1:27017,db2:27018/bigchain?replicaSet=rs0&tls=true"}}),
        json!({"database": {"mode": "External", "uri": "mongodb+srv://ledger@db.example.org:27017/bigchain"}}),
        json!({"database": {"mode": "External", "uriSecretRef": {"name": "database", "key": "uri"}, "tlsSecretRef": {"name": "client"}}}),
        json!({"database": {"engine": "Embedded", "storage": {"size": "1Mi"}}, "gateway": {"mongodbAllowlist": []}}),
        json!({"database": {"memberTlsSecretRef": {"name": "member"}, "tlsSecretRef": {"name": "client"}}}),
        json!({"database": {"storage": {"existingClaim": "ledger"}}, "clusterRef": {"name": "consortium"}}),
        json!({"gateway": {"mode": "HTTP", "websocketPort": 443}}),
        json!({"gateway": {"port": 8443, "websocketPort": 443, "maxBodySize": "20000", "dnsServer": "fd00::a"}}),
        json!({"gateway": {"mongodbAllowlist": ["192.0.2.7", "10.0.0.1/8", "2001:db8::/32"]}}),
        json!({"server": {"resources": {"requests": {"cpu": "0.5", "memory": "1073741824"}}}}),
        json!({"server": {"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1024Mi"}}}}),
        json!({"server": {"advertised": {"host": "192.0.2.7"}, "extraEnv": [{"name": "_TZ", "value": ""}]}}),
    ] {
        let object = json!({"apiVersion": "bigchaindb.com/v1alpha1", "kind": "BigchainNode", "metadata": {"name": name}, "spec": spec});
        if let Err(status) = requests.judge(&object).await {
            panic!("{object}: {}", status.message);
        }
    }
}

#[tokio::test]
async fn what_can_change_changes() {
    let Some(requests) = Requests::start().await else { return };
    let external = json!({"mode": "External", "uriSecretRef": {"name": "database", "key": "uri"}});
    for (number, (before, after)) in [
        (json!({}), json!({"storage": {"size": "40Gi"}})),
        (json!({"storage": {"size": "40Gi"}}), json!({"storage": {"size": "40960Mi"}})),
        (
            json!({"storage": {"existingClaim": "ledger", "size": "40Gi"}}),
            json!({"storage": {"existingClaim": "ledger"}}),
        ),
        (json!({"storage": {"className": "fast", "size": "40Gi"}}), external.clone()),
        (external, json!({"storage": {"size": "1Gi", "className": "fast"}})),
        (json!({"cacheSizeGB": 1}), json!({"cacheSizeGB": 2, "image": "registry.example.org/mongo:8"})),
    ]
    .into_iter()
    .enumerate()
    {
        let object = |spec: &Value, metadata: Value| json!({"apiVersion": "bigchaindb.com/v1alpha1", "kind": "BigchainNode", "metadata": metadata, "spec": {"database": spec}});
        let created = requests.create(&object(&before, json!({"name": format!("node-{number}")}))).await.unwrap();
        if let Err(status) = requests.replace(&object(&after, created["metadata"].clone()), "").await {
            panic!("{before} to {after}: {}", status.message);
        }
    }
}

#[tokio::test]
async fn what_we_show_to_people_is_accepted() {
    let Some(requests) = Requests::start().await else { return };
    for file in files(&folder("tests/desired")).into_iter().chain(files(&folder("../k8s/samples"))) {
        for object in yaml::values(&fs::read_to_string(&file).unwrap()).unwrap() {
            if let Err(status) = requests.judge(&object).await {
                panic!("{}: {}", file.display(), status.message);
            }
        }
    }
}
