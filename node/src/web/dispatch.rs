//! The way of a request: limits, route, method, handler, and what every answer carries.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN,
    VARY,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::Instant;

use super::body::Body;
use super::error::ApiError;
use super::query::Query;
use super::route::{Endpoint, Handler, find};
use super::{
    WebState, assets, blocks, federation, openapi, operations, outputs, rejections, statuses, transactions, votes,
};

/// Answers one request. Never fails: errors are answers too.
pub async fn handle<B>(state: &WebState, request: Request<B>) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes>,
{
    let begun = Instant::now();
    let under_way = UnderWay::begin(state);
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let compact = headers.get("x-requested-with").is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"xmlhttprequest"));

    let found = find(parts.uri.path());
    let result = match &found {
        _ if under_way.too_many => Err(ApiError::Busy {
            reason: format!("{} requests are under way already", state.limits.requests),
            retry_after: 1,
        }),
        None => Err(ApiError::UnknownPath),
        Some((route, id)) => {
            match (&parts.method, &route.post) {
                (&Method::OPTIONS, _) => Ok(options(route.allow())),
                (&Method::GET | &Method::HEAD, _) => {
                    let query = parts.uri.query().unwrap_or("");
                    if parts.method == Method::HEAD && !route.get.parameters.is_empty() && is_json(headers) {
                        // 1.0.1 looks for parameters in the body then, and finds no JSON.
                        Err(ApiError::Unreadable)
                    } else {
                        get(state, &route.get, id, query, compact).await
                    }
                }
                (&Method::POST, Some(_)) => transactions::post(state, headers, body, compact).await,
                _ => Err(ApiError::Method { allow: route.allow() }),
            }
        }
    };
    if let Err(ApiError::Invalid(broken)) = &result {
        state.metrics.clients.refused(broken.class());
    }
    let mut response = result.unwrap_or_else(|error| error.into_response(compact));
    allow_origins(&parts.method, headers, response.headers_mut());
    let route = found.map_or("unknown", |(route, _)| route.path);
    state.metrics.clients.answered(route, response.status().as_u16(), begun.elapsed());
    response
}

async fn get(
    state: &WebState,
    endpoint: &Endpoint,
    id: &str,
    query: &str,
    compact: bool,
) -> Result<Response<Body>, ApiError> {
    let query = if endpoint.parameters.is_empty() { Query::default() } else { Query::parse(query) };
    match endpoint.handler {
        Handler::Index => {
            Ok(json_response(StatusCode::OK, state.info.index(state.chain.federation().others(), compact).into()))
        }
        Handler::ApiIndex => Ok(json_response(StatusCode::OK, state.info.api_index(compact).into())),
        Handler::Transaction => transactions::one(state, id).await,
        Handler::Transactions | Handler::PostTransaction => transactions::list(state, &query).await,
        Handler::Outputs => outputs::list(state, &query).await,
        Handler::Statuses => statuses::one(state, &query).await,
        Handler::Assets => assets::list(state, &query).await,
        Handler::Block => blocks::one(state, id).await,
        Handler::Blocks => blocks::list(state, &query).await,
        Handler::Votes => votes::list(state, &query).await,
        Handler::Rejection => rejections::one(state, id).await,
        Handler::Federation => Ok(federation::now(state)),
        Handler::OpenApi => Ok(json_response(StatusCode::OK, openapi::text().into())),
        Handler::Metrics => Ok(operations::metrics(state)),
        Handler::Health => Ok(operations::health()),
        Handler::Ready => Ok(operations::ready(state)),
    }
}

/// An answer in JSON.
pub fn json_response(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Passes a text on unless it is too long.
pub fn no_longer_than(limit: usize, text: Bytes) -> Result<Bytes, ApiError> {
    if text.len() > limit { Err(ApiError::TooLarge { limit }) } else { Ok(text) }
}

fn options(allow: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Any page of any origin may ask and read, as in 1.0.1.
fn allow_origins(method: &Method, asked: &HeaderMap, answer: &mut HeaderMap) {
    match asked.get(ORIGIN) {
        None => {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        Some(origin) => {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(VARY, HeaderValue::from_static("Origin"));
        }
    }
    if method != Method::OPTIONS || !asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return;
    }
    let methods = HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS).and_then(|v| v.to_str().ok()) {
        let mut names: Vec<&str> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        // Parts of a good header make a good header.
        if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
    }
}

/// Whether the content type is JSON, as Flask sees it.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()) else { return false };
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    media_type == "application/json" || media_type.starts_with("application/") && media_type.ends_with("+json")
}

/// Counts a request as long as it lasts.
struct UnderWay<'a> {
    state: &'a WebState,
    too_many: bool,
}

impl<'a> UnderWay<'a> {
    fn begin(state: &'a WebState) -> Self {
        let before = state.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { state, too_many: before >= state.limits.requests }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
