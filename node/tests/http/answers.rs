//! Single answers: bytes, headers, and what 1.0.1 did not have.

use bigchaindb::web::CheckState;
use ledger::json::parse;

use crate::rig::{Node, Setup, check, create, owner, until};

const ID: &str = "abababababababababababababababababababababababababababababababab";

#[tokio::test]
async fn errors_are_written_as_by_the_reference_to_the_byte() {
    let node = Node::start(Setup::default()).await;
    let mut client = node.client().await;
    let unknown = client.get(&format!("/api/v1/transactions/{ID}")).await;
    assert_eq!(unknown.text(), "{\n  \"message\": \"Not found\", \n  \"status\": 404\n}\n");
    let compact = [("x-requested-with", "XMLHttpRequest")];
    let unknown = client.ask("GET", "/api/v1/blocks/%F0%9F%9A%80", &compact, "").await;
    assert_eq!(unknown.text(), "{\"message\":\"Not found\",\"status\":404}\n");
    let bad = client.get("/api/v1/blocks?transaction_id=x&status=%C3%9C").await;
    assert_eq!(bad.text(), "{\"message\": {\"status\": \"\\u00fc is not a valid choice\"}}\n");
    node.stop().await;
}

#[tokio::test]
async fn head_tells_the_length_and_sends_nothing() {
    let node = Node::start(Setup::default()).await;
    let mut client = node.client().await;
    let key = owner().public_key();
    let outputs = format!("/api/v1/outputs?public_key={key}");
    for path in ["/", "/api/v1", "/nope", "/api/v1/votes", "/api/v1/votes?block_id=", &outputs, "/healthz"] {
        let (get, head) = (client.get(path).await, client.ask("HEAD", path, &[], "").await);
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
    let json = [("content-type", "application/json")];
    assert_eq!(client.ask("GET", &outputs, &json, "").await.status, 200);
    assert_eq!(client.ask("HEAD", &outputs, &json, "").await.status, 400);
    assert_eq!(client.ask("HEAD", "/api/v1", &json, "").await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn every_origin_is_welcome_everywhere() {
    let node = Node::start(Setup::default()).await;
    let mut client = node.client().await;
    for (method, path) in [("GET", "/"), ("GET", "/nope"), ("PUT", "/api/v1"), ("POST", "/api/v1/transactions")] {
        let plain = client.ask(method, path, &[], "").await;
        assert_eq!((plain.header("access-control-allow-origin"), plain.header("vary")), (Some("*"), None), "{path}");
        let from = client.ask(method, path, &[("origin", "http://a.example")], "").await;
        assert_eq!(from.header("access-control-allow-origin"), Some("http://a.example"), "{path}");
        assert_eq!(from.header("vary"), Some("Origin"), "{path}");
        assert_eq!(from.header("access-control-allow-methods"), None, "{path}");
    }
    let preflight = [
        ("origin", "http://a.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "x-b , content-type"),
    ];
    let answer = client.ask("OPTIONS", "/api/v1/transactions/", &preflight, "").await;
    assert_eq!(answer.header("access-control-allow-headers"), Some("content-type, x-b"));
    let methods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";
    assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
    assert_eq!((answer.status, answer.header("allow")), (200, Some("GET, HEAD, OPTIONS, POST")));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_echoed_stored_and_found_everywhere() {
    let node = Node::start(Setup::default()).await;
    let mut client = node.client().await;
    let tx = create(&owner(), 1);
    let id = tx.id().to_string();
    let answer = client.post(tx.bytes().clone()).await;
    assert_eq!((answer.status, answer.text().len() > tx.bytes().len()), (202, true), "{}", answer.text());
    assert!(answer.text().starts_with("{\n  \"asset\": {\n    \"data\": {\n      \"n\": 1\n    }\n  }, \n"));
    until("valid", async || node.is_valid(&id).await).await;

    let stored = client.get(&format!("/api/v1/transactions/{id}")).await;
    assert!(stored.text().starts_with("{\"inputs\": [{\"owners_before\": [\""), "{}", stored.text());
    assert!(stored.text().ends_with(&format!("\"version\": \"1.0\", \"id\": \"{id}\"}}\n")), "{}", stored.text());
    let canonical = parse(&stored.body).unwrap().to_canonical();
    assert_eq!(canonical, tx.bytes().as_ref());

    let listed = client.get(&format!("/api/v1/transactions?asset_id={id}")).await;
    assert_eq!(listed.text(), format!("[{}]\n", stored.text().trim_end()));
    let blocks = client.get(&format!("/api/v1/blocks?transaction_id={id}")).await;
    let block = blocks.text().trim_end().trim_matches(|c| "[]\"".contains(c)).to_owned();
    assert_eq!(blocks.text(), format!("[\"{block}\"]\n"));
    let whole = client.get(&format!("/api/v1/blocks/{block}")).await;
    assert!(whole.text().starts_with(&format!("{{\"id\": \"{block}\", \"block\": {{\"timestamp\": \"1500000")));
    assert!(whole.text().contains(&format!("\"transactions\": [{}], \"node_pubkey\": ", stored.text().trim_end())));
    let votes = client.get(&format!("/api/v1/votes?block_id={block}")).await;
    assert!(votes.text().starts_with("[{\"node_pubkey\": \""), "{}", votes.text());
    assert!(votes.text().contains(&format!("\"vote\": {{\"voting_for_block\": \"{block}\", \"previous_block\"")));
    let status = client.get(&format!("/api/v1/statuses?block_id={block}&transaction_id=")).await;
    assert_eq!(status.text(), "{\"status\": \"valid\"}\n");
    let outputs = client.get(&format!("/api/v1/outputs?public_key={}&spent=false", owner().public_key())).await;
    assert_eq!(outputs.text(), format!("[{{\"transaction_id\": \"{id}\", \"output_index\": 0}}]\n"));
    node.stop().await;
}

#[tokio::test]
async fn what_the_reference_died_of_is_refused() {
    let node = Node::start(Setup::default()).await;
    let mut client = node.client().await;
    let charset = [("content-type", "application/json; charset=klingon")];
    let answer = client.ask("POST", "/api/v1/transactions", &charset, "{}").await;
    assert_eq!((answer.status, answer.text().contains("`klingon`")), (400, true));
    let answer = client.post(r#"{"id": "\ud800"}"#).await;
    assert_eq!((answer.status, answer.text().contains("surrogate")), (400, true));
    let answer = client.post("[".repeat(200_000)).await;
    assert_eq!((answer.status, answer.text().contains("nested")), (400, true));
    let latin1 = [("content-type", "text/plain; charset=latin-1")];
    let answer = client.ask("POST", "/api/v1/transactions", &latin1, &b"{\"id\": \"\xe9\"}"[..]).await;
    assert_eq!((answer.status, answer.text().contains("is a required property")), (400, true));
    node.stop().await;
}

#[tokio::test]
async fn operators_are_told_how_the_node_is() {
    let node = Node::start(Setup { checks: vec![check(CheckState::Degraded)], ..Setup::default() }).await;
    let mut client = node.client().await;
    assert_eq!(client.get("/healthz").await.text(), "{\"healthy\": true}\n");
    let ready = client.get("/readyz").await;
    let text = "{\"ready\": true, \"checks\": {\"store\": {\"state\": \"degraded\", \"message\": \"The store is degraded.\"}}}\n";
    assert_eq!((ready.status, ready.text()), (200, text));
    client.post(create(&owner(), 1).bytes().clone()).await;
    client.post("{}").await;
    client.get("/no/such/path").await;
    let metrics = client.get("/metrics").await;
    assert!(metrics.header("content-type").is_some_and(|t| t.starts_with("application/openmetrics-text")));
    for line in [
        "bigchaindb_http_requests_total{route=\"/api/v1/transactions\",status=\"202\"} 1",
        "bigchaindb_http_requests_total{route=\"unknown\",status=\"404\"} 1",
        "bigchaindb_intake_posted_total 1",
        "bigchaindb_intake_accepted_total 1",
        "bigchaindb_intake_refused_total{rule=\"SchemaValidationError\"} 1",
    ] {
        assert!(metrics.text().lines().any(|l| l == line), "{line} is not in\n{}", metrics.text());
    }
    node.stop().await;

    let node = Node::start(Setup { checks: vec![check(CheckState::Failed)], ..Setup::default() }).await;
    assert_eq!(node.client().await.get("/readyz").await.status, 503);
    node.stop().await;
}

#[tokio::test]
async fn the_openapi_document_is_served() {
    let node = Node::start(Setup::default()).await;
    let answer = node.client().await.get("/api/v1/openapi.json").await;
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document, bigchaindb::web::openapi::document());
    node.stop().await;
}
