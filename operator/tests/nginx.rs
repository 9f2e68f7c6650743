//! The gateway's configuration, in the real NGINX.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bigchaindb_operator::nginx::values::{HostName, Network};
use bigchaindb_operator::nginx::{MongoDb, RateLimit, Settings};
use tokio_tungstenite::tungstenite::{self, Message};

#[path = "nginx/backend.rs"]
mod backend;
#[path = "nginx/dns.rs"]
mod dns;
#[path = "nginx/gateway.rs"]
mod gateway;
#[path = "nginx/text.rs"]
mod text;
#[path = "nginx/tls.rs"]
mod tls;

use backend::Backend;
use dns::Dns;
use gateway::{DEADLINE, Gateway, LOCALHOST, MONGODB, NODE, connect, program, request, settings, wait_for};

/// A node at 127.0.0.1 that DNS knows.
struct Node {
    dns: Dns,
    http: Backend,
    websocket: Backend,
}

impl Node {
    fn start() -> Self {
        let dns = Dns::start();
        dns.point(NODE, Ipv4Addr::LOCALHOST);
        Self { dns, http: Backend::http(LOCALHOST, 0, "node"), websocket: Backend::websocket(LOCALHOST, 0) }
    }

    fn settings(&self) -> Settings {
        let mut settings = settings(&self.dns);
        settings.server.http_port = self.http.address.port();
        settings.server.websocket_port = self.websocket.address.port();
        settings
    }
}

