//! `/api/v1/transactions`: sending transactions and looking them up.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{HeaderMap, Response, StatusCode};
use ledger::admission::{self, Refused};
use ledger::ids::TxId;
use ledger::json::ParseError;
use ledger::transaction::{Operation, Transaction};

use super::body::Body;
use super::dispatch::{json_response, no_longer_than};
use super::error::ApiError;
use super::openapi::Schema;
use super::query::{Described, Parameter, Query};
use super::{WebState, convert, json, request};

const OPERATION: Parameter<Operation> = Parameter {
    name: "operation",
    required: false,
    about: "Only transactions of this kind",
    convert: convert::operation,
    schema: Schema::Operation,
};
const ASSET_ID: Parameter<Option<TxId>> = Parameter {
    name: "asset_id",
    required: true,
    about: "Id of the CREATE transaction that made the asset",
    convert: convert::transaction_id,
    schema: Schema::TransactionId,
};

/// In the order in which they are checked. Others are ignored, as by 1.0.1.
pub const PARAMETERS: &[&dyn Described] = &[&OPERATION, &ASSET_ID];

/// Bytes of a body that is read where the request is handled; a longer one goes to the blocking pool.
const INLINE_BYTES: usize = 64 << 10;

/// What a 202's `Location` begins with; the id follows.
const LOCATION_BEGIN: &[u8] = b"../statuses?transaction_id=";

/// One transaction of a valid block.
pub async fn one(state: &WebState, id: &str) -> Result<Response<Body>, ApiError> {
    let id: TxId = id.parse().map_err(|_| ApiError::NotFound)?;
    let transaction = state.chain.transaction(&id).await?.ok_or(ApiError::NotFound)?;
    let mut out = Vec::with_capacity(transaction.bytes().len() + 256);
    write(&transaction, &mut out);
    out.push(b'\n');
    Ok(json_response(StatusCode::OK, Bytes::from(out).into()))
}

/// Valid transactions of an asset.
pub async fn list(state: &WebState, query: &Query<'_>) -> Result<Response<Body>, ApiError> {
    let operation = query.optional(&OPERATION)?;
    let asset = query.required(&ASSET_ID)?;
    let found = match asset {
        Some(asset) => state.chain.transactions_of_asset(&asset, operation).await?,
        None => Vec::new(),
    };
    Ok(json_response(StatusCode::OK, Body::array(found, None, write)))
}

/// Appends a transaction as 1.0.1 prints it.
pub fn write(transaction: &Arc<Transaction>, out: &mut Vec<u8>) {
    json::write_stored(transaction.bytes(), &json::TRANSACTION, out);
}

/// Takes a transaction in. 202: it is durable and waits for the federation's verdict.
pub async fn post<B>(state: &WebState, headers: &HeaderMap, body: B, compact: bool) -> Result<Response<Body>, ApiError>
where
    B: hyper::body::Body<Data = Bytes>,
{
    let body = request::read_body(body, headers, &state.limits).await?;
    let text = no_longer_than(state.limits.body_bytes, request::json_text(body, headers)?)?;
    let read = if text.len() < INLINE_BYTES {
        read(&text, compact)
    } else {
        let reading = tokio::task::spawn_blocking(move || read(&text, compact));
        // The pool only ever drops work when the process stops.
        reading.await.unwrap_or_else(|_| Err(busy("the node is stopping")))
    };
    let (transaction, echo) = read?;
    state.metrics.clients.posted();
    let location = HeaderValue::from_bytes(&[LOCATION_BEGIN, &transaction.id().to_hex()].concat());
    state.chain.submit(Arc::new(transaction)).await?;
    state.metrics.clients.accepted();
    let mut response = json_response(StatusCode::ACCEPTED, echo.into());
    // Hexadecimal digits are always a good header.
    if let Ok(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// The transaction, and the text that echoes what was read.
fn read(text: &[u8], compact: bool) -> Result<(Transaction, Bytes), ApiError> {
    let value = ledger::json::parse(text).map_err(|e| refused(Refused::Json(e)))?;
    let transaction = admission::transaction_value(&value).map_err(refused)?;
    Ok((transaction, json::jsonify(&value, compact)))
}

fn busy(reason: &str) -> ApiError {
    ApiError::Busy { reason: reason.to_owned(), retry_after: 1 }
}

fn refused(refused: Refused) -> ApiError {
    match refused {
        Refused::TooLarge { .. } => ApiError::TooLarge { limit: admission::MAX_BYTES },
        Refused::Invalid(broken) => ApiError::Invalid(broken),
        Refused::Json(ParseError::Syntax { .. }) => ApiError::Unreadable,
        Refused::Json(ParseError::TooDeep) => ApiError::Refused(format!(
            "The JSON is nested deeper than {} levels, which is the most that is read.",
            ledger::json::MAX_DEPTH
        )),
        Refused::Json(ParseError::LoneSurrogate { at }) => ApiError::Refused(format!(
            "The JSON has half a UTF-16 surrogate pair at byte {at}: such text cannot be stored."
        )),
    }
}
