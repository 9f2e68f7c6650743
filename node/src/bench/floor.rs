//! The floor: what one transaction costs at least, whatever the node around it looks like.

use std::time::Instant;

use anyhow::{Context, ensure};
use ledger::crypto::{DecodedKey, PrivateKey, sha3_256};
use ledger::json::{self, Value};
use ledger::transaction::Transaction;

use super::prepare::Prepared;

/// How many transactions are measured.
const SAMPLE: usize = 3_000;

/// Microseconds on one core for: parsing the posted text, writing its canonical bytes, hashing them, decoding the key and
/// verifying one signature strictly.
pub fn measure(prepared: &[Prepared], keys: &[PrivateKey]) -> anyhow::Result<f64> {
    let sample = prepared.get(..SAMPLE.min(prepared.len())).unwrap_or_default();
    let mut signed = Vec::with_capacity(sample.len());
    for (at, transaction) in sample.iter().enumerate() {
        let key = keys.get(at % keys.len().max(1)).context("no keys to verify with")?;
        let value = json::parse(transaction.body()).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        let message = Transaction::from_value(&value)?.message();
        signed.push((transaction.body(), key.public_key(), key.sign(&message), message));
    }
    let start = Instant::now();
    for (body, key, signature, message) in &signed {
        let value = json::parse(body).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        ensure!(matches!(value, Value::Object(_)), "not an object");
        let digest = sha3_256(&[&value.to_canonical()]);
        ensure!(digest != [0; 32], "a digest of zeros");
        let good = DecodedKey::decode(key).is_some_and(|key| key.verify(message, signature));
        ensure!(good, "a signature that was made here does not verify");
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(signed.len().max(1))?))
}
