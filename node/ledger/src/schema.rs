//! The reference's JSON schemas, with its first error's text (jsonschema 2.5.1's words).
//!
//! The reference asks RapidJSON's validator for the verdict, and jsonschema, which reads the same schema a little
//! differently, for the words. So each check here takes the [`Engine`] whose reading it follows.

mod check;
mod pattern;
mod tables;

use crate::error::Invalid;
use crate::json::Value;
use check::{Engine, accepts, first_error, numbers_readable};
use tables::Rule;

/// Common schema, then the TRANSFER or the CREATE one.
pub fn transaction(value: &Value<'_>) -> Result<(), Invalid> {
    check(&tables::TRANSACTION, value)?;
    let operation = value.as_object().and_then(|transaction| transaction.get("operation"));
    match operation.and_then(Value::as_str) {
        Some("TRANSFER") => check(&tables::TRANSFER, value),
        _ => check(&tables::CREATE, value),
    }
}

/// The vote schema. Only the verdict counts: malformed votes are tallied, not answered.
pub fn vote(value: &Value<'_>) -> bool {
    accepts(&tables::VOTE, value, Engine::RapidJson)
}

fn check(rule: &Rule, value: &Value<'_>) -> Result<(), Invalid> {
    if accepts(rule, value, Engine::RapidJson) {
        return Ok(());
    }
    Err(match first_error(rule, value, Engine::JsonSchema) {
        Some(text) => Invalid::Schema(text),
        None if !numbers_readable(value) => {
            Invalid::ReferenceFails("A number is not finite or too large for a double: send it as a string.".to_owned())
        }
        None => Invalid::ReferenceFails(first_error(rule, value, Engine::RapidJson).unwrap_or_default()),
    })
}
