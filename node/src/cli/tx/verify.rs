//! `tx verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use ledger::admission::{self, Refused};
use ledger::crypto::Uncached;
use ledger::error::Invalid;
use ledger::facts::{Facts, InputFact, TxStatus};
use ledger::ids::TxId;
use ledger::rules::Rules;
use ledger::transaction::{Operation, Transaction};
use ledger::validate::{self, Verdict};
use serde_json::json;

use super::{Context, Outcome, operation_name, parse_json, read_input, refusal};

/// Check a transaction without a node
///
/// Its structure, id and signatures; for a TRANSFER whose spent transactions are given, ownership and amounts too, on the
/// assumption that those are valid and unspent. Exits with 0 when all that could be checked holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb tx verify transfer.json --spent create.json")]
pub struct Args {
    /// The transaction; `-`: standard input
    #[arg(default_value = "-")]
    file: PathBuf,

    /// A transaction that is spent; several times for several
    #[arg(long, value_name = "FILE")]
    spent: Vec<PathBuf>,

    /// Rules of the ledger: strict or v1.0.1
    #[arg(long, value_name = "RULES", default_value = "strict")]
    validation: Rules,
}

pub fn run(args: &Args, context: &Context) -> Outcome {
    let transaction = match admission::transaction(&read_input(&args.file)?) {
        Ok(transaction) => transaction,
        Err(Refused::Invalid(rule)) => return tell(None, &Err(rule), &[], context),
        Err(refused) => bail!("This is no transaction: {}", refusal(&refused)),
    };
    let spent: Vec<Arc<Transaction>> = args.spent.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let missing = missing(&transaction, &spent);
    let verdict = if transaction.operation() == Operation::Transfer && !missing.is_empty() {
        if transaction.signatures_valid(&Uncached) { Ok(()) } else { Err(Invalid::Signature) }
    } else {
        match validate::transaction(&transaction, &facts(&transaction, &spent), args.validation, &Uncached) {
            Verdict::Valid => Ok(()),
            Verdict::Invalid(rule) => Err(rule),
            Verdict::Undetermined(reason) => bail!("This could not be checked: {reason}"),
        }
    };
    tell(Some(&transaction), &verdict, &missing, context)
}

fn read(path: &Path) -> anyhow::Result<Arc<Transaction>> {
    let value = parse_json(&read_input(path)?, &path.display().to_string())?;
    let transaction = Transaction::from_value(&value);
    transaction.map(Arc::new).with_context(|| format!("{} is no transaction", path.display()))
}

fn missing(transaction: &Transaction, spent: &[Arc<Transaction>]) -> Vec<TxId> {
    let mut ids: Vec<TxId> = transaction.spends().map(|output| output.transaction_id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| spent.iter().all(|transaction| transaction.id() != *id));
    ids
}

fn facts(transaction: &Transaction, spent: &[Arc<Transaction>]) -> Facts {
    let fact = |id: Option<TxId>| match spent.iter().find(|spent| Some(spent.id()) == id) {
        Some(spent) => InputFact::Found { transaction: spent.clone(), status: TxStatus::Valid, spenders: Vec::new() },
        None => InputFact::Missing,
    };
    let links = transaction.inputs().iter().filter_map(|input| input.fulfills.as_ref());
    Facts { inputs: links.map(|link| fact(link.output_ref().map(|output| output.transaction_id))).collect() }
}

fn tell(
    transaction: Option<&Transaction>,
    verdict: &Result<(), Invalid>,
    unchecked: &[TxId],
    context: &Context,
) -> Outcome {
    let id = transaction.map(|transaction| transaction.id().to_string());
    let operation = transaction.map(operation_name);
    let mut text = match (&id, operation) {
        (Some(id), Some(operation)) => format!("{operation} {id}\n"),
        _ => String::new(),
    };
    let unchecked: Vec<String> = unchecked.iter().map(ToString::to_string).collect();
    match verdict {
        Ok(()) if unchecked.is_empty() => text.push_str("good"),
        Ok(()) => {
            text.push_str(
                "good as far as it goes: structure, id and signatures; who owns what is spent, and the amounts, \
                           need --spent with",
            );
            unchecked.iter().for_each(|id| {
                text.push_str("\n  ");
                text.push_str(id);
            });
        }
        Err(rule) => text.push_str(&format!("bad ({}): {rule}", rule.class())),
    }
    let answer = json!({
        "id": id,
        "operation": operation,
        "good": verdict.is_ok(),
        "class": verdict.as_ref().err().map(Invalid::class),
        "message": verdict.as_ref().err().map(ToString::to_string),
        "spent_transactions_not_given": unchecked,
    });
    context.answer(text, &answer)?;
    Ok(if verdict.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
