//! Accepting connections within bounds, and letting them end when the node stops.

use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How the connections ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// All of them finished what they had begun.
    Whole,
    /// This many were cut off at the deadline.
    CutOff(usize),
}

/// What a listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// For what is under way when the node stops.
    pub drain_time: Duration,
}

/// Lets this process open as many files and connections as the system lets it have. (Shells and process managers set a
/// lower limit, often 1,024, for programs that use `select`.)
///
/// # Errors
///
/// The system refuses; the limit is as it was.
pub fn raise_descriptor_limit() -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// Connections that are told 503 at once; beyond them a connection is closed without a word.
const REFUSALS: usize = 64;

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
    access-control-allow-origin: *\r\nconnection: close\r\ncontent-length: 73\r\n\r\n\
    {\"message\": \"Not done now: too many connections are open\", \"status\": 503}";

/// Accepts until `stop` turns true (or its sender is gone), then waits for the connections. `refused` is called for each
/// connection beyond the bound.
pub async fn run<F, Fut>(
    listener: TcpListener,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
    refused: impl Fn(),
    serve: F,
) -> Drained
where
    F: Fn(TcpStream) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // The client went away again: its matter.
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => continue,
            Err(e) => {
                // Out of file descriptors, most likely: others must close first.
                tracing::warn!(error = %e, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Answers are single writes: waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        if connections.len() < bounds.connections {
            connections.spawn(serve(stream));
            continue;
        }
        refused();
        if let Ok(permit) = refusals.clone().try_acquire_owned() {
            tokio::spawn(async move {
                let _permit = permit;
                let _ = timeout(Duration::from_secs(1), refuse(stream)).await;
            });
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(bounds.drain_time, all).await.is_ok() {
        return Drained::Whole;
    }
    let left = connections.len();
    connections.shutdown().await;
    Drained::CutOff(left)
}

/// Waits for the order to stop; a sender that is gone means that too.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    // What is waited for is seen in the channel: the guard that comes back must not live on.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Says 503 and reads what comes, so that the answer is not lost to a reset.
async fn refuse(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(BUSY).await?;
    stream.shutdown().await?;
    let mut scrap = [0; 4096];
    while stream.read(&mut scrap).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_states_its_own_length() {
        let text = String::from_utf8_lossy(BUSY);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
