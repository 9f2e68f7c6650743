//! A small HTTP/1.1 client for this program's own commands: `http://` and `https://`, one request a connection, with
//! deadlines.

mod tls;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use self::tls::Tls;

/// How long one request may take, connecting included.
const DEADLINE: Duration = Duration::from_secs(30);

/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 64 << 20;

/// A server: `http://HOST[:PORT][/PREFIX]`, or with `https`.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Name or address; an IPv6 one in brackets.
    pub host: String,
    /// 80, or 443 with TLS, unless given.
    pub port: u16,
    prefix: String,
    /// How it is judged, if it speaks TLS: by the authorities of browsers, unless others are named.
    tls: Option<Tls>,
}

impl Endpoint {
    /// `HOST:PORT`, as it stands in a `Host` header.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Judged by the authorities of a file, if it speaks TLS. The error says why the file cannot be used.
    pub fn trusting(self, ca: &Path) -> Result<Self, String> {
        let tls = self.tls.as_ref().map(|_| Tls::new(Some(ca))).transpose()?;
        Ok(Self { tls, ..self })
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// A path on this server.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.prefix)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a URL like http://localhost:9984");
        let (secure, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://").ok_or_else(wrong)?),
        };
        let (authority, prefix) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (authority, if secure { 443 } else { 80 }),
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || authority.contains(['@', '?', '#', ' ']) || (host.contains(':') && !bracketed) {
            return Err(wrong());
        }
        let tls = secure.then(|| Tls::new(None)).transpose()?;
        Ok(Self { host: host.to_owned(), port, prefix: prefix.trim_end_matches('/').to_owned(), tls })
    }
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there, or the connection broke.
    #[error("{endpoint} does not answer: {reason}")]
    Unreachable {
        /// Which server.
        endpoint: Endpoint,
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("{endpoint} did not answer within {} s", DEADLINE.as_secs())]
    Deadline {
        /// Which server.
        endpoint: Endpoint,
    },
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// `Retry-After`, if it is there and in seconds.
    pub retry_after: Option<Duration>,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// For people: the node's own sentence if it gave one.
    pub fn message(&self) -> String {
        match &self.json()["message"] {
            serde_json::Value::Null => self.status.to_string(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// Asks.
pub async fn get(endpoint: &Endpoint, path: &str) -> Result<Answer, ClientError> {
    request(endpoint, Method::GET, path, Bytes::new()).await
}

/// Posts JSON.
pub async fn post(endpoint: &Endpoint, path: &str, body: Bytes) -> Result<Answer, ClientError> {
    request(endpoint, Method::POST, path, body).await
}

async fn request(endpoint: &Endpoint, method: Method, path: &str, body: Bytes) -> Result<Answer, ClientError> {
    match tokio::time::timeout(DEADLINE, exchange(endpoint, method, path, body)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(ClientError::Unreachable { endpoint: endpoint.clone(), reason: format!("{error:#}") }),
        Err(_) => Err(ClientError::Deadline { endpoint: endpoint.clone() }),
    }
}

async fn exchange(endpoint: &Endpoint, method: Method, path: &str, body: Bytes) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(endpoint.authority()).await?;
    match &endpoint.tls {
        Some(tls) => converse(tls.secured(&endpoint.host, stream).await?, endpoint, method, path, body).await,
        None => converse(stream, endpoint, method, path, body).await,
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    endpoint: &Endpoint,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<Answer> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder().method(method).uri(endpoint.path(path)).header(HOST, endpoint.authority());
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(body))?;
    // The connection makes progress only while it is polled.
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(anyhow::Error::from_boxed)?;
        Ok(Answer { status, retry_after: retry_after.map(Duration::from_secs), body: body.to_bytes() })
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended?;
            // A server may close as soon as it has answered; what it sent is still to be read.
            answer.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (text, expected) in [
            ("http://localhost:9984", "http://localhost:9984"),
            ("http://localhost", "http://localhost:80"),
            ("http://[::1]:9984/", "http://[::1]:9984"),
            ("http://10.0.0.1:80/bdb/", "http://10.0.0.1:80/bdb"),
            ("https://example.org", "https://example.org:443"),
            ("https://[::1]:8443/bdb", "https://[::1]:8443/bdb"),
        ] {
            let endpoint = text.parse::<Endpoint>();
            assert_eq!(endpoint.map(|e| e.to_string()).as_deref(), Ok(expected));
        }
        for text in
            ["localhost:9984", "http://", "http://:1", "http://a:b", "http://a:70000", "http://u@h", "http://::1:9"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
