//! Options, from `mongod.conf` and the command line, checked as `mongod` checks them.

pub mod arguments;
mod known;

use std::path::PathBuf;

use bson::{Bson, Document};
use serde_json::{Map, Value};

use self::arguments::Flags;
use self::known::{Kind, Known, OPTIONS, PARAMETERS};
use crate::version::Version;

/// Everything that is configured.
#[derive(Clone, Debug)]
pub struct Settings {
    pub version: Version,
    /// As `getCmdLineOpts` shows it.
    pub parsed: Document,
    pub arguments: Vec<String>,
    pub port: u16,
    /// Addresses and names to listen on.
    pub bind: Vec<String>,
    pub max_connections: usize,
    pub tls: Option<TlsSettings>,
    pub authorization: bool,
    /// Members know each other by their certificates.
    pub members_by_certificate: bool,
    pub localhost_exception: bool,
    pub mechanisms: Vec<String>,
    pub db_path: PathBuf,
    /// Megabytes; `None`: the least that is enough.
    pub cache: Option<u64>,
    /// The set that it is a member of; `None`: it runs alone.
    pub replica_set: Option<String>,
    pub log: Option<LogFile>,
    pub pid_file: Option<PathBuf>,
}

/// `net.tls`
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Connections without TLS are refused.
    pub is_required: bool,
    /// Certificate and key, PEM.
    pub certificate: PathBuf,
    /// The one shown to other members, whose names make a client one of them.
    pub cluster_certificate: PathBuf,
    pub ca: PathBuf,
    pub crl: Option<PathBuf>,
    pub may_lack_certificate: bool,
    pub may_be_invalid: bool,
    pub without_tls12: bool,
    pub without_tls13: bool,
}

/// `systemLog.path`
#[derive(Clone, Debug)]
pub struct LogFile {
    pub path: PathBuf,
    pub append: bool,
}

const X509: &str = "MONGODB-X509";

/// Reads and checks them. `Err`: the sentence that `mongod` ends with, and exit code 2.
pub fn read(flags: &Flags, file: Option<&str>, arguments: Vec<String>, version: Version) -> Result<Settings, String> {
    let mut found = match file {
        Some(text) => from_yaml(text)?,
        None => Vec::new(),
    };
    for (name, value) in &flags.options {
        found.retain(|(other, _)| other != name);
        found.push((name.clone(), value.clone()));
    }
    let mut options = Options { values: Vec::new() };
    for (name, value) in found {
        let known = lookup(&name, version).ok_or_else(|| format!("Unrecognized option: {name}"))?;
        let value = checked(known.kind, &name, &value)?;
        options.values.push((name, value));
    }
    settings(&options, arguments, version)
}

/// Option names with dots, and values.
fn from_yaml(text: &str) -> Result<Vec<(String, Value)>, String> {
    let parsed: Value = serde_saphyr::from_str(text).map_err(|error| {
        let reason = error.to_string();
        format!("Error parsing YAML config file: {}", reason.lines().next().unwrap_or_default())
    })?;
    let mut found = Vec::new();
    match parsed {
        Value::Null => {}
        Value::Object(sections) => flatten("", &sections, &mut found)?,
        _ => return Err("Error parsing YAML config file: the file must be a map of options".to_owned()),
    }
    Ok(found)
}

fn flatten(prefix: &str, section: &Map<String, Value>, found: &mut Vec<(String, Value)>) -> Result<(), String> {
    for (name, value) in section {
        let name = format!("{prefix}{name}");
        match value {
            Value::Object(inner) => flatten(&format!("{name}."), inner, found)?,
            // An empty section is as good as none.
            Value::Null if OPTIONS.iter().any(|known| known.name.starts_with(&format!("{name}."))) => {}
            value => found.push((name, value.clone())),
        }
    }
    Ok(())
}

fn lookup(name: &str, version: Version) -> Option<&'static Known> {
    let (list, short) = match name.strip_prefix("setParameter.") {
        Some(parameter) => (PARAMETERS, parameter),
        None => (OPTIONS, name),
    };
    list.iter().find(|known| known.name == short && known.is_in(version))
}

