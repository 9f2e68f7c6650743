//! `bench`: that it measures, not what.

use serde_json::Value;

use crate::fake;
use crate::node::Node;
use crate::program::Place;

#[test]
fn a_node_of_its_own_is_measured_and_cleaned_up() {
    let place = Place::new();
    std::fs::create_dir(place.path("tmp")).unwrap();
    let report =
        place.run(&["bench", "--count", "200", "--connections", "8", "--directory", "tmp", "--quiet", "--json"]);
    let report: Value = serde_json::from_str(&report.ok()).unwrap();
    assert_eq!((&report["count"], &report["accepted"], &report["valid"]), (&200.into(), &200.into(), &200.into()));
    for figure in [
        "accepted_per_second",
        "valid_per_second",
        "floor_us",
        "times_floor",
        "memory_idle",
        "memory_peak",
        "node_cpu_us_per_transaction",
        "seconds",
        "restart_seconds",
        "memory_after_restart",
        "stored_bytes",
    ] {
        assert!(report[figure].as_f64().is_some_and(|number| number > 0.0), "{figure}: {report}");
    }
    for times in ["post_to_accepted_ms", "post_to_valid_ms"] {
        assert!(report[times]["p99"].as_f64() >= report[times]["p50"].as_f64(), "{report}");
        assert_eq!(report[times]["count"], 200);
    }
    assert_eq!(std::fs::read_dir(place.path("tmp")).unwrap().count(), 0);
}

#[test]
fn a_running_node_is_measured_at_a_pace() {
    let mut node = Node::start(Place::new());
    let pid = node.process().as_raw_nonzero().to_string();
    let arguments = ["bench", "--count", "60", "--rate", "300", "--url", &node.url, "--pid", &pid, "-q"];
    let text = node.place.run(&arguments).ok();
    assert!(text.contains("60 CREATEs over 128 connections, 300 a second"), "{text}");
    assert!(text.contains("POST to valid  p50"), "{text}");
    assert!(!text.contains("not measured"), "{text}");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn other_peoples_hosts_are_left_alone() {
    let place = Place::new();
    place.run(&["bench", "--url", "http://example.com:9984"]).failed(1, "--i-own-this-host");
    place.run(&["bench", "-q", "--count", "1", "--url", "http://127.0.0.1:1"]).failed(1, "does not answer");
    place.run(&["bench", "-q", "--count", "1", "--directory", "missing"]).failed(1, "`missing` cannot hold");
}

/// A server that takes everything, and whose stream says this.
fn forgetful(stream: &'static str) -> String {
    // Its own address is known only once it serves.
    let address = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let own = address.clone();
    let url = fake::serve(move |method, path| match (method, path) {
        ("POST", _) => (202, "{}".to_owned()),
        (_, "/api/v1/") => (200, format!(r#"{{"streams": "ws://{}/stream"}}"#, own.wait())),
        (_, "/stream") => (101, stream.to_owned()),
        _ => (404, "{}".to_owned()),
    });
    address.set(url.strip_prefix("http://").unwrap().to_owned()).unwrap();
    url
}

#[test]
fn what_does_not_become_valid_is_a_failure() {
    let place = Place::new();
    let bench = |url: &str| {
        place.run(&["bench", "--count", "20", "--connections", "2", "--patience", "1", "-q", "--json", "--url", url])
    };
    let ran = bench(&forgetful(""));
    ran.ran_with(1);
    let report: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!((&report["accepted"], &report["valid"]), (&20.into(), &0.into()));
    assert_eq!(report["broken"][0], "nothing happened for 1 s");

    let ran = bench(&forgetful("\u{1}"));
    ran.ran_with(1);
    let report: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert!(report["valid"] == 0 && report["broken"][0].is_string(), "{report}");

    let refusing = fake::serve(|_, path| match path {
        "/api/v1/" => (200, r#"{"streams": "https://example.com"}"#.to_owned()),
        _ => (400, "{}".to_owned()),
    });
    bench(&refusing).failed(1, "is not a ws:// address");
    bench(&fake::serve(|_, _| (200, "{}".to_owned()))).failed(1, "is no BigchainDB node");
}
