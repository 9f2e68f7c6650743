//! Follows the node's WebSocket stream of valid transactions.
//!
//! A frame reader of its own, because at ten thousand frames a second a general library would take a part of the machine
//! that the node is being measured on.

use std::io;

use ledger::ids::TxId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest message that is expected, bytes.
const MAX_MESSAGE: usize = 1 << 20;

/// An open stream.
#[derive(Debug)]
pub struct ValidStream {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// Where unread bytes begin.
    start: usize,
}

enum Frame {
    Text(TxId),
    Ping(Vec<u8>),
    Close,
    Other,
}

impl ValidStream {
    /// Connects to `ws://AUTHORITY/PATH`.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("ws://").ok_or_else(|| anyhow::anyhow!("`{url}` is not a ws:// address"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut socket = TcpStream::connect(authority).await?;
        socket.set_nodelay(true)?;
        // The key only guards against caches in between; a fixed one does.
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: YmlnY2hhaW5kYiBiZW5jaA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await?;
        let mut stream = Self { socket, buffer: Vec::with_capacity(64 << 10), start: 0 };
        loop {
            if let Some(end) = stream.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                anyhow::ensure!(stream.buffer.starts_with(b"HTTP/1.1 101"), "{url} opens no WebSocket");
                stream.start = end + 4;
                return Ok(stream);
            }
            stream.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.len() > MAX_MESSAGE {
            return Err(io::Error::other("a message of more than 1 MB"));
        }
        self.buffer.reserve(32 << 10);
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the node closed the stream of valid transactions")),
            _ => Ok(()),
        }
    }

    /// The next batch of valid transactions, as many as have arrived: one reading of the clock does for all of them.
    pub async fn next(&mut self, batch: &mut Vec<TxId>) -> io::Result<()> {
        batch.clear();
        loop {
            while let Some(frame) = self.frame()? {
                match frame {
                    Frame::Text(id) => batch.push(id),
                    Frame::Ping(payload) => self.pong(&payload).await?,
                    Frame::Close => {
                        return Err(io::Error::other("the node ended the stream of valid transactions"));
                    }
                    Frame::Other => {}
                }
            }
            if !batch.is_empty() {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// RFC 6455, section 5.2. A server does not mask.
    fn frame(&mut self) -> io::Result<Option<Frame>> {
        let bytes = self.buffer.get(self.start..).unwrap_or_default();
        let (&[first, second], rest) = match bytes.split_first_chunk::<2>() {
            Some(split) => split,
            None => return Ok(None),
        };
        let (length, rest) = match second & 0x7f {
            126 => match rest.split_first_chunk::<2>() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            length => (u64::from(length), rest),
        };
        if second & 0x80 != 0 || length > MAX_MESSAGE as u64 {
            return Err(io::Error::other("not a frame of a WebSocket server"));
        }
        let Some(payload) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
            return Ok(None);
        };
        let frame = match first {
            0x81 => Frame::Text(transaction_id(payload)?),
            0x88 => Frame::Close,
            0x89 => Frame::Ping(payload.to_vec()),
            0x8a => Frame::Other,
            _ => return Err(io::Error::other("a frame of an unexpected kind")),
        };
        self.start += bytes.len() - rest.len() + payload.len();
        Ok(Some(frame))
    }

    async fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        // Clients must mask; zeros do. Control frames carry at most 125 bytes.
        let length = u8::try_from(payload.len()).ok().filter(|length| *length <= 125);
        let length = length.ok_or_else(|| io::Error::other("a ping of more than 125 bytes"))?;
        let mut frame = vec![0x8a, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        self.socket.write_all(&frame).await
    }
}

/// The id out of `{"block_id": …, "asset_id": …, "transaction_id": …}`, without a JSON parser: it stands at the end.
fn transaction_id(message: &[u8]) -> io::Result<TxId> {
    message
        .strip_suffix(b"\"}")
        .and_then(|rest| rest.last_chunk::<64>())
        .and_then(|hex| std::str::from_utf8(hex).ok()?.parse().ok())
        .ok_or_else(|| io::Error::other("a message that does not end with a transaction's id"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test may panic.
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn frames_in_pieces_pings_and_the_end_are_understood() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/api/v1/streams/valid_transactions", listener.local_addr().unwrap());
        let id = "15386803a7b44ce7d8849c1269610d1c2b30cf994b8d0853023ab5fe68cba9ae";
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = socket.read(&mut request).await.unwrap();
            assert!(request[..read].ends_with(b"\r\n\r\n"));
            let message = format!(r#"{{"block_id": "{id}", "asset_id": "{id}", "transaction_id": "{id}"}}"#);
            let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
            bytes.extend([0x89, 2, b'h', b'i', 0x81, 126]);
            bytes.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
            bytes.extend(message.as_bytes());
            for piece in bytes.chunks(7) {
                socket.write_all(piece).await.unwrap();
            }
            let mut pong = [0; 8];
            socket.read_exact(&mut pong).await.unwrap();
            assert_eq!(pong, [0x8a, 0x82, 0, 0, 0, 0, b'h', b'i']);
            socket.write_all(&[0x88, 0]).await.unwrap();
        });
        let mut stream = ValidStream::open(&url).await.unwrap();
        let mut batch = Vec::new();
        stream.next(&mut batch).await.unwrap();
        assert_eq!(batch, [id.parse().unwrap()]);
        assert!(stream.next(&mut batch).await.is_err());
        server.await.unwrap();
    }
}
