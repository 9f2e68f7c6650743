//! What clients do: requests, transactions sent, subscribers of the stream.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::seconds;

/// A path of the table of routes (or `unknown`) and a status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    route: &'static str,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

/// A broken rule, by [`ledger::error::Invalid::class`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rule {
    rule: &'static str,
}

/// See the module's page.
pub struct Clients {
    requests: Family<Answer, Counter>,
    request_seconds: Family<Route, Histogram, fn() -> Histogram>,
    connections_refused: Counter,
    posted: Counter,
    accepted: Counter,
    refused: Family<Rule, Counter>,
    subscribers: Gauge,
    subscribers_dropped: Counter,
    events_sent: Counter,
}

impl Clients {
    /// Registers everything.
    pub fn register(registry: &mut Registry) -> Self {
        let clients = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            connections_refused: Counter::default(),
            posted: Counter::default(),
            accepted: Counter::default(),
            refused: Family::default(),
            subscribers: Gauge::default(),
            subscribers_dropped: Counter::default(),
            events_sent: Counter::default(),
        };
        let r = registry;
        r.register("http_requests", "Requests answered, by route and status", clients.requests.clone());
        r.register_with_unit(
            "http_request",
            "Time from a request's headers to its answer's, by route",
            Unit::Seconds,
            clients.request_seconds.clone(),
        );
        r.register(
            "connections_refused",
            "Connections beyond the limit, of the API and the stream",
            clients.connections_refused.clone(),
        );
        r.register("intake_posted", "Transactions sent that could be read", clients.posted.clone());
        r.register("intake_accepted", "Transactions taken in with 202", clients.accepted.clone());
        r.register("intake_refused", "Transactions refused with 400, by broken rule", clients.refused.clone());
        r.register("stream_subscribers", "Open subscriptions to the stream", clients.subscribers.clone());
        r.register(
            "stream_subscribers_dropped",
            "Subscriptions that the node ended because they were too slow or silent",
            clients.subscribers_dropped.clone(),
        );
        r.register("stream_events", "Valid transactions announced on the stream", clients.events_sent.clone());
        clients
    }

    /// A request was answered; `route` is the route's path as the table of routes has it.
    pub fn answered(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Answer { route, status: status.into() }).inc();
        self.request_seconds.get_or_create(&Route { route }).observe(took.as_secs_f64());
    }

    /// A connection was turned away.
    pub fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// A transaction could be read; its rules are not checked yet. 1.0.1's `web.tx.post`.
    pub fn posted(&self) {
        self.posted.inc();
    }

    /// How many could be read so far.
    pub fn posted_total(&self) -> u64 {
        self.posted.get()
    }

    /// A transaction was taken in.
    pub fn accepted(&self) {
        self.accepted.inc();
    }

    /// A transaction was refused at the door.
    pub fn refused(&self, class: &'static str) {
        self.refused.get_or_create(&Rule { rule: class }).inc();
    }

    /// Somebody listens to the stream, until what is returned goes.
    pub fn subscribed(&self) -> Subscribed {
        self.subscribers.inc();
        Subscribed { subscribers: self.subscribers.clone() }
    }

    /// Open subscriptions.
    pub fn subscribers(&self) -> i64 {
        self.subscribers.get()
    }

    /// A subscriber was too slow, or gave no sign of life.
    pub fn subscriber_dropped(&self) {
        self.subscribers_dropped.inc();
    }

    /// Subscribers dropped so far.
    pub fn subscribers_dropped_total(&self) -> u64 {
        self.subscribers_dropped.get()
    }

    /// Valid transactions were announced.
    pub fn events_sent(&self, transactions: usize) {
        self.events_sent.inc_by(transactions as u64);
    }
}

/// Counts one subscriber as long as it lives.
pub struct Subscribed {
    subscribers: Gauge,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.subscribers.dec();
    }
}
