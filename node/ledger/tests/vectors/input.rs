//! Reading the files of cases.
//!
//! With the crate's own parser: others make floats of large integers.

use ledger::json::{Value, parse};

/// Judges the members of the file's list: the file itself or its `cases`.
pub fn judge_all(text: &str, judge: impl Fn(&Value<'_>) -> Result<(), String>) -> (usize, Vec<String>) {
    let file = match parse(text.as_bytes()) {
        Ok(file) => file,
        Err(error) => return (0, vec![format!("the file is no JSON: {error}")]),
    };
    let Some(cases) = file.as_array().or_else(|| member(&file, "cases").ok()?.as_array()) else {
        return (0, vec!["the file holds no list of cases".to_owned()]);
    };
    let judged = cases.iter().enumerate().map(|(n, case)| {
        let name = string(case, "name").or_else(|_| string(case, "case"));
        judge(case).map_err(|failure| format!("{n} {}: {failure}", name.unwrap_or_default()))
    });
    (cases.len(), judged.filter_map(Result::err).collect())
}

pub fn member<'v, 'a>(value: &'v Value<'a>, key: &str) -> Result<&'v Value<'a>, String> {
    value.as_object().and_then(|object| object.get(key)).ok_or_else(|| format!("the case has no `{key}`"))
}

pub fn list<'v, 'a>(value: &'v Value<'a>, key: &str) -> Result<&'v [Value<'a>], String> {
    member(value, key)?.as_array().ok_or_else(|| format!("`{key}` of the case is no list"))
}

pub fn string<'v>(value: &'v Value<'_>, key: &str) -> Result<&'v str, String> {
    member(value, key)?.as_str().ok_or_else(|| format!("`{key}` of the case is no text"))
}

pub fn number(value: &Value<'_>, key: &str) -> Result<usize, String> {
    match member(value, key)? {
        Value::Int(int) => int.as_u64().and_then(|n| usize::try_from(n).ok()),
        _ => None,
    }
    .ok_or_else(|| format!("`{key}` of the case is no number"))
}

pub fn boolean(value: &Value<'_>, key: &str) -> Result<bool, String> {
    match member(value, key)? {
        Value::Bool(answer) => Ok(*answer),
        _ => Err(format!("`{key}` of the case is neither true nor false")),
    }
}

pub fn bytes(value: &Value<'_>, key: &str) -> Result<Vec<u8>, String> {
    let digits = string(value, key)?.as_bytes();
    let pairs = digits.chunks_exact(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<Vec<u8>>>();
    bytes.filter(|bytes| 2 * bytes.len() == digits.len()).ok_or_else(|| format!("`{key}` of the case is no hex"))
}

pub fn expect<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, expected: &T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what}: expected {expected:?}, got {got:?}")) }
}
