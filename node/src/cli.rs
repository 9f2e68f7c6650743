//! The command line: BigchainDB Server 1.0.1's commands and options, and this node's own.
//!
//! Exit codes: 0 done, 1 failed (the reason is on standard error), 2 wrong usage. Answers go to standard output,
//! everything else (prompts, progress, logs, errors) to standard error.

mod backup;
mod bench;
mod cluster;
mod configure;
mod drop;
mod generate;
mod key;
mod nodes;
mod restore;
mod show;
mod start;
mod tx;
mod verify;

use std::fmt::Display;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgAction, CommandFactory, Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::config::level::Level;
use crate::config::settings::Backend;
use crate::config::sources::{Environment, Sources};
use crate::config::{Config, Remarks};
use crate::telemetry;

/// Whose behaviour this is, first; then this program's own version.
pub const VERSION: &str = concat!("1.0.1 (bigchaindb-rs ", env!("CARGO_PKG_VERSION"), ")");

/// What the process was given beside its arguments.
#[derive(Debug)]
pub struct Process {
    /// Its environment.
    pub environment: Environment,
    /// The program's own file.
    pub executable: PathBuf,
}

/// Control your BigchainDB node.
#[derive(Debug, Parser)]
#[command(
    name = "bigchaindb",
    version = VERSION,
    disable_version_flag = true,
    after_help = "Example, a node with nothing configured:\n  bigchaindb start\n\n\
                  Exit codes: 0 done, 1 failed, 2 wrong usage."
)]
pub struct Cli {
    /// Specify the location of the configuration file (use "-" for stdout)
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Log level; without it the configuration decides
    #[arg(short, long, global = true, value_name = "LEVEL", value_enum, ignore_case = true)]
    log_level: Option<LogLevel>,

    /// Assume "yes" as answer to all prompts and run non-interactively
    #[arg(short, long, global = true, visible_alias = "yes-please")]
    yes: bool,

    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,

