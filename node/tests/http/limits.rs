//! What clients may use up, and how a node stops.

use std::time::Duration;

use bigchaindb::listen::Drained;
use bigchaindb::store::Amount;
use bigchaindb::web::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Node, Setup, create, owner, soon, until};

fn with(limits: Limits) -> Setup {
    Setup { limits, ..Setup::default() }
}

/// Writes to a connection of its own and reads until the node closes it.
async fn exchange(node: &Node, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(node.api).await.unwrap();
    stream.write_all(request).await.unwrap();
    read_all(&mut stream).await
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    soon("the end of the connection", stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_however_it_is_sent() {
    let node = Node::start(with(Limits { body_bytes: 1000, ..Limits::default() })).await;
    for size in [1001, 15_000, 900_000] {
        let answer = node.client().await.post(vec![b' '; size]).await;
        assert_eq!((answer.status, answer.text().contains("larger than 1000 bytes")), (413, true), "{size}");
        let chunked = format!(
            "POST /api/v1/transactions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{}\r\n0\r\n\r\n",
            " ".repeat(size)
        );
        let answer = exchange(&node, chunked.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{size}: {answer}");
    }
    assert_eq!(node.client().await.post(vec![b' '; 1000]).await.status, 400);
    node.stop().await;
}

#[tokio::test]
async fn a_chunked_body_is_read() {
    let node = Node::start(Setup::default()).await;
    let tx = create(&owner(), 1);
    let (first, second) = tx.bytes().split_at(100);
    let mut request =
        b"POST /api/v1/transactions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    for part in [first, second] {
        request.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        request.extend_from_slice(part);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = exchange(&node, &request).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    node.stop().await;
}

#[tokio::test]
async fn connections_stay_alive_and_requests_may_be_sent_ahead() {
    let node = Node::start(Setup::default()).await;
    let get = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = exchange(&node, format!("{get}{get}{last}").as_bytes()).await;
    assert_eq!(answers.matches("{\"healthy\": true}\n").count(), 3, "{answers}");
    node.stop().await;
}

#[tokio::test]
async fn slow_clients_are_given_up() {
    let short = Duration::from_millis(50);
    let node = Node::start(with(Limits { header_time: short, body_time: short, ..Limits::default() })).await;
    assert!(!exchange(&node, b"GET / HTTP/1.1\r\nhost:").await.starts_with("HTTP/1.1 2"));
    assert_eq!(exchange(&node, b"").await, "");
    let half = b"POST /api/v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{";
    let answer = exchange(&node, half).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    node.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_to_come_back() {
    let node = Node::start(with(Limits { connections: 1, ..Limits::default() })).await;
    let mut first = node.client().await;
    assert_eq!(first.get("/healthz").await.status, 200);
    let answer = exchange(&node, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    drop(first);
    until("a free place", async || {
        node.client().await.try_ask("GET", "/healthz", &[], "").await.is_ok_and(|a| a.status == 200)
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn requests_beyond_the_limit_are_told_to_come_back() {
    let node = Node::start(with(Limits { requests: 0, ..Limits::default() })).await;
    let answer = node.client().await.get("/").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.text().contains("requests are under way already"), "{}", answer.text());
    node.stop().await;
}

#[tokio::test]
async fn a_full_backlog_says_503_and_when_to_come_back() {
    for backlog_limit in [Amount { transactions: 0, bytes: 1 << 20 }, Amount { transactions: 10, bytes: 0 }] {
        let node = Node::start(Setup { backlog_limit, ..Setup::default() }).await;
        let answer = node.client().await.post(create(&owner(), 1).bytes().clone()).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
        assert!(answer.text().contains("0 transactions wait for a block already"), "{}", answer.text());
        node.stop().await;
    }
}

#[tokio::test]
async fn what_has_begun_is_finished_when_the_node_stops() {
    let node = Node::start(Setup::default()).await;
    let tx = create(&owner(), 1);
    let mut idle = node.client().await;
    assert_eq!(idle.get("/healthz").await.status, 200);
    let mut begun = TcpStream::connect(node.api).await.unwrap();
    let head = format!("POST /api/v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", tx.bytes().len());
    begun.write_all(head.as_bytes()).await.unwrap();
    until("the request", async || node.state.in_flight.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
    node.order_stop();
    until("the end of the listener", async || TcpStream::connect(node.api).await.is_err()).await;
    begun.write_all(tx.bytes()).await.unwrap();
    let answer = read_all(&mut begun).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert_eq!(node.stop().await.0, Drained::Whole);
}

#[tokio::test]
async fn what_does_not_end_is_cut_off_at_the_deadline() {
    let node = Node::start(with(Limits { drain_time: Duration::from_millis(50), ..Limits::default() })).await;
    let mut begun = TcpStream::connect(node.api).await.unwrap();
    begun.write_all(b"POST /api/v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n").await.unwrap();
    until("the request", async || node.state.in_flight.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
    assert_eq!(node.stop().await.0, Drained::CutOff(1));
}
