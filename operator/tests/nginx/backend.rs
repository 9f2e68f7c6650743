//! What is behind the gateway: an HTTP server that tells what it was asked, WebSocket and TCP servers that echo.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use tokio_tungstenite::tungstenite;

/// Runs until it is dropped; its port refuses connections then.
pub struct Backend {
    pub address: SocketAddr,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    /// Serves each connection in a thread of its own. Port 0 lets the system choose.
    fn start(address: IpAddr, port: u16, serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind((address, port)).unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        let thread = thread::spawn(move || {
            for connection in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (connection, serve) = (connection.unwrap(), serve.clone());
                thread::spawn(move || serve(connection));
            }
        });
        Self { address, stopped, thread: Some(thread) }
    }

    /// Answers each request with a text: its name, the request's head, and the length of its body.
    pub fn http(address: IpAddr, port: u16, name: &'static str) -> Self {
        Self::start(address, port, move |connection| {
            // A client that hangs up is none of its concerns.
            let _ = answer(connection, name);
        })
    }

    /// Takes connections, and never says a word.
    pub fn silent(address: IpAddr) -> Self {
        Self::start(address, 0, |mut connection| {
            let _ = connection.read_to_end(&mut Vec::new());
        })
    }

    /// Sends each message back.
    pub fn websocket(address: IpAddr, port: u16) -> Self {
        Self::start(address, port, |connection| {
            let Ok(mut socket) = tungstenite::accept(connection) else { return };
            while let Ok(message) = socket.read() {
                if !message.is_text() || socket.send(message).is_err() {
                    return;
                }
            }
        })
    }

    /// Sends each byte back.
    pub fn tcp(address: IpAddr) -> Self {
        Self::start(address, 0, |mut connection| {
            let mut reader = connection.try_clone().unwrap();
            let _ = std::io::copy(&mut reader, &mut connection);
        })
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn answer(mut connection: TcpStream, name: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned);
    let length = head.lines().find_map(length).and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let text = format!("{name}\n{head}body: {length} bytes\n");
    write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())
}
