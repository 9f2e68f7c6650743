//! `tx send`, and what the other commands do with `--send`.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use ledger::admission;
use ledger::ids::TxId;
use ledger::json::Value;
use serde_json::json;

use super::{Context, Outcome, block_on, endpoint_or_default, operation_name, parse_json, read_input, refusal};
use crate::client::{self, Endpoint};

/// Send a transaction and wait until it is valid
///
/// Exits with 0 when it is valid and with 1 when it was refused, rejected later, or not valid in time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bigchaindb tx send --url http://localhost:9984 signed.json")]
pub struct Args {
    /// Send it to this node [default: $BIGCHAINDB_URL or http://localhost:9984]
    #[arg(long, value_name = "URL")]
    url: Option<Endpoint>,

    /// Do not wait: exit with 0 as soon as it is accepted
    #[arg(long)]
    no_wait: bool,

    /// How long to wait, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,

    /// The signed transaction; `-`: standard input
    #[arg(default_value = "-")]
    file: PathBuf,
}

pub fn run(args: &Args, context: &Context) -> Outcome {
    let transaction = parse_json(&read_input(&args.file)?, "the transaction")?;
    let endpoint = endpoint_or_default(args.url.as_ref(), context)?;
    let wait = (!args.no_wait).then_some(Duration::from_secs(args.timeout));
    deliver(&transaction, &endpoint, wait, context)
}

/// Sends, waits if asked to, tells what came of it.
pub fn deliver(value: &Value<'_>, endpoint: &Endpoint, wait: Option<Duration>, context: &Context) -> Outcome {
    let text = value.to_canonical();
    // Seen here first: a transaction that cannot be accepted need not be sent.
    let transaction = admission::transaction(&text)
        .map_err(|refused| anyhow::anyhow!("This transaction would be refused: {}", refusal(&refused)))?;
    let id = transaction.id();
    let start = Instant::now();
    let progress = block_on(async {
        post(endpoint, &text, start, wait).await?;
        match wait {
            Some(limit) => wait_for(endpoint, &id, start, limit).await,
            None => Ok(Progress::Accepted),
        }
    })?;
    let took = start.elapsed();
    let valid = matches!(progress, Progress::Valid);
    let when = if valid { format!(" after {:.3} s", took.as_secs_f64()) } else { String::new() };
    let operation = operation_name(&transaction);
    let mut answer = progress.json(&id);
    answer["operation"] = json!(operation);
    answer["seconds"] = json!((took.as_secs_f64() * 1e3).round() / 1e3);
    context.answer(format!("{operation} {id}\n{progress}{when}"), &answer)?;
    Ok(progress.exit_code(wait.is_some()))
}

/// Posts; on 503 again and again while there is time, since resending is safe.
async fn post(endpoint: &Endpoint, text: &[u8], start: Instant, wait: Option<Duration>) -> anyhow::Result<()> {
    loop {
        let answer = client::post(endpoint, "/api/v1/transactions/", text.to_vec().into()).await?;
        let pause = answer.retry_after.unwrap_or(Duration::from_secs(1));
        match answer.status.as_u16() {
            202 => return Ok(()),
            503 if wait.is_some_and(|limit| start.elapsed() + pause < limit) => tokio::time::sleep(pause).await,
            status => bail!("{endpoint} refused it ({status}): {}", answer.message()),
        }
    }
}

/// How far a transaction is.
#[derive(Debug)]
pub enum Progress {
    /// Answered 202; nobody asked further.
    Accepted,
    /// In a valid block.
    Valid,
    /// `backlog` or `undecided`.
    Pending(String),
    /// Dropped, and why.
    Rejected { class: String, message: String },
    /// The node knows nothing of it.
    Unknown,
}

impl Progress {
    /// For programs.
    pub fn json(&self, id: &TxId) -> serde_json::Value {
        let id = id.to_string();
        match self {
            Self::Accepted => json!({"id": id, "status": "accepted"}),
            Self::Valid => json!({"id": id, "status": "valid"}),
            Self::Pending(status) => json!({"id": id, "status": status}),
            Self::Rejected { class, message } => {
                json!({"id": id, "status": "rejected", "class": class, "message": message})
            }
            Self::Unknown => json!({"id": id, "status": "unknown"}),
        }
    }

    /// 0 where everything went as asked.
    pub fn exit_code(&self, asked_for_valid: bool) -> ExitCode {
        match self {
            Self::Valid => ExitCode::SUCCESS,
            Self::Accepted if !asked_for_valid => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Valid => f.write_str("valid"),
            Self::Pending(status) => f.write_str(status),
            Self::Rejected { class, message } => write!(f, "rejected ({class}): {message}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// Asks once.
pub async fn progress(endpoint: &Endpoint, id: &TxId) -> anyhow::Result<Progress> {
    let answer = client::get(endpoint, &format!("/api/v1/statuses?transaction_id={id}")).await?;
    match answer.status.as_u16() {
        200 => {
            let json = answer.json();
            let status = json["status"].as_str().with_context(|| format!("{endpoint} gives no status"))?;
            Ok(if status == "valid" { Progress::Valid } else { Progress::Pending(status.to_owned()) })
        }
        404 => rejection(endpoint, id).await,
        _ => bail!("{endpoint} does not give the status of {id}: {}", answer.message()),
    }
}

async fn rejection(endpoint: &Endpoint, id: &TxId) -> anyhow::Result<Progress> {
    let answer = client::get(endpoint, &format!("/api/v1/rejections/{id}")).await?;
    let json = answer.json();
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    Ok(match answer.status.as_u16() {
        200 => Progress::Rejected { class: text("class"), message: text("message") },
        _ => Progress::Unknown,
    })
}

/// Asks until it is valid or rejected, or time is up.
pub async fn wait_for(endpoint: &Endpoint, id: &TxId, start: Instant, limit: Duration) -> anyhow::Result<Progress> {
    let mut pause = Duration::from_millis(10);
    loop {
        let progress = progress(endpoint, id).await?;
        let settled = matches!(progress, Progress::Valid | Progress::Rejected { .. });
        if settled || start.elapsed() + pause > limit {
            return Ok(progress);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}
