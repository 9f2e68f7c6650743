//! `tx transfer`.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use ledger::build;
use ledger::ids::TxId;
use ledger::transaction::Transaction;

use super::{
    Context, DeliveryArgs, KeyArgs, Outcome, To, block_on, endpoint_or_default, object_argument, parse_json,
    read_input, sign_with,
};
use crate::client::{self, Endpoint};

/// Give shares of an asset away
///
/// What is spent is named by its transaction's id and fetched from a node, or given as a file and then no node is
/// asked. Prints the transaction, or sends it with --send. Without key files it stays unsigned.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        bigchaindb tx transfer --key-file alice.json --spend ID --to KEY --send --wait\n  \
                        bigchaindb tx transfer --key-file alice.json --spend @create.json:0 --to KEY:3 --to KEY:7")]
pub struct Args {
    #[command(flatten)]
    keys: KeyArgs,

    /// An output to spend: of a transaction by its id, or of one in a file; the index may be left out if there is one output
    #[arg(long, value_name = "ID[:INDEX]|@FILE[:INDEX]", required = true)]
    spend: Vec<Spend>,

    /// Fetch spent transactions from this node [default: the one of --send, or $BIGCHAINDB_URL, or http://localhost:9984]
    #[arg(long, value_name = "URL")]
    from: Option<Endpoint>,

    /// Who gets how many shares; a single one without AMOUNT gets all
    #[arg(long, value_name = "KEY[:AMOUNT]", required = true)]
    to: Vec<To>,

    /// What is said about this transaction: a JSON object, or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,

    #[command(flatten)]
    delivery: DeliveryArgs,
}

#[derive(Clone, Debug)]
struct Spend {
    source: SpendSource,
    index: Option<u64>,
}

#[derive(Clone, Debug)]
enum SpendSource {
    Id(TxId),
    File(PathBuf),
}

impl FromStr for Spend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (source, index) = match text.rsplit_once(':').map(|(source, index)| (source, index.parse())) {
            Some((source, Ok(index))) => (source, Some(index)),
            _ => (text, None),
        };
        let source = match source.strip_prefix('@') {
            Some(path) => SpendSource::File(PathBuf::from(path)),
            None => SpendSource::Id(source.parse().map_err(|e| format!("{e}"))?),
        };
        Ok(Self { source, index })
    }
}

pub fn run(args: &Args, context: &Context) -> Outcome {
    let keys = args.keys.read()?;
    let endpoint = args.from.as_ref().or(args.delivery.send.as_ref().and_then(Option::as_ref));
    let endpoint = endpoint_or_default(endpoint, context)?;
    let mut spent = Vec::new();
    for spend in &args.spend {
        let transaction = match &spend.source {
            SpendSource::File(path) => read(&read_input(path)?, &path.display().to_string())?,
            SpendSource::Id(id) => block_on(fetch(&endpoint, id))?,
        };
        let index = output_index(&transaction, spend.index)?;
        spent.push((transaction, index));
    }
    let spent: Vec<(&Transaction, u64)> = spent.iter().map(|(transaction, index)| (transaction, *index)).collect();
    let mut amounts = spent.iter().map(|(transaction, index)| amount(transaction, *index));
    let held = amounts.try_fold(0_u64, u64::checked_add);
    let held = held.context("The outputs hold more shares together than one output may: spend fewer at once.")?;
    let recipients: Vec<_> = match args.to.as_slice() {
        [to] => vec![to.recipient(held)],
        several => several
            .iter()
            .map(|to| to.amount.map(|_| to.recipient(0)).context("Several --to need an amount each: KEY:AMOUNT."))
            .collect::<Result<_, _>>()?,
    };
    let given = recipients.iter().fold(0_u64, |sum, recipient| sum.saturating_add(recipient.amount));
    ensure!(
        given == held,
        "The spent outputs hold {held} shares and {given} are given away: both must be the same. \
         Give the rest to yourself with another --to."
    );
    let metadata = object_argument(args.metadata.as_deref(), "--metadata")?;
    let unsigned = build::transfer(&spent, &recipients, metadata)?;
    args.delivery.deliver(&sign_with(unsigned, &keys)?, context)
}

fn read(bytes: &[u8], what: &str) -> anyhow::Result<Transaction> {
    let value = parse_json(bytes, what)?;
    Transaction::from_value(&value).with_context(|| format!("{what} is no transaction"))
}

async fn fetch(endpoint: &Endpoint, id: &TxId) -> anyhow::Result<Transaction> {
    let answer = client::get(endpoint, &format!("/api/v1/transactions/{id}")).await?;
    match answer.status.as_u16() {
        200 => read(&answer.body, &format!("{id} from {endpoint}")),
        404 => bail!("{endpoint} knows no valid transaction {id}. Ask `bigchaindb tx status {id}` how far it is."),
        _ => bail!("{endpoint} does not give {id}: {}", answer.message()),
    }
}

fn output_index(transaction: &Transaction, given: Option<u64>) -> anyhow::Result<u64> {
    let count = transaction.outputs().len();
    match given {
        Some(index) if usize::try_from(index).is_ok_and(|index| index < count) => Ok(index),
        Some(index) => {
            bail!("{} has {count} outputs, counted from 0: there is none with index {index}.", transaction.id())
        }
        None if count == 1 => Ok(0),
        None => bail!("{} has {count} outputs: say which one to spend, as ID:INDEX.", transaction.id()),
    }
}

fn amount(transaction: &Transaction, index: u64) -> u64 {
    usize::try_from(index).ok().and_then(|index| transaction.outputs().get(index)).map_or(0, |output| output.amount)
}
