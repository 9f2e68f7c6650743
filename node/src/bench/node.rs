//! A node of the benchmark's own: a child process of the same program, in a temporary directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::Endpoint;

/// How long a start or a stop may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How often it is looked whether the child got on.
const POLL: Duration = Duration::from_millis(2);

/// What the node prints when it is ready.
const READY: &str = "Listening to client connections on: ";

/// A running node; killed when dropped.
#[derive(Debug)]
pub struct OwnNode {
    /// Its HTTP API.
    pub endpoint: Endpoint,
    executable: PathBuf,
    child: Guard,
    directory: TempDir,
}

/// Never leaves a process behind.
#[derive(Debug)]
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl OwnNode {
    /// Starts a node on loopback, on ports that the system chooses, and waits until it listens.
    pub async fn start(executable: &Path, parent: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("bigchaindb-bench-")
            .tempdir_in(parent)
            .with_context(|| format!("`{}` cannot hold a temporary directory", parent.display()))?;
        let mut node = Self {
            endpoint: "http://127.0.0.1:0".parse().map_err(anyhow::Error::msg)?,
            executable: executable.to_owned(),
            child: launch(executable, directory.path())?,
            directory,
        };
        node.wait_until_it_listens().await?;
        Ok(node)
    }

    /// Stops it and starts it again with what it has stored by now; tells how long the start took.
    pub async fn restart(&mut self) -> anyhow::Result<Duration> {
        self.stop().await?;
        let start = Instant::now();
        self.child = launch(&self.executable, self.directory.path())?;
        self.wait_until_it_listens().await?;
        Ok(start.elapsed())
    }

    async fn wait_until_it_listens(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(address) = self.address() {
                self.endpoint = format!("http://{address}").parse().map_err(anyhow::Error::msg)?;
                return Ok(());
            }
            if let Some(status) = self.child.0.try_wait()? {
                anyhow::bail!("the node did not start ({status}); {}", self.last_words());
            }
            anyhow::ensure!(Instant::now() < deadline, "the node was not ready in time; {}", self.last_words());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Where it says it listens.
    fn address(&self) -> Option<String> {
        let console = std::fs::read_to_string(self.directory.path().join("console")).ok()?;
        let (_, rest) = console.split_once(READY)?;
        let address = rest.strip_prefix("http://").unwrap_or(rest);
        let end = address.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | ':' | '-'))?;
        address.get(..end).map(str::to_owned)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Where it keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The end of its log, for an error's text.
    pub fn last_words(&self) -> String {
        let console = std::fs::read_to_string(self.directory.path().join("console")).unwrap_or_default();
        let lines: Vec<&str> = console.lines().collect();
        let last = lines.get(lines.len().saturating_sub(10)..).unwrap_or_default();
        format!("the last lines of the node's log:\n{}", last.join("\n"))
    }

    /// Stops it as an operator would.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.0.id()).ok().and_then(Pid::from_raw).context("no such process")?;
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.child.0.try_wait()? {
                Some(status) if ExitStatus::success(&status) => return Ok(()),
                Some(status) => anyhow::bail!("the node did not stop cleanly ({status}); {}", self.last_words()),
                None if Instant::now() < deadline => tokio::time::sleep(POLL).await,
                None => anyhow::bail!("the node did not stop within {} s", DEADLINE.as_secs()),
            }
        }
    }
}

fn launch(executable: &Path, directory: &Path) -> anyhow::Result<Guard> {
    let path = |name: &str| directory.join(name);
    let console = File::create(path("console"))?;
    let child = Command::new(executable)
        .arg("start")
        .env("BIGCHAINDB_CONFIG_PATH", path("no-file"))
        .env("BIGCHAINDB_DATABASE_BACKEND", "embedded")
        .env("BIGCHAINDB_DATABASE_PATH", path("data"))
        .env("BIGCHAINDB_SERVER_BIND", "127.0.0.1:0")
        .env("BIGCHAINDB_WSSERVER_HOST", "127.0.0.1")
        .env("BIGCHAINDB_WSSERVER_PORT", "0")
        .env("BIGCHAINDB_LOG_FILE", path("node.log"))
        .env("BIGCHAINDB_LOG_ERROR_FILE", path("errors.log"))
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        .spawn()
        .with_context(|| format!("`{}` cannot be started", executable.display()))?;
    Ok(Guard(child))
}