/// The value in its kind. What stands on the command line is text.
fn checked(kind: Kind, name: &str, value: &Value) -> Result<Value, String> {
    let shown = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let number = || shown.parse::<f64>().ok().filter(|number| number.is_finite());
    let wrong = |kind: &str| format!("Error parsing option \"{name}\" as {kind}: Bad value \"{shown}\"");
    match kind {
        Kind::Text => match value {
            Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(Value::from(shown)),
            _ => Err(format!("Error parsing option \"{name}\" as string: Bad value {shown}")),
        },
        Kind::Switch => match shown.as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(format!("Expected boolean but found string: {shown} for option: {name}")),
        },
        Kind::Integer(least, most) => match shown.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(Value::from(number)),
            Ok(_) => Err(format!("Invalid value for option {name}: {shown} is not between {least} and {most}")),
            Err(_) => Err(wrong("int")),
        },
        Kind::Number(least, most) => match number() {
            Some(number) if (least..=most).contains(&number) => Ok(Value::from(number)),
            Some(_) => Err(format!("Invalid value for option {name}: {shown} is not between {least} and {most}")),
            None => Err(wrong("double")),
        },
        Kind::OneOf(allowed) if allowed.contains(&shown.as_str()) => Ok(Value::from(shown)),
        Kind::OneOf(allowed) => {
            Err(format!("Invalid value for option {name}: \"{shown}\"; it may be: {}", allowed.join(", ")))
        }
    }
}

struct Options {
    values: Vec<(String, Value)>,
}

impl Options {
    fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    fn is_on(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }

    fn number<T: TryFrom<i64>>(&self, name: &str, default: T) -> T {
        self.get(name).and_then(Value::as_i64).and_then(|number| T::try_from(number).ok()).unwrap_or(default)
    }

    fn list(&self, name: &str) -> Option<Vec<String>> {
        let items = self.text(name)?.split(',').map(str::trim).filter(|item| !item.is_empty());
        Some(items.map(str::to_owned).collect())
    }

    /// Sections in sections.
    fn document(&self) -> Document {
        let mut whole = Document::new();
        for (name, value) in &self.values {
            insert(&mut whole, name, value);
        }
        whole
    }
}

fn insert(into: &mut Document, name: &str, value: &Value) {
    if let Some((section, rest)) = name.split_once('.') {
        let mut inner = match into.remove(section) {
            Some(Bson::Document(inner)) => inner,
            _ => Document::new(),
        };
        insert(&mut inner, rest, value);
        into.insert(section, inner);
        return;
    }
    let value = match value {
        Value::Bool(value) => Bson::Boolean(*value),
        Value::String(text) => Bson::String(text.clone()),
        number => match number.as_i64() {
            Some(number) => i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32),
            None => Bson::Double(number.as_f64().unwrap_or_default()),
        },
    };
    into.insert(name, value);
}

