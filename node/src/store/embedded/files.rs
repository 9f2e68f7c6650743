//! The store's directory itself: its lock, its version, and whether a ledger is in it.

use std::fs;
use std::io;
use std::path::Path;

use super::log::unwritable;
use crate::store::{Result, StoreError};

/// Version of the directory's layout and of the log's records.
const FORMAT: u64 = 1;

/// What a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// No store; maybe the directory is missing.
    Nothing,
    /// A store (its ledger may not be initialised yet).
    Ledger,
    /// The rest of a restore or removal that was cut off.
    Fragment,
}

/// Looks what a directory holds.
pub fn presence(dir: &Path) -> Result<Presence> {
    let exists = |name: &str| {
        let path = dir.join(name);
        path.try_exists().map_err(|e| StoreError::Damaged(format!("cannot look for `{}`: {e}", path.display())))
    };
    if exists("FORMAT")? {
        return Ok(Presence::Ledger);
    }
    Ok(if exists("log")? { Presence::Fragment } else { Presence::Nothing })
}

/// The error for a directory that holds a [`Presence::Fragment`].
pub fn fragment(dir: &Path) -> StoreError {
    StoreError::Damaged(format!(
        "a restore or a removal was cut off in `{}`: run `bigchaindb drop`, then restore again",
        dir.display()
    ))
}

/// Locks a directory until the answer is dropped.
pub fn lock(dir: &Path) -> Result<fs::File> {
    let path = dir.join("LOCK");
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|e| unwritable(&format!("open `{}`", path.display()), &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
            "another process has the store in `{}` open: stop it, or use another directory",
            dir.display()
        ))),
        Err(fs::TryLockError::Error(e)) => Err(unwritable(&format!("lock `{}`", path.display()), &e)),
    }
}

/// Refuses a directory of a newer version or with a fragment; marks a new one.
pub fn check_format(dir: &Path) -> Result<()> {
    match presence(dir)? {
        Presence::Nothing => return write_format(dir),
        Presence::Fragment => return Err(fragment(dir)),
        Presence::Ledger => {}
    }
    let path = dir.join("FORMAT");
    let text = fs::read_to_string(&path);
    let text = text.map_err(|e| StoreError::Damaged(format!("cannot read `{}`: {e}", path.display())))?;
    match text.trim().strip_prefix("bigchaindb store ").map(str::parse::<u64>) {
        Some(Ok(FORMAT)) => Ok(()),
        Some(Ok(newer)) if newer > FORMAT => Err(StoreError::Damaged(format!(
            "`{}` was written by a newer version (layout {newer}, this one knows {FORMAT}): use that version",
            dir.display()
        ))),
        _ => Err(StoreError::Damaged(format!("`{}` does not name a known layout: `{}`", path.display(), text.trim()))),
    }
}

/// Marks a directory as a store of this version.
pub fn write_format(dir: &Path) -> Result<()> {
    let path = dir.join("FORMAT");
    let write = || {
        // Written aside and renamed, so that it is there whole or not at all.
        let new = dir.join("FORMAT.new");
        fs::write(&new, format!("bigchaindb store {FORMAT}\n"))?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(&new, &path)?;
        fs::File::open(dir)?.sync_all()
    };
    write().map_err(|e| unwritable(&format!("write `{}`", path.display()), &e))
}

/// Removes the index, whole or not at all: half of one might open.
pub fn remove_index(dir: &Path) -> io::Result<()> {
    let (index, going) = (dir.join("index"), dir.join("index.gone"));
    gone(fs::remove_dir_all(&going))?;
    gone(fs::rename(&index, &going))?;
    gone(fs::remove_dir_all(&going))
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Removes what belongs to a store, the version first: what remains if this is cut off is seen to be a fragment.
pub fn remove(dir: &Path) -> Result<()> {
    let remove = || {
        gone(fs::remove_file(dir.join("FORMAT")))?;
        fs::File::open(dir)?.sync_all()?;
        remove_index(dir)?;
        gone(fs::remove_dir_all(dir.join("search")))?;
        gone(fs::remove_dir_all(dir.join("log")))?;
        fs::File::open(dir)?.sync_all()
    };
    remove().map_err(|e| unwritable(&format!("remove the ledger in `{}`", dir.display()), &e))
}
