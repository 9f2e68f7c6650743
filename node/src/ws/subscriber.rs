//! One subscriber.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message as Frame};

use super::{Message, StreamLimits};
use crate::listen::stopped;

/// How a subscription ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client left, or the node stops.
    Closed,
    /// The client was too slow or gave no sign of life.
    Dropped,
}

/// Pings in a row without any sign of life before a subscriber is given up.
const SILENT_PINGS: u32 = 2;

/// For the other side to take note of a close.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Sends what is announced until somebody ends it.
pub async fn run<S>(
    stream: S,
    mut messages: broadcast::Receiver<Message>,
    limits: StreamLimits,
    stop: &mut watch::Receiver<bool>,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Clients have nothing to say: small buffers, for there may be thousands.
    let config = WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(32 << 10)
        .max_write_buffer_size(64 << 10)
        .max_message_size(Some(64 << 10))
        .max_frame_size(Some(64 << 10));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let mut pings = interval(limits.ping_period);
    // The first one is not due at once.
    pings.reset();
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    let reason = loop {
        let sent = tokio::select! {
            () = stopped(stop) => break Some((CloseCode::Away, End::Closed)),
            message = messages.recv() => match message {
                Ok(Message::Valid(texts)) => {
                    timeout(limits.send_time, send(&mut socket, texts.iter().cloned().map(Frame::Text))).await
                }
                Ok(Message::Gap) | Err(RecvError::Lagged(_)) => break Some((CloseCode::Again, End::Dropped)),
                Err(RecvError::Closed) => break Some((CloseCode::Away, End::Closed)),
            },
            frame = socket.next() => match frame {
                Some(Ok(frame)) => {
                    unanswered = 0;
                    // Pongs and answers to close wait to be sent; what clients say is ignored.
                    let answers = frame.is_ping() || frame.is_close();
                    if !answers { continue }
                    timeout(limits.send_time, socket.flush()).await
                }
                Some(Err(error)) => break code(&error).map(|code| (code, End::Closed)),
                None => break None,
            },
            _ = pings.tick() => {
                if unanswered >= SILENT_PINGS {
                    break Some((CloseCode::Away, End::Dropped));
                }
                unanswered += 1;
                timeout(limits.send_time, send(&mut socket, [Frame::Ping(Bytes::new())])).await
            }
        };
        match sent {
            Ok(Ok(())) => {}
            // After an answered close there is nothing more to come; a broken pipe is the same.
            Ok(Err(_)) => break None,
            // The network does not take what is sent: a close frame would not get through either.
            Err(_) => return End::Dropped,
        }
    };
    let Some((code, end)) = reason else { return End::Closed };
    let close = async {
        let _ = socket.close(Some(CloseFrame { code, reason: "".into() })).await;
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = timeout(CLOSE_TIME, close).await;
    end
}

/// Sends frames together: the network is asked once for all of them, unless they fill the buffer.
async fn send<S>(socket: &mut WebSocketStream<S>, frames: impl IntoIterator<Item = Frame>) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for frame in frames {
        socket.feed(frame).await?;
    }
    socket.flush().await
}

/// What to close with after an error; `None`: the connection is gone.
fn code(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Protocol(_) => Some(CloseCode::Protocol),
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        _ => None,
    }
}
