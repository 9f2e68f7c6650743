//! A member of a replica set that answers what a test tells it to: over TLS, with certificates on both sides, in MongoDB's
//! messages.

use std::sync::{Arc, Mutex};

use mongodb::bson::{Document, doc};
use pki::{Certificate, PrivateKey};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const HEADER: usize = 16;
const OP_MSG: i32 = 2013;

/// What a member is, and what it was told.
#[derive(Default)]
pub struct State {
    /// Name of the set, and the host of its only member; `None`: nobody initiated it.
    pub set: Option<(String, String)>,
    /// MongoDB's number.
    pub state: i32,
    /// As `usersInfo` shows them.
    pub users: Vec<Document>,
    /// Commands that change something, in their order.
    pub told: Vec<Document>,
    /// The name in its configuration.
    pub started_for: String,
    /// Answers that take the place of its own, by the command's name.
    pub instead: Vec<(&'static str, Document)>,
}

/// A running member; it ends when dropped.
pub struct Member {
    pub port: u16,
    pub state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An error, as a server answers it.
pub fn refusal(code: i32, message: &str) -> Document {
    doc! { "ok": 0.0, "code": code, "errmsg": message }
}

impl Member {
    /// Starts one that shows this certificate and takes clients of this authority.
    pub async fn start(authority: &Certificate, certificate: &Certificate, key: &PrivateKey, state: State) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(state));
        let (acceptor, own) = (TlsAcceptor::from(Arc::new(config)), certificate.clone());
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, own.clone(), shared.clone()));
            }
        });
        Self { port, state, task }
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, own: Certificate, state: Arc<Mutex<State>>) {
    let mut stream = match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((_, mut stream)) => {
            // With bytes unread the connection would be reset, perhaps before the client has read the reason.
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
            return;
        }
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).unwrap();
    let client = Certificate::from_der(shown.to_vec()).unwrap();
    let is_member = client.membership() == own.membership();
    let mut is_system = false;
    while let Some((request, command)) = receive(&mut stream).await {
        let name = command.keys().next().cloned().unwrap_or_default();
        let answer = if name == "authenticate" {
            is_system = is_member;
            let known =
                state.lock().unwrap().users.iter().any(|user| user.get_str("user").ok() == Some(client.subject()));
            if is_member || known {
                doc! { "ok": 1.0 }
            } else {
                refusal(18, "Authentication failed.")
            }
        } else {
            state.lock().unwrap().answer(&name, &command, is_system)
        };
        if send(&mut stream, request, &answer).await.is_err() {
            return;
        }
    }
}

impl State {
    fn answer(&mut self, name: &str, command: &Document, is_system: bool) -> Document {
        if let Some((_, answer)) = self.instead.iter().find(|(command, _)| *command == name) {
            return answer.clone();
        }
        match name {
            "hello" | "ismaster" | "isMaster" => self.hello(),
            "ping" | "endSessions" => doc! { "ok": 1.0 },
            "replSetGetStatus" => self.status(),
            "getCmdLineOpts" => {
                doc! { "parsed": { "replication": { "replSetName": &self.started_for } }, "ok": 1.0 }
            }
            // A role that the server's user has is not enough.
            "usersInfo" if !is_system => refusal(13, "not authorized on $external to execute command"),
            "usersInfo" => doc! { "users": self.users.clone(), "ok": 1.0 },
            _ => {
                // Without what the driver adds to each command.
                let own =
                    |(key, _): &(&String, _)| !key.starts_with('$') && !["lsid", "clusterTime"].contains(&key.as_str());
                let told = command.iter().filter(own).map(|(key, value)| (key.clone(), value.clone()));
                self.told.push(told.collect());
                self.change(name, command)
            }
        }
    }

    fn hello(&self) -> Document {
        let mut answer = doc! {
            "helloOk": true, "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
            "minWireVersion": 0, "maxWireVersion": 21, "logicalSessionTimeoutMinutes": 30, "ok": 1.0,
        };
        let is_primary = self.set.is_some() && self.state == 1;
        answer.insert("isWritablePrimary", is_primary);
        answer.insert("ismaster", is_primary);
        match &self.set {
            Some((set, host)) => {
                answer.extend(doc! { "setName": set, "hosts": [host], "me": host, "secondary": self.state == 2 });
            }
            None => answer.extend(doc! { "isreplicaset": true, "secondary": false }),
        }
        answer
    }

    fn status(&self) -> Document {
        match &self.set {
            Some((set, host)) => doc! {
                "set": set, "myState": self.state, "members": [{ "_id": 0, "name": host, "self": true }], "ok": 1.0,
            },
            None => refusal(94, "no replset config has been received"),
        }
    }

    fn change(&mut self, name: &str, command: &Document) -> Document {
        match name {
            "replSetInitiate" if self.set.is_some() => refusal(23, "already initialized"),
            "replSetInitiate" => {
                let config = command.get_document(name).unwrap();
                let host = config.get_array("members").unwrap()[0].as_document().unwrap().get_str("host").unwrap();
                self.set = Some((config.get_str("_id").unwrap().to_owned(), host.to_owned()));
                self.state = 2;
                doc! { "ok": 1.0 }
            }
            "createUser" | "grantRolesToUser" => {
                let subject = command.get_str(name).unwrap();
                let known = self.users.iter_mut().find(|user| user.get_str("user").ok() == Some(subject));
                match (known, name) {
                    (Some(_), "createUser") => return refusal(51003, "User already exists"),
                    (Some(user), _) => drop(user.insert("roles", command.get("roles").unwrap().clone())),
                    (None, "createUser") => {
                        let roles = command.get("roles").unwrap().clone();
                        self.users
                            .push(doc! { "user": subject, "db": command.get_str("$db").unwrap(), "roles": roles });
                    }
                    (None, _) => return refusal(11, "could not find user"),
                }
                doc! { "ok": 1.0 }
            }
            "rotateCertificates" => doc! { "ok": 1.0 },
            _ => refusal(59, &format!("no such command: '{name}'")),
        }
    }
}

async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<(i32, Document)> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await.ok()?;
    let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    assert_eq!(number(12), OP_MSG);
    let mut bytes = vec![0; number(0) as usize - HEADER];
    stream.read_exact(&mut bytes).await.ok()?;
    // Flags, then the kind of the first section; a further one would be a sequence of documents, which no command has.
    Some((number(4), Document::from_reader(&bytes[5..]).unwrap()))
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), request: i32, answer: &Document) -> std::io::Result<()> {
    let body = answer.to_vec().unwrap();
    let length = (HEADER + 5 + body.len()) as i32;
    let mut message: Vec<u8> = [length, 0, request, OP_MSG, 0].iter().flat_map(|number| number.to_le_bytes()).collect();
    message.push(0);
    message.extend(body);
    stream.write_all(&message).await?;
    stream.flush().await
}
