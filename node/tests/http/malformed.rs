//! Requests that make no sense: none may panic, hang, or be answered with a 5xx other than the declared 503.
//!
//! `BIGCHAINDB_MALFORMED_REQUESTS`: how many go through the router in process (20,000 unless told);
//! `BIGCHAINDB_MALFORMED_SOCKETS`: how many over sockets (2,000); `BIGCHAINDB_SEED` replays a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bigchaindb::web::{self, Limits};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use ledger::transaction::Transaction;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Node, Setup, create, owner, soon};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

fn seed() -> u64 {
    let seed = number("BIGCHAINDB_SEED", rand::random());
    println!("BIGCHAINDB_SEED={seed} replays this run");
    seed
}

const PATHS: [&str; 16] = [
    "/",
    "/api/v1",
    "/api/v1/transactions",
    "/api/v1/transactions/x",
    "/api/v1/outputs",
    "/api/v1/statuses",
    "/api/v1/assets",
    "/api/v1/blocks",
    "/api/v1/blocks/x",
    "/api/v1/votes",
    "/api/v1/rejections/x",
    "/metrics",
    "/healthz",
    "/readyz",
    "/api/v1/openapi.json",
    "/nope",
];
const NAMES: [&str; 10] =
    ["asset_id", "operation", "public_key", "spent", "transaction_id", "block_id", "status", "search", "limit", "foo"];
const VALUES: [&str; 14] = [
    "",
    "x",
    "true",
    "-1",
    "99999999999999999999999",
    "CREATE",
    "VALID",
    "%",
    "%00",
    "%ff%fe",
    "+",
    "\"a\" -b",
    "abababababababababababababababababababababababababababababababab",
    "AazELur99m2B6vqjQCBje427HdTAXaEGS7hv7JPgWCVC",
];
const METHODS: [&str; 9] = ["GET", "GET", "GET", "POST", "POST", "HEAD", "OPTIONS", "DELETE", "FROBNICATE"];
const CONTENT_TYPES: [&str; 7] = [
    "application/json",
    "text/plain",
    "application/json; charset=latin-1",
    "a/b;charset=utf-16",
    "a/b; charset=\"",
    ";;;=",
    "application/x-www-form-urlencoded",
];
/// What mutations put into JSON.
const PIECES: [&[u8]; 24] = [
    b"null",
    b"{}",
    b"[]",
    b"\"\"",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-0.0",
    b"123456789012345678901234567890",
    b"\"\\ud800\"",
    b"\"\\u0000\"",
    b"{\"$a\": 1}",
    b"{\"a.b\": 1}",
    b"{\"language\": \"klingon\"}",
    b"\xff",
    b"\xef\xbb\xbf",
    b"[[[[[[[[",
    b"}}}}",
    b"\"",
    b",",
    b":",
    b"\"oAKAAA\"",
    b"{\"a\": {\"a\": {\"a\": ",
    b"true",
];

/// A text with a few bytes turned, cut out or put in.
fn mutated(rng: &mut StdRng, text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..rng.random_range(1..6) {
        if text.is_empty() {
            return text;
        }
        let at = rng.random_range(0..text.len());
        match rng.random_range(0..5) {
            0 => text[at] = rng.random(),
            1 => text.truncate(at),
            2 => drop(text.drain(at..(at + rng.random_range(0..40)).min(text.len()))),
            3 => drop(text.splice(at..at, PIECES.choose(rng).unwrap().iter().copied())),
            _ => {
                // In place of a whole value.
                let end =
                    text[at..].iter().position(|c| matches!(c, b',' | b'}' | b']')).map_or(text.len(), |n| at + n);
                let begin = text[..at].iter().rposition(|c| matches!(c, b':' | b'[' | b',')).map_or(at, |n| n + 1);
                drop(text.splice(begin..end, PIECES.choose(rng).unwrap().iter().copied()));
            }
        }
    }
    text
}

fn body(rng: &mut StdRng, good: &[Transaction]) -> Vec<u8> {
    match rng.random_range(0..20) {
        0 => Vec::new(),
        1 => (0..rng.random_range(0..200)).map(|_| rng.random()).collect(),
        2 => PIECES.choose(rng).unwrap().repeat(rng.random_range(0..300)),
        _ => {
            let transaction = good.choose(rng).unwrap();
            mutated(rng, transaction.bytes())
        }
    }
}

fn target(rng: &mut StdRng) -> Vec<u8> {
    let mut target = PATHS.choose(rng).unwrap().as_bytes().to_vec();
    if rng.random_ratio(1, 4) {
        target = mutated(rng, &target);
    }
    for n in 0..rng.random_range(0..4) {
        target.push(if n == 0 { b'?' } else { b'&' });
        target.extend_from_slice(NAMES.choose(rng).unwrap().as_bytes());
        target.push(b'=');
        target.extend_from_slice(VALUES.choose(rng).unwrap().replace('"', "%22").replace(' ', "+").as_bytes());
    }
    if rng.random_ratio(1, 10) { mutated(rng, &target) } else { target }
}

/// A target that hyper lets through.
fn good_target(rng: &mut StdRng) -> Uri {
    loop {
        if let Ok(uri) = Uri::try_from(target(rng)) {
            return uri;
        }
    }
}

