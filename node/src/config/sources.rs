//! Collects each setting's value from defaults, file, environment and options; the later one wins.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::fault::{Fault, Source};
use super::settings::{self, Backend, Kind, Setting};

/// The process environment, read once in `main`.
pub type Environment = BTreeMap<String, String>;

/// What a configuration is made from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The process environment.
    pub environment: Environment,
    /// `-c`: must exist.
    pub file: Option<PathBuf>,
    /// Leave files out, also the default one.
    pub ignore_file: bool,
    /// Settings from options: path, value, name of the option.
    pub flags: Vec<(&'static str, Value, &'static str)>,
}

impl Sources {
    /// The user's home directory.
    pub fn home(&self) -> Option<PathBuf> {
        self.environment.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
    }

    /// The file that `configure` writes and everything else reads when `-c` is not given:
    /// `BIGCHAINDB_CONFIG_PATH`, or `~/.bigchaindb`.
    pub fn default_file(&self) -> Option<PathBuf> {
        match self.environment.get("BIGCHAINDB_CONFIG_PATH") {
            Some(path) if !path.is_empty() => Some(PathBuf::from(path)),
            _ => self.home().map(|home| home.join(".bigchaindb")),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub struct Given {
    /// Of the setting's type, or null if the setting is optional.
    pub value: Value,
    /// Where it came from.
    pub source: Source,
}

/// The value of every setting that counts, before its meaning is checked.
#[derive(Clone)]
pub struct Tree {
    /// `database.backend`.
    pub backend: Backend,
    values: BTreeMap<&'static str, Given>,
}

impl fmt::Debug for Tree {
    /// Secrets masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({})", self.to_masked_json())
    }
}

/// What was found while collecting.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// What is strange but harmless, in words.
    pub warnings: Vec<String>,
    /// What a start-up log should say, in words.
    pub notes: Vec<String>,
}

impl Tree {
    /// Collects. Values of the wrong type become faults, and their defaults stand in.
    pub fn collect(sources: &Sources, findings: &mut Findings) -> Self {
        let file = read_file(sources, findings);
        let backend = backend(sources, file.as_ref(), findings);
        let environment = expand_log_variable(&sources.environment, findings);
        let mut tree = Self { backend, values: BTreeMap::new() };
        for setting in settings::settings(backend) {
            let given = given(setting, sources, file.as_ref(), &environment);
            let given = match given.map(|g| (convert(setting, &g.value), g.source)) {
                Some((Ok(value), source)) => Given { value, source },
                Some((Err(message), source)) => {
                    // An unknown backend was reported when it was chosen.
                    if setting.path != "database.backend" {
                        findings.faults.push(Fault { path: setting.path.to_owned(), source, message });
                    }
                    Given { value: setting.default(), source: Source::Default }
                }
                None => Given { value: setting.default(), source: Source::Default },
            };
            tree.values.insert(setting.path, given);
        }
        tree.expand_home("log.file", sources);
        tree.expand_home("log.error_file", sources);
        if let Some((path, root)) = &file {
            warn_of_unknown_members(backend, path, root, findings);
        }
        warn_of_unknown_variables(backend, &environment, findings);
        tree
    }

    /// Defaults and environment for a backend: what `configure` starts from.
    pub fn for_new_file(backend: Backend, sources: &Sources, findings: &mut Findings) -> Self {
        let backend = ("database.backend", Value::String(backend.as_str().to_owned()), "configure");
        Self::collect(
            &Sources { environment: sources.environment.clone(), file: None, ignore_file: true, flags: vec![backend] },
            findings,
        )
    }

    /// A setting's value. Null for a path that is no setting of this backend.
    pub fn get(&self, path: &str) -> Given {
        self.values.get(path).cloned().unwrap_or(Given { value: Value::Null, source: Source::Default })
    }

    /// Puts another value in.
    pub fn set(&mut self, path: &'static str, value: Value, source: Source) {
        self.values.insert(path, Given { value, source });
    }

    /// The configuration as one JSON object in the file's order; secrets masked.
    pub fn to_masked_json(&self) -> Value {
        self.nest(|setting, value| match value {
            Value::Null => Some(Value::Null),
            _ if setting.secret => Some(Value::String("x".repeat(45))),
            value => Some(value.clone()),
        })
    }

    /// What `configure` writes: 1.0.1's settings, and of the others those that are set. Holds the private key.
    pub fn to_file_json(&self) -> Value {
        self.nest(|setting, value| {
            let left_out = setting.added && *value == setting.default();
            (!left_out).then(|| value.clone())
        })
    }

