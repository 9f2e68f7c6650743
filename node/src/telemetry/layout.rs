//! Log lines in the notation of Python's `logging` and `time.strftime`, as configurations of 1.0.1 hold them.

use std::fmt::Write;

use jiff::Zoned;
use jiff::fmt::strtime::{self, Config as StrtimeConfig, PosixCustom};

/// What a line can show.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Local time.
    pub time: &'a Zoned,
    /// Python's name of the level.
    pub level: &'static str,
    /// Python's number of the level.
    pub level_number: u32,
    /// Module, parts joined by dots.
    pub name: &'a str,
    /// The text with its fields.
    pub message: &'a str,
    /// Source file, if known.
    pub path: &'a str,
    /// Line in that file.
    pub line: u32,
    /// Name of the thread.
    pub thread: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    Time,
    LevelName,
    LevelNumber,
    Name,
    Message,
    Path,
    FileName,
    Module,
    Line,
    Function,
    Process,
    Thread,
    ThreadName,
    Seconds,
    Milliseconds,
}

const ATTRIBUTES: [(&str, Attribute); 17] = [
    ("asctime", Attribute::Time),
    ("levelname", Attribute::LevelName),
    ("levelno", Attribute::LevelNumber),
    ("name", Attribute::Name),
    ("message", Attribute::Message),
    ("pathname", Attribute::Path),
    ("filename", Attribute::FileName),
    ("module", Attribute::Module),
    ("lineno", Attribute::Line),
    ("funcName", Attribute::Function),
    ("process", Attribute::Process),
    // The reference runs a process where this node runs threads.
    ("processName", Attribute::ThreadName),
    ("thread", Attribute::Thread),
    ("threadName", Attribute::ThreadName),
    ("created", Attribute::Seconds),
    ("msecs", Attribute::Milliseconds),
    ("relativeCreated", Attribute::Milliseconds),
];

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Field { attribute: Attribute, left: bool, zero: bool, width: usize, precision: Option<usize> },
}

/// Widest field that is taken.
const MAX_WIDTH: usize = 200;

/// A parsed line format.
#[derive(Clone, Debug)]
pub struct Layout {
    parts: Vec<Part>,
}

impl Layout {
    /// Reads Python's `%(name)s` notation. Errors say which attribute or conversion is unknown.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('%') {
            parts.push(Part::Literal(literal.to_owned()));
            if let Some(after) = after.strip_prefix('%') {
                parts.push(Part::Literal("%".to_owned()));
                rest = after;
            } else {
                let (field, after) = field(after).map_err(|reason| format!("`{text}` is no log format: {reason}"))?;
                parts.push(field);
                rest = after;
            }
        }
        parts.push(Part::Literal(rest.to_owned()));
        Ok(Self { parts })
    }

    /// Nothing but the message.
    pub fn plain() -> Self {
        Self {
            parts: vec![Part::Field {
                attribute: Attribute::Message,
                left: true,
                zero: false,
                width: 0,
                precision: None,
            }],
        }
    }

    /// One line, without its end.
    pub fn render(&self, record: &Record<'_>, date: &str) -> String {
        let mut line = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => line.push_str(text),
                Part::Field { attribute, left, zero, width, precision } => {
                    let mut text = value(*attribute, record, date);
                    if let Some(precision) = *precision {
                        text = text.chars().take(precision).collect();
                    }
                    // Writing to a String does not fail.
                    let _ = match (left, zero) {
                        (true, _) => write!(line, "{text:<width$}"),
                        (false, true) => write!(line, "{text:0>width$}"),
                        (false, false) => write!(line, "{text:>width$}"),
                    };
                }
            }
        }
        line
    }
}

/// Reads `(name)` with flags, width, precision and conversion.
fn field(text: &str) -> Result<(Part, &str), String> {
    let (name, rest) = text.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or("`%` without `(name)`")?;
    let (_, attribute) =
        ATTRIBUTES.iter().find(|(known, _)| *known == name).ok_or_else(|| format!("there is no `{name}`"))?;
    let flags = rest.len() - rest.trim_start_matches(['-', '0', ' ', '+', '#']).len();
    let (flags, rest) = rest.split_at(flags);
    let (width, rest) = number(rest)?;
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(rest) => number(rest).map(|(precision, rest)| (Some(precision.unwrap_or(0)), rest))?,
        None => (None, rest),
    };
    let mut rest = rest.chars();
    // Numbers are shown without decimals, so a precision means something for texts only.
    let precision = match rest.next() {
        Some('s' | 'r') => precision,
        Some('d' | 'i' | 'u' | 'f' | 'g') => None,
        _ => return Err(format!("`%({name})` needs `s` or `d` behind it")),
    };
    let (left, zero) = (flags.contains('-'), flags.contains('0'));
    Ok((Part::Field { attribute: *attribute, left, zero, width: width.unwrap_or(0), precision }, rest.as_str()))
}

