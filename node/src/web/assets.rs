//! `/api/v1/assets`: text search.

use hyper::{Response, StatusCode};

use super::body::Body;
use super::dispatch::json_response;
use super::error::ApiError;
use super::openapi::Schema;
use super::query::{Described, Parameter, Query};
use super::{WebState, convert, json};
use crate::store::FoundAsset;

const SEARCH: Parameter<String> = Parameter {
    name: "search",
    required: true,
    about: "Words (any of them), \"phrases\" and -exclusions, as in MongoDB's text search",
    convert: convert::text,
    schema: Schema::SearchText,
};
const LIMIT: Parameter<usize> = Parameter {
    name: "limit",
    required: false,
    about: "How many at most; 0 for all",
    convert: convert::limit,
    schema: Schema::Limit,
};

/// In the order in which they are checked. Others are ignored, as by 1.0.1.
pub const PARAMETERS: &[&dyn Described] = &[&SEARCH, &LIMIT];

/// Assets whose text matches.
pub async fn list(state: &WebState, query: &Query<'_>) -> Result<Response<Body>, ApiError> {
    let search = query.required(&SEARCH)?;
    let limit = query.optional(&LIMIT)?.unwrap_or(0);
    if search.is_empty() {
        return Err(ApiError::Refused("text_search cannot be empty".to_owned()));
    }
    let found = state.chain.search_assets(&search, limit).await?;
    Ok(json_response(StatusCode::OK, Body::array(found, None, write)))
}

fn write(asset: &FoundAsset, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"data\": ");
    json::write_stored(&asset.data, &json::ANY, out);
    out.extend_from_slice(b", \"id\": \"");
    out.extend_from_slice(&asset.id.to_hex());
    out.extend_from_slice(b"\"}");
}