fn settings(options: &Options, arguments: Vec<String>, version: Version) -> Result<Settings, String> {
    let tls = tls(options)?;
    let cluster = options.text("security.clusterAuthMode").unwrap_or("keyFile");
    let members_by_certificate = matches!(cluster, "x509" | "sendX509");
    if members_by_certificate && tls.is_none() {
        return Err("need to enable TLS via the tlsMode flag to use security.clusterAuthMode x509".to_owned());
    }
    let key_file = options.path("security.keyFile");
    if let Some(file) = key_file.as_ref().filter(|file| !file.is_file()) {
        return Err(format!("error opening file: {}: it does not exist", file.display()));
    }
    let replica_set = options.text("replication.replSetName").map(str::to_owned);
    // Manual, `security.keyFile` and "Internal Authentication": both ways of knowing members imply authorization.
    let members_known = members_by_certificate || key_file.is_some();
    let authorization = match options.text("security.authorization") {
        Some(text) => text == "enabled",
        None => members_known,
    };
    if authorization && replica_set.is_some() && !members_known {
        return Err("security.keyFile is required when authorization is enabled with replica sets".to_owned());
    }
    let mechanisms = options
        .list("setParameter.authenticationMechanisms")
        .unwrap_or_else(|| [X509, "SCRAM-SHA-1", "SCRAM-SHA-256"].map(str::to_owned).to_vec());
    if let Some(unknown) =
        mechanisms.iter().find(|name| ![X509, "SCRAM-SHA-1", "SCRAM-SHA-256"].contains(&name.as_str()))
    {
        return Err(format!("Invalid value for parameter authenticationMechanisms: unknown mechanism {unknown}"));
    }
    let log = match (options.text("systemLog.destination"), options.path("systemLog.path")) {
        (Some(_), Some(path)) => {
            Some(LogFile { path, append: options.is_on("systemLog.logAppend").unwrap_or_default() })
        }
        (Some(_), None) => return Err("systemLog.path is required if systemLog.destination is to a file".to_owned()),
        (None, Some(_)) => return Err("systemLog.destination is required if systemLog.path is specified".to_owned()),
        (None, None) => None,
    };
    let bind = if options.is_on("net.bindIpAll").unwrap_or_default() {
        vec!["0.0.0.0".to_owned()]
    } else {
        options.list("net.bindIp").unwrap_or_else(|| vec!["localhost".to_owned()])
    };
    let cache = options.get("storage.wiredTiger.engineConfig.cacheSizeGB").and_then(Value::as_f64);
    Ok(Settings {
        version,
        parsed: options.document(),
        arguments,
        port: options.number("net.port", 27017),
        bind: bind.into_iter().map(|name| if name == "*" { "0.0.0.0".to_owned() } else { name }).collect(),
        max_connections: options.number("net.maxIncomingConnections", 65536),
        tls,
        authorization,
        members_by_certificate,
        localhost_exception: options.is_on("setParameter.enableLocalhostAuthBypass").unwrap_or(true),
        mechanisms,
        db_path: options.path("storage.dbPath").unwrap_or_else(|| PathBuf::from("/data/db")),
        // Between 0.25 and 10,000 GB.
        cache: cache.map(|gigabytes| (gigabytes * 1024.0) as u64),
        replica_set,
        log,
        pid_file: options.path("processManagement.pidFilePath"),
    })
}

/// Manual, "Configure mongod and mongos for TLS/SSL": which files belong together.
fn tls(options: &Options) -> Result<Option<TlsSettings>, String> {
    let mode = options.text("net.tls.mode").unwrap_or("disabled");
    let files =
        ["certificateKeyFile", "CAFile", "CRLFile", "clusterFile"].map(|name| options.path(&format!("net.tls.{name}")));
    let [certificate, ca, crl, cluster] = files;
    if mode == "disabled" {
        if certificate.is_some() || ca.is_some() || crl.is_some() || cluster.is_some() {
            return Err("need to enable TLS via the tlsMode flag when using TLS configuration parameters".to_owned());
        }
        return Ok(None);
    }
    let Some(certificate) = certificate else {
        return Err("need tlsCertificateKeyFile or certificateSelector when TLS is enabled".to_owned());
    };
    let Some(ca) = ca else {
        return Err(
            "The use of TLS without specifying a chain of trust is no longer supported. See --tlsUseSystemCA or \
                    --tlsCAFile"
                .to_owned(),
        );
    };
    let mut disabled = options.list("net.tls.disabledProtocols").unwrap_or_default();
    if disabled == ["none"] {
        disabled.clear();
    }
    let protocols = ["TLS1_0", "TLS1_1", "TLS1_2", "TLS1_3"];
    if let Some(unknown) = disabled.iter().find(|name| !protocols.contains(&name.as_str())) {
        return Err(format!("Unrecognized disabledProtocols '{unknown}'"));
    }
    let is_disabled = |name: &str| disabled.iter().any(|other| other == name);
    let (without_tls12, without_tls13) = (is_disabled("TLS1_2"), is_disabled("TLS1_3"));
    if without_tls12 && without_tls13 {
        return Err(
            "net.tls.disabledProtocols leaves neither TLS1_2 nor TLS1_3, and this program speaks no older".to_owned()
        );
    }
    let switch = |name: &str| options.is_on(&format!("net.tls.{name}")).unwrap_or_default();
    Ok(Some(TlsSettings {
        is_required: mode == "requireTLS",
        cluster_certificate: cluster.unwrap_or_else(|| certificate.clone()),
        certificate,
        ca,
        crl,
        may_lack_certificate: switch("allowConnectionsWithoutCertificates"),
        may_be_invalid: switch("allowInvalidCertificates"),
        without_tls12,
        without_tls13,
    }))
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
