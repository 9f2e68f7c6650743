//! Signatures at the edges of what libsodium accepts.

use ledger::crypto::{Uncached, Verifier};
use ledger::ids::PublicKey;

use crate::input::{boolean, bytes, expect, judge_all};

pub fn judge(text: &str) -> (usize, Vec<String>) {
    judge_all(text, |case| {
        let key = <[u8; 32]>::try_from(bytes(case, "public_key")?).map_err(|_| "a key must have 32 bytes")?;
        let signature =
            <[u8; 64]>::try_from(bytes(case, "signature")?).map_err(|_| "a signature must have 64 bytes")?;
        let valid = Uncached.verify(&PublicKey::from_bytes(key), &bytes(case, "message")?, &signature);
        expect("valid", &valid, &boolean(case, "valid")?)
    })
}
