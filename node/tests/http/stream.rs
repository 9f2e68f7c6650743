//! The stream of valid transactions.

use std::sync::Arc;
use std::time::Duration;

use bigchaindb::ws::{PATH, StreamLimits};
use futures_util::{SinkExt, StreamExt};
use ledger::block::Block;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::rig::{Client, Node, Setup, create, owner, soon, until};

type Socket = WebSocketStream<TcpStream>;

fn with(stream_limits: StreamLimits) -> Setup {
    Setup { stream_limits, ..Setup::default() }
}

async fn subscribe(node: &Node) -> Socket {
    let stream = TcpStream::connect(node.stream).await.unwrap();
    let url = format!("ws://{}{PATH}", node.stream);
    soon("the handshake", client_async(url, stream)).await.unwrap().0
}

/// The next text, or the code of the close.
async fn next(socket: &mut Socket) -> Result<String, Option<CloseCode>> {
    loop {
        match soon("a frame", socket.next()).await {
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
            Some(Ok(Message::Close(frame))) => return Err(frame.map(|f| f.code)),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(None),
        }
    }
}

/// A block that nobody checks, of transactions numbered from `first`.
fn block(node: &Node, first: i64, transactions: i64) -> Arc<Block> {
    let owner = owner();
    let transactions = (first..first + transactions).map(|n| Arc::new(create(&owner, n))).collect();
    Arc::new(Block::create(transactions, &[node.key.public_key()], 1_500_000_000, &node.key))
}

fn text(block: &Block, n: usize) -> String {
    let id = block.transactions[n].id();
    format!("{{\"block_id\": \"{}\", \"asset_id\": \"{id}\", \"transaction_id\": \"{id}\"}}", block.id)
}

