//! One keep-alive HTTP/1.1 connection that costs its side a few microseconds a request.
//!
//! The load generator shares the machine with the node, so it takes no more from a response than it needs: the status,
//! and where the response ends.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for one response.
const DEADLINE: Duration = Duration::from_secs(60);

/// Longest response that is read, bytes.
const MAX_RESPONSE: usize = 16 << 20;

/// A connection that opens itself again when the server closes it (BigchainDB Server 1.0.1 does so after each response).
#[derive(Debug)]
pub struct Connection {
    address: String,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Bytes up to the body.
    length: usize,
    /// `None`: the body ends with the connection.
    body: Option<usize>,
    close: bool,
}

impl Connection {
    /// Connects.
    pub async fn open(address: String) -> io::Result<Self> {
        let mut connection = Self { address, stream: None, buffer: vec![0; 16 << 10] };
        connection.stream = Some(connection.connect().await?);
        Ok(connection)
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends a whole request, waits for the whole response, tells its status.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let exchange = async {
            stream.write_all(request).await?;
            read_response(&mut stream, &mut self.buffer).await
        };
        let head = tokio::time::timeout(DEADLINE, exchange)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no response within 60 s"))??;
        if !head.close && head.body.is_some() {
            self.stream = Some(stream);
        }
        Ok(head.status)
    }
}

async fn read_response(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Head> {
    let mut filled = 0;
    let mut head: Option<Head> = None;
    loop {
        if filled == buffer.len() {
            if filled >= MAX_RESPONSE {
                return Err(io::Error::other("a response of more than 16 MB"));
            }
            buffer.resize(filled * 2, 0);
        }
        let read = stream.read(buffer.get_mut(filled..).unwrap_or_default()).await?;
        filled += read;
        if head.is_none() {
            head = parse_head(buffer.get(..filled).unwrap_or_default())?;
        }
        match head {
            Some(head) if head.body.is_some_and(|body| filled >= head.length + body) => return Ok(head),
            Some(head) if read == 0 && head.body.is_none() => return Ok(head),
            _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

/// `None`: not all of it is there yet.
fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(bytes.get(..end).unwrap_or_default()).map_err(io::Error::other)?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .filter(|line| line.starts_with("HTTP/1."))
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| io::Error::other("this is not an HTTP/1 server"))?;
    let mut head = Head { status, length: end + 4, body: None, close: false };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            head.body = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            head.close = value.trim().eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(io::Error::other("chunked responses are not expected here"));
        }
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test may panic.
    use super::*;

    #[test]
    fn heads_are_read() {
        let head = parse_head(b"HTTP/1.1 202 ACCEPTED\r\ncontent-LENGTH: 12\r\nX: y\r\n\r\nbody").unwrap().unwrap();
        assert_eq!(head, Head { status: 202, length: 51, body: Some(12), close: false });
        let head = parse_head(b"HTTP/1.0 503 Busy\r\nConnection: close\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.status, head.body, head.close), (503, None, true));
        assert_eq!(parse_head(b"HTTP/1.1 202 ACCEPTED\r\nContent-Le").unwrap(), None);
        assert!(parse_head(b"SSH-2.0\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn a_closed_connection_is_opened_again() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            for (answer, close) in [
                ("HTTP/1.1 202 A\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", true),
                ("HTTP/1.1 400 B\r\n\r\nto the end", true),
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4];
                stream.read_exact(&mut request).await.unwrap();
                // In two pieces: a response need not come at once.
                let (first, second) = answer.split_at(12);
                stream.write_all(first.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                stream.write_all(second.as_bytes()).await.unwrap();
                assert!(close);
            }
        });
        let mut connection = Connection::open(address).await.unwrap();
        assert_eq!(connection.exchange(b"one\n").await.unwrap(), 202);
        assert_eq!(connection.exchange(b"two\n").await.unwrap(), 400);
        server.await.unwrap();
    }
}