    /// Print the version: of BigchainDB Server whose interfaces these are, and of this program
    #[arg(short, long, action = ArgAction::Version)]
    version: Option<bool>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    #[value(name = "DEBUG")]
    Debug,
    #[value(name = "INFO")]
    Info,
    #[value(name = "WARNING")]
    Warning,
    #[value(name = "ERROR")]
    Error,
    #[value(name = "CRITICAL")]
    Critical,
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warning,
            LogLevel::Error => Self::Error,
            LogLevel::Critical => Self::Critical,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Start(start::StartArgs),
    Init(start::InitArgs),
    Drop(drop::Args),
    Configure(configure::Args),
    ShowConfig(show::ConfigArgs),
    ExportMyPubkey(show::PubkeyArgs),
    SetShards(cluster::ShardsArgs),
    SetReplicas(cluster::ReplicasArgs),
    AddReplicas(cluster::AddArgs),
    RemoveReplicas(cluster::RemoveArgs),
    #[command(subcommand)]
    Tx(tx::Command),
    #[command(subcommand)]
    Key(key::Command),
    Verify(verify::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Bench(bench::Args),
    Openapi(generate::OpenapiArgs),
    Completions(generate::CompletionsArgs),
}

/// What every command may need.
#[derive(Debug)]
struct Context {
    sources: Sources,
    executable: PathBuf,
    level: Option<Level>,
    yes: bool,
    json: bool,
}

/// Success with an exit code, or a failure to be told.
type Outcome = anyhow::Result<ExitCode>;

/// Runs one command.
pub fn run(cli: Cli, process: Process) -> ExitCode {
    let Some(command) = cli.command else {
        let help = Cli::command().render_help();
        return finish(write!(io::stdout(), "{help}").map(|()| ExitCode::SUCCESS).map_err(Into::into), cli.json);
    };
    let level = cli.log_level.map(Level::from);
    let flags = level.map_or(Vec::new(), |level| {
        ["log.level_console", "log.level_logfile", "server.loglevel"]
            .map(|path| (path, json!(level.to_string()), "--log-level"))
            .to_vec()
    });
    let context = Context {
        sources: Sources { environment: process.environment, file: cli.config, ignore_file: false, flags },
        executable: process.executable,
        level,
        yes: cli.yes,
        json: cli.json,
    };
    finish(dispatch(command, &context), context.json)
}

fn dispatch(command: Command, context: &Context) -> Outcome {
    if !matches!(command, Command::Start(_)) {
        telemetry::start_console(context.level.unwrap_or(Level::Warning));
    }
    match command {
        Command::Start(args) => start::start(&args, context),
        Command::Init(_) => start::init(context),
        Command::Drop(_) => drop::run(context),
        Command::Configure(args) => configure::run(&args, context),
        Command::ShowConfig(_) => show::config(context),
        Command::ExportMyPubkey(_) => show::pubkey(context),
        Command::SetShards(_) => cluster::set_shards(context),
        Command::SetReplicas(_) => cluster::set_replicas(context),
        Command::AddReplicas(args) => cluster::add_replicas(&args, context),
        Command::RemoveReplicas(args) => cluster::remove_replicas(&args, context),
        Command::Tx(command) => tx::run(&command, context),
        Command::Key(command) => key::run(&command, context),
        Command::Verify(_) => verify::run(context),
        Command::Backup(args) => backup::run(&args, context),
        Command::Restore(args) => restore::run(&args, context),
        Command::Bench(args) => bench::run(args, context),
        Command::Openapi(_) => generate::openapi(),
        Command::Completions(args) => generate::completions(&args, context),
    }
}

fn finish(outcome: Outcome, json: bool) -> ExitCode {
    match outcome {
        Ok(code) => code,
        // Whoever read our output has enough of it.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("{error:#}");
            // Nothing is left to tell it to if standard error is gone.
            let _ = if json {
                writeln!(io::stderr(), "{}", json!({"error": text}))
            } else {
                writeln!(io::stderr(), "{text}")
            };
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

impl Context {
    /// Prints the answer: as a text, or as JSON where that was asked for.
    fn answer(&self, text: impl Display, json: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json { writeln!(out, "{json}") } else { writeln!(out, "{text}") }
    }

    /// The checked configuration, and what is to be said of it once logs are set up. `defaults`: without any file.
    fn config(&self, defaults: bool) -> anyhow::Result<(Config, Remarks)> {
        Ok(Config::load(&Sources { ignore_file: defaults || self.sources.ignore_file, ..self.sources.clone() })?)
    }

    /// The checked configuration; its warnings go to standard error.
    fn load_config(&self) -> anyhow::Result<Config> {
        let (config, remarks) = self.config(false)?;
        remarks.tell();
        Ok(config)
    }

    /// Refuses an embedded store without a ledger in it. (Opening one would make it.)
    fn require_ledger(&self, config: &Config) -> anyhow::Result<()> {
        require_supported(config)?;
        if config.database.backend != Backend::Embedded {
            return Ok(());
        }
        let path = &config.database.path;
        anyhow::ensure!(
            path.join("log").is_dir(),
            "There is no ledger in `{}`. Set `database.path` (BIGCHAINDB_DATABASE_PATH) to the directory of one.",
            path.display()
        );
        Ok(())
    }

    /// Where the system wants temporary files.
    fn temporary_directory(&self) -> PathBuf {
        self.sources.environment.get("TMPDIR").filter(|path| !path.is_empty()).map_or("/tmp".into(), PathBuf::from)
    }

    /// Where `configure` writes: `-c` or the default place.
    fn config_file(&self) -> anyhow::Result<PathBuf> {
        self.sources.file.clone().or_else(|| self.sources.default_file()).ok_or_else(|| {
            anyhow::anyhow!("There is no home directory for the configuration file: say where it is with `-c FILE`.")
        })
    }
}

/// Refuses the database that this program does not speak to.
fn require_supported(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.database.backend != Backend::RethinkDb,
        "The database backend `rethinkdb` is not in this program, only `embedded` and `mongodb` are: set \
         `database.backend` (BIGCHAINDB_DATABASE_BACKEND) to one of them."
    );
    Ok(())
}

/// Refuses what is not a directory of this node.
fn require_embedded(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.database.backend == Backend::Embedded,
        "This command works on the directory of the embedded store, and the database backend is `{}`. A MongoDB database \
         is backed up and restored with MongoDB's own tools (`mongodump`, `mongorestore`).",
        config.database.backend
    );
    Ok(())
}

/// The threads that serve: as many as asked for, or one for each processor.
fn runtime(workers: Option<usize>) -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    builder.enable_all().build().context("cannot start the runtime")
}

/// Asks on standard error, reads a line from standard input.
fn ask(question: &str) -> anyhow::Result<String> {
    let mut prompt = io::stderr().lock();
    write!(prompt, "{question}")?;
    prompt.flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        writeln!(prompt)?;
        anyhow::bail!("No answer: standard input has ended. Use `-y` to accept the defaults.");
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
