//! The running server: from its start to its end.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::backend::Backend;
use crate::compatibility::Compatibility;
use crate::config::Settings;
use crate::files::{self, Files};
use crate::listener::{self, Connections};
use crate::log;
use crate::replica_set::ReplicaSet;
use crate::replica_set::itself::Listening;
use crate::tls::Tls;
use crate::users::Users;

/// Manual, "Exit Codes and Statuses for Self-Managed Deployments".
mod exit {
    /// A fault at the start, of files that TLS needs for example.
    pub const FAILED: u8 = 1;
    /// It ended without being asked to.
    pub const ABRUPT: u8 = 14;
    /// The port is taken.
    pub const NET: u8 = 48;
    /// The data belongs to another release.
    pub const NEED_UPGRADE: u8 = 62;
    /// The data cannot be used, because of another process for example.
    pub const UNCAUGHT: u8 = 100;
}

/// How long tasks may take to end.
const FAREWELL: Duration = Duration::from_millis(200);

/// Of all connections.
pub struct Server {
    pub settings: Settings,
    pub tls: Option<Tls>,
    pub users: Users,
    /// `None`: it runs alone.
    pub set: Option<Arc<ReplicaSet>>,
    pub compatibility: Compatibility,
    /// Where the backend listens.
    pub backend: SocketAddr,
    pub connections: Connections,
    pub started: Instant,
    stop: Notify,
}

impl Server {
    /// Ends the process soon.
    pub fn stop(&self) {
        self.stop.notify_one();
    }
}

/// Why it ended, and with which exit code.
struct Failure {
    code: u8,
    message: &'static str,
    reason: String,
}

impl Failure {
    fn new(code: u8, message: &'static str, reason: impl ToString) -> Self {
        Self { code, message, reason: reason.to_string() }
    }
}

/// Runs it. Returns the exit code.
pub fn run(settings: Settings) -> u8 {
    let attributes = json!({"pid": std::process::id(), "port": settings.port, "version": settings.version.to_string(),
        "dbPath": settings.db_path});
    log::info("CONTROL", 4_615_611, "initandlisten", "MongoDB starting", &attributes);
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            log::fatal("CONTROL", 0, "initandlisten", "Cannot start", &error.to_string().into());
            return exit::FAILED;
        }
    };
    let ended = runtime.block_on(live(settings));
    runtime.shutdown_timeout(FAREWELL);
    let code = match ended {
        Ok(()) => 0,
        Err(Failure { code, message, reason }) => {
            log::fatal("CONTROL", 0, "initandlisten", message, &json!({ "error": reason }));
            code
        }
    };
    log::info("CONTROL", 23138, "initandlisten", "Shutting down", &json!({ "exitCode": code }));
    code
}

async fn live(settings: Settings) -> Result<(), Failure> {
    let tls = settings.tls.clone().map(Tls::open).transpose();
    let tls = tls.map_err(|reason| Failure::new(exit::FAILED, "Failed to initialize TLS", reason))?;
    let unusable =
        |reason: io::Error| Failure::new(exit::UNCAUGHT, "DBException in initAndListen, terminating", reason);
    let listeners = listener::bind(&settings).await;
    let listeners = listeners.map_err(|reason| Failure::new(exit::NET, "Failed to set up listener", reason))?;
    let path = settings.db_path.clone();
    if !path.is_dir() {
        let reason = format!("NonExistentPath: Data directory {} not found", path.display());
        return Err(unusable(io::Error::other(reason)));
    }
    let Some(lock) = files::lock(&path).map_err(unusable)? else {
        let reason = "DBPathInUse: Unable to create/open the lock file: another mongod instance already runs on it";
        return Err(unusable(io::Error::other(format!("{reason}: {}", path.display()))));
    };
    let own = Files::open(path.join("member")).map_err(unusable)?;
    let compatibility = Compatibility::open(own.clone(), settings.version).map_err(unusable)?;
    let compatibility = compatibility.ok_or_else(|| {
        let reason = "Found a featureCompatibilityVersion that this release does not run with; see \"Release Notes\"";
        Failure::new(exit::NEED_UPGRADE, "** IMPORTANT: UPGRADE PROBLEM", reason)
    })?;
    let users = Users::open(own.clone()).map_err(unusable)?;
    let data = path.join("data");
    fs::create_dir_all(&data).map_err(unusable)?;
    let is_alone = settings.replica_set.is_none();
    let mut backend = Backend::start(&data, settings.cache, is_alone).await.map_err(unusable)?;
    let bound: Vec<SocketAddr> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let port = bound.first().map_or(settings.port, SocketAddr::port);
    let set = match settings.replica_set.clone() {
        Some(name) => {
            let listening = Listening { port, addresses: bound.iter().map(SocketAddr::ip).collect() };
            Some(ReplicaSet::open(name, listening, own).await.map_err(unusable)?)
        }
        None => None,
    };
    if let Some(file) = &settings.pid_file {
        fs::write(file, format!("{}\n", std::process::id())).map_err(unusable)?;
    }
    let server = Server {
        settings,
        tls,
        users,
        set,
        compatibility,
        backend: backend.address,
        connections: Connections::default(),
        started: Instant::now(),
        stop: Notify::new(),
    };
    let ended = serve(Arc::new(server), listeners, port, &mut backend).await;
    backend.stop().await.map_err(unusable)?;
    // As `mongod` leaves it after an ending in order.
    lock.set_len(0).map_err(unusable)?;
    ended
}

/// Until a signal, the command `shutdown`, or the end of the backend.
async fn serve(
    server: Arc<Server>,
    listeners: Vec<TcpListener>,
    port: u16,
    backend: &mut Backend,
) -> Result<(), Failure> {
    let failed = |reason: io::Error| Failure::new(exit::FAILED, "Cannot handle signals", reason);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let is_tls = if server.tls.is_some() { "on" } else { "off" };
    for listener in listeners {
        tokio::spawn(listener::accept(server.clone(), listener));
    }
    log::info("NETWORK", 23016, "listener", "Waiting for connections", &json!({"port": port, "ssl": is_tls}));
    let ended = tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        () = server.stop.notified() => Ok("shutdown"),
        status = backend.ended() => Err(Failure::new(exit::ABRUPT, "secantusd-rs has ended", status)),
    };
    if let Ok(cause) = ended {
        log::info("CONTROL", 23377, "SignalHandler", "Received signal", &json!({ "signal": cause }));
    }
    if let Some(file) = &server.settings.pid_file {
        // It is only for people.
        let _ = fs::remove_file(file);
    }
    ended.map(drop)
}
