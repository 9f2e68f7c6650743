//! A log file that is renamed when it is full, as Python's `RotatingFileHandler` does.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Sizes of BigchainDB Server 1.0.1: bytes, files kept beside the current one.
pub const LIMIT: u64 = 209_715_200;
/// See [`LIMIT`].
pub const BACKUPS: u32 = 5;

/// Writes to `PATH`; a write that would make it larger than the limit first renames it to `PATH.1`, that one to
/// `PATH.2` and so on.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
    backups: u32,
}

impl RotatingFile {
    /// Opens for appending; made if missing.
    pub fn open(path: &Path, limit: u64, backups: u32) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, limit, backups })
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.backups).rev() {
            match std::fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        std::fs::rename(&self.path, self.numbered(1))?;
        self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.size > 0 && self.size.saturating_add(length) > self.limit {
            // If renaming fails, the current file goes on: better too long than lost.
            let _ = self.rotate();
        }
        self.file.write_all(line)?;
        self.size = self.size.saturating_add(length);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A failed file operation fails the test.
    use super::*;

    #[test]
    fn full_files_are_renamed_and_the_oldest_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.log");
        let mut file = RotatingFile::open(&path, 10, 2).unwrap();
        for line in ["one 4567\n", "two 4567\n", "three\n", "fo\n", "five 567\n", "six 4567\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("node.log"), "six 4567\n");
        assert_eq!(read("node.log.1"), "five 567\n");
        assert_eq!(read("node.log.2"), "three\nfo\n");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn an_existing_file_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.log");
        std::fs::write(&path, "123456789").unwrap();
        RotatingFile::open(&path, 10, 1).unwrap().write_all(b"ab").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ab");
        assert_eq!(std::fs::read_to_string(directory.path().join("node.log.1")).unwrap(), "123456789");
    }
}
