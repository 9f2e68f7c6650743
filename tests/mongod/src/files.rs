//! What the stand-in itself keeps under `storage.dbPath`, beside the data of `secantusd-rs`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bson::Document;

/// A folder of small documents, each replaced as a whole.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// Makes the folder if there is none.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// `None`: nothing was written yet.
    pub fn read(&self, name: &str) -> io::Result<Option<Document>> {
        let bytes = match fs::read(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let document = Document::from_reader(bytes.as_slice());
        document.map(Some).map_err(|error| io::Error::other(format!("{}: {error}", self.path(name).display())))
    }

    /// Either the old document is there after a crash or the new one.
    pub fn write(&self, name: &str, document: &Document) -> io::Result<()> {
        let next = self.folder.join(format!("{name}.next"));
        let bytes = document.to_vec().map_err(io::Error::other)?;
        let mut file = File::create(&next)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&next, self.path(name))?;
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.bson"))
    }
}

/// Kept by one process at a time, as `mongod` does with this file.
pub fn lock(db_path: &Path) -> io::Result<Option<File>> {
    let mut file = File::options().create(true).truncate(false).write(true).open(db_path.join("mongod.lock"))?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Some(file))
}
