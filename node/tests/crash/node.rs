//! The real program on a directory of its own, to be killed.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::Connection;

const PROGRAM: &str = env!("CARGO_BIN_EXE_bigchaindb");

/// What the log says before the address of the HTTP API.
const BANNER: &str = "Listening to client connections on: ";

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running node; dropping it kills it.
pub struct Node {
    child: Child,
    console: Receiver<String>,
}

impl Node {
    /// Starts the program; it may not be ready yet.
    pub fn spawn(directory: &Path) -> Self {
        let mut child = command(directory, &["start"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, console) = channel();
        forward(child.stdout.take().unwrap(), lines.clone());
        forward(child.stderr.take().unwrap(), lines);
        Self { child, console }
    }

    /// Waits until the node answers. Panics with the console's text when it does not.
    pub fn wait_until_ready(&self) -> SocketAddr {
        let deadline = Instant::now() + START_TIMEOUT;
        let mut seen = Vec::new();
        loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.console.recv_timeout(patience) else {
                panic!("the node did not start; its console:\n{}", seen.join("\n"));
            };
            if let Some((_, rest)) = line.split_once(BANNER) {
                let address = rest.trim_start_matches("http://").split(char::is_whitespace).next().unwrap();
                let address = address.trim_end_matches('/').parse().unwrap();
                assert_eq!(Connection::open(address).unwrap().get("/").unwrap().status, 200);
                return address;
            }
            seen.push(line);
        }
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// `None` while it runs, or after it was killed.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap()?.code()
    }

    /// `kill -9`, at once. Gives what the console said since the start was waited for.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.console.iter().collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Already dead after `kill`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with nothing from this process's environment.
pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .env("BIGCHAINDB_DATABASE_PATH", directory.join("data"))
        .env("BIGCHAINDB_SERVER_BIND", "127.0.0.1:0")
        .env("BIGCHAINDB_WSSERVER_HOST", "127.0.0.1")
        .env("BIGCHAINDB_WSSERVER_PORT", "0")
        .stdin(Stdio::null());
    command
}

/// Reads to the end, so that the node never waits for a reader.
fn forward(stream: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Nobody listens any more: go on reading.
            let _ = lines.send(line);
        }
    });
}
