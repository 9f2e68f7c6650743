//! A server that answers what a test wants: for what a real node does only when something is wrong.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Gets method and path, gives status and body.
type Answers = dyn Fn(&str, &str) -> (u16, String) + Send + Sync;

/// Starts serving; ends with the test's process.
pub fn serve(answers: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> String {
    serve_on(TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(answers))
}

/// The same with TLS, under a certificate for `localhost`.
pub fn serve_tls(
    identity: &rcgen::CertifiedKey<rcgen::KeyPair>,
    answers: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static,
) -> String {
    let key = PrivateKeyDer::Pkcs8(identity.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![identity.cert.der().clone()], key);
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let answers: Arc<Answers> = Arc::new(answers);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (answers, connection) = (answers.clone(), ServerConnection::new(config.clone()).unwrap());
            let stream = StreamOwned::new(connection, stream.unwrap());
            // A client that does not trust it hangs up.
            thread::spawn(move || converse(stream, &*answers).ok());
        }
    });
    url
}

fn serve_on(listener: TcpListener, answers: Arc<Answers>) -> String {
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answers = answers.clone();
            // A client that goes away in the middle is no failure of the test.
            thread::spawn(move || converse(stream.unwrap(), &*answers).ok());
        }
    });
    url
}

fn converse(mut stream: impl Read + Write, answers: &Answers) -> std::io::Result<()> {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&piece[..read]);
        while let Some(length) = complete(&request) {
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let mut words = text.split(' ');
            let (status, body) = answers(words.next().unwrap(), words.next().unwrap());
            if status == 101 {
                stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")?;
            } else {
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes())?;
            }
            stream.write_all(body.as_bytes())?;
            request.drain(..length);
        }
    }
}

/// Length of the request, once it is there.
fn complete(request: &[u8]) -> Option<usize> {
    let head = request.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&request[..head]).unwrap().to_lowercase();
    let body = text.split("content-length: ").nth(1).map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    (request.len() >= head + body).then_some(head + body)
}
