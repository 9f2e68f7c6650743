//! What operators and their machines ask: `/metrics`, `/healthz`, `/readyz`. (Not in 1.0.1.)

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use ledger::json::{Object, Value};

use super::body::Body;
use super::dispatch::json_response;
use super::{WebState, json};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// All is well.
    Ok,
    /// Works, and somebody should look at it.
    Degraded,
    /// Does not work.
    Failed,
}

impl CheckState {
    /// The word in the answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// One thing that must work for the node to do its work.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was looked at, in one word.
    pub name: &'static str,
    /// How it came out.
    pub state: CheckState,
    /// The same in a sentence.
    pub sentence: String,
}

/// Whoever knows whether the node can do its work. Asked often: answers come from memory.
pub trait Readiness: Send + Sync {
    /// All checks.
    fn checks(&self) -> Vec<Check>;
}

/// Counters, as Prometheus scrapes them.
pub fn metrics(state: &WebState) -> Response<Body> {
    let mut response = Response::new(Body::Full(state.metrics.render().into()));
    let content_type = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// That this can be answered is the whole message.
pub fn health() -> Response<Body> {
    json_response(StatusCode::OK, json::restful(&json::object([("healthy", Value::Bool(true))])).into())
}

/// 200 if nothing has failed, else 503; the body says what.
pub fn ready(state: &WebState) -> Response<Body> {
    let checks = state.readiness.checks();
    let ready = checks.iter().all(|check| check.state != CheckState::Failed);
    let mut members = Object::default();
    for check in checks {
        let outcome = [("state", json::text(check.state.as_str())), ("message", json::text(check.sentence))];
        members.insert(check.name, json::object(outcome));
    }
    let body = json::object([("ready", Value::Bool(ready)), ("checks", Value::Object(members))]);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_response(status, json::restful(&body).into())
}
