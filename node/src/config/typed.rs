//! From collected values to a checked [`Config`].

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ledger::ids::PublicKey;
use ledger::rules::Rules;
use serde_json::Value;

use super::fault::{Fault, Source};
use super::keypair::{self, Keypair};
use super::keyring::Keyring;
use super::level::Level;
use super::mongo;
use super::settings::Backend;
use super::sources::{Findings, Tree};
use super::{BindAddress, Config, Database, KeyringSource, Log, LogPath, LogSink, Server, WebSocket};
use crate::telemetry::layout;

/// Checks the meaning of every value. Faulty ones are reported in `findings` and stand-ins go on, so that all faults are
/// found in one go.
pub fn check(mut tree: Tree, findings: &mut Findings) -> Config {
    let mut reader = Reader { tree: &tree, faults: &mut findings.faults };
    let server = Server {
        bind: reader.parse("server.bind", bind_address).unwrap_or_else(unset_address),
        loglevel: reader.level("server.loglevel"),
        workers: reader.number("server.workers", 0, 1024).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0),
    };
    let websocket = WebSocket {
        bind: BindAddress {
            host: reader.parse("wsserver.host", host).unwrap_or_default(),
            port: reader.port("wsserver.port").unwrap_or_default(),
        },
        scheme: reader.parse("wsserver.scheme", websocket_scheme).unwrap_or_default(),
        advertised_scheme: reader.parse("wsserver.advertised_scheme", websocket_scheme),
        advertised_host: reader.parse("wsserver.advertised_host", host),
        advertised_port: reader.port("wsserver.advertised_port"),
    };
    let database = Database {
        backend: tree.backend,
        path: PathBuf::from(reader.text("database.path").unwrap_or_default()),
        mongodb: (tree.backend == Backend::MongoDb).then(|| mongo::read(&mut reader)),
    };
    if tree.backend == Backend::RethinkDb {
        reader.port("database.port");
        reader.number("database.connection_timeout", 0, i64::MAX);
        reader.number("database.max_tries", 0, i64::MAX);
    }
    let (public_key, keypair) = keys(&mut reader, &database);
    let keyring = keyring(&mut reader, &database, public_key);
    let config = Config {
        server,
        websocket,
        database,
        public_key,
        keyring,
        validation: reader.parse("validation", |text| text.parse::<Rules>()),
        backlog_reassign_delay: Duration::from_secs(
            reader.number("backlog_reassign_delay", 1, i64::from(u32::MAX)).unwrap_or(1),
        ),
        log: log(&mut reader),
        graphite_host: reader.parse("graphite.host", host).unwrap_or_default(),
        keypair: keypair.clone(),
        tree: tree.clone(),
    };
    // What is shown is what is in force, also where it was found in another file.
    if let Some(public) = public_key {
        show(&mut tree, "keypair.public", public.to_string());
    }
    if keypair.is_some() {
        // Masked wherever it is shown: only its presence counts.
        show(&mut tree, "keypair.private", "x".to_owned());
    }
    Config { tree, ..config }
}

fn show(tree: &mut Tree, path: &'static str, text: String) {
    let source = tree.get(path).source;
    tree.set(path, Value::String(text), source);
}

/// Gives each setting in its type, and takes what is wrong.
pub(super) struct Reader<'a> {
    tree: &'a Tree,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    /// What is read.
    pub(super) fn tree(&self) -> &Tree {
        self.tree
    }

    pub(super) fn fault(&mut self, path: &str, message: impl Display) {
        let source = self.tree.get(path).source;
        self.fault_in(path, source, message);
    }

    fn fault_in(&mut self, path: &str, source: Source, message: impl Display) {
        self.faults.push(Fault { path: path.to_owned(), source, message: message.to_string() });
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.tree.get(path).value.as_str().map(str::to_owned)
    }

    pub(super) fn parse<T, E: Display>(&mut self, path: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        match parse(&self.text(path)?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.fault(path, message);
                None
            }
        }
    }

    pub(super) fn flag(&self, path: &str) -> bool {
        self.tree.get(path).value.as_bool().unwrap_or_default()
    }

    fn level(&mut self, path: &str) -> Level {
        self.parse(path, Level::from_str).unwrap_or(Level::Info)
    }

    pub(super) fn number(&mut self, path: &str, least: i64, most: i64) -> Option<u64> {
        let number = self.tree.get(path).value.as_i64()?;
        if (least..=most).contains(&number) {
            return u64::try_from(number).ok();
        }
        match most {
            i64::MAX => self.fault(path, format!("{number} is too small: {least} is the least")),
            _ => self.fault(path, format!("{number} is not between {least} and {most}")),
        }
        None
    }

    fn port(&mut self, path: &str) -> Option<u16> {
        self.number(path, 0, i64::from(u16::MAX)).and_then(|n| u16::try_from(n).ok())
    }
}

fn unset_address() -> BindAddress {
    BindAddress { host: String::new(), port: 0 }
}

/// `HOST:PORT`, `[ADDRESS]:PORT`, `:PORT` (all addresses), as gunicorn takes them.
fn bind_address(text: &str) -> Result<BindAddress, String> {
    let wrong = || format!("`{text}` is not HOST:PORT, for example `localhost:9984` or `[::1]:9984`");
    let (name, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let name = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().map(|_| address).map_err(|_| wrong())?,
        None if name.contains(':') => return Err(wrong()),
        None if name.is_empty() => "0.0.0.0",
        None => name,
    };
    host(name).map(|host| BindAddress { host, port }).map_err(|_| wrong())
}