    /// Replaces a leading `~/`.
    fn expand_home(&mut self, path: &'static str, sources: &Sources) {
        let given = self.get(path);
        if let (Some(rest), Some(home)) =
            (given.value.as_str().and_then(|text| text.strip_prefix("~/")), sources.home())
        {
            self.set(path, Value::String(home.join(rest).to_string_lossy().into_owned()), given.source);
        }
    }

    fn nest(&self, shown: impl Fn(&Setting, &Value) -> Option<Value>) -> Value {
        let mut root = Map::new();
        for setting in settings::settings(self.backend) {
            let Some(value) = self.values.get(setting.path).and_then(|given| shown(setting, &given.value)) else {
                continue;
            };
            match setting.path.split_once('.') {
                None => {
                    root.insert(setting.path.to_owned(), value);
                }
                Some((section, name)) => {
                    let section = root.entry(section).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(section) = section {
                        section.insert(name.to_owned(), value);
                    }
                }
            }
        }
        Value::Object(root)
    }
}

/// The file's path and what it holds.
type FileContents = (PathBuf, Map<String, Value>);

fn read_file(sources: &Sources, findings: &mut Findings) -> Option<FileContents> {
    if sources.ignore_file {
        return None;
    }
    let path = sources.file.clone().or_else(|| sources.default_file())?;
    let mut fault = |message: String| {
        findings.faults.push(Fault { path: String::new(), source: Source::File(path.clone()), message });
        None
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && sources.file.is_none() => {
            findings.notes.push(format!("Cannot find config file `{}`.", path.display()));
            return None;
        }
        Err(error) => return fault(format!("cannot be read: {error}")),
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(root)) => {
            findings.notes.push(format!("Configuration loaded from `{}`", path.display()));
            Some((path, root))
        }
        Ok(_) => fault("holds JSON, but no object".to_owned()),
        Err(error) => {
            fault(format!("Failed to parse the JSON configuration from `{}`, {}", path.display(), syntax(&error)))
        }
    }
}

