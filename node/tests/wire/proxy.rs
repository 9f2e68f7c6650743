//! A proxy between clients and a server: it writes down what is asked, and breaks what it is told to break.
//!
//! Clients see a replica set whose only member is the proxy: what the server says of its set is rewritten, and whether
//! there is a primary is the test's matter ([`Proxy::step_down`]). Greetings that wait for a change are held here.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bigchaindb::store::mongo::connect::{Connection, Server};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::events::Events;
use super::message::Message;

/// A command as a client sent it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `insert`
    pub name: String,
    /// The database.
    pub database: String,
    /// The collection; empty where a command is about none.
    pub collection: String,
    /// The command, without the documents of an insert.
    pub command: Document,
    /// How many documents an insert, operations an update or delete has.
    pub documents: usize,
    /// Whether the proxy refused it.
    pub refused: bool,
}

/// An error as a server words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: i32,
    pub name: &'static str,
    pub message: &'static str,
}

pub const NOT_WRITABLE_PRIMARY: Refusal = Refusal { code: 10107, name: "NotWritablePrimary", message: "not primary" };
pub const PRIMARY_STEPPED_DOWN: Refusal =
    Refusal { code: 189, name: "PrimarySteppedDown", message: "Primary stepped down while waiting for replication" };
pub const SHUTDOWN_IN_PROGRESS: Refusal =
    Refusal { code: 91, name: "ShutdownInProgress", message: "The server is in quiesce mode and will shut down" };

/// What a member that is no primary says to a read that is for the primary only.
const NOT_FOR_SECONDARIES: Refusal =
    Refusal { code: 13435, name: "NotPrimaryNoSecondaryOk", message: "not primary and secondaryOk=false" };

/// What happens to a command.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The connection ends half-way through the request: the server never has it whole.
    CutMidway,
    /// The server does what it is asked; the connection ends before its answer.
    CutAnswer,
    /// The proxy answers instead of the server.
    Refuse(Refusal),
}

struct Rule {
    name: &'static str,
    collection: &'static str,
    /// Only commands of so many documents and more.
    documents: usize,
    times: usize,
    fault: Fault,
}

/// What the set is said to be.
#[derive(Clone, Copy)]
struct Topology {
    /// How writes are refused; `None`: there is a primary.
    away: Option<Refusal>,
    /// Grows with each change.
    counter: i64,
}

struct Shared {
    server: String,
    address: String,
    process: ObjectId,
    topology: watch::Sender<Topology>,
    rules: Mutex<Vec<Rule>>,
    asked: Mutex<Vec<Asked>>,
    /// Kept on demand.
    events: OnceLock<Events>,
}

/// Commands that change something and that a member which is no primary refuses.
pub const WRITES: [&str; 9] =
    ["insert", "update", "delete", "findAndModify", "create", "createIndexes", "drop", "dropDatabase", "bulkWrite"];
/// Commands that read and that such a member refuses, unless told that a secondary will do.
pub const READS: [&str; 6] = ["find", "aggregate", "count", "distinct", "listCollections", "listIndexes"];

/// A running proxy; all its connections end with it.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    _listening: AbortOnDropHandle<()>,
}

