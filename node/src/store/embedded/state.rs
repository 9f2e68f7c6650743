//! The file `STATE` beside the segments: whether the index may be trusted at the next start.
//!
//! One line: `clean END` after an orderly stop with the log's end; `open BOOT` while a process writes, with the
//! system's boot id; `rebuild` when the index was found damaged. Anything else (a torn write too) means `rebuild`.

use std::io;
use std::sync::Arc;

use super::io::Io;
use super::log::unwritable;
use crate::store::Result;

const NAME: &str = "STATE";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Everything was synced, the log ended here.
    Clean {
        /// The log's end.
        end: u64,
    },
    /// A process had it open, in this boot of the system (empty: unknown).
    Open {
        /// `/proc/sys/kernel/random/boot_id`
        boot: String,
    },
    /// The index is not to be trusted.
    Rebuild,
}

impl State {
    /// Whether an index that was left behind may be used: what a killed process wrote is in the page cache still,
    /// what a crashed system wrote may be torn.
    pub fn trusts_index(&self, boot: &str) -> bool {
        match self {
            Self::Clean { .. } => true,
            Self::Open { boot: before } => !boot.is_empty() && before == boot,
            Self::Rebuild => false,
        }
    }

    /// Reads the file.
    pub fn read(io: &dyn Io) -> io::Result<Self> {
        if !io.list()?.iter().any(|name| name == NAME) {
            return Ok(Self::Rebuild);
        }
        let file = io.open(NAME)?;
        let mut bytes = [0; 256];
        let n = file.read_at(0, &mut bytes)?;
        Ok(Self::parse(&bytes[..n]).unwrap_or(Self::Rebuild))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        match line.split_once(' ')? {
            ("clean", end) => Some(Self::Clean { end: end.parse().ok()? }),
            ("open", boot) => Some(Self::Open { boot: boot.to_owned() }),
            _ => None,
        }
    }

    /// Replaces the file, durably.
    pub fn write(&self, io: &Arc<dyn Io>) -> Result<()> {
        let line = match self {
            Self::Clean { end } => format!("clean {end}\n"),
            Self::Open { boot } => format!("open {boot}\n"),
            Self::Rebuild => "rebuild\n".to_owned(),
        };
        let write = || {
            let file = io.open(NAME)?;
            file.set_size(0)?;
            file.write_at(0, line.as_bytes())?;
            file.sync()?;
            io.sync_dir()
        };
        write().map_err(|e| unwritable("write `log/STATE`", &e))
    }
}

/// The id of this boot of the system; empty where there is none.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
