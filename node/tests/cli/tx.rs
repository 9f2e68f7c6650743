//! `key` and `tx`: without a node, and with one.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::fake;
use crate::node::Node;
use crate::program::Place;

fn key(place: &Place, name: &str) -> String {
    place.run(&["key", "new", "--output", name]).ok().trim().to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn keys_are_written_for_their_owner_only_and_never_over_others() {
    let place = Place::new();
    let public = key(&place, "alice.json");
    assert_eq!(std::fs::metadata(place.path("alice.json")).unwrap().permissions().mode() & 0o777, 0o600);
    let before = place.read("alice.json");
    place.run(&["key", "new", "--output", "alice.json"]).failed(1, "exists already");
    assert_eq!(place.read("alice.json"), before);
    assert_eq!(json(&before)["public"], public);
    let printed = json(&place.run(&["key", "new"]).ok());
    assert_eq!(printed.as_object().unwrap().len(), 2);
    let signed = place.run(&["tx", "create", "-k", "alice.json"]).ok();
    place.write("key.txt", json(&before)["private"].as_str().unwrap());
    assert_eq!(place.run(&["tx", "create", "--private-key-file", "key.txt"]).ok(), signed);
}

#[test]
fn transactions_are_made_signed_and_checked_without_a_node() {
    let place = Place::new();
    let (alice, bob) = (key(&place, "alice.json"), key(&place, "bob.json"));
    place.write("asset.json", r#"{"name": "bicycle", "weight": 12.50}"#);

    let to = format!("{alice}:7");
    let both = format!("{alice},{bob}:3");
    let unsigned =
        place.run(&["tx", "create", "--signer", &alice, "--asset", "@asset.json", "--to", &to, "--to", &both]).ok();
    place.run_with(&["tx", "verify"], &unsigned).ran_with(1);
    let create = place.run_with(&["tx", "sign", "-k", "alice.json"], &unsigned).ok();
    let direct = ["tx", "create", "-k", "alice.json", "--asset", "@asset.json", "--to", &to, "--to", &both];
    assert_eq!(place.run(&direct).ok(), create);
    place.write("create.json", &create);
    let id = json(&create)["id"].as_str().unwrap().to_owned();
    assert_eq!(place.run(&["tx", "verify", "create.json"]).ok(), format!("CREATE {id}\ngood\n"));

    // What both own takes both to spend.
    let spend = ["tx", "transfer", "--spend", "@create.json:1", "--to", &bob];
    place.run(&[&spend[..], &["-k", "bob.json"]].concat()).failed(1, &alice);
    let transfer = place.run(&[&spend[..], &["-k", "bob.json", "-k", "alice.json"]].concat()).ok();
    place.write("transfer.json", &transfer);
    assert_eq!(json(&transfer)["outputs"][0]["amount"], "3");
    let verdict = json(&place.run(&["--json", "tx", "verify", "transfer.json"]).ok());
    assert_eq!(verdict["spent_transactions_not_given"][0], id);
    let verdict = json(&place.run(&["--json", "tx", "verify", "transfer.json", "--spent", "create.json"]).ok());
    assert_eq!((&verdict["good"], &verdict["operation"]), (&Value::Bool(true), &"TRANSFER".into()));

    let forged = transfer.replacen("\"amount\":\"3\"", "\"amount\":\"4\"", 1);
    let ran = place.run_with(&["tx", "verify", "--spent", "create.json"], &forged);
    ran.ran_with(1);
    assert!(ran.stdout().starts_with("bad (InvalidHash): "), "{}", ran.stdout());
}

#[test]
fn mistakes_are_explained() {
    let place = Place::new();
    let alice = key(&place, "alice.json");
    place.write("create.json", &place.run(&["tx", "create", "-k", "alice.json", "--to", &format!("{alice}:5")]).ok());
    for (arguments, code, text) in [
        (&["tx", "create"][..], 1, "Who signs?"),
        (&["tx", "create", "-k", "nobody.json"], 1, "nobody.json: cannot be read"),
        (&["tx", "create", "-k", "alice.json", "--asset", "[1]"], 1, "--asset must be a JSON object"),
        (&["tx", "create", "-k", "alice.json", "--asset", "{"], 1, "--asset"),
        (&["tx", "create", "-k", "alice.json", "--to", "x"], 2, "`x` is not a base58"),
        (&["tx", "create", "-k", "alice.json", "--wait"], 2, "--send"),
        (&["tx", "transfer", "-k", "alice.json", "--spend", "@create.json:1", "--to", &alice], 1, "counted from 0"),
        (&["tx", "transfer", "--spend", "@create.json", "--to", &format!("{alice}:4")], 1, "hold 5 shares and 4"),
        (&["tx", "transfer", "--spend", "@create.json", "--to", &alice, "--to", &alice], 1, "an amount each"),
        (&["tx", "transfer", "--spend", "abc", "--to", &alice], 2, "64 lower-case"),
        (&["tx", "send", "--url", "https://127.0.0.1:1", "create.json"], 1, "does not answer"),
        (&["tx", "send", "--url", "http://127.0.0.1:1", "create.json"], 1, "does not answer"),
        (&["tx", "sign", "create.json"], 1, "--key-file"),
        (&["tx", "verify", "missing.json"], 1, "`missing.json` cannot be read"),
    ] {
        place.run(arguments).failed(code, text);
    }
    let amounts = place.run(&["tx", "create", "-k", "alice.json", "--to", &format!("{alice}:0")]);
    amounts.failed(2, "`0` is not an amount");
}

#[test]
fn an_asset_is_made_given_away_and_cannot_be_given_twice() {
    let mut node = Node::start(Place::new());
    let place = &node.place;
    let (alice, bob) = (key(place, "alice.json"), key(place, "bob.json"));
    let created =
        place.run(&["tx", "create", "-k", "alice.json", "--asset", r#"{"name": "bicycle"}"#, "--send", "--wait"]);
    let created = created.ok();
    let id = created.strip_prefix("CREATE ").and_then(|rest| rest.get(..64)).unwrap().to_owned();
    assert!(created.contains("\nvalid after "), "{created}");
    assert_eq!(place.run(&["tx", "status", &id]).ok(), "valid\n");

    let transfer = ["--json", "tx", "transfer", "-k", "alice.json", "--spend", &id, "--to", &bob, "--send", "--wait"];
    let answer = json(&place.run(&transfer).ok());
    assert_eq!((&answer["status"], &answer["operation"]), (&"valid".into(), &"TRANSFER".into()));

    let twice = ["tx", "transfer", "-k", "alice.json", "--spend", &id, "--to", &alice, "--send", "--wait"];
    place.run(&twice).failed(1, "DoubleSpend");
    let unknown = "0".repeat(64);
    let ran = place.run(&["--json", "tx", "status", &unknown]);
    ran.ran_with(1);
    assert_eq!(json(&ran.stdout())["status"], "unknown");
    place
        .run(&["tx", "transfer", "-k", "alice.json", "--spend", &unknown, "--to", &bob])
        .failed(1, "no valid transaction");

    place.write("later.json", &place.run(&["tx", "create", "-k", "bob.json", "--metadata", "{\"n\": 1}"]).ok());
    assert!(place.run(&["tx", "send", "--no-wait", "later.json"]).ok().ends_with("\naccepted\n"));
    let later = json(&place.read("later.json"))["id"].as_str().unwrap().to_owned();
    assert_eq!(place.run(&["tx", "status", "--wait", &later]).ok(), "valid\n");
    // Sending again is safe.
    assert!(place.run(&["tx", "send", "later.json"]).ok().contains("valid"));
    assert_eq!(node.stop(), Some(0));
    let report = json(&node.place.run(&["--json", "verify"]).ok());
    assert_eq!((&report["clean"], &report["faults"]), (&Value::Bool(true), &0.into()));
}

#[test]
fn a_transaction_that_is_dropped_later_is_told_with_its_reason() {
    let place = Place::new();
    key(&place, "alice.json");
    let url = fake::serve(|method, path| match (method, path.split('/').nth(3).unwrap()) {
        ("POST", _) => (202, "{}".to_owned()),
        (_, "rejections") => (200, r#"{"class": "DoubleSpend", "message": "input `x` was already spent"}"#.to_owned()),
        _ => (404, "{}".to_owned()),
    });
    let create = ["tx", "create", "-k", "alice.json", "--send", &url, "--wait"];
    let ran = place.run(&create);
    ran.ran_with(1);
    assert!(ran.stdout().ends_with("\nrejected (DoubleSpend): input `x` was already spent\n"), "{}", ran.stdout());
    let ran = place.run(&[&["--json"], &create[..]].concat());
    let answer = json(&ran.stdout());
    assert_eq!((&answer["status"], &answer["class"]), (&"rejected".into(), &"DoubleSpend".into()));
}

#[test]
fn a_busy_node_is_asked_again_and_a_slow_one_not_for_ever() {
    let place = Place::new();
    key(&place, "alice.json");
    let posts = std::sync::atomic::AtomicUsize::new(0);
    let url = fake::serve(move |method, _| match method {
        "POST" if posts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => (503, "{}".to_owned()),
        "POST" => (202, "{}".to_owned()),
        _ => (200, r#"{"status": "undecided"}"#.to_owned()),
    });
    let ran = place.run(&["tx", "create", "-k", "alice.json", "--send", &url, "--wait", "--timeout", "2"]);
    ran.ran_with(1);
    assert!(ran.stdout().ends_with("\nundecided\n"), "{}{}", ran.stdout(), ran.stderr());

    let full = fake::serve(|_, _| (503, r#"{"message": "Not done now: the backlog is full"}"#.to_owned()));
    let refused = place.run(&["tx", "create", "-k", "alice.json", "--send", &full]);
    refused.failed(1, "refused it (503): Not done now: the backlog is full");
    let silent = fake::serve(|_, _| (500, "no JSON".to_owned()));
    place.run(&["tx", "status", &"0".repeat(64), "--url", &silent]).failed(1, "500 Internal Server Error");
}

#[test]
fn a_node_behind_tls_is_asked_if_its_authority_is_trusted() {
    let mut place = Place::new();
    let authority = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    place.write("ca.pem", &authority.cert.pem());
    place.write("other.pem", &other.cert.pem());
    place.write("empty.pem", "");
    let url = fake::serve_tls(&authority, |_, _| (200, r#"{"status": "valid"}"#.to_owned()));
    let id = "a".repeat(64);
    let asked = ["tx", "status", &id, "--url", &url];
    place.run(&asked).failed(1, "BIGCHAINDB_URL_CA_CERT names a file");
    for (file, told) in [("other.pem", "certificate"), ("empty.pem", "`empty.pem`"), ("none.pem", "`none.pem`")] {
        place.env("BIGCHAINDB_URL_CA_CERT", file).run(&asked).failed(1, told);
    }
    assert_eq!(place.env("BIGCHAINDB_URL_CA_CERT", "ca.pem").run(&asked).ok(), "valid\n");
}
