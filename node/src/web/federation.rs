//! `/api/v1/federation`: who shares the ledger, as this node sees it now. (Not in 1.0.1.)

use hyper::{Response, StatusCode};
use ledger::ids::PublicKey;
use ledger::json::{Int, Value};

use super::body::Body;
use super::dispatch::json_response;
use super::{WebState, json};

/// The keyring in force. Sets are sorted.
pub fn now(state: &WebState) -> Response<Body> {
    let federation = state.chain.federation();
    let opinion = state.chain.agreement().opinion(&federation);
    let number = |number: u64| Value::Int(Int::Small(i64::try_from(number).unwrap_or(i64::MAX)));
    let body = json::object([
        ("public_key", json::text(federation.node().to_string())),
        ("generation", number(federation.generation())),
        ("previous", keys(federation.previous())),
        ("active", keys(federation.keys())),
        ("next", keys(federation.next())),
        ("former", Value::Array(federation.former().iter().map(|set| keys(set)).collect())),
        ("known", keys(federation.known())),
        ("nodes_seen", number(opinion.others as u64)),
        ("nodes_differing", number(opinion.differing as u64)),
    ]);
    json_response(StatusCode::OK, json::restful(&body).into())
}

fn keys(keys: &[PublicKey]) -> Value<'static> {
    Value::Array(keys.iter().map(|key| json::text(key.to_string())).collect())
}
