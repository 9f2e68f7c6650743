//! `/api/v1/outputs`: what a key owns.

use hyper::{Response, StatusCode};
use ledger::ids::{OutputRef, PublicKey};

use super::body::Body;
use super::dispatch::json_response;
use super::error::ApiError;
use super::openapi::Schema;
use super::query::{Described, Parameter, Query};
use super::{WebState, convert};

const PUBLIC_KEY: Parameter<Option<PublicKey>> = Parameter {
    name: "public_key",
    required: true,
    about: "The owner's Ed25519 key in base58",
    convert: convert::public_key,
    schema: Schema::PublicKey,
};
const SPENT: Parameter<bool> = Parameter {
    name: "spent",
    required: false,
    about: "Only outputs that are spent (`true`) or not spent (`false`)",
    convert: convert::boolean,
    schema: Schema::Boolean,
};

/// In the order in which they are checked.
pub const PARAMETERS: &[&dyn Described] = &[&PUBLIC_KEY, &SPENT];

const BEFORE_ID: &[u8] = b"{\"transaction_id\": \"";
const BEFORE_INDEX: &[u8] = b"\", \"output_index\": ";

/// Outputs that a key owns.
pub async fn list(state: &WebState, query: &Query<'_>) -> Result<Response<Body>, ApiError> {
    let owner = query.required(&PUBLIC_KEY)?;
    let spent = query.optional(&SPENT)?;
    query.only(PARAMETERS)?;
    let outputs = match owner {
        Some(owner) => state.chain.outputs(&owner, spent).await?,
        None => Vec::new(),
    };
    let length = length(&outputs);
    Ok(json_response(StatusCode::OK, Body::array(outputs, Some(length), write)))
}

fn write(output: &OutputRef, out: &mut Vec<u8>) {
    out.extend_from_slice(BEFORE_ID);
    out.extend_from_slice(&output.transaction_id.to_hex());
    out.extend_from_slice(BEFORE_INDEX);
    out.extend_from_slice(output.index.to_string().as_bytes());
    out.push(b'}');
}

/// Bytes of the whole answer: known before it is written, so that even the longest list has a Content-Length.
fn length(outputs: &[OutputRef]) -> u64 {
    let brackets_and_line_break = 3;
    let commas = 2 * outputs.len().saturating_sub(1);
    let fixed = (BEFORE_ID.len() + 64 + BEFORE_INDEX.len() + 1) * outputs.len();
    let digits: u64 = outputs.iter().map(|o| u64::from(o.index.checked_ilog10().unwrap_or(0)) + 1).sum();
    (brackets_and_line_break + commas + fixed) as u64 + digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::ids::TxId;

    #[test]
    fn the_length_is_told_beforehand() {
        let output = |index| OutputRef { transaction_id: TxId::from_bytes([7; 32]), index };
        let indices = [0, 9, 10, 99, 100, 12345, u64::MAX];
        for n in 0..=indices.len() {
            let outputs: Vec<OutputRef> = indices[..n].iter().map(|i| output(*i)).collect();
            let expected = length(&outputs);
            let Body::Full(text) = Body::array(outputs, None, write) else { panic!("short lists are one piece") };
            assert_eq!(text.len() as u64, expected, "{n} outputs");
        }
    }
}
