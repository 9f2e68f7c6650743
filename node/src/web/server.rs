//! The API on a socket.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{WebState, handle};
use crate::listen::{self, Bounds};

pub use crate::listen::Drained;

/// Bytes of a request's line and headers together.
const HEAD_BYTES: usize = 64 << 10;

/// Serves until `stop` turns true, then finishes what is under way.
pub async fn serve(listener: TcpListener, state: Arc<WebState>, stop: watch::Receiver<bool>) -> Drained {
    let bounds = Bounds { connections: state.limits.connections, drain_time: state.limits.drain_time };
    let refused = || state.metrics.clients.connection_refused();
    let connection = |stream| connection(stream, state.clone(), stop.clone());
    listen::run(listener, bounds, stop.clone(), refused, connection).await
}

async fn connection(stream: TcpStream, state: Arc<WebState>, mut stop: watch::Receiver<bool>) {
    let answer = |request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(handle(&state, request).await) }
    };
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(state.limits.header_time)
        .max_buf_size(HEAD_BYTES)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let mut serving = pin!(serving);
    // How a connection ends is the client's matter: errors are broken pipes, bad requests and time-outs.
    let _ = tokio::select! {
        ended = serving.as_mut() => ended,
        () = listen::stopped(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
}
