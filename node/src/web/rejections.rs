//! `/api/v1/rejections`: why a transaction was dropped after it had been taken in. (Not in 1.0.1.)

use hyper::{Response, StatusCode};
use ledger::ids::TxId;
use ledger::json::{Int, Value};

use super::body::Body;
use super::dispatch::json_response;
use super::error::ApiError;
use super::{WebState, json};

/// The reason, if there is one.
pub async fn one(state: &WebState, id: &str) -> Result<Response<Body>, ApiError> {
    let id: TxId = id.parse().map_err(|_| ApiError::NotFound)?;
    let rejection = state.chain.rejection(&id).await?.ok_or(ApiError::NotFound)?;
    let at = i64::try_from(rejection.at).unwrap_or(i64::MAX);
    let body = json::object([
        ("transaction_id", json::text(id.to_string())),
        ("class", json::text(rejection.class)),
        ("message", json::text(rejection.message)),
        ("at", Value::Int(Int::Small(at))),
    ]);
    Ok(json_response(StatusCode::OK, json::restful(&body).into()))
}
