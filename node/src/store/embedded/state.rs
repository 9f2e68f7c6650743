//! The file `STATE` beside the segments: whether the index may be trusted at the next start.
//!
//! One line: `clean END` after an orderly stop; `open END BOOT` while a process writes, with the system's boot id;
//! `rebuild END` when the index was found damaged. END: the log was synced up to there at least. Anything else means
//! `rebuild 0`. The file is written aside and renamed: a write that fails or is torn leaves the old line.

use std::io;
use std::sync::Arc;

use super::io::Io;
use super::log::unwritable;
use crate::store::Result;

const NAME: &str = "STATE";

/// The next one, until it is whole.
const NEXT: &str = "STATE.new";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The log was synced up to this position: a shorter one has lost something.
    pub synced: u64,
    /// What is known of the index.
    pub index: Trust,
}

/// What is known of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Everything was synced.
    Clean,
    /// A process had it open, in this boot of the system (empty: unknown).
    Open {
        /// `/proc/sys/kernel/random/boot_id`
        boot: String,
    },
    /// It is not to be trusted.
    Rebuild,
}

impl State {
    /// Whether an index that was left behind may be used: what a killed process wrote is in the page cache still,
    /// what a crashed system wrote may be torn.
    pub fn trusts_index(&self, boot: &str) -> bool {
        match &self.index {
            Trust::Clean => true,
            Trust::Open { boot: before } => !boot.is_empty() && before == boot,
            Trust::Rebuild => false,
        }
    }

    /// Reads the file.
    pub fn read(io: &dyn Io) -> io::Result<Self> {
        let unknown = Self { synced: 0, index: Trust::Rebuild };
        if !io.list()?.iter().any(|name| name == NAME) {
            return Ok(unknown);
        }
        let file = io.open(NAME)?;
        let mut bytes = [0; 256];
        let n = file.read_at(0, &mut bytes)?;
        Ok(Self::parse(&bytes[..n]).unwrap_or(unknown))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split(' ');
        let (kind, synced) = (words.next()?, words.next()?.parse().ok()?);
        let index = match kind {
            "clean" => Trust::Clean,
            "open" => Trust::Open { boot: words.next()?.to_owned() },
            "rebuild" => Trust::Rebuild,
            _ => return None,
        };
        Some(Self { synced, index })
    }

    /// Replaces the file, durably.
    pub fn write(&self, io: &Arc<dyn Io>) -> Result<()> {
        let synced = self.synced;
        let line = match &self.index {
            Trust::Clean => format!("clean {synced}\n"),
            Trust::Open { boot } => format!("open {synced} {boot}\n"),
            Trust::Rebuild => format!("rebuild {synced}\n"),
        };
        let write = || {
            let file = io.open(NEXT)?;
            file.set_size(0)?;
            file.write_at(0, line.as_bytes())?;
            file.sync()?;
            io.rename(NEXT, NAME)?;
            io.sync_dir()
        };
        write().map_err(|e| unwritable("write `log/STATE`", &e))
    }
}

/// The id of this boot of the system; empty where there is none.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
