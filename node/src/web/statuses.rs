//! `/api/v1/statuses`: where the federation stands.

use hyper::{Response, StatusCode};

use super::body::Body;
use super::dispatch::json_response;
use super::error::ApiError;
use super::openapi::Schema;
use super::query::{Described, Parameter, Query};
use super::{WebState, convert, json};

const TRANSACTION_ID: Parameter<String> = Parameter {
    name: "transaction_id",
    required: false,
    about: "Id of a transaction",
    convert: convert::text,
    schema: Schema::Text,
};
const BLOCK_ID: Parameter<String> = Parameter {
    name: "block_id",
    required: false,
    about: "Id of a block",
    convert: convert::text,
    schema: Schema::Text,
};

/// In the order in which they are checked.
pub const PARAMETERS: &[&dyn Described] = &[&TRANSACTION_ID, &BLOCK_ID];

/// The status of one transaction or one block.
pub async fn one(state: &WebState, query: &Query<'_>) -> Result<Response<Body>, ApiError> {
    let given = |id: Option<String>| id.filter(|id| !id.is_empty());
    let transaction = given(query.optional(&TRANSACTION_ID)?);
    let block = given(query.optional(&BLOCK_ID)?);
    query.only(PARAMETERS)?;
    let status = match (transaction, block) {
        (Some(id), None) => {
            let id = id.parse().map_err(|_| ApiError::NotFound)?;
            state.chain.transaction_status(&id).await?.map(|status| status.as_str())
        }
        (None, Some(id)) => {
            let id = id.parse().map_err(|_| ApiError::NotFound)?;
            state.chain.block_status(&id).await?.map(|status| status.as_str())
        }
        (None, None) | (Some(_), Some(_)) => {
            let text = "Provide exactly one query parameter. Choices are: block_id, transaction_id";
            return Err(ApiError::Refused(text.to_owned()));
        }
    };
    let status = json::object([("status", json::text(status.ok_or(ApiError::NotFound)?))]);
    Ok(json_response(StatusCode::OK, json::restful(&status).into()))
}
