//! One look at one server: is it there, is its certificate good, what does it say of itself.

use std::io;

use mongodb::options::ServerAddress;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::{Failure, one_line};
use super::hello::{self, Hello};
use super::tls::{self, Tls};

/// A certificate that the revocation list speaks against is worse than a server that is away: no other member makes up
/// for it, because the driver would use this one as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The server is left out, if there are others.
    Server(Failure),
    /// The certificate is revoked, or it cannot be told.
    Revocation(String),
}

/// Why something may hang or break off.
const PERHAPS_NO_TLS: &str = "; it may be that it speaks no TLS (database.ssl)";
const PERHAPS_TLS_ONLY: &str = "; it may be that it speaks TLS only (database.ssl)";

/// Connects, checks the certificate if TLS is spoken, and asks.
pub async fn probe(address: &ServerAddress, tls: Option<&Tls>, deadline: Instant) -> Result<Hello, Problem> {
    let probe = Probe { address, tls, deadline };
    match address {
        ServerAddress::Tcp { host, port } => {
            // The driver's default.
            let port = port.unwrap_or(27017);
            let stream = probe.in_time("", TcpStream::connect((host.as_str(), port))).await?;
            match tls {
                Some(tls) => {
                    let stream = probe.secured(host, stream, tls).await?;
                    probe.ask(stream).await
                }
                None => probe.ask(stream).await,
            }
        }
        ServerAddress::Unix { path } => {
            let stream = probe.in_time("", UnixStream::connect(path)).await?;
            Probe { tls: None, ..probe }.ask(stream).await
        }
        _ => Err(probe.refused("no such kind of address is known")),
    }
}

struct Probe<'a> {
    address: &'a ServerAddress,
    tls: Option<&'a Tls>,
    deadline: Instant,
}

impl Probe<'_> {
    async fn secured(&self, host: &str, stream: TcpStream, tls: &Tls) -> Result<TlsStream<TcpStream>, Problem> {
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            return Err(self.refused(&format!("`{host}` is no name that a certificate could hold")));
        };
        let connector = TlsConnector::from(tls.config.clone());
        self.in_time(PERHAPS_NO_TLS, connector.connect(name, stream)).await
    }

    async fn ask<S>(&self, mut stream: S) -> Result<Hello, Problem>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let question = hello::question().map_err(|error| self.refused(&error.to_string()))?;
        let answer = async {
            stream.write_all(&question).await?;
            stream.flush().await?;
            let mut header = [0; hello::HEADER];
            stream.read_exact(&mut header).await?;
            let Some(length) = hello::length_after(header) else { return Ok(None) };
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).await?;
            Ok(Some(bytes))
        };
        // In TLS 1.3 a server refuses the client's certificate only here.
        let hint = if self.tls.is_some() { "" } else { PERHAPS_TLS_ONLY };
        match self.in_time(hint, answer).await? {
            Some(bytes) => hello::answer(&bytes).map_err(|reason| self.away(&reason)),
            None => {
                Err(self.refused("what answers there does not speak MongoDB's protocol; correct the host or the port"))
            }
        }
    }

    async fn in_time<T>(&self, hint: &str, work: impl Future<Output = io::Result<T>>) -> Result<T, Problem> {
        let error = match timeout_at(self.deadline, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => error,
            Err(_) => return Err(self.away(&format!("no answer in time{hint}"))),
        };
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match (cause, self.tls) {
            (Some(cause), Some(tls)) => Err(tls::problem(&self.address.to_string(), cause, tls)),
            _ => Err(self.away(&format!("{error}{hint}"))),
        }
    }

    fn away(&self, reason: &str) -> Problem {
        Problem::Server(Failure::Unreachable(format!("{}: {}", self.address, one_line(reason))))
    }

    fn refused(&self, reason: &str) -> Problem {
        Problem::Server(Failure::Refused(format!("{}: {}", self.address, one_line(reason))))
    }
}
