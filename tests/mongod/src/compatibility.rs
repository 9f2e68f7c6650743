//! The release whose features may be used (MongoDB manual, `setFeatureCompatibilityVersion`).

use std::io;

use bson::{Document, doc};
use parking_lot::Mutex;

use crate::error::{CONFIRMATION_NEEDED, CommandError, INVALID_COMPATIBILITY, UNKNOWN_ERROR};
use crate::files::Files;
use crate::version::Version;
use crate::wire::is_true;

const FILE: &str = "compatibility";

/// The version in use.
pub struct Compatibility {
    release: Version,
    files: Files,
    current: Mutex<String>,
}

impl Compatibility {
    /// `None`: the data was written for a release that this one cannot follow.
    pub fn open(files: Files, release: Version) -> io::Result<Option<Self>> {
        let stored = files.read(FILE)?;
        let current = match stored.as_ref().and_then(|stored| stored.get_str("version").ok()) {
            Some(stored) if release.compatible().iter().any(|version| version == stored) => stored.to_owned(),
            Some(_) => return Ok(None),
            None => {
                files.write(FILE, &doc! { "version": release.series() })?;
                release.series()
            }
        };
        Ok(Some(Self { release, files, current: Mutex::new(current) }))
    }

    /// As `getParameter` shows it.
    pub fn document(&self) -> Document {
        doc! { "version": self.current.lock().as_str() }
    }

    /// Carries out the command.
    pub fn set(&self, command: &Document) -> Result<(), CommandError> {
        let wanted = command.get_str("setFeatureCompatibilityVersion").unwrap_or_default();
        let [newest, before] = self.release.compatible();
        if wanted != newest && wanted != before {
            let reason =
                format!("Invalid feature compatibility version value '{wanted}'; expected '{before}' or '{newest}'");
            return Err(CommandError::new(INVALID_COMPATIBILITY, reason));
        }
        // Manual: "Starting in MongoDB 7.0", the parameter `confirm` is required.
        if self.release.major >= 7 && !is_true(command.get("confirm")) {
            let reason = format!(
                "Once you have changed the featureCompatibilityVersion to {wanted}, going back may need the help of \
                 support. To proceed, re-run this command with 'confirm: true'"
            );
            return Err(CommandError::new(CONFIRMATION_NEEDED, reason));
        }
        let mut current = self.current.lock();
        let written = self.files.write(FILE, &doc! { "version": wanted });
        written.map_err(|error| CommandError::new(UNKNOWN_ERROR, error.to_string()))?;
        wanted.clone_into(&mut current);
        Ok(())
    }
}
