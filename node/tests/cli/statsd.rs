//! Counters for statsd, whose port is fixed as in 1.0.1.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};

use crate::backup::create;
use crate::http::Connection;
use crate::node::Node;
use crate::program::Place;

#[test]
fn counters_go_to_statsd_up_to_the_end() {
    let statsd = (0..).find_map(|n| UdpSocket::bind((Ipv4Addr::from(0x7f57_0001 + n), 8125)).ok()).unwrap();
    let mut place = Place::new();
    place.env("BIGCHAINDB_GRAPHITE_HOST", &statsd.local_addr().unwrap().ip().to_string());
    let mut node = Node::start(place);
    let mut connection = Connection::open(node.address()).unwrap();
    let ids = [1, 2, 3].map(|number| {
        let (id, body) = create(number);
        assert_eq!(connection.post("/api/v1/transactions", &body).unwrap().status, 202);
        id
    });
    for id in ids {
        let path = format!("/api/v1/statuses?transaction_id={id}");
        node.wait_until(|_| connection.get(&path).unwrap().body.contains("\"valid\""));
    }
    assert_eq!(node.stop(), Some(0));
    // All of it has arrived: the node that sent it is gone.
    statsd.set_nonblocking(true).unwrap();
    let mut sums = BTreeMap::new();
    let mut packet = [0; 512];
    while let Ok(length) = statsd.recv(&mut packet) {
        for line in std::str::from_utf8(&packet[..length]).unwrap().lines() {
            let (name, count) = line.strip_suffix("|c").unwrap().split_once(':').unwrap();
            *sums.entry(name.to_owned()).or_default() += count.parse::<u64>().unwrap();
        }
    }
    let expected = ["pipelines.block.throughput", "pipelines.vote.throughput", "web.tx.post"];
    assert_eq!(sums, expected.map(|name| (name.to_owned(), 3)).into());
}
