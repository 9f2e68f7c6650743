//! The body of a POST: read within limits, decoded by its character set.

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use ledger::json::CharsetError;
use tokio::time::timeout;

use super::Limits;
use super::error::ApiError;

/// Bodies beyond the limit are read and forgotten up to this many times the limit, so that a client that sends before it
/// reads gets to see the answer.
const TOLERATED: usize = 16;

/// Reads a body. One that is longer than allowed is an error, told after what was sent is out of the way.
pub async fn read_body<B>(body: B, headers: &HeaderMap, limits: &Limits) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes>,
{
    let limit = limits.body_bytes;
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit.saturating_mul(TOLERATED)) {
        return Err(ApiError::TooLarge { limit });
    }
    let too_late = ApiError::BodyTime { limit: limits.body_time.as_secs() };
    match timeout_unless_ready(limits.body_time, collect(body, limit)).await {
        Some(Ok(Some(bytes))) => Ok(bytes),
        Some(Ok(None)) => Err(ApiError::TooLarge { limit }),
        // The connection broke: nobody reads what is answered.
        Some(Err(())) | None => Err(too_late),
    }
}

/// A timer costs more than reading a small body that came with the headers: one is made only where there is a wait.
async fn timeout_unless_ready<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let first = std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await;
    match first {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => timeout(time, future).await.ok(),
    }
}

/// The whole body, without a copy if it comes in one piece. `None`: longer than `limit`.
async fn collect<B: Body<Data = Bytes>>(body: B, limit: usize) -> Result<Option<Bytes>, ()> {
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ())?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > limit.saturating_mul(TOLERATED) {
            break;
        }
        if length > limit {
            rest.clear();
        } else if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(body.size_hint().upper().map_or(0, |n| n.min(limit as u64) as usize) + length);
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    if length > limit {
        return Ok(None);
    }
    Ok(Some(if rest.is_empty() { first } else { rest.freeze() }))
}

/// The body as UTF-8 JSON text, decoded by the `charset` of the content type.
///
/// 1.0.1 fails with 500 on character sets it does not know; here they are refused.
pub fn json_text(body: Bytes, headers: &HeaderMap) -> Result<Bytes, ApiError> {
    match ledger::json::decode(&body, charset(headers).as_deref()) {
        Ok(Cow::Borrowed(text)) => Ok(body.slice_ref(text)),
        Ok(Cow::Owned(text)) => Ok(text.into()),
        Err(CharsetError::Undecodable) => Err(ApiError::Unreadable),
        Err(unknown @ CharsetError::Unknown { .. }) => Err(ApiError::Refused(unknown.to_string())),
    }
}

/// The `charset` parameter of the content type.
fn charset(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (_, parameters) = content_type.split_once(';')?;
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    })?;
    Some(value.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[track_caller]
    fn check(content_type: &'static str, body: &'static [u8], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let text = json_text(Bytes::from_static(body), &headers).ok();
        assert_eq!(text.as_deref(), expected.map(str::as_bytes), "{content_type}");
    }

    #[test]
    fn bodies_are_decoded_by_their_character_set() {
        check("application/json", b"\xef\xbb\xbf{}", Some("{}"));
        check("application/json; charset=utf-8-sig", b"\xef\xbb\xbf{}", Some("{}"));
        check("text/plain; charset=latin-1", b"\"\xe9\"", Some("\"é\""));
        check("text/plain; x=y; Charset=\"ISO-8859-1\"", b"\"\xe9\"", Some("\"é\""));
        check("a/b;charset=utf-16", b"\xff\xfe{\0}\0", Some("{}"));
        check("a/b;charset=utf-16-be", b"\0{\0}", Some("{}"));
        check("a/b;charset=utf-16-be", b"\0{\0", None);
        check("a/b;charset=ascii", b"\xe9", None);
        check("a/b;charset=klingon", b"{}", None);
        check("a/b;charset=", b"{}", Some("{}"));
    }

    #[tokio::test]
    async fn long_bodies_are_refused_and_small_ones_are_not_copied() {
        let limits = Limits { body_bytes: 4, ..Limits::default() };
        let read = |text: &'static [u8]| {
            let limits = &limits;
            async move { read_body(http_body_util::Full::new(Bytes::from_static(text)), &HeaderMap::new(), limits).await }
        };
        let text: &'static [u8] = b"1234";
        assert_eq!(read(text).await.unwrap().as_ptr(), text.as_ptr());
        assert!(matches!(read(b"12345").await, Err(ApiError::TooLarge { limit: 4 })));
        assert!(matches!(read(&[b'1'; 400]).await, Err(ApiError::TooLarge { limit: 4 })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let never = http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<hyper::body::Frame<Bytes>, std::convert::Infallible>,
        >());
        let result = read_body(never, &HeaderMap::new(), &Limits::default()).await;
        assert!(matches!(result, Err(ApiError::BodyTime { limit: 30 })));
    }
}