async fn subscribers(node: &Node, n: i64) {
    until("subscribers", async || node.metrics.clients.subscribers() == n).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_was_sent_is_announced_once_it_is_valid() {
    let node = Node::start(Setup::default()).await;
    let mut socket = subscribe(&node).await;
    let tx = create(&owner(), 1);
    assert_eq!(node.client().await.post(tx.bytes().clone()).await.status, 202);
    let announced = next(&mut socket).await.unwrap();
    let id = tx.id();
    assert!(announced.ends_with(&format!("\", \"asset_id\": \"{id}\", \"transaction_id\": \"{id}\"}}")), "{announced}");
    node.stop().await;
}

#[tokio::test]
async fn every_subscriber_is_told_everything_in_order() {
    let node = Node::start(Setup::default()).await;
    let (mut one, mut two) = (subscribe(&node).await, subscribe(&node).await);
    subscribers(&node, 2).await;
    let blocks = [block(&node, 0, 3), block(&node, 3, 1), block(&node, 4, 2)];
    for block in &blocks {
        node.events.publish(block.clone());
    }
    for socket in [&mut one, &mut two] {
        for block in &blocks {
            for n in 0..block.transactions.len() {
                assert_eq!(next(socket).await, Ok(text(block, n)));
            }
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_subscribers_are_served_at_once() {
    // Both ends of the connections are in this process.
    bigchaindb::listen::raise_descriptor_limit().unwrap();
    let node = Node::start(Setup::default()).await;
    let mut sockets = Vec::new();
    for _ in 0..1000 {
        sockets.push(subscribe(&node).await);
    }
    subscribers(&node, 1000).await;
    let block = block(&node, 0, 2);
    node.events.publish(block.clone());
    for socket in &mut sockets {
        assert_eq!(next(socket).await, Ok(text(&block, 0)));
        assert_eq!(next(socket).await, Ok(text(&block, 1)));
    }
    drop(sockets);
    subscribers(&node, 0).await;
    assert_eq!(node.metrics.clients.subscribers_dropped_total(), 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_subscriber_is_dropped_and_the_others_go_on() {
    let limits = StreamLimits { lag: 4, send_time: Duration::from_millis(100), ..StreamLimits::default() };
    let node = Node::start(with(limits)).await;
    let (mut good, mut slow) = (subscribe(&node).await, subscribe(&node).await);
    subscribers(&node, 2).await;
    let block = block(&node, 0, 500);
    // The slow one reads nothing: sooner or later the network takes no more.
    until("the end of the slow one", async || {
        node.events.publish(block.clone());
        for n in 0..block.transactions.len() {
            assert_eq!(next(&mut good).await, Ok(text(&block, n)));
        }
        node.metrics.clients.subscribers_dropped_total() == 1
    })
    .await;
    subscribers(&node, 1).await;
    let mut received = 0;
    while let Ok(announced) = next(&mut slow).await {
        assert_eq!(announced, text(&block, received % 500), "what was sent has no hole");
        received += 1;
    }
    node.stop().await;
}

#[tokio::test]
async fn a_silent_subscriber_is_dropped_and_one_that_answers_pings_is_not() {
    let node =
        Node::start(with(StreamLimits { ping_period: Duration::from_millis(20), ..StreamLimits::default() })).await;
    let mut alive = subscribe(&node).await;
    // Nobody reads from this one, so nobody answers its pings.
    let _silent = subscribe(&node).await;
    subscribers(&node, 2).await;
    soon("the end of the silent one", async {
        let mut pings = 0;
        while node.metrics.clients.subscribers_dropped_total() == 0 || pings < 5 {
            if let Some(Ok(Message::Ping(_))) = alive.next().await {
                pings += 1;
            }
            // The pong is sent with the next flush.
            alive.flush().await.unwrap();
        }
    })
    .await;
    subscribers(&node, 1).await;
    node.stop().await;
}

#[tokio::test]
async fn pings_and_closes_are_answered_and_texts_ignored() {
    let node = Node::start(Setup::default()).await;
    let mut socket = subscribe(&node).await;
    socket.send(Message::Text("anybody there?".into())).await.unwrap();
    socket.send(Message::Ping(vec![1, 2, 3].into())).await.unwrap();
    let pong = soon("the pong", socket.next()).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(vec![1, 2, 3].into()));
    socket.close(None).await.unwrap();
    let end = soon("the close", socket.next()).await;
    assert!(matches!(end, Some(Ok(Message::Close(_))) | None), "{end:?}");
    assert!(matches!(soon("the end", socket.next()).await, None | Some(Err(Error::ConnectionClosed))));
    subscribers(&node, 0).await;
    node.stop().await;
}

#[tokio::test]
async fn a_malformed_frame_is_answered_with_1002() {
    let node = Node::start(Setup::default()).await;
    let mut socket = subscribe(&node).await;
    // Reserved bits set, not masked.
    socket.get_mut().write_all(&[0xf3, 0x01, 0x00]).await.unwrap();
    assert_eq!(next(&mut socket).await, Err(Some(CloseCode::Protocol)));
    node.stop().await;
}

#[tokio::test]
async fn subscribers_are_told_when_the_node_stops() {
    let node = Node::start(Setup::default()).await;
    let mut socket = subscribe(&node).await;
    subscribers(&node, 1).await;
    node.order_stop();
    assert_eq!(next(&mut socket).await, Err(Some(CloseCode::Away)));
    drop(socket);
    node.stop().await;
}

#[tokio::test]
async fn what_is_no_handshake_is_answered_as_by_the_reference() {
    let node = Node::start(Setup::default()).await;
    let mut client = Client::connect(node.stream).await;
    let plain = client.get(PATH).await;
    let text = "No WebSocket UPGRADE hdr: None\n Can \"Upgrade\" only to \"WebSocket\".";
    assert_eq!((plain.status, plain.text()), (400, text));
    assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
    for path in ["/", &format!("{PATH}/"), "/api/v1/streams", "/api/v1/"] {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.text()), (404, "404: Not Found"), "{path}");
    }
    let answer = client.ask("POST", PATH, &[], "").await;
    assert_eq!((answer.status, answer.text(), answer.header("allow")), (405, "405: Method Not Allowed", Some("GET")));
    let upgrade = [("upgrade", "websocket"), ("connection", "Upgrade")];
    assert_eq!(client.ask("GET", PATH, &upgrade, "").await.text(), "Unsupported version: None");
    let key = [("sec-websocket-version", "13"), ("sec-websocket-key", "short")];
    let answer = client.ask("GET", PATH, &[upgrade, key].concat(), "").await;
    assert_eq!((answer.status, answer.text().starts_with("Handshake error")), (400, true));
    node.stop().await;
}

#[tokio::test]
async fn subscribers_beyond_the_limit_are_told_to_come_back() {
    let node = Node::start(with(StreamLimits { connections: 1, ..StreamLimits::default() })).await;
    let _first = subscribe(&node).await;
    let mut second = TcpStream::connect(node.stream).await.unwrap();
    let mut answer = String::new();
    soon("the refusal", second.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    node.stop().await;
}
