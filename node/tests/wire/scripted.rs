//! A member of a replica set as far as its administration goes: it answers `hello`, `getCmdLineOpts`, `replSetInitiate`,
//! `replSetGetConfig` and `replSetReconfig` by MongoDB's rules, and hands everything else to a server behind it.
//!
//! Each rule names the page of the manual that it is from. Codes are those of
//! <https://www.mongodb.com/docs/manual/reference/error-codes/>.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use mongodb::bson::{Bson, Document, doc};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::message::Message;

const UNAUTHORIZED: (i32, &str) = (13, "Unauthorized");
const ALREADY_INITIALIZED: (i32, &str) = (23, "AlreadyInitialized");
const COMMAND_NOT_FOUND: (i32, &str) = (59, "CommandNotFound");
const NODE_NOT_FOUND: (i32, &str) = (74, "NodeNotFound");
const NO_REPLICATION: (i32, &str) = (76, "NoReplicationEnabled");
const INVALID_CONFIG: (i32, &str) = (93, "InvalidReplicaSetConfig");
const NOT_YET_INITIALIZED: (i32, &str) = (94, "NotYetInitialized");
const INCOMPATIBLE_CONFIG: (i32, &str) = (103, "NewReplicaSetConfigurationIncompatible");
const NOT_COMMITTED: (i32, &str) = (308, "CurrentConfigNotCommittedYet");
const NOT_PRIMARY: (i32, &str) = (10107, "NotWritablePrimary");

/// What is refused: code, its name, and the server's words.
type Refusal = ((i32, &'static str), String);

/// A server that listens; ended when dropped.
pub struct Member {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Its end is the server's.
    _runtime: Runtime,
}

/// What the member knows, and how it behaves.
#[derive(Clone, Default)]
pub struct State {
    /// Of the option `--replSet`; `None`: it runs alone.
    pub started_for: Option<String>,
    /// Whether `getCmdLineOpts` leaves replication out.
    pub hides_options: bool,
    /// The set's configuration; `None`: nobody initiated it.
    pub config: Option<Document>,
    /// Another member is the primary.
    pub is_secondary: bool,
    /// How often it says after its initiation that nobody is the primary yet.
    pub electing: usize,
    /// How often it says of a new configuration that a majority does not have it.
    pub asks_until_committed: usize,
    /// How often somebody else changes the configuration just before a change.
    pub overtaken: usize,
    /// Commands that it refuses, whatever they ask.
    pub refused: BTreeMap<&'static str, (i32, &'static str)>,
    /// Who answers everything else, `host:port`.
    pub behind: Option<String>,
    /// Commands so far, without those of `behind`.
    pub heard: Vec<Document>,
    /// How often it will still say that of the present one.
    pub uncommitted: usize,
}

impl State {
    /// Started with `--replSet` and not initiated.
    pub fn started_for(set: &str) -> Self {
        Self { started_for: Some(set.to_owned()), ..Self::default() }
    }

    /// Refuses a command as a server does whose user lacks a role.
    pub fn forbid(mut self, command: &'static str) -> Self {
        self.refused.insert(command, UNAUTHORIZED);
        self
    }

    /// Refuses a command as a server does that has none of this name.
    pub fn without(mut self, command: &'static str) -> Self {
        self.refused.insert(command, COMMAND_NOT_FOUND);
        self
    }

    /// How often a command was heard.
    pub fn count(&self, command: &str) -> usize {
        self.heard.iter().filter(|heard| heard.keys().next().is_some_and(|name| name == command)).count()
    }

    /// Hosts and `_id`s of the set's members.
    pub fn members(&self) -> Vec<(String, i64)> {
        let config = self.config.as_ref().unwrap();
        members(config).iter().map(|member| (host(member).to_owned(), number(member, "_id"))).collect()
    }

    /// The configuration's version.
    pub fn version(&self) -> i64 {
        number(self.config.as_ref().unwrap(), "version")
    }
}

impl Member {
    /// Starts listening. `prepare` gets the member's own address, `host:port`.
    pub fn start(prepare: impl FnOnce(&str) -> State) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(prepare(&address.to_string())));
        let shared = state.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away in the middle is no failure of the test.
                tokio::spawn(converse(stream, address.to_string(), shared.clone()));
            }
        });
        Self { address, state, _runtime: runtime }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// As it is now.
    pub fn state(&self) -> State {
        self.state.lock().unwrap().clone()
    }
}

