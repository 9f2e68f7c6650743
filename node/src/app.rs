//! Composition root: opens the store, binds, spawns, awaits, drains.
//!
//! The only place that names a concrete store ([`database`]) and reads the wall clock.

pub mod database;
pub mod keyring;
pub mod mongo;
pub mod readiness;
pub mod replicas;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use ledger::block::Block;
use ledger::crypto::PrivateKey;
use ledger::rules::Rules;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use self::database::DatabaseSettings;
use self::keyring::KeyringFile;
use self::readiness::NodeReadiness;
use crate::chain::{Chain, ChainParts};
use crate::clock::Clock;
use crate::config::keyring::Keyring;
use crate::events::Events;
use crate::federation::Federation;
use crate::metrics::federation::State;
use crate::metrics::{Metrics, statsd};
use crate::pipeline::decided::Decided;
use crate::pipeline::{self, Context, Tuning};
use crate::store::database::{Database, Duty};
use crate::store::{Amount, Settings, Store, StoreError};
use crate::verifier::CachingVerifier;
use crate::web::{self, Drained, Limits, NodeInfo, WebState};
use crate::ws::{self, StreamLimits};

/// The version that the API tells: that of the server this one stands in for.
pub const VERSION: &str = "1.0.1";

/// Decoded keys remembered: 200 bytes each.
const KEYS_REMEMBERED: usize = 16 * 1024;

/// Decided blocks that may wait to be turned into texts for subscribers. (How far one of those may lag is in
/// [`StreamLimits`].)
const EVENTS_KEPT: usize = 256;

/// Seconds of counts in one statsd packet.
const STATSD_PERIOD: Duration = Duration::from_secs(1);

/// Everything a node is told from outside.
pub struct NodeSettings {
    /// Which database holds the ledger.
    pub database: DatabaseSettings,
    /// This node's key.
    pub key: Arc<PrivateKey>,
    /// Keys of the federation.
    pub keyring: Keyring,
    /// Where they were read and are read again when it changes; `None`: they stay.
    pub keyring_file: Option<PathBuf>,
    /// What the operator asks for; `None`: what the ledger records, `strict` for a new one.
    pub rules: Option<Rules>,
    /// Whether to make a ledger where there is none.
    pub initialise: bool,
    /// `host:port` of the HTTP API.
    pub api_bind: String,
    /// `host:port` of the WebSocket API.
    pub stream_bind: String,
    /// Address of the stream as clients are told, given the port that was bound.
    pub stream_url: Box<dyn Fn(u16) -> String + Send + Sync>,
    /// Host that counters are sent to, as 1.0.1 does; `None`: nowhere.
    pub statsd_host: Option<String>,
    /// What clients may use up.
    pub limits: Limits,
    /// What subscribers may use up.
    pub stream_limits: StreamLimits,
    /// The pipelines' sizes and times.
    pub tuning: Tuning,
    /// What may wait for a block before POSTs are answered 503.
    pub backlog_limit: Amount,
}

/// The wall clock.
pub fn wall_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Makes the ledger where there is none; `false`: it exists already.
pub async fn initialise(store: &dyn Store, rules: Option<Rules>, key: &PrivateKey) -> anyhow::Result<bool> {
    if store.settings().await?.is_some() {
        return Ok(false);
    }
    let settings = Settings { rules: rules.unwrap_or(Rules::Strict) };
    let genesis = Block::genesis(&[key.public_key()], wall_clock()() / 1000, key);
    match store.initialise(&settings, &genesis).await {
        // Somebody else did at the same time.
        Err(StoreError::AlreadyInitialised) => return Ok(false),
        made => made?,
    }
    tracing::info!(rules = %settings.rules, genesis = %genesis.id, "made a new ledger");
    Ok(true)
}

/// The rules that the ledger records; refuses a node that asks for others.
pub async fn recorded_rules(store: &dyn Store, asked: Option<Rules>) -> anyhow::Result<Rules> {
    let Some(Settings { rules }) = store.settings().await? else {
        bail!("there is no ledger here yet: run `bigchaindb init`, or `bigchaindb start` without `--no-init`");
    };
    match asked {
        Some(asked) if asked != rules => bail!(
            "this ledger was made with the validation rules `{rules}` and this node is configured with `{asked}`: the rules \
             of a ledger never change. Remove the setting `validation` (BIGCHAINDB_VALIDATION), or use another ledger"
        ),
        _ => Ok(rules),
    }
}

