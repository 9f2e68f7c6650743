//! `configure`: a new configuration file with a new key pair.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Context, Outcome, ask};
use crate::config::Config;
use crate::config::fault::{ConfigError, Source};
use crate::config::file;
use crate::config::keypair::Keypair;
use crate::config::settings::{self, Backend};
use crate::config::sources::{Findings, Tree, convert};

/// Prepare the config file and create the node keypair
#[derive(Debug, clap::Args)]
#[command(after_help = "Example, without questions, to a file of your own:\n  \
                        bigchaindb -y -c node.json configure embedded")]
pub struct Args {
    /// The backend to use
    #[arg(value_enum)]
    backend: BackendName,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum BackendName {
    /// One directory of this node: the default
    Embedded,
    /// As BigchainDB Server 1.0.1 uses it
    Mongodb,
    /// As BigchainDB Server 1.0.1 uses it
    Rethinkdb,
}

/// What is asked, in this order; a setting that the backend does not have is not asked for.
const QUESTIONS: [(&str, &str); 10] = [
    ("server.bind", "API Server bind"),
    ("wsserver.scheme", "WebSocket Server scheme"),
    ("wsserver.host", "WebSocket Server host"),
    ("wsserver.port", "WebSocket Server port"),
    ("database.path", "Database path"),
    ("database.host", "Database host"),
    ("database.port", "Database port"),
    ("database.name", "Database name"),
    ("database.replicaset", "Database replicaset"),
    ("backlog_reassign_delay", "Stale transaction reassignment delay (in seconds)"),
];

pub fn run(args: &Args, context: &Context) -> Outcome {
    let path = context.config_file()?;
    let to_stdout = path == Path::new("-");
    if !to_stdout && path.exists() && !context.yes {
        let question =
            format!("Config file `{}` exists, do you want to override it? (cannot be undone) [y/N]: ", path.display());
        if ask(&question)? != "y" {
            if context.json {
                context.answer("", &json!({"path": path.to_string_lossy(), "written": false}))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
    let backend = match args.backend {
        BackendName::Embedded => Backend::Embedded,
        BackendName::Mongodb => Backend::MongoDb,
        BackendName::Rethinkdb => Backend::RethinkDb,
    };
    let mut messages = io::stderr();
    writeln!(messages, "Generating keypair")?;
    let keypair = Keypair::generate()?;
    writeln!(messages, "Generating default configuration for backend {backend}")?;
    let mut findings = Findings::default();
    let mut tree = Tree::for_new_file(backend, &context.sources, &mut findings);
    tree.set("keypair.public", json!(keypair.public.to_string()), Source::Default);
    tree.set("keypair.private", json!(keypair.private.to_base58().as_str()), Source::Default);
    tree.set("keypair.private_file", Value::Null, Source::Default);
    findings.faults.extend(Config::faults_of(tree.clone()));
    if !findings.faults.is_empty() {
        return Err(ConfigError { faults: findings.faults }.into());
    }
    if !context.yes {
        ask_all(&mut tree)?;
    }
    let value = tree.to_file_json();
    if to_stdout {
        writeln!(io::stdout(), "{}", file::to_text(&file::sorted(&value)))?;
    } else {
        file::write(&path, &value).map_err(|e| anyhow::anyhow!("`{}` cannot be written: {e}", path.display()))?;
    }
    writeln!(messages, "Configuration written to {}", path.display())?;
    writeln!(messages, "Ready to go!")?;
    if context.json && !to_stdout {
        let (path, key) = (path.to_string_lossy(), keypair.public.to_string());
        context.answer("", &json!({"path": path, "written": true, "public_key": key}))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn ask_all(tree: &mut Tree) -> anyhow::Result<()> {
    for (path, label) in QUESTIONS {
        let Some(setting) = settings::settings(tree.backend).find(|s| s.path == path) else { continue };
        let default = match tree.get(path).value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        loop {
            let answer = ask(&format!("{label}? (default `{default}`): "))?;
            if answer.is_empty() {
                break;
            }
            let mut changed = tree.clone();
            let refused = match convert(setting, &Value::String(answer)) {
                Ok(value) => {
                    changed.set(setting.path, value, Source::Default);
                    Config::faults_of(changed.clone()).into_iter().find(|f| f.path == path).map(|f| f.message)
                }
                Err(message) => Some(message),
            };
            match refused {
                None => {
                    *tree = changed;
                    break;
                }
                Some(message) => writeln!(io::stderr(), "{message}")?,
            }
        }
    }
    Ok(())
}
