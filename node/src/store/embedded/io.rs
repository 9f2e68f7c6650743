//! The files of the log, behind a trait: tests lose, tear and refuse what was written but not synced.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One directory of files, without subdirectories. Names are plain file names.
pub trait Io: Send + Sync + 'static {
    /// Names of all files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens for reading and writing; makes the file if it is missing. A new file's name is durable after
    /// [`Io::sync_dir`].
    fn open(&self, name: &str) -> io::Result<Arc<dyn IoFile>>;

    /// Removes a file; durable after [`Io::sync_dir`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in place of the file that has it; durable after [`Io::sync_dir`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes new, changed and removed names durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open file.
pub trait IoFile: Send + Sync {
    /// Its size, bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads up to the buffer's length; fewer bytes only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of it; durable after [`IoFile::sync`].
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Makes everything that was written so far durable.
    fn sync(&self) -> io::Result<()>;

    /// Cuts (or lengthens with zeros); durable after [`IoFile::sync`].
    fn set_size(&self, size: u64) -> io::Result<()>;
}

/// A directory of the file system.
pub struct Directory {
    path: PathBuf,
    writable: bool,
    /// Directories never change their identity here, so one handle serves for every sync.
    handle: fs::File,
}

impl Directory {
    /// Makes the directory if it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::File::open(parent)?.sync_all()?;
        }
        Ok(Self { path: path.to_owned(), writable: true, handle: fs::File::open(path)? })
    }

    /// For reading only: fails if it is missing.
    pub fn existing(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), writable: false, handle: fs::File::open(path)? })
    }
}

impl Io for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn IoFile>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(self.writable).create(self.writable);
        let file = options.open(self.path.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

struct RealFile(fs::File);

impl IoFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.0.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(read)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }
}