/// Puts a chain on a store that is open: for the node, and for commands that look into a ledger.
pub fn chain(store: Arc<dyn Store>, rules: Rules, federation: Federation, backlog_limit: Amount) -> Chain {
    let verifier = Arc::new(CachingVerifier::new(KEYS_REMEMBERED));
    Chain::new(ChainParts { store, rules, verifier, federation, clock: wall_clock(), backlog_limit })
}

/// Refuses what the embedded store cannot be: shared.
pub fn check_alone(federation: &Federation) -> anyhow::Result<()> {
    let others = federation.others().len();
    if others > 0 {
        bail!(
            "the keyring names {others} other node(s), but nobody else can reach the embedded store of this node, so no \
             block would ever be decided: empty the keyring (BIGCHAINDB_KEYRING), or use a shared database"
        );
    }
    Ok(())
}

/// A node that serves.
pub struct Node {
    /// Where the HTTP API listens.
    pub api: std::net::SocketAddr,
    /// Where the WebSocket API listens.
    pub stream: std::net::SocketAddr,
    store: Arc<dyn Database>,
    stages: JoinSet<pipeline::StageEnd>,
    servers: JoinSet<(&'static str, Drained)>,
    counters: Option<JoinHandle<()>>,
    reread: Option<Arc<Notify>>,
    stop_servers: watch::Sender<bool>,
    stop_stages: watch::Sender<bool>,
    stop_counters: watch::Sender<bool>,
}

/// Opens, binds and spawns. When this returns the node answers.
pub async fn start(settings: NodeSettings) -> anyhow::Result<Node> {
    let own = settings.key.public_key();
    let federation = Federation::of(own, &settings.keyring);
    let alone = matches!(settings.database, DatabaseSettings::Embedded(_));
    if alone {
        check_alone(&federation)?;
    }
    let store = database::open(&settings.database, Some(own)).await?;
    if settings.initialise {
        initialise(store.as_ref(), settings.rules, &settings.key).await?;
    }
    let rules = recorded_rules(store.as_ref(), settings.rules).await?;
    let api = bind("the HTTP API", &settings.api_bind).await?;
    let stream = bind("the WebSocket API", &settings.stream_bind).await?;
    let (api_address, stream_address) = (api.local_addr()?, stream.local_addr()?);

    let metrics = Arc::new(Metrics::new());
    database::watch(&store, &metrics);
    let events = Events::new(EVENTS_KEPT);
    let public_key = federation.node();
    let shared: Arc<dyn Store> = store.clone();
    let chain = Arc::new(chain(shared, rules, federation, settings.backlog_limit));
    let context = Context {
        chain: chain.clone(),
        key: settings.key,
        events: events.clone(),
        metrics: metrics.clone(),
        tuning: settings.tuning,
        decided: Decided::default(),
        vote_feed: Arc::default(),
        moving: Arc::default(),
    };
    let (stop_servers, stop_stages) = (watch::Sender::new(false), watch::Sender::new(false));
    let duty = store.duty();
    let mut stages = work(&context, duty.clone(), &stop_stages).await?;
    watch_federation(&metrics, &chain, duty.clone());
    let keyring_fault = watch::Sender::new(None);
    let reread = settings.keyring_file.map(|path| {
        let reread = Arc::new(Notify::new());
        let file = KeyringFile { path, chain: chain.clone(), alone, fault: keyring_fault.clone() };
        let watching = keyring::watch_file(file, reread.clone(), stop_stages.subscribe());
        stages.spawn(async move {
            watching.await;
            ("keyring", Ok(()))
        });
        reread
    });
    let state = Arc::new(WebState {
        chain: chain.clone(),
        info: NodeInfo {
            version: VERSION,
            public_key: Some(public_key),
            streams_url: (settings.stream_url)(stream_address.port()),
        },
        limits: settings.limits,
        metrics: metrics.clone(),
        readiness: Arc::new(NodeReadiness {
            store: store.clone(),
            chain: chain.clone(),
            backlog_limit: settings.backlog_limit,
            duty,
            keyring_fault: keyring_fault.subscribe(),
        }),
        in_flight: AtomicUsize::new(0),
    });
    let mut servers = JoinSet::new();
    let stop = stop_servers.subscribe();
    servers.spawn(async move { ("HTTP API", web::serve(api, state, stop).await) });
    let stop = stop_servers.subscribe();
    let (counters, limits) = (metrics.clone(), settings.stream_limits);
    servers.spawn(async move { ("WebSocket API", ws::serve(stream, events, limits, counters, stop).await) });
    let stop_counters = watch::Sender::new(false);
    let counters =
        settings.statsd_host.map(|host| tokio::spawn(send_counters(host, metrics, stop_counters.subscribe())));
    Ok(Node {
        api: api_address,
        stream: stream_address,
        store,
        stages,
        servers,
        counters,
        reread,
        stop_servers,
        stop_stages,
        stop_counters,
    })
}

/// Starts the stages, and waits until what this node has decided is up to date: until then what is long valid would seem
/// undecided.
async fn work(
    context: &Context,
    duty: watch::Receiver<Duty>,
    stop: &watch::Sender<bool>,
) -> anyhow::Result<JoinSet<pipeline::StageEnd>> {
    let mut stages = JoinSet::new();
    let settled = watch::Sender::new(false);
    let mut is_settled = settled.subscribe();
    stages.spawn(pipeline::duty::run(context.clone(), duty, settled, stop.subscribe()));
    tokio::select! {
        biased;
        Some(ended) = stages.join_next() => bail!("{}", describe(ended)),
        _ = is_settled.wait_for(|settled| *settled) => Ok(stages),
    }
}

/// Has the metrics tell who belongs to the federation.
fn watch_federation(metrics: &Metrics, chain: &Arc<Chain>, duty: watch::Receiver<Duty>) {
    // Weak, as the ledger's store holds the metrics.
    let chain = Arc::downgrade(chain);
    metrics.federation.watch(move || {
        let Some(chain) = chain.upgrade() else { return State::default() };
        let federation = chain.federation();
        State {
            generation: federation.generation(),
            active: federation.keys().len(),
            known: federation.known().len(),
            differing: chain.agreement().opinion(&federation).differing,
            on_duty: matches!(*duty.borrow(), Duty::Ours { .. }),
        }
    });
}

impl Node {
    /// What to call to have the keyring file read again at once; `None`: there is none.
    pub fn reread_keyring(&self) -> Option<impl Fn() + Send + 'static> {
        let reread = self.reread.clone()?;
        Some(move || reread.notify_one())
    }

