//! The reference's JSON schemas, with its first error's text (jsonschema 2.5.1's words).

use crate::error::Invalid;
use crate::json::Value;

/// Common schema, then the TRANSFER or the CREATE one.
pub fn transaction(_value: &Value<'_>) -> Result<(), Invalid> {
    todo!()
}

/// The vote schema. Only the verdict counts: malformed votes are tallied, not answered.
pub fn vote(_value: &Value<'_>) -> bool {
    todo!()
}