fn post(length: usize) -> String {
    let body = "x".repeat(length);
    format!(
        "POST /api/v1/transactions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn requests_are_passed_on_as_they_came() {
    let Some(program) = program() else { return };
    let node = Node::start();
    let gateway = Gateway::start(&program, node.settings());
    let text = "PUT /api/v1/a%2Fb//c/?x=%20y HTTP/1.1\r\nHost: a.example:8080\r\nX-Real-IP: 1.2.3.4\r\napp_id: 7\r\n\
                Upgrade: websocket\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    let answer = request(gateway.connect(), text);
    assert_eq!(answer.status, 200);
    for line in [
        "\nPUT /api/v1/a%2Fb//c/?x=%20y HTTP/1.1\r\n",
        "\nHost: a.example:8080\r\n",
        "\nX-Real-IP: 127.0.0.1\r\n",
        "\napp_id: 7\r\n",
        "\nConnection: close\r\n",
        "\nbody: 2 bytes\n",
    ] {
        assert!(answer.text.contains(line), "{line:?} in {}", answer.text);
    }
    let old = request(gateway.connect(), "GET / HTTP/1.0\r\n\r\n");
    assert!(old.status == 200 && old.text.contains("\nHost: localhost\r\n"), "{}", old.text);
    // NGINX writes a line after the answer.
    wait_for("the log's line", || gateway.accesses().contains("PUT /api/v1/a%2Fb//c/?x=%20y").then_some(()));
    assert_ne!(gateway.user(), 0);
}

#[test]
fn what_the_node_tells_whoever_runs_it_is_not_public() {
    let Some(program) = program() else { return };
    let node = Node::start();
    let gateway = Gateway::start(&program, node.settings());
    for path in
        ["/metrics", "/metrics/", "/healthz", "/readyz", "/readyz?verbose", "//metrics", "/%6detrics", "/a/../readyz"]
    {
        assert_eq!(gateway.get(path).status, 404, "{path}");
    }
    for path in ["/metrics2", "/api/v1/metrics"] {
        assert_eq!(gateway.get(path).status, 200, "{path}");
    }
}

#[test]
fn large_bodies_are_refused() {
    let Some(program) = program() else { return };
    let node = Node::start();
    let gateway = Gateway::start(&program, node.settings());
    let largest = 15 * 1024;
    assert_eq!(request(gateway.connect(), &post(largest)).status, 200);
    assert_eq!(request(gateway.connect(), &post(largest + 1)).status, 413);
    let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", largest + 1, "x".repeat(largest + 1));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(request(gateway.connect(), &format!("{head}{chunk}")).status, 413);
}

#[test]
fn a_flood_is_stopped_and_streams_are_not_counted() {
    let Some(program) = program() else { return };
    let node = Node::start();
    let rate_limit = Some(RateLimit { per_second: 1, burst: 5 });
    let gateway = Gateway::start(&program, Settings { rate_limit, ..node.settings() });
    let statuses: Vec<u16> = (0..40).map(|_| gateway.get("/").status).collect();
    assert_eq!(statuses[..6], [200; 6], "{statuses:?}");
    assert!(statuses.contains(&429) && statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    let (mut socket, _) = tungstenite::client(stream_url(gateway.settings.port, ""), gateway.connect()).unwrap();
    socket.send(Message::text("through")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("through"));
}

#[test]
fn slow_clients_are_cut() {
    let Some(program) = program() else { return };
    let node = Node::start();
    let short = Duration::from_millis(200);
    let gateway = Gateway::start(&program, Settings { client_timeout: short, keep_alive: short, ..node.settings() });
    let whole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for begun in ["GET / HTTP/1.1\r\nHost:", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", whole] {
        let mut connection = gateway.connect();
        let started = Instant::now();
        connection.write_all(begun.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // It ends in an answer of 408, in nothing, or in a reset, before the test's own patience does.
        let ended = connection.read_to_end(&mut answer);
        assert!(started.elapsed() < DEADLINE, "{begun:?} was not cut: {ended:?}");
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(answer.contains("200 OK"), begun == whole, "{begun:?} was answered with {answer:?}");
    }
}

fn stream_url(port: u16, scheme: &str) -> String {
    format!("ws{scheme}://localhost:{port}/api/v1/streams/valid_transactions")
}

#[test]
fn websockets_pass_through_both_ports_on_the_streams_path_only() {
    let Some(program) = program() else { return };
    let node = Node::start();
    let gateway = Gateway::start(&program, node.settings());
    let websocket_port = gateway.settings.websocket_port.unwrap();
    for port in [gateway.settings.port, websocket_port] {
        let (mut socket, answer) = tungstenite::client(stream_url(port, ""), connect(port)).unwrap();
        assert_eq!(answer.status(), 101);
        for message in ["one", "two"] {
            socket.send(Message::text(message)).unwrap();
            assert_eq!(socket.read().unwrap(), Message::text(message));
        }
    }
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(request(connect(websocket_port), &get("/api/v1/")).status, 404);
    // Without its last slash it is the node's to answer.
    let answer = gateway.get("/api/v1/streams");
    assert!(answer.status == 200 && answer.text.contains("GET /api/v1/streams HTTP/1.1"), "{}", answer.text);
}

#[test]
fn a_silent_stream_is_cut() {
    let Some(program) = program() else { return };
    let node = Node::start();
    let stream_timeout = Duration::from_millis(300);
    let gateway = Gateway::start(&program, Settings { stream_timeout, ..node.settings() });
    let port = gateway.settings.port;
    let (mut socket, _) = tungstenite::client(stream_url(port, ""), gateway.connect()).unwrap();
    let started = Instant::now();
    let ended = socket.read();
    assert!(ended.is_err() && started.elapsed() < DEADLINE, "{ended:?}");
}

#[test]
fn a_node_that_is_away_is_never_answered_for() {
    let Some(program) = program() else { return };
    let Node { dns, http, websocket: _websocket } = Node::start();
    let mut settings = settings(&dns);
    settings.server.http_port = http.address.port();
    let gateway = Gateway::start(&program, settings.clone());
    assert_eq!(gateway.get("/").status, 200);
    let health = || request(connect(gateway.settings.health_port), "GET /health HTTP/1.0\r\n\r\n").status;
    drop(http);
    // Nobody listens.
    assert_eq!(gateway.get("/api/v1/").status, 502);
    assert_eq!(request(gateway.connect(), &post(10)).status, 502);
    assert_eq!(health(), 200);
    drop(gateway);
    // It has no such name.
    settings.server.host = HostName::parse("host", "nowhere.example").unwrap();
    let gateway = Gateway::start(&program, settings.clone());
    assert_eq!(gateway.get("/").status, 502);
    drop(gateway);
    // It does not answer.
    let silent = Backend::silent(LOCALHOST);
    settings.server.host = HostName::parse("host", NODE).unwrap();
    settings.server.http_port = silent.address.port();
    settings.answer_timeout = Duration::from_millis(200);
    let gateway = Gateway::start(&program, settings);
    let answer = gateway.get("/");
    assert_eq!(answer.status, 503);
    assert!(
        answer.text.contains("{\"message\": \"The node does not answer in time.\", \"status\": 503}"),
        "{}",
        answer.text
    );
    drop(gateway);
}

#[test]
fn a_node_that_was_replaced_is_found() {
    let Some(program) = program() else { return };
    let dns = Dns::start();
    let [first_address, second_address] = [2, 3].map(|last| Ipv4Addr::new(127, 0, 0, last));
    dns.point(NODE, first_address);
    let first = Backend::http(IpAddr::V4(first_address), 0, "first");
    let second = Backend::http(IpAddr::V4(second_address), first.address.port(), "second");
    let mut settings = settings(&dns);
    settings.server.http_port = first.address.port();
    settings.dns_valid = Duration::from_secs(1);
    let gateway = Gateway::start(&program, settings);
    assert!(gateway.get("/").text.contains("\nfirst\n"));
    drop(first);
    dns.point(NODE, second_address);
    wait_for("the second node", || {
        let answer = gateway.get("/");
        assert!([200, 502].contains(&answer.status), "{}", answer.text);
        answer.text.contains("\nsecond\n").then_some(())
    });
    drop(second);
}

fn mongodb(node: &Node, backend: &Backend, allow: &[&str], connections: u32) -> Settings {
    node.dns.point(MONGODB, Ipv4Addr::LOCALHOST);
    let host = HostName::parse("host", MONGODB).unwrap();
    let allow = allow.iter().map(|network| Network::parse("mongodbAllowlist", network).unwrap()).collect();
    let host_port = backend.address.port();
    Settings { mongodb: Some(MongoDb { port: 27017, host, host_port, allow, connections }), ..node.settings() }
}

/// Whether bytes come back.
fn echoes(connection: &mut std::net::TcpStream) -> bool {
    let mut answer = [0; 5];
    connection.write_all(b"hello").is_ok() && connection.read_exact(&mut answer).is_ok() && answer == *b"hello"
}

#[test]
fn mongodb_is_reached_by_those_who_are_allowed_and_not_by_too_many_connections() {
    let Some(program) = program() else { return };
    let (node, backend) = (Node::start(), Backend::tcp(LOCALHOST));
    for (allow, reached) in [
        (&["all"][..], true),
        (&["192.0.2.0/24", "127.0.0.0/8"], true),
        (&["192.0.2.0/24", "::1"], false),
        (&[], false),
    ] {
        let gateway = Gateway::start(&program, mongodb(&node, &backend, allow, 16));
        let port = gateway.settings.mongodb.as_ref().unwrap().port;
        assert_eq!(echoes(&mut connect(port)), reached, "{allow:?}: {}", gateway.errors());
    }
    let gateway = Gateway::start(&program, mongodb(&node, &backend, &["all"], 2));
    let port = gateway.settings.mongodb.as_ref().unwrap().port;
    let mut open = [connect(port), connect(port)];
    assert!(open.iter_mut().all(echoes));
    assert!(!echoes(&mut connect(port)));
    drop(open);
    wait_for("a free place", || echoes(&mut connect(port)).then_some(()));
}

#[test]
fn without_the_passthrough_the_stream_module_is_not_asked_for() {
    let Some(program) = program() else { return };
    let node = Node::start();
    let gateway = Gateway::start(&program, node.settings());
    let config = bigchaindb_operator::nginx::config(&gateway.settings);
    assert!(!config.contains("load_module") && !config.contains("stream {"), "{config}");
}