    /// Serves until `order` is done (a signal, say), then drains. An error is a fault that ended the node by itself.
    pub async fn run_until(mut self, order: impl Future<Output = ()>) -> anyhow::Result<()> {
        let fault = tokio::select! {
            () = order => None,
            Some(ended) = self.stages.join_next() => Some(describe(ended)),
            Some(_) = self.servers.join_next() => Some("a server ended by itself".to_owned()),
            error = self.store.failed() => Some(format!("{error}")),
        };
        let drained = self.drain().await;
        match fault {
            Some(fault) => bail!("{fault}: the node stops, nothing that was confirmed is lost; start it again"),
            None => drained,
        }
    }

    /// Requests first, then the stages, then the counters of both, then the store: nothing is written after it is closed.
    async fn drain(mut self) -> anyhow::Result<()> {
        self.stop_servers.send_replace(true);
        while let Some(ended) = self.servers.join_next().await {
            match ended {
                Ok((server, Drained::Whole)) => tracing::info!(server, "stopped, all requests answered"),
                Ok((server, Drained::CutOff(n))) => tracing::warn!(server, n, "stopped, connections were cut off"),
                Err(error) => tracing::error!(%error, "a server failed"),
            }
        }
        self.stop_stages.send_replace(true);
        let stages = async { while self.stages.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_STAGES, stages).await.is_err() {
            tracing::warn!("the pipelines did not come to an end in time; they go on at the next start");
            self.stages.shutdown().await;
        }
        self.stop_counters.send_replace(true);
        if let Some(counters) = self.counters
            && let Err(error) = tokio::time::timeout(DRAIN_COUNTERS, counters).await.unwrap_or(Ok(()))
        {
            tracing::error!(%error, "the sender of statsd counters failed");
        }
        self.store.close().await.context("cannot close the database")
    }
}

