//! Logs: lines on standard error, as text or as JSON.

use std::io;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object in each line.
    Json,
}

/// The least grave messages that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What the operator cannot do.
    Error,
    /// What somebody should look at, too.
    Warn,
    /// What the operator does, too.
    #[default]
    Info,
    /// Why it does it, too.
    Debug,
    /// Everything that the operator has to say.
    Trace,
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// Prefix of this program's own messages.
const OURS: &str = "bigchaindb_operator";

/// Logs were set up before.
#[derive(Debug, thiserror::Error)]
#[error("logs are set up already")]
pub struct Twice;

/// Sets the logs of this process up.
///
/// # Errors
///
/// They are set up already.
pub fn start(level: LogLevel, format: LogFormat) -> Result<(), Twice> {
    tracing_subscriber::registry().with(layer(level, format, io::stderr)).try_init().map_err(|_| Twice)
}

/// Of libraries, only warnings and errors at any level: what they say below that quotes requests and answers, which hold
/// Secrets.
fn targets(level: LogLevel) -> Targets {
    Targets::new().with_default(level.filter().min(LevelFilter::WARN)).with_target(OURS, level.filter())
}

fn layer(
    level: LogLevel,
    format: LogFormat,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> Box<dyn Layer<Registry> + Send + Sync> {
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        LogFormat::Text => layer.with_filter(targets(level)).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(targets(level)).boxed(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(level: LogLevel, format: LogFormat) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry().with(layer(level, format, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("why");
            tracing::info!(node = "node-a", "looked after");
            tracing::info!(target: "kube_client::client::builder", "a body");
            tracing::warn!(target: "kube_runtime::watcher", "broken off");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn our_own_messages_have_the_level_and_libraries_only_warn() {
        let count = |level| written(level, LogFormat::Text).lines().count();
        let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
        assert_eq!(levels.map(count), [0, 1, 2, 3, 3]);
        assert!(!written(LogLevel::Trace, LogFormat::Text).contains("a body"));
    }

    #[test]
    fn a_line_of_json_has_the_fields_beside_the_message() {
        let text = written(LogLevel::Info, LogFormat::Json);
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&line["message"], &line["node"], &line["level"]),
            (&"looked after".into(), &"node-a".into(), &"INFO".into())
        );
    }
}
