//! Logs: the console, a log file and a file of errors, in the format and at the levels of the configuration.

pub mod layout;
mod modules;
pub mod rotating;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Mutex;

use jiff::Zoned;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::level::Level;
use crate::config::{Config, LogPath, LogSink};
use layout::{Layout, Record};
use rotating::RotatingFile;

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A log file that the configuration names does not open.
    #[error("{setting}: `{path}` cannot be opened for writing: {error}")]
    File {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Logs were set up before.
    #[error("logs are set up already")]
    Twice,
}

/// Sets the logs of a running node up. Files are left out where `console_only`.
pub fn start(config: &Config, console_only: bool) -> Result<(), TelemetryError> {
    let log = &config.log;
    let all = |level| targets(level, config.server.loglevel, log.granular_levels.clone());
    let mut layers = vec![layer(&log.console, all(log.console.level), io::stderr)];
    let mut notes = Vec::new();
    if !console_only {
        let graver = |level: Level| level.max(Level::Error);
        let levels = log.granular_levels.iter().map(|(name, level)| (name.clone(), graver(*level))).collect();
        let errors = targets(Level::Error, config.server.loglevel, levels);
        for (setting, path, targets) in
            [("log.file", &log.file, all(log.logfile.level)), ("log.error_file", &log.error_file, errors)]
        {
            match open(setting, path.as_ref())? {
                Ok(file) => layers.push(layer(&log.logfile, targets, Mutex::new(file))),
                Err(note) => notes.push(note),
            }
        }
    }
    tracing_subscriber::registry().with(layers).try_init().map_err(|_| TelemetryError::Twice)?;
    if !notes.is_empty() {
        tracing::warn!("logging to the console only: {}", notes.join("; "));
    }
    for name in log.granular_levels.keys().filter(|name| !modules::is_known(name)) {
        tracing::warn!("log.granular_levels: `{name}` is no module of this program, its level changes nothing");
    }
    Ok(())
}

/// Sets the logs of a short command up: the console, from this level on.
pub fn start_console(level: Level) {
    let layout = Layout::parse("%(levelname)s: %(message)s").unwrap_or_else(|_| Layout::plain());
    let layer = tracing_subscriber::fmt::layer()
        .event_format(PythonFormat { layout, date: String::new() })
        .with_writer(io::stderr)
        .with_filter(Targets::new().with_target(OURS, level));
    // A second call, in one process's tests, changes nothing.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// A default log file that does not open is a note, not an error: the machine may have no writable home.
fn open(setting: &'static str, path: Option<&LogPath>) -> Result<Result<RotatingFile, String>, TelemetryError> {
    let Some(LogPath { path, configured }) = path else {
        return Ok(Err(format!("there is no home directory for {setting}")));
    };
    match RotatingFile::open(path, rotating::LIMIT, rotating::BACKUPS) {
        Ok(file) => Ok(Ok(file)),
        Err(error) if *configured => Err(TelemetryError::File { setting, path: path.clone(), error }),
        Err(error) => Ok(Err(format!("{} cannot be written ({error})", path.display()))),
    }
}

/// Prefix of this program's own messages.
const OURS: &str = "bigchaindb";

/// The HTTP server's own messages, which were another program's in 1.0.1 and have a level of their own.
const HTTP_SERVER: [&str; 2] = ["bigchaindb::listen", "bigchaindb::web::server"];

fn targets(level: Level, http: Level, granular: BTreeMap<String, Level>) -> Targets {
    let http = HTTP_SERVER.map(|target| (target, http.max(level)));
    Targets::new().with_target(OURS, level).with_targets(http).with_targets(modules::targets(&granular))
}

type BoxedLayer = Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>;

fn layer(sink: &LogSink, targets: Targets, writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) -> BoxedLayer {
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    if sink.json {
        return layer.json().flatten_event(true).with_timer(UtcTime).with_filter(targets).boxed();
    }
    // The configuration was checked; the plain layout is for callers that did not.
    let layout = Layout::parse(&sink.line).unwrap_or_else(|_| Layout::plain());
    layer.event_format(PythonFormat { layout, date: sink.date.clone() }).with_filter(targets).boxed()
}

struct UtcTime;

impl tracing_subscriber::fmt::time::FormatTime for UtcTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.6}", jiff::Timestamp::now())
    }
}

struct PythonFormat {
    layout: Layout,
    date: String,
}

impl<S> FormatEvent<S, DefaultFields> for PythonFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut message = String::new();
        context.field_format().format_fields(Writer::new(&mut message), event)?;
        let metadata = event.metadata();
        let (level, level_number) = match *metadata.level() {
            tracing::Level::ERROR => ("ERROR", 40),
            tracing::Level::WARN => ("WARNING", 30),
            tracing::Level::INFO => ("INFO", 20),
            tracing::Level::DEBUG | tracing::Level::TRACE => ("DEBUG", 10),
        };
        let thread = std::thread::current();
        let record = Record {
            time: &Zoned::now(),
            level,
            level_number,
            name: &metadata.target().replace("::", "."),
            message: &message,
            path: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            thread: thread.name().unwrap_or("unnamed"),
        };
        writeln!(writer, "{}", self.layout.render(&record, &self.date))
    }
}
