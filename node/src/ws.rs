//! The stream of valid transactions, on its own port as in BigchainDB Server 1.0.1.
//!
//! One task turns each decided block into texts, once for all subscribers. A subscriber that cannot keep up is dropped:
//! nothing is ever left out of a stream that goes on.

mod handshake;
mod subscriber;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ledger::block::Block;
use ledger::json::Value;
use ledger::transaction::Operation;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::events::Events;
use crate::listen::{self, Bounds, Drained, stopped};
use crate::metrics::Metrics;

/// The one path there is.
pub const PATH: &str = "/api/v1/streams/valid_transactions";

/// What a subscriber may use up.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Connections at once; one more is answered 503.
    pub connections: usize,
    /// For the handshake.
    pub header_time: Duration,
    /// How often a subscriber is pinged; one that has been silent for two of these is dropped.
    pub ping_period: Duration,
    /// Blocks that a subscriber may lag behind before it is dropped.
    pub lag: usize,
    /// For a block's texts to be taken by the network before the subscriber is dropped.
    pub send_time: Duration,
    /// For subscribers to close when the node stops.
    pub drain_time: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            header_time: Duration::from_secs(30),
            ping_period: Duration::from_secs(30),
            lag: 64,
            send_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(5),
        }
    }
}

/// What subscribers are told.
#[derive(Clone)]
enum Message {
    /// A block's transactions in order, ready to be sent.
    Valid(Arc<[Utf8Bytes]>),
    /// Blocks were missed: a stream that went on would have a hole.
    Gap,
}

/// Serves until `stop` turns true, then closes the subscriptions.
pub async fn serve(
    listener: TcpListener,
    events: Events,
    limits: StreamLimits,
    metrics: Arc<Metrics>,
    stop: watch::Receiver<bool>,
) -> Drained {
    let messages = broadcast::Sender::new(limits.lag);
    let bounds = Bounds { connections: limits.connections, drain_time: limits.drain_time };
    let refused = || metrics.clients.connection_refused();
    let accept = |stream| connection(stream, messages.clone(), limits, metrics.clone(), stop.clone());
    let listening = listen::run(listener, bounds, stop.clone(), refused, accept);
    let (drained, ()) = tokio::join!(listening, announce(&events, &messages, &metrics, stop.clone()));
    drained
}

/// Turns blocks into texts.
async fn announce(
    events: &Events,
    messages: &broadcast::Sender<Message>,
    metrics: &Metrics,
    mut stop: watch::Receiver<bool>,
) {
    let mut blocks = events.subscribe();
    loop {
        let block = tokio::select! {
            () = stopped(&mut stop) => return,
            block = blocks.recv() => block,
        };
        let message = match block {
            Ok(block) => {
                metrics.clients.events_sent(block.transactions.len());
                if messages.receiver_count() == 0 {
                    continue;
                }
                Message::Valid(texts(&block))
            }
            Err(RecvError::Lagged(missed)) => {
                tracing::error!(missed, "blocks were decided faster than announced: subscribers are disconnected");
                Message::Gap
            }
            Err(RecvError::Closed) => return,
        };
        // An error here only says that the last subscriber has just left.
        let _ = messages.send(message);
    }
}

/// One text for each transaction, in block order; all in one buffer.
fn texts(block: &Block) -> Arc<[Utf8Bytes]> {
    let mut buffer = Vec::with_capacity(block.transactions.len() * 256);
    let mut ends = Vec::with_capacity(block.transactions.len());
    for transaction in &block.transactions {
        buffer.extend_from_slice(b"{\"block_id\": \"");
        buffer.extend_from_slice(&block.id.to_hex());
        buffer.extend_from_slice(b"\", \"asset_id\": ");
        match transaction.operation() {
            Operation::Transfer => Value::String(transaction.asset_id().into()).write_http(&mut buffer),
            Operation::Create | Operation::Genesis => quote(&transaction.id().to_hex(), &mut buffer),
        }
        buffer.extend_from_slice(b", \"transaction_id\": ");
        quote(&transaction.id().to_hex(), &mut buffer);
        buffer.push(b'}');
        ends.push(buffer.len());
    }
    let buffer = Bytes::from(buffer);
    let begins = std::iter::once(0).chain(ends.iter().copied());
    // The writer only writes ASCII, so none is left out.
    begins.zip(&ends).filter_map(|(begin, end)| Utf8Bytes::try_from(buffer.slice(begin..*end)).ok()).collect()
}

fn quote(digits: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(digits);
    out.push(b'"');
}

/// The HTTP part, and the subscription if the handshake was good.
async fn connection(
    stream: TcpStream,
    messages: broadcast::Sender<Message>,
    limits: StreamLimits,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) {
    let accepted = Mutex::new(None);
    let answer = |request| {
        let (response, upgrade) = handshake::answer(request);
        if let Some(upgrade) = upgrade {
            // From here on nothing is missed: the client may count on what comes after the answer.
            *accepted.lock() = Some((upgrade, messages.subscribe()));
        }
        async move { Ok::<_, Infallible>(response) }
    };
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .with_upgrades();
    // How this part ends is the client's matter: errors are broken pipes, bad requests and time-outs.
    tokio::select! {
        _ = serving => {}
        () = stopped(&mut stop) => return,
    }
    let taken = accepted.lock().take();
    let Some((upgrade, receiver)) = taken else { return };
    let Ok(upgraded) = upgrade.await else { return };
    let _counted = metrics.clients.subscribed();
    let end = subscriber::run(TokioIo::new(upgraded), receiver, limits, &mut stop).await;
    if end == subscriber::End::Dropped {
        metrics.clients.subscriber_dropped();
    }
}