async fn converse(mut client: TcpStream, own: String, state: Arc<Mutex<State>>) -> std::io::Result<()> {
    let mut behind: Option<TcpStream> = None;
    while let Some(message) = Message::read(&mut client).await? {
        let answered = state.lock().unwrap().answer(&own, &message);
        let answer = match answered {
            Ok(answer) => message.answer(&answer),
            Err(Some(((code, name), text))) => message.error(code, name, &text),
            Err(None) => {
                let address = state.lock().unwrap().behind.clone();
                let Some(address) = address else {
                    client_error(&mut client, &message).await?;
                    continue;
                };
                let stream = match &mut behind {
                    Some(stream) => stream,
                    None => behind.insert(TcpStream::connect(address).await?),
                };
                message.write(stream).await?;
                if !message.wants_answer() {
                    continue;
                }
                let Some(answer) = Message::read(stream).await? else { return Ok(()) };
                answer
            }
        };
        if message.wants_answer() {
            answer.write(&mut client).await?;
        }
    }
    Ok(())
}

async fn client_error(client: &mut TcpStream, message: &Message) -> std::io::Result<()> {
    let (code, name) = COMMAND_NOT_FOUND;
    message.error(code, name, &format!("no such command: '{}'", message.name())).write(client).await
}

impl State {
    /// `Err(None)`: not answered here.
    fn answer(&mut self, own: &str, message: &Message) -> Result<Document, Option<Refusal>> {
        let name = message.name();
        let command = message.document().unwrap_or_default();
        let is_ours = matches!(
            name.as_str(),
            "hello"
                | "isMaster"
                | "ismaster"
                | "getCmdLineOpts"
                | "replSetInitiate"
                | "replSetGetConfig"
                | "replSetReconfig"
        );
        if !is_ours && !self.refused.contains_key(name.as_str()) {
            // What a client asks before it works, where nobody is behind.
            let ready = matches!(name.as_str(), "listCollections" | "connectionStatus" | "endSessions" | "ping");
            return match (&self.behind, ready) {
                (None, true) => Ok(doc! { "cursor": { "id": 0_i64, "ns": "", "firstBatch": [] }, "ok": 1.0 }),
                _ => Err(None),
            };
        }
        self.heard.push(command.clone());
        if let Some(code) = self.refused.get(name.as_str()) {
            return Err(Some((*code, format!("not authorized on admin to execute command {name}"))));
        }
        let answer = match name.as_str() {
            "getCmdLineOpts" => Ok(self.options()),
            "replSetInitiate" => self.initiate(own, command.get_document("replSetInitiate").ok()),
            "replSetGetConfig" => self.get_config(command.get_bool("commitmentStatus").unwrap_or_default()),
            "replSetReconfig" => self.reconfigure(own, command.get_document("replSetReconfig").unwrap()),
            _ => Ok(self.hello(own)),
        };
        answer
            .map(|mut answer| {
                answer.insert("ok", 1.0);
                answer
            })
            .map_err(Some)
    }

    /// <https://www.mongodb.com/docs/manual/reference/command/hello/>: a member of a set that is not initiated says
    /// `isreplicaset`, one of an initiated set names it and its members, and the primary once there is one.
    fn hello(&mut self, own: &str) -> Document {
        let is_elected = self.config.is_none() || self.electing == 0;
        if !is_elected {
            self.electing -= 1;
        }
        let mut hello = doc! {
            "helloOk": true, "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000, "logicalSessionTimeoutMinutes": 30, "minWireVersion": 0, "maxWireVersion": 21,
            "readOnly": false,
        };
        let writable = match (&self.config, &self.started_for) {
            (Some(config), _) => {
                let hosts: Vec<&str> = members(config).iter().map(|member| host(member)).collect();
                let other = hosts.iter().copied().find(|host| *host != own);
                let primary = if self.is_secondary { other } else { Some(own).filter(|_| is_elected) };
                hello.extend(
                    doc! { "setName": config.get_str("_id").unwrap(), "setVersion": self.version(), "me": own },
                );
                hello.extend(primary.map(|primary| ("primary".to_owned(), Bson::from(primary))));
                hello.insert("hosts", hosts);
                primary == Some(own)
            }
            (None, Some(_)) => {
                hello.insert("isreplicaset", true);
                hello.insert("info", "Does not have a valid replica set config");
                false
            }
            (None, None) => true,
        };
        hello.extend(doc! { "isWritablePrimary": writable, "ismaster": writable, "secondary": self.config.is_some() && !writable });
        hello
    }

    /// <https://www.mongodb.com/docs/manual/reference/command/getCmdLineOpts/>
    fn options(&self) -> Document {
        match self.started_for.as_ref().filter(|_| !self.hides_options) {
            Some(set) => doc! {
                "argv": ["mongod", "--replSet", set.as_str()], "parsed": { "replication": { "replSet": set.as_str() } },
            },
            None => doc! { "argv": ["mongod"], "parsed": {} },
        }
    }

