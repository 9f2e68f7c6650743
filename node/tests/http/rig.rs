//! A node with its API and its stream on ports of the system's choice, and a client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bigchaindb::chain::{Chain, ChainParts};
use bigchaindb::events::Events;
use bigchaindb::federation::Federation;
use bigchaindb::listen::Drained;
use bigchaindb::metrics::Metrics;
use bigchaindb::pipeline::decided::Decided;
use bigchaindb::pipeline::{self, Context, StageEnd, Tuning};
use bigchaindb::store::embedded::{EmbeddedStore, Options};
use bigchaindb::store::{Amount, Settings, Store};
use bigchaindb::web::{self, Check, CheckState, Limits, NodeInfo, Readiness, WebState};
use bigchaindb::ws::{self, StreamLimits};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use ledger::block::Block;
use ledger::build::{self, Recipient};
use ledger::crypto::{PrivateKey, Uncached};
use ledger::json;
use ledger::rules::Rules;
use ledger::transaction::Transaction;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Everything waits at most this long.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Fails the test if something takes longer than [`DEADLINE`].
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not in time"))
}

/// Asks again and again until the answer is yes.
pub async fn until(what: &str, mut yes: impl AsyncFnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    soon(what, async {
        while !yes().await {
            tick.tick().await;
        }
    })
    .await;
}

/// What a node is started with.
pub struct Setup {
    pub rules: Rules,
    pub limits: Limits,
    pub stream_limits: StreamLimits,
    pub backlog_limit: Amount,
    pub checks: Vec<Check>,
    /// An empty store; `None`: an embedded one.
    pub store: Option<Arc<dyn Store>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            rules: Rules::V1_0_1,
            limits: Limits::default(),
            stream_limits: StreamLimits::default(),
            backlog_limit: Amount { transactions: 10_000, bytes: 64 << 20 },
            checks: Vec::new(),
            store: None,
        }
    }
}

pub struct Node {
    pub api: SocketAddr,
    pub stream: SocketAddr,
    pub state: Arc<WebState>,
    pub events: Events,
    pub metrics: Arc<Metrics>,
    pub key: Arc<PrivateKey>,
    context: Context,
    stop: watch::Sender<bool>,
    stop_stages: watch::Sender<bool>,
    serving: JoinHandle<Drained>,
    streaming: JoinHandle<Drained>,
    stages: JoinSet<StageEnd>,
    _directory: tempfile::TempDir,
}

struct Fixed(Vec<Check>);

impl Readiness for Fixed {
    fn checks(&self) -> Vec<Check> {
        self.0.clone()
    }
}

/// A check, for [`Setup::checks`].
pub fn check(state: CheckState) -> Check {
    Check { name: "store", state, sentence: format!("The store is {}.", state.as_str()) }
}

