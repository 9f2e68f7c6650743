//! `tx`: making, signing, sending and checking transactions.
//!
//! Making, signing and checking work without a node; sending and asking need one.

mod create;
mod send;
mod sign;
mod status;
mod transfer;
mod verify;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use ledger::admission::{self, Refused};
use ledger::build::{self, Recipient};
use ledger::crypto::PrivateKey;
use ledger::ids::PublicKey;
use ledger::json::{self, Value};
use ledger::transaction::{Operation, Transaction};

use super::{Context, Outcome};
use crate::client::Endpoint;
use crate::config::keypair;

/// Make, sign, send and check transactions
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example, an asset made and given away:\n  \
                        bigchaindb key new --output alice.json\n  \
                        bigchaindb tx create --key-file alice.json --asset '{\"name\": \"bicycle\"}' --send --wait\n  \
                        bigchaindb tx transfer --key-file alice.json --spend ID --to KEY --send --wait\n  \
                        bigchaindb tx status ID\n\n\
                        A node behind TLS whose certificate no public authority has signed: name the file with its\n\
                        authority's certificate in BIGCHAINDB_URL_CA_CERT.")]
pub enum Command {
    Create(create::Args),
    Transfer(transfer::Args),
    Sign(sign::Args),
    Send(send::Args),
    Status(status::Args),
    Verify(verify::Args),
}

pub fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Create(args) => create::run(args, context),
        Command::Transfer(args) => transfer::run(args, context),
        Command::Sign(args) => sign::run(args, context),
        Command::Send(args) => send::run(args, context),
        Command::Status(args) => status::run(args, context),
        Command::Verify(args) => verify::run(args, context),
    }
}

/// Where nodes listen unless told otherwise.
const DEFAULT_URL: &str = "http://localhost:9984";

/// The private keys of those who sign.
#[derive(Debug, clap::Args)]
struct KeyArgs {
    /// Sign with the private key of this file: one of `key new`, or the key's base58 text; several times for several keys
    #[arg(short, long = "key-file", visible_alias = "private-key-file", value_name = "FILE")]
    key_files: Vec<PathBuf>,
}

impl KeyArgs {
    fn read(&self) -> anyhow::Result<Vec<PrivateKey>> {
        self.key_files.iter().map(|path| Ok(keypair::read_private(path)?)).collect()
    }
}

/// What becomes of a transaction once it is made.
#[derive(Debug, clap::Args)]
struct DeliveryArgs {
    /// Send it to this node [default: $BIGCHAINDB_URL or http://localhost:9984]; without --send it is printed
    #[arg(long, value_name = "URL", num_args = 0..=1)]
    send: Option<Option<Endpoint>>,

    /// Wait until it is valid; exit with 1 if it does not get there
    #[arg(long, requires = "send")]
    wait: bool,

    /// How long to wait, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

impl DeliveryArgs {
    /// Prints the transaction or sends it.
    fn deliver(&self, transaction: &Value<'_>, context: &Context) -> Outcome {
        let Some(endpoint) = &self.send else {
            print_transaction(transaction)?;
            return Ok(ExitCode::SUCCESS);
        };
        let endpoint = endpoint_or_default(endpoint.as_ref(), context)?;
        let wait = self.wait.then_some(Duration::from_secs(self.timeout));
        send::deliver(transaction, &endpoint, wait, context)
    }
}

fn endpoint_or_default(given: Option<&Endpoint>, context: &Context) -> anyhow::Result<Endpoint> {
    let variable = |name: &str| context.sources.environment.get(name).filter(|value| !value.is_empty());
    let endpoint: Endpoint = match given {
        Some(endpoint) => endpoint.clone(),
        None => variable("BIGCHAINDB_URL").map_or(DEFAULT_URL, String::as_str).parse().map_err(anyhow::Error::msg)?,
    };
    match variable("BIGCHAINDB_URL_CA_CERT") {
        Some(ca) => endpoint.trusting(Path::new(ca)).map_err(anyhow::Error::msg),
        None => Ok(endpoint),
    }
}

/// `KEY[,KEY...][:AMOUNT]`: several keys must all sign to spend what they get.
#[derive(Clone, Debug)]
struct To {
    keys: Vec<PublicKey>,
    amount: Option<u64>,
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (keys, amount) = match text.split_once(':') {
            Some((keys, amount)) => {
                let wrong = || format!("`{amount}` is not an amount: a whole number from 1");
                (keys, Some(amount.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?))
            }
            None => (text, None),
        };
        let keys = keys.split(',').map(|key| key.parse().map_err(|e| format!("{e}"))).collect::<Result<_, String>>()?;
        Ok(Self { keys, amount })
    }
}

impl To {
    fn recipient(&self, default_amount: u64) -> Recipient {
        Recipient { public_keys: self.keys.clone(), amount: self.amount.unwrap_or(default_amount) }
    }
}

/// The text of an argument, or of a file: `@FILE`, `@-` for standard input.
fn text_or_file(argument: &str) -> anyhow::Result<Vec<u8>> {
    match argument.strip_prefix('@') {
        Some(path) => read_input(Path::new(path)),
        None => Ok(argument.as_bytes().to_vec()),
    }
}

/// A file, or standard input for `-`.
fn read_input(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    }
    Ok(bytes)
}

/// JSON as the ledger reads it: integers of any size, digits of floats as they hash.
fn parse_json(bytes: &[u8], what: &str) -> anyhow::Result<Value<'static>> {
    match json::parse(bytes) {
        Ok(value) => Ok(value.into_owned()),
        Err(error) => bail!("{what}: {error}"),
    }
}

/// An optional JSON object given as text or `@FILE`.
fn object_argument(argument: Option<&str>, what: &str) -> anyhow::Result<Option<Value<'static>>> {
    let Some(argument) = argument else { return Ok(None) };
    let value = parse_json(&text_or_file(argument)?, what)?;
    ensure!(matches!(value, Value::Object(_) | Value::Null), "{what} must be a JSON object");
    Ok(Some(value))
}

fn print_transaction(transaction: &Value<'_>) -> std::io::Result<()> {
    use std::io::Write;
    let mut line = transaction.to_canonical();
    line.push(b'\n');
    std::io::stdout().lock().write_all(&line)
}

/// Signs if there is anything to sign with.
fn sign_with(unsigned: Value<'static>, keys: &[PrivateKey]) -> anyhow::Result<Value<'static>> {
    if keys.is_empty() { Ok(unsigned) } else { Ok(build::sign(&unsigned, keys)?) }
}

/// Why a node would not take a transaction, for people.
fn refusal(refused: &Refused) -> String {
    match refused {
        Refused::Invalid(rule) => format!("({}) {rule}", rule.class()),
        Refused::TooLarge { bytes } => format!("it has {bytes} bytes, and {} are the most", admission::MAX_BYTES),
        Refused::Json(error) => error.to_string(),
    }
}

fn operation_name(transaction: &Transaction) -> &'static str {
    match transaction.operation() {
        Operation::Create => "CREATE",
        Operation::Transfer => "TRANSFER",
        Operation::Genesis => "GENESIS",
    }
}

/// Runs what needs the network.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