/// serde_json's text may quote the input; position and category never do.
fn syntax(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        _ => "it is no JSON",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

fn backend(sources: &Sources, file: Option<&FileContents>, findings: &mut Findings) -> Backend {
    let Some(setting) = settings::settings(Backend::Embedded).find(|s| s.path == "database.backend") else {
        return Backend::Embedded;
    };
    let Some(given) = given(setting, sources, file, &sources.environment) else { return Backend::Embedded };
    match convert(setting, &given.value).and_then(|value| value.as_str().unwrap_or_default().parse()) {
        Ok(backend) => backend,
        Err(message) => {
            findings.faults.push(Fault { path: setting.path.to_owned(), source: given.source, message });
            Backend::Embedded
        }
    }
}

fn given(
    setting: &Setting,
    sources: &Sources,
    file: Option<&FileContents>,
    environment: &Environment,
) -> Option<Given> {
    if let Some((_, value, flag)) = sources.flags.iter().find(|(path, ..)| *path == setting.path) {
        return Some(Given { value: value.clone(), source: Source::Flag(flag) });
    }
    let variable = setting.variable();
    if let Some(text) = environment.get(&variable) {
        return Some(Given { value: Value::String(text.clone()), source: Source::Environment(variable) });
    }
    let (path, root) = file?;
    let value = match setting.path.split_once('.') {
        None => root.get(setting.path)?,
        Some((section, name)) => root.get(section)?.get(name)?,
    };
    Some(Given { value: value.clone(), source: Source::File(path.clone()) })
}

/// `BIGCHAINDB_LOG` holds the whole section as JSON. A variable of a single setting counts more.
fn expand_log_variable(environment: &Environment, findings: &mut Findings) -> Environment {
    let mut expanded = environment.clone();
    let Some(text) = expanded.remove("BIGCHAINDB_LOG") else { return expanded };
    match serde_json::from_str(&text) {
        Ok(Value::Object(section)) => {
            for (name, value) in section {
                let text = match value {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                expanded.entry(format!("BIGCHAINDB_LOG_{}", name.to_uppercase())).or_insert(text);
            }
        }
        _ => findings.faults.push(Fault {
            path: "log".to_owned(),
            source: Source::Environment("BIGCHAINDB_LOG".to_owned()),
            message: "is no JSON object; give one like {\"level_console\": \"debug\"}".to_owned(),
        }),
    }
    expanded
}

/// Converts to the setting's type by 1.0.1's rules: the text of a number is a number, lists split at colons, an empty
/// text stands for "not set" where that is possible.
pub fn convert(setting: &Setting, value: &Value) -> Result<Value, String> {
    if setting.nullable() && (value.is_null() || value.as_str().is_some_and(str::is_empty)) {
        return Ok(Value::Null);
    }
    let shown = || if setting.secret { "the value".to_owned() } else { format!("`{}`", plain(value)) };
    match (setting.kind, value) {
        (Kind::Text, Value::String(text)) if text.is_empty() => {
            Err("is empty; give a value or leave it out".to_owned())
        }
        (Kind::Text, Value::String(_)) | (Kind::Flag, Value::Bool(_)) => Ok(value.clone()),
        (Kind::Text, _) if setting.path.contains(".level") => Err("Log level must be a string!".to_owned()),
        (Kind::Text, Value::Number(number)) => Ok(Value::String(number.to_string())),
        (Kind::Text, _) => Err(format!("{} is not a text", shown())),
        (Kind::Integer, Value::Number(number)) if number.is_i64() => Ok(value.clone()),
        (Kind::Integer, Value::String(text)) if text.trim().parse::<i64>().is_ok() => {
            Ok(text.trim().parse::<i64>().map_or(Value::Null, Value::from))
        }
        (Kind::Integer, _) => Err(format!("{} is not a whole number", shown())),
        (Kind::Flag, Value::String(text)) => match text.to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Ok(Value::Bool(true)),
            "false" | "f" | "no" | "n" | "0" => Ok(Value::Bool(false)),
            _ => Err(format!("{} is neither `true` nor `false`", shown())),
        },
        (Kind::Flag, _) => Err(format!("{} is neither `true` nor `false`", shown())),
        (Kind::List, Value::String(text)) => Ok(text.split(':').filter(|part| !part.is_empty()).collect()),
        (Kind::List, Value::Array(items)) if items.iter().all(Value::is_string) => Ok(value.clone()),
        (Kind::List, _) => Err(format!("{} is not a list of texts", shown())),
        (Kind::Map, Value::Object(members)) if members.values().all(Value::is_string) => Ok(value.clone()),
        (Kind::Map, Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Object(members)) if members.values().all(Value::is_string) => Ok(Value::Object(members)),
            _ => Err(format!("{} is not a JSON object of texts", shown())),
        },
        (Kind::Map, _) => Err(format!("{} is not an object of texts", shown())),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn warn_of_unknown_members(backend: Backend, path: &Path, root: &Map<String, Value>, findings: &mut Findings) {
    let known = |name: &str| settings::settings(backend).any(|s| s.path == name);
    let mut check = |name: String| {
        if known(&name) || settings::WITHOUT_EFFECT.contains(&name.as_str()) {
        } else if settings::belongs_to_other_backend(backend, &name) {
            findings.warnings.push(format!("{name} (file {}) has no effect with the {backend} store", path.display()));
        } else {
            findings.warnings.push(format!("{name} (file {}) is not a known setting", path.display()));
        }
    };
    for (section, value) in root {
        match value {
            Value::Object(members) if !known(section) => {
                members.keys().for_each(|name| check(format!("{section}.{name}")));
            }
            _ if section == "consensus_plugin" && value.is_null() => {}
            _ if section == "consensus_plugin" => findings.faults.push(Fault {
                path: section.clone(),
                source: Source::File(path.to_owned()),
                message: "consensus plugins are Python code, which this node cannot load; remove the setting"
                    .to_owned(),
            }),
            _ => check(section.clone()),
        }
    }
}

fn warn_of_unknown_variables(backend: Backend, environment: &Environment, findings: &mut Findings) {
    for name in environment.keys().filter(|name| name.starts_with("BIGCHAINDB_")) {
        let known = settings::settings(backend).any(|s| s.variable() == *name)
            || ["BIGCHAINDB_CONFIG_PATH", "BIGCHAINDB_URL", "BIGCHAINDB_URL_CA_CERT"].contains(&name.as_str())
            || settings::WITHOUT_EFFECT.iter().any(|path| *name == variable_of(path));
        if known || is_kubernetes_service_variable(name) {
            continue;
        }
        let other = Backend::ALL.into_iter().flat_map(settings::settings).any(|s| s.variable() == *name);
        findings.warnings.push(if other {
            format!("environment variable {name} has no effect with the {backend} store")
        } else {
            format!("environment variable {name} is not a known setting")
        });
    }
}

fn variable_of(path: &str) -> String {
    format!("BIGCHAINDB_{}", path.replace('.', "_").to_uppercase())
}

/// Kubernetes gives every pod variables for each Service, so one named `bigchaindb…` makes names that look like ours.
fn is_kubernetes_service_variable(name: &str) -> bool {
    name.contains("_SERVICE_") || name.ends_with("_PORT") || name.contains("_PORT_")
}
