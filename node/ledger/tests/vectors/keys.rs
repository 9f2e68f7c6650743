//! Key pairs in base58.

use ledger::crypto::PrivateKey;

use crate::input::{expect, judge_all, string};

pub fn judge(text: &str) -> (usize, Vec<String>) {
    judge_all(text, |case| {
        let private = string(case, "private")?;
        let key = PrivateKey::from_base58(private).map_err(|error| error.to_string())?;
        expect("public", &key.public_key().to_string().as_str(), &string(case, "public")?)?;
        expect("private", &key.to_base58().as_str(), &private)
    })
}
