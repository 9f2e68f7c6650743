//! The reference's JSON schemas, with its first error's text (jsonschema 2.5.1's words).
//!
//! The reference asks RapidJSON's validator for the verdict, and jsonschema, which reads the same schema a little
//! differently, for the words. So each check here takes the [`Engine`] whose reading it follows.

mod check;
mod pattern;
mod tables;

use crate::error::Invalid;
use crate::json::Value;
use check::{Engine, accepts, first_error, unreadable_number};
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
    if let Some(text) = first_error(rule, value, Engine::JsonSchema) {
        return Err(Invalid::Schema(text));
    }
    Err(Invalid::ReferenceFails(match unreadable_number(value) {
        Some(number) => {
            let mut number = number.repr();
            // It may have a million digits.
            number.truncate(40);
            format!("The number {number} is not finite or too large: send it as a string.")
        }
        None => first_error(rule, value, Engine::RapidJson).unwrap_or_default(),
    }))
}