fn number(text: &str) -> Result<(Option<usize>, &str), String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (digits, rest) = text.split_at(digits);
    if digits.is_empty() {
        return Ok((None, rest));
    }
    match digits.parse() {
        Ok(number) if number <= MAX_WIDTH => Ok((Some(number), rest)),
        _ => Err(format!("{digits} is wider than {MAX_WIDTH}")),
    }
}

fn value(attribute: Attribute, record: &Record<'_>, date: &str) -> String {
    let file_name = || record.path.rsplit('/').next().unwrap_or_default();
    match attribute {
        Attribute::Time => format_date(record.time, date).unwrap_or_default(),
        Attribute::LevelName => record.level.to_owned(),
        Attribute::LevelNumber => record.level_number.to_string(),
        Attribute::Name => record.name.to_owned(),
        Attribute::Message => record.message.to_owned(),
        Attribute::Path => record.path.to_owned(),
        Attribute::FileName => file_name().to_owned(),
        Attribute::Module => file_name().trim_end_matches(".rs").to_owned(),
        Attribute::Line => record.line.to_string(),
        Attribute::Function => "-".to_owned(),
        Attribute::Process => std::process::id().to_string(),
        Attribute::Thread | Attribute::ThreadName => record.thread.to_owned(),
        Attribute::Seconds => record.time.timestamp().as_second().to_string(),
        Attribute::Milliseconds => record.time.millisecond().to_string(),
    }
}

fn format_date(time: &Zoned, date: &str) -> Result<String, jiff::Error> {
    let config = StrtimeConfig::new().custom(PosixCustom::new()).lenient(true);
    strtime::BrokenDownTime::from(time).to_string_with_config(&config, date)
}

/// Whether a date format can be used.
pub fn check_date(date: &str) -> Result<(), String> {
    let config = StrtimeConfig::new().custom(PosixCustom::new());
    let epoch = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    match strtime::BrokenDownTime::from(&epoch).to_string_with_config(&config, date) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("`{date}` is no date format: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time: &Zoned) -> Record<'_> {
        Record {
            time,
            level: "WARNING",
            level_number: 30,
            name: "bigchaindb.web",
            message: "hello",
            path: "node/src/web.rs",
            line: 7,
            thread: "http",
        }
    }

    #[track_caller]
    fn check(layout: &str, date: &str, expected: &str) {
        let time = jiff::civil::date(2026, 3, 9).at(14, 5, 6, 7_000_000).to_zoned(jiff::tz::TimeZone::UTC);
        let line = time.ok().zip(Layout::parse(layout).ok()).map(|(time, layout)| layout.render(&record(&time), date));
        assert_eq!(line.as_deref(), Some(expected));
    }

    #[test]
    fn the_default_layout_is_pythons() {
        check(
            "[%(asctime)s] [%(levelname)s] (%(name)s) %(message)s (%(processName)-10s - pid: %(process)d)",
            "%Y-%m-%d %H:%M:%S",
            &format!(
                "[2026-03-09 14:05:06] [WARNING] (bigchaindb.web) hello (http       - pid: {})",
                std::process::id()
            ),
        );
    }

    #[test]
    fn widths_flags_and_percent_signs_work() {
        check("%(levelname)10s|%(levelname).4s|%(lineno)04d|100%%", "", "   WARNING|WARN|0007|100%");
        check("%(module)s %(filename)s %(levelno)d %(msecs)03d", "", "web web.rs 30 007");
    }

    #[test]
    fn dates_of_the_manual_work() {
        check("%(asctime)s", "%x %X %Z", "03/09/26 14:05:06 UTC");
        check("%(asctime)s", "%c %z", "Mon Mar  9 14:05:06 2026 +0000");
    }

    #[test]
    fn what_python_would_not_take_is_refused() {
        for (layout, hint) in
            [("%(colour)s", "colour"), ("%(name)", "needs"), ("50%", "without"), ("%(name)999s", "999")]
        {
            let error = Layout::parse(layout).map(drop);
            assert!(error.as_ref().is_err_and(|e| e.contains(hint)), "{layout}: {error:?}");
        }
        assert!(check_date("%Y-%m").is_ok());
        assert!(check_date("%Ö").is_err());
    }
}
