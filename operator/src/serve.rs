//! Metrics and health over HTTP, on one port.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | OpenMetrics text |
//! | `/healthz` | 200: the process is alive |
//! | `/readyz` | 200, or 503 with a sentence while it cannot do its work; one that stands by is ready |
//!
//! A connection carries one request and lasts ten seconds at most, and there are at most 64 of them.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Connections at once; more wait in the system's queue.
const CONNECTIONS: usize = 64;

/// Bytes of a request's line and headers together.
const HEAD_BYTES: usize = 16 << 10;

/// Until a request's head is there.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// A connection's whole life.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// For requests that are under way when the operator stops.
const DRAIN_TIME: Duration = Duration::from_secs(2);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Whether the operator can do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The API server was not reached yet.
    NoApiServer,
    /// The lists of what is in the cluster are not complete yet.
    FillingCaches,
    /// It works, or would if it led.
    Ready,
}

impl Readiness {
    /// A sentence for people.
    fn sentence(self) -> &'static str {
        match self {
            Self::NoApiServer => "Kubernetes' API server has not been reached yet; the log says why",
            Self::FillingCaches => "the lists of what is in the cluster are not complete yet",
            Self::Ready => "ready",
        }
    }
}

/// Tells `/readyz` how the operator is; its copies are one.
#[derive(Clone, Debug)]
pub struct Health(Arc<watch::Sender<Readiness>>);

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Readiness::NoApiServer)))
    }
}

impl Health {
    /// From now on it is so.
    pub fn set(&self, readiness: Readiness) {
        self.0.send_replace(readiness);
    }

    fn get(&self) -> Readiness {
        *self.0.borrow()
    }
}

/// Serves until `stop` is cancelled, then finishes within two seconds what is under way.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, health: Health, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = async {
                let permit = permits.clone().acquire_owned().await;
                (permit, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (permit, Ok((stream, _))) => {
                let serving = connection(stream, metrics.clone(), health.clone(), stop.clone());
                connections.spawn(async move {
                    let _permit = permit;
                    let _ = timeout(CONNECTION_TIME, serving).await;
                });
            }
            (_, Err(error)) => {
                // Out of file descriptors, or the client went away again.
                tracing::warn!(%error, "cannot accept a connection for metrics and health");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_TIME, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "cut off requests for metrics and health that did not end");
    }
}

async fn connection(stream: TcpStream, metrics: Arc<Metrics>, health: Health, stop: CancellationToken) {
    let respond = |request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), &metrics, &health);
        async move { Ok::<_, Infallible>(response) }
    };
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service_fn(respond));
    let mut serving = pin!(serving);
    // How a connection ends is the client's matter: errors are broken pipes, bad requests and time-outs.
    let _ = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
}

fn answer(method: &Method, path: &str, metrics: &Metrics, health: &Health) -> Response<Full<Bytes>> {
    if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
        return text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz");
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD are answered");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match (path, health.get()) {
        ("/metrics", _) => response(StatusCode::OK, OPEN_METRICS, metrics.render()),
        ("/healthz", _) => text(StatusCode::OK, "alive"),
        (_, readiness @ Readiness::Ready) => text(StatusCode::OK, readiness.sentence()),
        (_, readiness) => text(StatusCode::SERVICE_UNAVAILABLE, readiness.sentence()),
    }
}

fn text(status: StatusCode, sentence: &str) -> Response<Full<Bytes>> {
    response(status, TEXT, format!("{sentence}\n"))
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// The whole answer to what is sent.
    async fn send(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // One that is refused may be reset.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn get(port: u16, path: &str) -> String {
        send(port, &format!("GET {path} HTTP/1.1\r\nhost: operator\r\n\r\n")).await
    }

    #[tokio::test]
    async fn it_says_how_the_operator_is_until_it_stops() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (metrics, health, stop) = (Arc::new(Metrics::new()), Health::default(), CancellationToken::new());
        let server = tokio::spawn(serve(listener, metrics.clone(), health.clone(), stop.clone()));

        for (readiness, status, sentence) in [
            (Readiness::NoApiServer, "503", "API server"),
            (Readiness::FillingCaches, "503", "not complete"),
            (Readiness::Ready, "200", "ready"),
        ] {
            health.set(readiness);
            let answer = get(port, "/readyz").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(sentence), "{answer}");
            assert!(get(port, "/healthz").await.starts_with("HTTP/1.1 200 "));
        }

        metrics.set_leader(true);
        let scraped = get(port, "/metrics").await;
        assert!(scraped.contains(OPEN_METRICS) && scraped.contains("\nbigchaindb_operator_leader 1\n"), "{scraped}");
        assert!(scraped.ends_with("# EOF\n"), "{scraped}");

        assert!(get(port, "/").await.starts_with("HTTP/1.1 404 "));
        let posted = send(port, "POST /metrics HTTP/1.1\r\nhost: operator\r\ncontent-length: 0\r\n\r\n").await;
        assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
        let long = format!("/{}", "a".repeat(HEAD_BYTES + 1));
        assert!(!get(port, &long).await.contains(" 200 "));

        stop.cancel();
        server.await.unwrap();
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    }
}
