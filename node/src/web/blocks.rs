//! `/api/v1/blocks`: blocks, and the blocks of a transaction.

use hyper::{Response, StatusCode};
use ledger::election::BlockStatus;
use ledger::ids::BlockId;
use ledger::json::Value;

use super::body::Body;
use super::dispatch::json_response;
use super::error::ApiError;
use super::openapi::Schema;
use super::query::{Described, Parameter, Query};
use super::{WebState, convert, json, transactions};

const TRANSACTION_ID: Parameter<String> = Parameter {
    name: "transaction_id",
    required: true,
    about: "Id of a transaction",
    convert: convert::text,
    schema: Schema::Text,
};
const STATUS: Parameter<BlockStatus> = Parameter {
    name: "status",
    required: false,
    about: "Only blocks with this status",
    convert: convert::block_status,
    schema: Schema::BlockStatus,
};

/// In the order in which they are checked.
pub const PARAMETERS: &[&dyn Described] = &[&TRANSACTION_ID, &STATUS];

/// Ids of the blocks that hold a transaction.
pub async fn list(state: &WebState, query: &Query<'_>) -> Result<Response<Body>, ApiError> {
    let transaction = query.required(&TRANSACTION_ID)?;
    let status = query.optional(&STATUS)?;
    query.only(PARAMETERS)?;
    let blocks = match transaction.parse() {
        Ok(id) => state.chain.blocks_of(&id, status).await?,
        Err(_) => Vec::new(),
    };
    let write = |id: &BlockId, out: &mut Vec<u8>| {
        out.push(b'"');
        out.extend_from_slice(&id.to_hex());
        out.push(b'"');
    };
    Ok(json_response(StatusCode::OK, Body::array(blocks, None, write)))
}

/// One block, whatever its status.
pub async fn one(state: &WebState, id: &str) -> Result<Response<Body>, ApiError> {
    let id: BlockId = id.parse().map_err(|_| ApiError::NotFound)?;
    let block = state.chain.block(&id).await?.ok_or(ApiError::NotFound)?;
    let header = &block.header;
    let mut head = Vec::with_capacity(256);
    append(&mut head, b"{\"id\": ", json::text(id.to_string()));
    append(&mut head, b", \"block\": {\"timestamp\": ", json::text(header.timestamp.as_str()));
    head.extend_from_slice(b", \"transactions\": [");
    let mut tail = Vec::with_capacity(256);
    append(&mut tail, b"], \"node_pubkey\": ", json::text(header.node_pubkey.as_str()));
    let voters = header.voters.iter().map(|voter| json::text(voter.as_str())).collect();
    append(&mut tail, b", \"voters\": ", Value::Array(voters));
    append(&mut tail, b"}, \"signature\": ", json::text(header.signature.as_str()));
    tail.extend_from_slice(b"}\n");
    let transactions = block.transactions.clone();
    Ok(json_response(StatusCode::OK, Body::list(head, transactions, tail, None, transactions::write)))
}

fn append(out: &mut Vec<u8>, before: &[u8], value: Value<'_>) {
    out.extend_from_slice(before);
    value.write_http(out);
}