pub(super) fn host(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if text.chars().all(good) { Ok(text.to_owned()) } else { Err(format!("`{text}` is not a host name or address")) }
}

fn websocket_scheme(text: &str) -> Result<String, String> {
    match text {
        "ws" | "wss" => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is neither `ws` nor `wss`")),
    }
}

fn keys(reader: &mut Reader<'_>, database: &Database) -> (Option<PublicKey>, Option<Keypair>) {
    let public = reader.parse("keypair.public", |text| text.parse::<PublicKey>());
    let written = reader.parse("keypair.private", Keypair::from_base58);
    let file = reader.text("keypair.private_file").map(PathBuf::from);
    let pair = match (written, file) {
        // A mounted secret counts more than what stands in a file or in the environment.
        (_, Some(path)) => reader.parse("keypair.private_file", |_| Keypair::read(&path)),
        (Some(pair), None) => Some(pair),
        (None, None) => generated_before(reader, database, public),
    };
    if let (Some(public), Some(pair)) = (public, &pair)
        && public != pair.public
    {
        reader.fault("keypair.public", format!("is {public}, but the private key belongs to {}", pair.public));
    }
    (public.or(pair.as_ref().map(|pair| pair.public)), pair)
}

/// The pair that an earlier start left in the embedded store's directory.
fn generated_before(reader: &mut Reader<'_>, database: &Database, public: Option<PublicKey>) -> Option<Keypair> {
    let path = keypair::file_in(&database.path);
    if database.backend != Backend::Embedded || public.is_some() || !path.exists() {
        return None;
    }
    match Keypair::read(&path) {
        Ok(pair) => Some(pair),
        Err(error) => {
            reader.fault_in("keypair", Source::File(path), error);
            None
        }
    }
}

fn keyring(reader: &mut Reader<'_>, database: &Database, own: Option<PublicKey>) -> KeyringSource {
    let mut others = Vec::new();
    for item in reader.tree.get("keyring").value.as_array().into_iter().flatten() {
        match item.as_str().unwrap_or_default().parse::<PublicKey>() {
            Ok(key) => others.push(key),
            Err(error) => reader.fault("keyring", error),
        }
    }
    let source = match reader.text("keyring_file").map(PathBuf::from) {
        Some(_) if !others.is_empty() => {
            reader.fault("keyring_file", "keyring is given as well; give only one of them");
            return KeyringSource::Fixed(others);
        }
        Some(path) => match Keyring::read(&path) {
            Ok(keyring) => KeyringSource::File { path, keyring },
            Err(faults) => {
                faults.into_iter().for_each(|fault| reader.fault_in("keyring_file", Source::File(path.clone()), fault));
                return KeyringSource::Fixed(others);
            }
        },
        None => KeyringSource::Fixed(others),
    };
    let (path, active) = match &source {
        KeyringSource::Fixed(others) => ("keyring", others),
        KeyringSource::File { keyring, .. } => ("keyring_file", &keyring.active),
    };
    if database.backend == Backend::Embedded && active.iter().any(|key| Some(*key) != own) {
        reader.fault(
            path,
            "names other nodes, but the embedded store belongs to this node alone and nobody else could vote there; \
             remove them, or use a database that the nodes share",
        );
    }
    if let (KeyringSource::File { keyring, .. }, Some(own)) = (&source, own)
        && !keyring.known.contains(&own)
    {
        reader.fault("keyring_file", format!("does not list this node's own key {own} among `known`"));
    }
    source
}

fn log(reader: &mut Reader<'_>) -> Log {
    let granular_levels = reader.tree.get("log.granular_levels");
    let mut levels = std::collections::BTreeMap::new();
    for (module, level) in granular_levels.value.as_object().into_iter().flatten() {
        match level.as_str().unwrap_or_default().parse() {
            Ok(level) => {
                levels.insert(module.clone(), level);
            }
            Err(message) => {
                reader.fault_in(&format!("log.granular_levels.{module}"), granular_levels.source.clone(), message)
            }
        }
    }
    Log {
        console: sink(reader, "log.level_console", "log.datefmt_console", "log.fmt_console", "log.format_console"),
        logfile: sink(reader, "log.level_logfile", "log.datefmt_logfile", "log.fmt_logfile", "log.format_logfile"),
        file: log_path(reader, "log.file"),
        error_file: log_path(reader, "log.error_file"),
        granular_levels: levels,
    }
}

fn sink(reader: &mut Reader<'_>, level: &str, date: &str, line: &str, format: &str) -> LogSink {
    reader.parse(date, layout::check_date);
    reader.parse(line, |text| layout::Layout::parse(text).map(drop));
    let json = reader.parse(format, |text| match text {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err(format!("`{text}` is neither `text` nor `json`")),
    });
    LogSink {
        level: reader.level(level),
        date: reader.text(date).unwrap_or_default(),
        line: reader.text(line).unwrap_or_default(),
        json: json.unwrap_or_default(),
    }
}

fn log_path(reader: &mut Reader<'_>, path: &str) -> Option<LogPath> {
    let given = reader.tree.get(path);
    let text = given.value.as_str()?;
    let configured = given.source != Source::Default;
    if text.starts_with("~/") {
        // Without a home directory there is no default file; one that was asked for is a fault.
        if configured {
            reader.fault(path, format!("`{text}` needs a home directory, and HOME is not set"));
        }
        return None;
    }
    Some(LogPath { path: PathBuf::from(text), configured })
}
