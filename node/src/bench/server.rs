//! A database server of the benchmark's own: a child process in a temporary directory.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use super::process::{Guard, last_lines};

/// How long a start may take: an empty store is made.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often it is looked whether it listens.
const POLL: Duration = Duration::from_millis(5);

/// A running server on loopback; killed when dropped.
#[derive(Debug)]
pub struct OwnServer {
    /// Where it listens.
    pub port: u16,
    /// The set that nodes expect it to belong to.
    pub replica_set: &'static str,
    child: Guard,
    directory: TempDir,
}

impl OwnServer {
    /// Starts MongoDB's `mongod`, or `secantusd-rs`, on a port that the system chooses. Writes are on disk when they are
    /// confirmed.
    pub async fn start(program: &Path, parent: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("bigchaindb-bench-database-")
            .tempdir_in(parent)
            .with_context(|| format!("`{}` cannot hold a temporary directory", parent.display()))?;
        let is_mongod = program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mongod"));
        std::fs::create_dir(directory.path().join("data"))?;
        let console = File::create(directory.path().join("console"))?;
        // The defaults of the second take 4 GB of memory and 128 MB of disk for an empty store.
        let (replica_set, arguments) = if is_mongod {
            ("bigchain-rs", "--bind_ip 127.0.0.1 --port 0 --dbpath data --replSet bigchain-rs")
        } else {
            (
                "secantus",
                "--host 127.0.0.1 --port 0 --storage-path data --sync-on-commit --cache-size 256M --log-file-max 32MB",
            )
        };
        let child = Command::new(program)
            .args(arguments.split(' '))
            // It may look for a configuration in both.
            .current_dir(directory.path())
            .env("HOME", directory.path())
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()
            .with_context(|| format!("the database server `{}` cannot be started", program.display()))?;
        let mut server = Self { port: 0, replica_set, child: Guard(child), directory };
        server.port = server.listening().await?;
        Ok(server)
    }

    async fn listening(&mut self) -> anyhow::Result<u16> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let said = std::fs::read_to_string(self.directory.path().join("console")).unwrap_or_default();
            if let Some(port) = port(&said) {
                return Ok(port);
            }
            if let Some(status) = self.child.0.try_wait()? {
                bail!("the database server did not start ({status}); {}", self.last_words());
            }
            ensure!(Instant::now() < deadline, "the database server was not ready in time; {}", self.last_words());
            tokio::time::sleep(POLL).await;
        }
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
        format!("the last lines of the server's log:\n{}", last_lines(&self.directory.path().join("console")))
    }
}

/// The port, as either program tells it in a whole line of its log.
fn port(said: &str) -> Option<u16> {
    let lines = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.map(str::trim_end).find_map(|line| {
        let digits = if let Some((_, address)) = line.split_once("listening on ") {
            address.rsplit(':').next()?
        } else {
            // MongoDB manual, "Log Messages": one JSON object a line.
            let (_, attributes) = line.split_once(r#""msg":"Waiting for connections","attr":{"port":"#)?;
            attributes.split([',', '}']).next()?
        };
        digits.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_of_both_logs() {
        let mongod = r#"{"t":{"$date":"2026-11-01T00:00:00.000+00:00"},"s":"I","c":"NETWORK","id":23016,"ctx":"listener","msg":"Waiting for connections","attr":{"port":41234,"ssl":"off"}}"#;
        assert_eq!(port(&format!("{{}}\n{mongod}\n")), Some(41234));
        assert_eq!(port("starting\nlistening on 127.0.0.1:27018\n"), Some(27018));
        // Not all of it is written yet.
        assert_eq!(port("listening on 127.0.0.1:270"), None);
        assert_eq!(port(""), None);
    }
}
