//! What is said of a node: its status, and events when something changes.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Client, Resource as _, ResourceExt as _};
use serde_json::json;

use crate::api::BigchainNode;
use crate::api::status::{CertificateStatus, MemberStatus, NodeStatus};
use crate::desired::MANAGER;
use crate::desired::names::Names;
use crate::status::{Cause, SERVES, Standing, Standings, conditions};
use crate::validate::Validated;

/// After which time a node is looked at again that nothing has happened to: Secrets of users are not watched, and
/// certificates end.
pub const POLL: Duration = Duration::from_secs(60);

/// The same, of a node that somebody has to do something for.
const POLL_MENDING: Duration = Duration::from_secs(10);

/// Bytes that the API server takes in an event's note.
const LONGEST_NOTE: usize = 1000;

/// What is said of a node.
pub struct Report {
    pub standings: Standings,
    pub public_key: Option<String>,
    pub urls: Option<Urls>,
    pub certificates: Vec<CertificateStatus>,
    pub member: Option<MemberStatus>,
    /// Which certificates were issued, and why.
    pub issued: Vec<String>,
    /// What was done to the database.
    pub steps: Vec<String>,
    /// When to look again.
    pub again: Duration,
}

/// Where clients find a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    pub api: String,
    pub websocket: String,
}

impl Urls {
    /// By the gateway's server name, else by its Service's.
    pub fn of(node: &Validated) -> Self {
        let gateway = &node.gateway;
        let service = format!("{}.{}.svc", Names::of(node).gateway, node.namespace);
        let host = gateway.server_name.as_deref().unwrap_or(&service);
        let (http, websocket, default) = match gateway.tls {
            Some(_) => ("https", "wss", 443),
            None => ("http", "ws", 80),
        };
        let port = if gateway.port == default { String::new() } else { format!(":{}", gateway.port) };
        Self {
            api: format!("{http}://{host}{port}"),
            websocket: format!("{websocket}://{host}{port}/api/v1/streams/valid_transactions"),
        }
    }
}

impl Report {
    fn of(standings: Standings) -> Self {
        Self {
            standings,
            public_key: None,
            urls: None,
            certificates: Vec::new(),
            member: None,
            issued: Vec::new(),
            steps: Vec::new(),
            again: POLL,
        }
    }

    /// Nothing was done, for this reason.
    pub fn stopped(cause: Cause) -> Self {
        Self { again: POLL_MENDING, ..Self::of(Standings::stopped_at_specification(Standing::Bad(cause))) }
    }

    /// Nothing was done, as the user wants it.
    pub fn paused() -> Self {
        let standing = Standing::waiting("Paused", "spec.paused is true: nothing is changed until it is false");
        Self::of(Standings::stopped_at_specification(standing))
    }

    /// Nothing was done, as a key or certificate is missing.
    pub fn without_certificates(cause: Cause) -> Self {
        let mut report = Self::stopped(cause);
        report.standings.certificates = std::mem::replace(&mut report.standings.specification, Standing::Good);
        report
    }

    /// Writes the status if it says something new, and an event if a person wants to know.
    pub async fn publish(
        &self,
        node: &BigchainNode,
        client: &Client,
        recorder: &Recorder,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let api: Api<BigchainNode> = Api::namespaced(client.clone(), &node.namespace().unwrap_or_default());
        let mut before = node.status.clone().unwrap_or_default();
        let mut after = self.status(&before, node.metadata.generation, now);
        if before != after {
            // The watch may be behind what was written last; what is new then would be told twice.
            let Some(written) = api.get_opt(&node.name_any()).await? else { return Ok(()) };
            before = written.status.unwrap_or_default();
            after = self.status(&before, node.metadata.generation, now);
        }
        for event in self.events(&before, &after) {
            // An event that is lost is no reason to begin again.
            if let Err(error) = recorder.publish(&event, &node.object_ref(&())).await {
                tracing::warn!(node = node.name_any(), %error, "an event could not be recorded");
            }
        }
        if before == after {
            return Ok(());
        }
        let version = format!("{}/{}", crate::api::GROUP, crate::api::VERSION);
        let patch = json!({ "apiVersion": version, "kind": "BigchainNode", "status": after });
        let parameters = PatchParams::apply(MANAGER).force();
        api.patch_status(&node.name_any(), &parameters, &Patch::Apply(&patch)).await.map(drop)
    }

