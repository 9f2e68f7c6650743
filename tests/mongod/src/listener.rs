//! Takes connections, with and without TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::backend::Link;
use crate::config::Settings;
use crate::connection::Connection;
use crate::log;
use crate::login::Login;
use crate::server::Server;
use crate::subject::Subject;

/// How long a client may take for its side of TLS.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// First byte of TLS.
const TLS_HANDSHAKE: u8 = 22;

/// Listens on all addresses of `net.bindIp`. A port of 0 becomes one that is free.
pub async fn bind(settings: &Settings) -> io::Result<Vec<TcpListener>> {
    let mut port = settings.port;
    let mut listeners = Vec::new();
    for name in &settings.bind {
        let wanted = port;
        let place = |error: io::Error| io::Error::new(error.kind(), format!("{name}:{wanted}: {error}"));
        // Manual, "Configuration File Options", `net.ipv6`: names mean addresses of IPv4 unless it is set.
        let addresses = lookup_host((name.as_str(), wanted)).await.map_err(place)?;
        let addresses: Vec<SocketAddr> = addresses.filter(|address| address.is_ipv4() || name.contains(':')).collect();
        for address in addresses {
            let listener = TcpListener::bind(address).await.map_err(place)?;
            port = listener.local_addr()?.port();
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

/// How many there are, and were.
#[derive(Default)]
pub struct Connections {
    open: AtomicUsize,
    last: AtomicI32,
}

/// Takes connections for ever.
pub async fn accept(server: Arc<Server>, listener: TcpListener) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                log::error("NETWORK", 22_936, "listener", "Cannot accept", &json!({"error": error.to_string()}));
                // Most often too many files are open: that passes when some are closed.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let server = server.clone();
        tokio::spawn(async move {
            let id = server.connections.last.fetch_add(1, Ordering::Relaxed) + 1;
            let open = server.connections.open.fetch_add(1, Ordering::Relaxed) + 1;
            let name = format!("conn{id}");
            let shown = json!({"remote": peer.to_string(), "connectionId": id, "connectionCount": open});
            if open > server.settings.max_connections {
                let message = "Connection refused because there are too many open connections";
                log::info("NETWORK", 22942, "listener", message, &shown);
            } else {
                log::info("NETWORK", 22943, "listener", "Connection accepted", &shown);
                if let Err(error) = converse(server.clone(), stream, peer, id).await {
                    let shown = json!({"error": error.to_string(), "remote": peer.to_string(), "connectionId": id});
                    let message = "Error receiving request from client. Ending connection from remote";
                    log::info("NETWORK", 22988, &name, message, &shown);
                }
            }
            let left = server.connections.open.fetch_sub(1, Ordering::Relaxed) - 1;
            let shown = json!({"remote": peer.to_string(), "connectionId": id, "connectionCount": left});
            log::info("NETWORK", 22944, &name, "Connection ended", &shown);
        });
    }
}

async fn converse(server: Arc<Server>, stream: TcpStream, peer: SocketAddr, id: i32) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Manual, "Configuration File Options", `net.tls.mode`: but for `disabled` and `requireTLS`, both are taken.
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        // Whoever only looks whether somebody listens: probes do.
        return Ok(());
    }
    let is_tls = first[0] == TLS_HANDSHAKE;
    let tls = server.tls.as_ref().map(|tls| (tls.current(), tls.settings.is_required));
    match tls {
        Some((loaded, _)) if is_tls => {
            let handshake = TlsAcceptor::from(loaded.config).accept(stream);
            let stream = timeout(HANDSHAKE, handshake)
                .await
                .map_err(|_| io::Error::other("the TLS handshake takes too long"))??;
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let certificate = shown.map(|shown| Subject::of(shown.as_ref())).transpose().map_err(io::Error::other)?;
            let link = Link::open(server.backend).await?;
            let login = Login::new(peer, certificate, Some(loaded.member));
            Connection { server, id, peer, login, link }.serve(stream).await
        }
        Some((_, true)) => {
            Err(io::Error::other("SSLHandshakeFailed: The server is configured to only allow SSL connections"))
        }
        _ => {
            let link = Link::open(server.backend).await?;
            Connection { server, id, peer, login: Login::new(peer, None, None), link }.serve(stream).await
        }
    }
}