/// For what the pipelines have begun when the node stops.
const DRAIN_STAGES: Duration = Duration::from_secs(10);

/// For the last counters: one packet, unless the host's name is still being looked up.
const DRAIN_COUNTERS: Duration = Duration::from_secs(1);

fn describe(ended: Result<pipeline::StageEnd, tokio::task::JoinError>) -> String {
    match ended {
        Ok((stage, Ok(()))) => format!("the {stage} stage ended by itself"),
        Ok((stage, Err(error))) => format!("the {stage} stage cannot go on: {error}"),
        Err(error) => format!("a stage failed: {error}"),
    }
}

/// Sends statsd counters for as long as the node runs. They are nobody's reason to stop a node.
async fn send_counters(host: String, metrics: Arc<Metrics>, stop: watch::Receiver<bool>) {
    let address = tokio::net::lookup_host((host.as_str(), statsd::PORT)).await.ok().and_then(|mut all| all.next());
    let Some(to) = address else {
        tracing::warn!(host, "the host for statsd counters (graphite.host) has no address: none are sent");
        return;
    };
    if let Err(error) = statsd::run(to, STATSD_PERIOD, metrics, stop).await {
        tracing::warn!(%to, %error, "cannot send statsd counters");
    }
}

async fn bind(what: &str, address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on `{address}` for {what}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;
    use crate::store::StoreError;

    async fn node(data: &std::path::Path) -> Node {
        let key = PrivateKey::from_seed(&[1; 32]);
        let settings = NodeSettings {
            database: DatabaseSettings::Embedded(data.to_owned()),
            keyring: Keyring::fixed(key.public_key(), &[]),
            keyring_file: None,
            key: Arc::new(key),
            rules: None,
            initialise: true,
            api_bind: "127.0.0.1:0".to_owned(),
            stream_bind: "127.0.0.1:0".to_owned(),
            stream_url: Box::new(|_| String::new()),
            statsd_host: None,
            limits: Limits::default(),
            stream_limits: StreamLimits::default(),
            tuning: Tuning::default(),
            backlog_limit: Amount { transactions: 10, bytes: 1 << 20 },
        };
        start(settings).await.unwrap()
    }

    #[tokio::test]
    async fn a_stage_that_ends_ends_the_node_with_its_message() {
        let ends: [(Result<(), StoreError>, &str); 2] = [
            (
                Err(StoreError::Unavailable("no answer".to_owned())),
                "the vote stage cannot go on: the database is unava",
            ),
            (Ok(()), "the vote stage ended by itself: the node stops"),
        ];
        for (end, text) in ends {
            let directory = tempfile::tempdir().unwrap();
            let mut node = node(directory.path()).await;
            let api = node.api;
            node.stages.spawn(async { ("vote", end) });
            let error = node.run_until(std::future::pending()).await.unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
            assert!(error.ends_with("nothing that was confirmed is lost; start it again"), "{error}");
            // It let go of everything: the next one starts.
            assert!(tokio::net::TcpStream::connect(api).await.is_err());
            database::open_embedded(directory.path()).unwrap().close().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_stage_that_panics_ends_the_node() {
        let directory = tempfile::tempdir().unwrap();
        let mut node = node(directory.path()).await;
        node.stages.spawn(async { panic!("for the test") });
        let error = node.run_until(std::future::pending()).await.unwrap_err().to_string();
        assert!(error.starts_with("a stage failed: task"), "{error}");
    }
    #[tokio::test]
    async fn the_last_counters_are_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let mut node = node(directory.path()).await;
        let mut stop = node.stop_counters.subscribe();
        let sender = tokio::spawn(async move {
            stop.wait_for(|stopped| *stopped).await.unwrap();
            // Longer than closing the database takes.
            let _ = tokio::time::timeout(Duration::from_millis(300), std::future::pending::<()>()).await;
        });
        let watched = sender.abort_handle();
        node.counters = Some(sender);
        node.run_until(async {}).await.unwrap();
        assert!(watched.is_finished());
    }
}