impl Proxy {
    /// In front of a server on this machine.
    pub async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server: format!("127.0.0.1:{server_port}"),
            address: format!("127.0.0.1:{port}"),
            process: ObjectId::new(),
            topology: watch::Sender::new(Topology { away: None, counter: 1 }),
            rules: Mutex::new(Vec::new()),
            asked: Mutex::new(Vec::new()),
            events: OnceLock::new(),
        });
        let listening = AbortOnDropHandle::new(tokio::spawn(listen(listener, shared.clone())));
        Self { shared, port, _listening: listening }
    }

    /// A way to the server, led through here.
    pub fn before(&self, mut connection: Connection) -> Connection {
        if let Server::Host { port, .. } = &mut connection.server {
            *port = self.port;
        }
        connection
    }

    /// From now on the next `times` commands of this name on this collection that have at least so many documents.
    pub fn fault(&self, name: &'static str, collection: &'static str, documents: usize, times: usize, fault: Fault) {
        self.shared.rules.lock().push(Rule { name, collection, documents, times, fault });
    }

    /// Whether every fault has happened.
    pub fn all_happened(&self) -> bool {
        self.shared.rules.lock().is_empty()
    }

    /// From now on there is no primary: greetings say so, writes are refused with this, reads for the primary, too.
    pub fn step_down(&self, refusal: Refusal) {
        self.change(Some(refusal));
    }

    /// The member is primary again.
    pub fn step_up(&self) {
        self.change(None);
    }

    fn change(&self, away: Option<Refusal>) {
        self.shared.topology.send_modify(|topology| *topology = Topology { away, counter: topology.counter + 1 });
    }

    /// Events and reads of what they are about, from the first call on.
    pub fn events(&self) -> &Events {
        self.shared.events.get_or_init(Events::default)
    }

    /// What was asked of the ledger's database since the start, or since the last call.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock())
    }

    /// How many commands of this name on this collection the server was asked since then.
    pub fn count(&self, name: &str, collection: &str) -> usize {
        let asked = self.shared.asked.lock();
        asked.iter().filter(|asked| asked.name == name && asked.collection == collection && !asked.refused).count()
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let shared = shared.clone();
        connections.spawn(async move {
            // However it ends, both sides are closed then, which is all that anybody is to notice.
            let _ = serve(client, &shared).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut server = TcpStream::connect(&shared.server).await?;
    while let Some(request) = Message::read(&mut client).await? {
        let (command, documents) = request.command()?;
        let name = request.name();
        if ["hello", "ismaster", "isMaster"].contains(&name.as_str()) {
            shared.wait_for_change(&command).await;
            plain_greeting(&request, command).write(&mut server).await?;
            let Some(answer) = Message::read(&mut server).await? else { return Ok(()) };
            request.answer(&shared.rewritten(answer.document()?)).write(&mut client).await?;
            continue;
        }
        let within = ["documents", "updates", "deletes"].iter().find_map(|list| command.get_array(list).ok());
        let documents = documents + within.map_or(0, Vec::len);
        let mut asked = Asked {
            database: command.get_str("$db").unwrap_or_default().to_owned(),
            collection: command
                .get_str(&name)
                .or_else(|_| command.get_str("collection"))
                .unwrap_or_default()
                .to_owned(),
            name,
            command,
            documents,
            refused: false,
        };
        let fault = shared.fault(&asked);
        let refusal = match fault {
            Some(Fault::Refuse(refusal)) => Some(request.answer(&shared.refusal(refusal, &asked))),
            _ => None,
        };
        asked.refused = refusal.is_some();
        shared.asked.lock().push(asked);
        if let Some(refusal) = refusal {
            refusal.write(&mut client).await?;
            continue;
        }
        if let Some(Fault::CutMidway) = fault {
            let bytes = request.bytes();
            return server.write_all(&bytes[..bytes.len() / 2]).await;
        }
        if let Some(events) = shared.events.get() {
            events.look(&request.document()?);
        }
        request.write(&mut server).await?;
        if !request.wants_answer() {
            continue;
        }
        let Some(answer) = Message::read(&mut server).await? else { return Ok(()) };
        if fault.is_some() {
            return Ok(());
        }
        match shared.events.get() {
            Some(events) => {
                let mut said = answer.document()?;
                events.note(&mut said);
                request.answer(&said).write(&mut client).await?;
            }
            None => answer.write(&mut client).await?,
        }
    }
    Ok(())
}

/// A greeting that the server answers at once, and once.
fn plain_greeting(request: &Message, mut command: Document) -> Message {
    if command.remove("topologyVersion").is_none() {
        return request.clone();
    }
    command.remove("maxAwaitTimeMS");
    request.instead(&command)
}

impl Shared {
    /// What is to happen to a command.
    fn fault(&self, asked: &Asked) -> Option<Fault> {
        let mut rules = self.rules.lock();
        let fits = |rule: &Rule| {
            rule.name == asked.name && rule.collection == asked.collection && asked.documents >= rule.documents
        };
        if let Some(n) = rules.iter().position(fits) {
            let fault = rules[n].fault;
            rules[n].times -= 1;
            if rules[n].times == 0 {
                rules.remove(n);
            }
            if matches!(fault, Fault::Refuse(_)) {
                // It says that something has changed, even if it is as it was by now.
                self.topology.send_modify(|topology| topology.counter += 1);
            }
            return Some(fault);
        }
        let away = self.topology.borrow().away?;
        match asked.name.as_str() {
            name if WRITES.contains(&name) => Some(Fault::Refuse(away)),
            name if READS.contains(&name) => Some(Fault::Refuse(NOT_FOR_SECONDARIES)),
            _ => None,
        }
    }

    /// The answer of a member that refuses, as a real one gives it.
    fn refusal(&self, refusal: Refusal, asked: &Asked) -> Document {
        let Refusal { code, name, message } = refusal;
        let mut answer = doc! { "ok": 0.0, "errmsg": message, "code": code, "codeName": name };
        answer.insert("topologyVersion", self.version());
        if asked.command.contains_key("txnNumber") {
            answer.insert("errorLabels", ["RetryableWriteError"]);
        }
        answer
    }

    fn version(&self) -> Document {
        doc! { "processId": self.process, "counter": self.topology.borrow().counter }
    }

    /// A later one with each change, as each election is in a later term.
    fn election(&self) -> ObjectId {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
        bytes[4..].copy_from_slice(&self.topology.borrow().counter.to_be_bytes());
        ObjectId::from_bytes(bytes)
    }

    /// Holds a greeting whose sender knows how things are, until they change or for as long as it asked for.
    async fn wait_for_change(&self, greeting: &Document) {
        let known = greeting.get_document("topologyVersion").and_then(|known| known.get_i64("counter"));
        let (Ok(known), Some(wait)) = (known, greeting.get("maxAwaitTimeMS").and_then(milliseconds)) else { return };
        let mut changes = self.topology.subscribe();
        let _ = tokio::time::timeout(wait, changes.wait_for(|topology| topology.counter != known)).await;
    }

    /// What the server says of itself, as if it were here.
    fn rewritten(&self, mut answer: Document) -> Document {
        if answer.contains_key("setName") {
            answer.insert("hosts", [self.address.as_str()]);
            answer.insert("me", self.address.as_str());
            answer.insert("topologyVersion", self.version());
            if self.topology.borrow().away.is_some() {
                for writable in ["isWritablePrimary", "ismaster"] {
                    if let Some(flag) = answer.get_mut(writable) {
                        *flag = Bson::Boolean(false);
                    }
                }
                answer.insert("secondary", true);
                answer.remove("primary");
                answer.remove("electionId");
            } else {
                answer.insert("primary", self.address.as_str());
                answer.insert("electionId", self.election());
            }
        }
        answer
    }
}

fn milliseconds(value: &Bson) -> Option<Duration> {
    let number = value.as_i64().or_else(|| value.as_i32().map(i64::from))?;
    Some(Duration::from_millis(number.try_into().ok()?))
}