fn request(rng: &mut StdRng, good: &[Transaction]) -> Request<Full<Bytes>> {
    let body = body(rng, good);
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.uri_mut() = good_target(rng);
    *request.method_mut() = Method::from_bytes(METHODS.choose(rng).unwrap().as_bytes()).unwrap();
    let content_type = HeaderValue::from_static(CONTENT_TYPES.choose(rng).unwrap());
    request.headers_mut().insert("content-type", content_type);
    for name in ["origin", "x-requested-with", "access-control-request-method", "access-control-request-headers"] {
        if rng.random_ratio(1, 8) {
            let value: Vec<u8> = (0..rng.random_range(0..20)).map(|_| rng.random_range(0x20..=0xff)).collect();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
    }
    if rng.random_ratio(1, 3) {
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/api/v1/transactions");
    }
    request
}

/// Resident memory of this process, bytes, where the system tells it.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_sent_through_the_router_is_answered_with_a_fault() {
    let (count, seed) = (number("BIGCHAINDB_MALFORMED_REQUESTS", 20_000), seed());
    let node = Node::start(Setup::default()).await;
    let good: Arc<Vec<Transaction>> = Arc::new((0..8).map(|n| create(&owner(), n)).collect());
    let mut tasks = Vec::new();
    for task in 0..2 {
        let (state, good) = (node.state.clone(), good.clone());
        tasks.push(tokio::spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(task));
            let mut statuses = BTreeMap::new();
            let mut resident_early = None;
            for n in 0..count / 2 {
                if n == count / 20 {
                    resident_early = resident();
                }
                let request = request(&mut rng, &good);
                let asked = format!("{} {}", request.method(), request.uri());
                let response = soon(&asked, web::handle(&state, request)).await;
                let status = response.status().as_u16();
                response.into_body().collect().await.unwrap();
                assert!(matches!(status, 200..=499 | 503), "{asked}: {status}");
                *statuses.entry(status).or_insert(0_u64) += 1;
            }
            (statuses, resident_early)
        }));
    }
    for task in tasks {
        let (statuses, resident_early) = task.await.unwrap();
        println!("answers by status: {statuses:?}");
        assert!(statuses.contains_key(&200) && statuses.contains_key(&400) && statuses.contains_key(&404));
        if let (Some(early), Some(late)) = (resident_early, resident()) {
            let grown = late.saturating_sub(early) >> 20;
            println!("resident memory: {} MiB, {grown} MiB more than after a tenth", late >> 20);
            assert!(grown < 64, "memory grew by {grown} MiB");
        }
    }
    assert_eq!(node.client().await.get("/healthz").await.status, 200);
    node.stop().await;
}

/// A request as bytes, more or less HTTP.
fn raw(rng: &mut StdRng, good: &[Transaction]) -> Vec<u8> {
    let body = body(rng, good);
    let mut raw = METHODS.choose(rng).unwrap().as_bytes().to_vec();
    raw.push(b' ');
    raw.extend_from_slice(&target(rng));
    raw.extend_from_slice(b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    match rng.random_range(0..6) {
        0 => raw.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        1 => raw.extend_from_slice(format!("content-length: {}\r\n", rng.random_range(0..5000)).as_bytes()),
        2 => raw.extend_from_slice(b"content-length: 99999999999999999999\r\n"),
        _ => raw.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes()),
    }
    if rng.random_ratio(1, 20) {
        raw.extend_from_slice(format!("x: {}\r\n", "y".repeat(rng.random_range(0..100_000))).as_bytes());
    }
    raw.extend_from_slice(b"\r\n");
    raw.extend_from_slice(&body);
    if rng.random_ratio(1, 3) { mutated(rng, &raw) } else { raw }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_sent_over_a_socket_is_answered_with_a_fault() {
    let (count, seed) = (number("BIGCHAINDB_MALFORMED_SOCKETS", 2_000), seed());
    let limits =
        Limits { body_time: Duration::from_millis(200), header_time: Duration::from_millis(200), ..Limits::default() };
    let node = Node::start(Setup { limits, ..Setup::default() }).await;
    let good: Arc<Vec<Transaction>> = Arc::new((0..8).map(|n| create(&owner(), n)).collect());
    let mut tasks = Vec::new();
    for task in 0..16 {
        let (address, good) = (node.api, good.clone());
        tasks.push(tokio::spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(task));
            for _ in 0..count / 16 {
                let request = raw(&mut rng, &good);
                let mut stream = TcpStream::connect(address).await.unwrap();
                // The node may close before all is sent.
                let _ = stream.write_all(&request).await;
                let _ = stream.shutdown().await;
                let mut answer = Vec::new();
                let _ = soon("the end of the connection", stream.read_to_end(&mut answer)).await;
                let answer = String::from_utf8_lossy(&answer);
                // An HTTP/1.0 request, which a mutation can make, is answered as such.
                let rest = answer.strip_prefix("HTTP/1.1 ").or_else(|| answer.strip_prefix("HTTP/1.0 "));
                let status = rest.and_then(|rest| rest.get(..3)).unwrap_or("");
                let fine = answer.is_empty() || status.starts_with(['2', '4']) || status == "503";
                assert!(fine, "{}\n=> {answer}", String::from_utf8_lossy(&request));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(node.client().await.get("/healthz").await.status, 200);
    node.stop().await;
}
