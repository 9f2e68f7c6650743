//! Lines as `mongod` writes them (MongoDB manual, "Log Messages", structured logging).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::config::LogFile;

/// Where lines go; standard output unless a file is configured.
static FILE: OnceLock<Mutex<File>> = OnceLock::new();

/// How grave a line is.
#[derive(Clone, Copy, Debug)]
pub enum Severity {
    Info,
    Warning,
    Error,
    Fatal,
}

/// Sends all further lines to a file.
pub fn open(target: &LogFile) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).append(target.append).truncate(!target.append);
    let _ = FILE.set(Mutex::new(options.open(&target.path)?));
    Ok(())
}

/// Writes one line. `id` is that of the same message in MongoDB's source, where there is one.
pub fn line(severity: Severity, component: &str, id: u32, context: &str, message: &str, attributes: &Value) {
    let severity = match severity {
        Severity::Info => "I",
        Severity::Warning => "W",
        Severity::Error => "E",
        Severity::Fatal => "F",
    };
    let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string();
    let mut line =
        json!({"t": {"$date": time}, "s": severity, "c": component, "id": id, "ctx": context, "msg": message});
    if let (Some(line), false) = (line.as_object_mut(), attributes.is_null()) {
        line.insert("attr".to_owned(), attributes.clone());
    }
    // A log that cannot be written must not stop the server.
    let _ = match FILE.get() {
        Some(file) => writeln!(file.lock(), "{line}"),
        None => writeln!(std::io::stdout(), "{line}"),
    };
}

pub fn info(component: &str, id: u32, context: &str, message: &str, attributes: &Value) {
    line(Severity::Info, component, id, context, message, attributes);
}

pub fn warning(component: &str, id: u32, context: &str, message: &str, attributes: &Value) {
    line(Severity::Warning, component, id, context, message, attributes);
}

pub fn error(component: &str, id: u32, context: &str, message: &str, attributes: &Value) {
    line(Severity::Error, component, id, context, message, attributes);
}

pub fn fatal(component: &str, id: u32, context: &str, message: &str, attributes: &Value) {
    line(Severity::Fatal, component, id, context, message, attributes);
}
