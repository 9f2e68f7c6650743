//! The HTTP part of the stream: an upgrade on one path, and aiohttp's answers to everything else.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::PATH;

/// The answer, and the connection to be if it is 101.
pub fn answer(mut request: Request<Incoming>) -> (Response<Full<Bytes>>, Option<OnUpgrade>) {
    if request.uri().path() != PATH {
        return (text(StatusCode::NOT_FOUND, "404: Not Found".to_owned()), None);
    }
    if request.method() != Method::GET {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return (response, None);
    }
    match accept_key(request.headers()) {
        Ok(accept) => (switch(&accept), Some(hyper::upgrade::on(&mut request))),
        Err(problem) => (text(StatusCode::BAD_REQUEST, problem), None),
    }
}

/// The key that accepts the handshake, or what is wrong with it in aiohttp's words.
fn accept_key(headers: &HeaderMap) -> Result<String, String> {
    let get = |name: HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let none = || "None".to_owned();
    let upgrade = get(UPGRADE);
    if !upgrade.as_deref().is_some_and(|v| v.trim().eq_ignore_ascii_case("websocket")) {
        let upgrade = upgrade.unwrap_or_else(none);
        return Err(format!("No WebSocket UPGRADE hdr: {upgrade}\n Can \"Upgrade\" only to \"WebSocket\"."));
    }
    let connection = get(CONNECTION);
    if !connection.as_deref().is_some_and(|v| v.to_ascii_lowercase().contains("upgrade")) {
        return Err(format!("No CONNECTION upgrade hdr: {}", connection.unwrap_or_else(none)));
    }
    let version = get(SEC_WEBSOCKET_VERSION);
    if !matches!(version.as_deref(), Some("13" | "8" | "7")) {
        return Err(format!("Unsupported version: {}", version.unwrap_or_else(none)));
    }
    let key = get(SEC_WEBSOCKET_KEY).filter(|key| is_nonce(key));
    key.map(|key| derive_accept_key(key.as_bytes())).ok_or_else(|| "Handshake error: no 16-byte key".to_owned())
}

/// Whether a text is the base64 of 16 bytes.
fn is_nonce(key: &str) -> bool {
    let digits = key.strip_suffix("==").unwrap_or("");
    digits.len() == 22 && digits.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'))
}

fn switch(accept: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // Base64 is always a good header.
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
