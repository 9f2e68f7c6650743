//! `/api/v1/votes`: the votes on a block.

use hyper::{Response, StatusCode};

use super::body::Body;
use super::dispatch::json_response;
use super::error::ApiError;
use super::openapi::Schema;
use super::query::{Described, Parameter, Query};
use super::{WebState, convert, json};

const BLOCK_ID: Parameter<String> = Parameter {
    name: "block_id",
    required: true,
    about: "Id of a block",
    convert: convert::text,
    schema: Schema::Text,
};

/// In the order in which they are checked.
pub const PARAMETERS: &[&dyn Described] = &[&BLOCK_ID];

/// All votes on a block, as they were stored.
pub async fn list(state: &WebState, query: &Query<'_>) -> Result<Response<Body>, ApiError> {
    let block = query.required(&BLOCK_ID)?;
    query.only(PARAMETERS)?;
    let votes = match block.parse() {
        Ok(id) => state.chain.votes(&id).await?,
        Err(_) => Vec::new(),
    };
    let write = |vote: &crate::store::StoredVote, out: &mut Vec<u8>| {
        json::write_stored(&vote.bytes, &json::VOTE, out);
    };
    Ok(json_response(StatusCode::OK, Body::array(votes, None, write)))
}
