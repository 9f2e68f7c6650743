//! The command `run`: waits to be the one operator that works, then looks after nodes until it is told to stop, or is not
//! the one any more.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::run::Arguments;
use crate::desired::MANAGER;
use crate::lease::{self, Settings};
use crate::metrics::Metrics;
use crate::reconcile::Operator;
use crate::rotation::Rotations;
use crate::serve::{self, Health, Readiness};
use crate::validate::Images;
use crate::{controller, telemetry};

/// Where a pod finds the DNS server of its Kubernetes cluster.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Runs until SIGTERM or SIGINT.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    telemetry::start(arguments.log_level, arguments.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(work(arguments))
}

async fn work(arguments: &Arguments) -> anyhow::Result<()> {
    let images = Images {
        server: arguments.image_server().map(str::to_owned),
        mongodb: arguments.image_mongodb().map(str::to_owned),
        gateway: arguments.image_gateway().map(str::to_owned),
    };
    let dns_server = match arguments.dns_server {
        Some(address) => address,
        None => dns_server(Path::new(RESOLV_CONF))?,
    };
    let client = Client::try_default().await.context("no access to a Kubernetes cluster")?;
    let listener = TcpListener::bind(arguments.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let (metrics, health, stop) = (Arc::new(Metrics::new()), Health::default(), CancellationToken::new());
    let serving = tokio::spawn(serve::serve(listener, metrics.clone(), health.clone(), stop.clone()));
    let told = stop.clone();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let signals = tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
        told.cancel();
    });
    client.apiserver_version().await.context("the API server does not answer")?;
    health.set(Readiness::Ready);
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(arguments.name.clone()) };
    let operator = Operator {
        recorder: Recorder::new(client.clone(), reporter),
        client: client.clone(),
        images,
        dns_server,
        metrics,
        rotations: Rotations::default(),
    };
    let outcome = lead(client, arguments, operator, &health, &stop).await;
    stop.cancel();
    signals.abort();
    serving.await.context("the server of metrics ended early")?;
    outcome
}

/// Works as long as this process holds the Lease.
async fn lead(
    client: Client,
    arguments: &Arguments,
    operator: Operator,
    health: &Health,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let settings = Settings::new(&arguments.namespace, &arguments.lease_name, &arguments.name);
    tracing::info!(lease = settings.name, namespace = settings.namespace, "waiting to be the operator that works");
    let mut leadership = tokio::select! {
        leadership = lease::acquire(client, settings) => leadership,
        () = stop.cancelled() => return Ok(()),
    };
    tracing::info!("this is the operator that works");
    let metrics = operator.metrics.clone();
    metrics.set_leader(true);
    health.set(Readiness::FillingCaches);
    let working = controller::run(
        operator,
        arguments.watch_namespace(),
        arguments.workers,
        || health.set(Readiness::Ready),
        stop.clone().cancelled_owned(),
    );
    let outcome = tokio::select! {
        () = working => Ok(()),
        // Dropped in the middle of whatever it does: the next one works already.
        lost = leadership.lost() => Err(anyhow::anyhow!("the Lease was lost: {lost}")),
    };
    metrics.set_leader(false);
    if outcome.is_ok() {
        leadership.release().await;
    }
    outcome
}

/// The first DNS server that this machine or pod asks.
fn dns_server(path: &Path) -> anyhow::Result<IpAddr> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let mut servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let Some(server) = servers.find_map(|rest| rest.trim().parse().ok()) else {
        bail!("{} names no DNS server: give one with --dns-server", path.display())
    };
    Ok(server)
}
