//! `tx create`.

use ledger::build;
use ledger::ids::PublicKey;

use super::{Context, DeliveryArgs, KeyArgs, Outcome, To, object_argument, sign_with};

/// Make an asset
///
/// Prints the transaction, or sends it with --send. It is signed with the given key files; with --signer instead it stays
/// unsigned, for `tx sign` elsewhere.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        bigchaindb tx create --key-file alice.json --asset '{\"name\": \"bicycle\"}' --send --wait\n  \
                        bigchaindb tx create --key-file alice.json --asset @asset.json --to KEY:100 > create.json")]
pub struct Args {
    #[command(flatten)]
    keys: KeyArgs,

    /// Public key of somebody who will sign elsewhere
    #[arg(long = "signer", value_name = "KEY", conflicts_with = "key_files")]
    signers: Vec<PublicKey>,

    /// What the asset is: a JSON object, or @FILE
    #[arg(long, value_name = "JSON")]
    asset: Option<String>,

    /// What is said about this transaction: a JSON object, or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,

    /// Who gets how many shares [default: the signers, 1]; KEY,KEY:5 for shares that take both keys to spend
    #[arg(long, value_name = "KEY[:AMOUNT]")]
    to: Vec<To>,

    #[command(flatten)]
    delivery: DeliveryArgs,
}

pub fn run(args: &Args, context: &Context) -> Outcome {
    let keys = args.keys.read()?;
    let mut signers = args.signers.clone();
    signers.extend(keys.iter().map(ledger::crypto::PrivateKey::public_key));
    anyhow::ensure!(
        !signers.is_empty(),
        "Who signs? Give --key-file, or --signer for a transaction to be signed later."
    );
    let asset = object_argument(args.asset.as_deref(), "--asset")?;
    let metadata = object_argument(args.metadata.as_deref(), "--metadata")?;
    let mut to = args.to.clone();
    if to.is_empty() {
        to.push(To { keys: signers.clone(), amount: None });
    }
    let recipients: Vec<_> = to.iter().map(|to| to.recipient(1)).collect();
    let unsigned = build::create(&signers, &recipients, asset, metadata)?;
    args.delivery.deliver(&sign_with(unsigned, &keys)?, context)
}
