//! A node of the benchmark's own: a child process of the same program, in a temporary directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::process::{Guard, last_lines};
use crate::client::Endpoint;
use crate::config::settings::{Backend, settings};

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
    /// Names without `BIGCHAINDB_`.
    environment: Vec<(&'static str, String)>,
    child: Guard,
    directory: TempDir,
}

impl OwnNode {
    /// Starts a node on loopback, on ports that the system chooses, and waits until it listens. `environment`: where its
    /// ledger is and who it is; names without `BIGCHAINDB_`.
    pub async fn start(
        executable: &Path,
        parent: &Path,
        environment: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("bigchaindb-bench-")
            .tempdir_in(parent)
            .with_context(|| format!("`{}` cannot hold a temporary directory", parent.display()))?;
        let mut node = Self {
            endpoint: "http://127.0.0.1:0".parse().map_err(anyhow::Error::msg)?,
            executable: executable.to_owned(),
            child: launch(executable, directory.path(), &environment)?,
            environment,
            directory,
        };
        node.wait_until_it_listens().await?;
        Ok(node)
    }

    /// Starts it again with what it has stored by now; tells how long that took.
    pub async fn start_again(&mut self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        self.child = launch(&self.executable, self.directory.path(), &self.environment)?;
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
        format!("the last lines of the node's log:\n{}", last_lines(&self.directory.path().join("console")))
    }

    /// Stops it as an operator would, unless that was done.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if self.child.0.try_wait()?.is_some_and(|status| status.success()) {
            return Ok(());
        }
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

fn launch(executable: &Path, directory: &Path, environment: &[(&'static str, String)]) -> anyhow::Result<Guard> {
    let path = |name: &str| directory.join(name);
    let console = File::create(path("console"))?;
    let mut command = Command::new(executable);
    // Nothing of a node that is configured for this shell may come in between.
    let of_another = settings(Backend::Embedded).chain(settings(Backend::MongoDb));
    for setting in of_another.filter(|s| ["database.", "keypair.", "keyring"].iter().any(|of| s.path.starts_with(of))) {
        command.env_remove(setting.variable());
    }
    let child = command
        .arg("start")
        .env("BIGCHAINDB_CONFIG_PATH", path("no-file"))
        .env("BIGCHAINDB_DATABASE_PATH", path("data"))
        .env("BIGCHAINDB_SERVER_BIND", "127.0.0.1:0")
        .env("BIGCHAINDB_WSSERVER_HOST", "127.0.0.1")
        .env("BIGCHAINDB_WSSERVER_PORT", "0")
        .env("BIGCHAINDB_LOG_FILE", path("node.log"))
        .env("BIGCHAINDB_LOG_ERROR_FILE", path("errors.log"))
        .envs(environment.iter().map(|(name, value)| (format!("BIGCHAINDB_{name}"), value)))
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        .spawn()
        .with_context(|| format!("`{}` cannot be started", executable.display()))?;
    Ok(Guard(child))
}
