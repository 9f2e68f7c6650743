//! Canonical JSON: 390 texts with the bytes that BigchainDB 1.0.1 makes of them, or the reason why it makes none.

use ledger::json::{ParseError, parse};
use sha3::{Digest, Sha3_256};

/// Judges every case of the file's text. Gives their number and a line for each that came out differently.
pub fn judge(text: &str) -> (usize, Vec<String>) {
    let cases = match serde_json::from_str(text) {
        Ok(serde_json::Value::Array(cases)) => cases,
        _ => return (0, vec!["the file is no JSON list".to_owned()]),
    };
    let failures = cases.iter().filter_map(|case| judge_case(case).err()).collect();
    (cases.len(), failures)
}

fn judge_case(case: &serde_json::Value) -> Result<(), String> {
    let field = |name: &str| case[name].as_str();
    let input = field("input_json").ok_or("a case without input_json")?;
    let shown: String = input.chars().take(80).collect();
    let got = parse(input.as_bytes());
    let fail = |expected: &str| Err(format!("{shown}: expected {expected}, got {got:?}"));
    let (canonical, hash) = match field("error") {
        None => (field("canonical"), field("sha3_256")),
        Some(error) if error.starts_with("parse ") => {
            return if matches!(got, Err(ParseError::Syntax { .. })) { Ok(()) } else { fail("a syntax error") };
        }
        Some(error) if error.starts_with("crash: lone surrogate") => {
            return if matches!(got, Err(ParseError::LoneSurrogate { .. })) {
                Ok(())
            } else {
                fail("a surrogate error")
            };
        }
        // "non-finite: serialize() alone gives TEXT (sha3_256 HASH) but ...": hashed by nobody, but defined.
        Some(error) => {
            let rest = error.strip_prefix("non-finite: serialize() alone gives ");
            let named = rest.and_then(|rest| rest.split_once(" (sha3_256 "));
            let named = named.and_then(|(text, rest)| Some((text, rest.split_once(')')?.0)));
            (named.map(|(text, _)| text), named.map(|(_, hash)| hash))
        }
    };
    let (Some(canonical), Some(hash)) = (canonical, hash) else {
        return Err(format!("{shown}: a case of an unknown form"));
    };
    let Ok(value) = &got else { return fail(canonical) };
    let bytes = value.to_canonical();
    if bytes != canonical.as_bytes() {
        return Err(format!("{shown}: expected {canonical}, got {}", String::from_utf8_lossy(&bytes)));
    }
    let digest: String = Sha3_256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if digest != hash {
        return Err(format!("{shown}: expected hash {hash}, got {digest}"));
    }
    if parse(&bytes).map(|value| value.to_canonical()) != Ok(bytes) {
        return Err(format!("{shown}: the canonical form does not read back to itself"));
    }
    Ok(())
}