    /// <https://www.mongodb.com/docs/manual/reference/command/replSetInitiate/>: once, on a member of a set with that
    /// name, and it must be one of those that the configuration names.
    fn initiate(&mut self, own: &str, config: Option<&Document>) -> Result<Document, Refusal> {
        let Some(set) = &self.started_for else {
            return Err((NO_REPLICATION, "This node was not started with replication enabled.".to_owned()));
        };
        if self.config.is_some() {
            return Err((ALREADY_INITIALIZED, "already initialized".to_owned()));
        }
        let config = config.ok_or_else(|| (INVALID_CONFIG, "no configuration specified".to_owned()))?;
        if config.get_str("_id").ok() != Some(set.as_str()) || members(config).is_empty() {
            return Err((INVALID_CONFIG, format!("the configuration is not one of the set {set}")));
        }
        if !members(config).iter().any(|member| host(member) == own) {
            return Err((NODE_NOT_FOUND, "No host described in new configuration maps to this node".to_owned()));
        }
        let mut config = config.clone();
        config.extend(doc! { "version": 1, "term": 1_i64 });
        self.config = Some(config);
        Ok(doc! {})
    }

    /// <https://www.mongodb.com/docs/manual/reference/command/replSetGetConfig/>: `commitmentStatus` only on the primary.
    fn get_config(&mut self, with_status: bool) -> Result<Document, Refusal> {
        let Some(config) = &self.config else {
            return Err((NOT_YET_INITIALIZED, "no replset config has been received".to_owned()));
        };
        let mut answer = doc! { "config": config.clone() };
        if with_status {
            if self.is_secondary {
                return Err((NOT_PRIMARY, "commitmentStatus is only supported on primary.".to_owned()));
            }
            answer.insert("commitmentStatus", self.uncommitted == 0);
            self.uncommitted = self.uncommitted.saturating_sub(1);
        }
        Ok(answer)
    }

    /// <https://www.mongodb.com/docs/manual/reference/command/replSetReconfig/>: on the primary, which must stay a member;
    /// with a greater version; at most one voting member more or less; once a majority has the one before.
    fn reconfigure(&mut self, own: &str, next: &Document) -> Result<Document, Refusal> {
        if self.is_secondary {
            return Err((NOT_PRIMARY, "replSetReconfig should only be run on a writable PRIMARY".to_owned()));
        }
        if self.uncommitted > 0 {
            return Err((NOT_COMMITTED, "the current configuration is not majority committed".to_owned()));
        }
        let Some(config) = &mut self.config else {
            return Err((NOT_YET_INITIALIZED, "no replset config has been received".to_owned()));
        };
        if self.overtaken > 0 {
            self.overtaken -= 1;
            config.insert("version", number(config, "version") + 1);
        }
        let (before, after) = (number(config, "version"), number(next, "version"));
        if after <= before {
            let text = format!(
                "New replica set configuration version must be greater than old, but {after} is not greater than {before}"
            );
            return Err((INCOMPATIBLE_CONFIG, text));
        }
        let ids: BTreeSet<i64> = members(next).iter().map(|member| number(member, "_id")).collect();
        if ids.len() != members(next).len() {
            return Err((INCOMPATIBLE_CONFIG, "Found two member configurations with same _id field".to_owned()));
        }
        // <https://www.mongodb.com/docs/manual/reference/limits/>
        let votes = voters(next).len();
        if votes > 7 {
            let text = format!("Replica set configuration contains {votes} voting members, but must be at most 7");
            return Err((INCOMPATIBLE_CONFIG, text));
        }
        if voters(config).symmetric_difference(&voters(next)).count() > 1 {
            let text = "Non force replica set reconfig can only add or remove at most 1 voting member.";
            return Err((INCOMPATIBLE_CONFIG, text.to_owned()));
        }
        if !members(next).iter().any(|member| host(member) == own) {
            return Err((NODE_NOT_FOUND, "No host described in new configuration maps to this node".to_owned()));
        }
        *config = next.clone();
        self.uncommitted = self.asks_until_committed;
        Ok(doc! {})
    }
}

fn members(config: &Document) -> Vec<&Document> {
    config.get_array("members").unwrap().iter().map(|member| member.as_document().unwrap()).collect()
}

fn host(member: &Document) -> &str {
    member.get_str("host").unwrap()
}

/// Members vote unless they are told not to.
fn voters(config: &Document) -> BTreeSet<String> {
    let voting = |member: &&Document| member.get_i32("votes").ok() != Some(0);
    members(config).into_iter().filter(voting).map(|member| host(member).to_owned()).collect()
}

fn number(document: &Document, name: &str) -> i64 {
    document.get_i64(name).or_else(|_| document.get_i32(name).map(i64::from)).unwrap()
}