    /// Facts that were not looked at are as they were before; what was looked at and not found is left out.
    fn status(&self, before: &NodeStatus, generation: Option<i64>, now: Timestamp) -> NodeStatus {
        let Self { standings, public_key, urls, certificates, member, issued: _, steps: _, again: _ } = self;
        let conditions = conditions(standings, &before.conditions, generation, now);
        if !standings.is_complete() {
            return NodeStatus { observed_generation: generation, conditions, ..before.clone() };
        }
        NodeStatus {
            observed_generation: generation,
            conditions,
            public_key: public_key.clone(),
            api_url: urls.as_ref().map(|urls| urls.api.clone()),
            websocket_url: urls.as_ref().map(|urls| urls.websocket.clone()),
            member: member.clone(),
            certificates: certificates.clone(),
        }
    }

    fn events(&self, before: &NodeStatus, after: &NodeStatus) -> Vec<Event> {
        let told = |status: &NodeStatus, type_: &str| {
            let condition = status.conditions.iter().find(|condition| condition.type_ == type_);
            condition.map(|condition| (condition.status.clone(), condition.reason.clone()))
        };
        // One event for all of a kind: the recorder counts those with the same reason, and keeps the first one's note.
        let done = [("CertificateIssued", &self.issued), ("DatabaseStep", &self.steps)];
        let done = done.into_iter().filter(|(_, notes)| !notes.is_empty());
        let mut events: Vec<Event> =
            done.map(|(reason, notes)| event(EventType::Normal, reason, &notes.join("; "))).collect();
        if let Standing::Ending(cause) = &self.standings.certificates
            && told(before, "CertificatesReady") != told(after, "CertificatesReady")
        {
            events.push(event(EventType::Warning, cause.reason, &cause.message));
        }
        if let Some(cause) = self.standings.bad() {
            if told(before, "Degraded") != told(after, "Degraded") {
                events.push(event(EventType::Warning, cause.reason, &cause.message));
            }
        } else if self.standings.is_good() && told(before, "Ready") != told(after, "Ready") {
            events.push(event(EventType::Normal, "Ready", SERVES));
        }
        events
    }
}

fn event(type_: EventType, reason: &str, note: &str) -> Event {
    let end = (0..=LONGEST_NOTE.min(note.len())).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0);
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note[..end].to_owned()),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(standings: Standings) -> Report {
        let good = Report::of(standings);
        let urls = Urls { api: "https://a".to_owned(), websocket: "wss://a".to_owned() };
        Report { public_key: Some("key".to_owned()), urls: Some(urls), ..good }
    }

    #[test]
    fn facts_outlive_a_report_that_stopped_early_and_no_other() {
        let good = || Standing::Good;
        let standings = || Standings {
            specification: good(),
            certificates: good(),
            database: good(),
            server: good(),
            gateway: good(),
        };
        let member = MemberStatus { host: "a:1".to_owned(), state: "PRIMARY".to_owned() };
        let first = Report { member: Some(member.clone()), ..report(standings()) };
        let first = first.status(&NodeStatus::default(), Some(1), Timestamp::UNIX_EPOCH);
        let paused = Report::paused().status(&first, Some(2), Timestamp::UNIX_EPOCH);
        assert_eq!((paused.member.as_ref(), paused.api_url.as_deref()), (Some(&member), Some("https://a")));
        assert_eq!(paused.observed_generation, Some(2));
        // Its database is an external one now.
        let changed = report(standings()).status(&paused, Some(3), Timestamp::UNIX_EPOCH);
        assert_eq!((changed.member, changed.public_key.as_deref()), (None, Some("key")));
    }
}
