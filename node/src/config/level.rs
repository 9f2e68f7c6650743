//! Log levels by Python's names.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;

/// What a log leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    NotSet,
    /// From debugging messages on.
    Debug,
    /// From information on.
    Info,
    /// From warnings on.
    Warning,
    /// Errors.
    Error,
    /// Nothing: no message is graver than an error.
    Critical,
}

const NAMES: [(&str, Level); 6] = [
    ("notset", Level::NotSet),
    ("debug", Level::Debug),
    ("info", Level::Info),
    ("warning", Level::Warning),
    ("error", Level::Error),
    ("critical", Level::Critical),
];

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_lowercase();
        NAMES
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, level)| *level)
            .ok_or_else(|| format!("`{text}` is not a log level: use critical, error, warning, info, debug or notset"))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(_, level)| level == self).map_or("", |(name, _)| name))
    }
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::NotSet => Self::TRACE,
            Level::Debug => Self::DEBUG,
            Level::Info => Self::INFO,
            Level::Warning => Self::WARN,
            Level::Error => Self::ERROR,
            Level::Critical => Self::OFF,
        }
    }
}