impl Node {
    pub async fn start(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = setup.store.unwrap_or_else(|| {
            Arc::new(EmbeddedStore::open(&directory.path().join("data"), Options::default()).unwrap())
        });
        let key = Arc::new(PrivateKey::from_seed(&[1; 32]));
        let genesis = Block::genesis(&[key.public_key()], 1_500_000_000, &key);
        store.initialise(&Settings { rules: setup.rules }, &genesis).await.unwrap();
        let begun = tokio::time::Instant::now();
        let chain = Arc::new(Chain::new(ChainParts {
            store,
            rules: setup.rules,
            verifier: Arc::new(Uncached),
            federation: Federation::new(key.public_key(), &[]),
            clock: Arc::new(move || 1_500_000_000_000 + begun.elapsed().as_millis() as u64),
            backlog_limit: setup.backlog_limit,
        }));
        let events = Events::new(64);
        let metrics = Arc::new(Metrics::new());
        let stop = watch::Sender::new(false);
        let tuning =
            Tuning { block_wait: Duration::from_millis(5), block_interval: Duration::ZERO, ..Tuning::default() };
        let context = Context {
            chain: chain.clone(),
            key: key.clone(),
            events: events.clone(),
            metrics: metrics.clone(),
            tuning,
            decided: Decided::default(),
            vote_feed: Arc::default(),
            moving: Arc::default(),
        };
        let stop_stages = watch::Sender::new(false);
        let stages = pipeline::spawn(&context, &stop_stages.subscribe());

        let api_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (api, stream) = (api_listener.local_addr().unwrap(), stream_listener.local_addr().unwrap());
        let state = Arc::new(WebState {
            chain,
            info: NodeInfo {
                version: "1.0.1",
                public_key: Some(key.public_key()),
                streams_url: format!("ws://{stream}{}", ws::PATH),
            },
            limits: setup.limits,
            metrics: metrics.clone(),
            readiness: Arc::new(Fixed(setup.checks)),
            in_flight: 0.into(),
        });
        let serving = tokio::spawn(web::serve(api_listener, state.clone(), stop.subscribe()));
        let streaming =
            ws::serve(stream_listener, events.clone(), setup.stream_limits, metrics.clone(), stop.subscribe());
        let streaming = tokio::spawn(streaming);
        Self {
            api,
            stream,
            state,
            events,
            metrics,
            key,
            context,
            stop,
            stop_stages,
            serving,
            streaming,
            stages,
            _directory: directory,
        }
    }

    /// Gives the order to stop.
    pub fn order_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops, and says how the API's and the stream's connections ended.
    pub async fn stop(mut self) -> (Drained, Drained) {
        self.order_stop();
        self.stop_pipelines().await;
        let ends = (soon("the API's end", self.serving).await, soon("the stream's end", self.streaming).await);
        (ends.0.unwrap(), ends.1.unwrap())
    }

    /// From here on nothing becomes valid.
    pub async fn stop_pipelines(&mut self) {
        self.stop_stages.send_replace(true);
        while let Some(end) = soon("the stages' end", self.stages.join_next()).await {
            end.unwrap().1.unwrap();
        }
    }

    /// Takes up again what [`Self::stop_pipelines`] stopped.
    pub fn start_pipelines(&mut self) {
        self.stop_stages.send_replace(false);
        self.stages = pipeline::spawn(&self.context, &self.stop_stages.subscribe());
    }

    /// A connection of its own.
    pub async fn client(&self) -> Client {
        Client::connect(self.api).await
    }

    /// Whether a transaction is valid by now.
    pub async fn is_valid(&self, id: &str) -> bool {
        let status = self.state.chain.transaction_status(&id.parse().unwrap()).await.unwrap();
        status.is_some_and(|status| status.as_str() == "valid")
    }
}

/// A client with one connection that is kept alive.
pub struct Client {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        // Ends with the sender; how it ends shows in the answers.
        tokio::spawn(connection);
        Self { address, sender }
    }

    pub async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        soon(path, self.try_ask(method, path, headers, body)).await.unwrap()
    }

    pub async fn try_ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> hyper::Result<Answer> {
        let mut request = Request::new(Full::new(body.into()));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert(HOST, HeaderValue::from_str(&self.address.to_string()).unwrap());
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    pub async fn post(&mut self, body: impl Into<Bytes>) -> Answer {
        self.ask("POST", "/api/v1/transactions", &[("content-type", "application/json")], body).await
    }
}

/// A signed CREATE; `n` makes it unlike others.
pub fn create(signer: &PrivateKey, n: i64) -> Transaction {
    let me = signer.public_key();
    let text = format!(r#"{{"n": {n}}}"#);
    let asset = json::parse(text.as_bytes()).unwrap();
    let to = [Recipient { public_keys: vec![me], amount: 1 }];
    let unsigned = build::create(&[me], &to, Some(asset), None).unwrap();
    let signed = build::sign(&unsigned, std::slice::from_ref(signer)).unwrap();
    Transaction::from_value(&signed).unwrap()
}

/// The owner of everything in these tests.
pub fn owner() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}
