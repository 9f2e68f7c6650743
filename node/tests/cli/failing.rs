//! A node whose disk takes no more.

use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::backup::create;
use crate::http::Connection;
use crate::node::Node;
use crate::program::Place;

#[test]
fn a_node_that_cannot_write_any_more_says_why_and_ends() {
    // Without the trap the system would end the process at its first write beyond the limit.
    let mut node = Node::start_by(Place::new(), |place| place.shell("trap '' XFSZ; exec \"$0\" start"));
    // From now on no file grows beyond this, as on a full disk.
    let limit = Rlimit { current: Some(64 << 10), maximum: Some(64 << 10) };
    prlimit(Some(node.process()), Resource::Fsize, limit).unwrap();
    let mut connection = Connection::open(node.address()).unwrap();
    let mut accepted = Vec::new();
    for number in 0.. {
        let (id, body) = create(number);
        match connection.post("/api/v1/transactions", &body) {
            Ok(answer) if answer.status == 202 => accepted.push(id),
            // It may refuse once more before it ends.
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.body),
            Err(_) => break,
        }
    }
    assert!(!accepted.is_empty());
    assert_eq!(node.ended(), Some(1));
    let console = node.place.read("console");
    let last = console.lines().last().unwrap();
    assert!(last.contains("[ERROR]") && last.contains("File too large"), "{console}");
    assert!(last.contains("the node stops, nothing that was confirmed is lost; start it again"), "{console}");

    let mut node = Node::start(std::mem::replace(&mut node.place, Place::new()));
    let mut connection = Connection::open(node.address()).unwrap();
    for id in accepted {
        node.wait_until(|_| {
            let answer = connection.get(&format!("/api/v1/statuses?transaction_id={id}")).unwrap();
            assert_eq!(answer.status, 200, "{id} was confirmed and is lost: {}", answer.body);
            answer.body.contains("\"valid\"")
        });
    }
    assert_eq!(node.stop(), Some(0));
    let report: Value = serde_json::from_str(&node.place.run(&["--json", "verify"]).ok()).unwrap();
    assert_eq!(report["clean"], true, "{report}");
}
