//! The program `secantusd-rs` that keeps the data: started with this one and ended with it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bson::{Document, doc};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::wire::{self, Message};

/// Names the program.
const VARIABLE: &str = "SECANTUSD";

/// How long it may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first argument of this program when it is to become the backend.
pub const LAUNCH: &str = "--become-backend";

/// The running program.
pub struct Backend {
    child: Child,
    pub address: SocketAddr,
}

/// Becomes the program named by the arguments, which the system kills when the process `parent` ends, however that
/// happens. Returns only if that fails.
pub fn launch(parent: &str, program: &str, arguments: &[String]) -> String {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return format!("{program}: {error}");
    }
    // The parent may have ended just before.
    if getppid().map(|pid| pid.as_raw_nonzero().to_string()).as_deref() != Some(parent) {
        return format!("{program}: whoever started it has ended");
    }
    let error = std::process::Command::new(program).args(arguments).exec();
    format!("{program}: {error}")
}

/// The program: named, or beside this one, or on the PATH.
fn program(own: &Path) -> io::Result<PathBuf> {
    let name = "secantusd-rs";
    let missing = |text: String| io::Error::new(io::ErrorKind::NotFound, text);
    if let Some(named) = std::env::var_os(VARIABLE).map(PathBuf::from) {
        return if named.is_file() { Ok(named) } else { Err(missing(format!("{}: no such file", named.display()))) };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name));
    let found = std::iter::once(own.with_file_name(name)).chain(on_path).find(|program| program.is_file());
    found.ok_or_else(|| {
        missing(format!("{name} is neither beside this program nor on the PATH; {VARIABLE} may name it"))
    })
}

impl Backend {
    /// Starts it, on a port of its own that only this machine reaches, and waits until it listens.
    ///
    /// To be called on the thread that lives as long as the process: the system looks at that one's end.
    pub async fn start(folder: &Path, cache: Option<u64>, is_alone: bool) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let program = program(&own)?;
        let mut child = Command::new(own)
            .args([LAUNCH, &std::process::id().to_string()])
            .arg(&program)
            .args(["--host", "127.0.0.1", "--port", "0", "--log-level", "ERROR", "--sync-on-commit"])
            // The defaults take 4 GB of memory and 128 MB of disk for an empty store.
            .args(["--cache-size", &format!("{}M", cache.unwrap_or(256)), "--log-file-max", "32MB"])
            .args(if is_alone { &["--standalone"][..] } else { &[] })
            .arg("--storage-path")
            .arg(folder)
            // It looks for a configuration in both.
            .current_dir(folder)
            .env("HOME", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot start {}: {error}", program.display())))?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                let port = line.split_once("listening on ").and_then(|(_, address)| address.trim().rsplit(':').next());
                if let Some(port) = port.and_then(|port| port.parse::<u16>().ok()) {
                    return Ok(port);
                }
            }
            Err(io::Error::other(format!("{} ended before it listened", program.display())))
        };
        let port = timeout(PATIENCE, listening).await.map_err(|_| io::Error::other("it does not listen"))??;
        // Reads to the end: a full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) })
    }

    /// Waits for its end, and says how it ended.
    pub async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// Ends it in order.
    pub async fn stop(mut self) -> io::Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)?;
        }
        if timeout(PATIENCE, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

/// A connection to it.
pub struct Link {
    stream: TcpStream,
}

impl Link {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    pub async fn send(&mut self, message: &Message) -> io::Result<()> {
        self.stream.write_all(message.bytes()).await
    }

    pub async fn receive(&mut self) -> io::Result<Message> {
        let ended = || io::Error::new(io::ErrorKind::UnexpectedEof, "secantusd-rs closed the connection");
        Message::read(&mut self.stream).await?.ok_or_else(ended)
    }

    /// The answer to a command, also if it says no.
    pub async fn ask(&mut self, command: &Document) -> io::Result<Document> {
        let question = wire::question(command).map_err(io::Error::other)?;
        self.send(&question).await?;
        Ok(self.receive().await?.request()?.body)
    }

    /// What it says of itself: its limits, its clock, its last write.
    pub async fn hello(&mut self) -> io::Result<Document> {
        self.ask(&doc! { "hello": 1, "$db": "admin" }).await
    }
}
