//! Which of several operators works: the one that holds a Lease (`coordination.k8s.io/v1`).
//!
//! The holder renews the Lease; the others wait until it is free, or was not renewed for as long as its holder promised.
//! A process judges that by when it saw the last change itself, never by a time that another machine wrote: clocks differ.
//! Every write names the version of the Lease that it was decided on, so of two that take it at once one is refused.
//!
//! A holder stops after two thirds of that time without a renewal, counted from before it sent the last one that
//! succeeded; the last third is for what it has under way. It cannot know that its whole machine was suspended: what it
//! writes has to be harmless if somebody else is writing too.

mod hold;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use tokio::time::{Instant, sleep, timeout};

pub use hold::{Leadership, Lost};

/// Name of the operator's Lease, unless it is given another one.
pub const NAME: &str = "bigchaindb-operator";

/// Who the API server is told has written.
const FIELD_MANAGER: &str = "bigchaindb.com/operator";

/// Who wants a Lease, and for how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Names this process and no other one, not even an earlier one of the same pod.
    pub identity: String,
    /// Others take over when it was not renewed for this long. The Lease has it in whole seconds, rounded up.
    pub duration: Duration,
    /// The holder renews it, and the others look at it, this often.
    pub renew: Duration,
}

impl Settings {
    /// The operator's: 15 seconds, renewed every 5.
    pub fn new(namespace: &str, name: &str, pod: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: format!("{pod}_{:016x}", rand::random::<u64>()),
            duration: Duration::from_secs(15),
            renew: Duration::from_secs(5),
        }
    }

    /// How long the holder goes on without a renewal.
    fn give_up(&self) -> Duration {
        self.duration * 2 / 3
    }

    /// The Lease's own measure of the duration.
    fn seconds(&self) -> i32 {
        let seconds = self.duration.as_millis().div_ceil(1000).max(1);
        i32::try_from(seconds).unwrap_or(i32::MAX)
    }
}

/// What to do about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nobody holds it, or its holder's time is over.
    Take,
    /// This process holds it.
    Renew,
    /// Somebody else holds it, until then at least.
    Wait(Instant),
}

/// Judges a Lease whose last change this process saw at `seen`. A holder that promises no time has `settings`' own.
pub fn decide(spec: &LeaseSpec, seen: Instant, now: Instant, settings: &Settings) -> Decision {
    let Some(holder) = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty()) else {
        return Decision::Take;
    };
    if holder == settings.identity {
        return Decision::Renew;
    }
    let promised = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|n| *n > 0);
    let until = seen + promised.map_or(settings.duration, Duration::from_secs);
    if now >= until { Decision::Take } else { Decision::Wait(until) }
}

/// Why the API server could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the API server did not answer within {0:?}")]
    Silence(Duration),
    #[error(transparent)]
    Refused(#[from] kube::Error),
}

impl Failure {
    /// Whether the API server answered with this HTTP status.
    fn is(&self, code: u16) -> bool {
        matches!(self, Self::Refused(kube::Error::Api(status)) if status.code == code)
    }
}

/// The Lease at the API server; no request lasts longer than a renewal's turn.
struct Remote {
    api: Api<Lease>,
    settings: Settings,
}

impl Remote {
    async fn get(&self) -> Result<Option<Lease>, Failure> {
        self.within(self.api.get_opt(&self.settings.name)).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Failure> {
        self.within(self.api.create(&parameters(), lease)).await
    }

    /// Refused with 409 unless the Lease still has the version of `lease`.
    async fn replace(&self, lease: &Lease) -> Result<Lease, Failure> {
        self.within(self.api.replace(&self.settings.name, &parameters(), lease)).await
    }

    async fn within<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        let limit = self.settings.renew / 2;
        Ok(timeout(limit, request).await.map_err(|_| Failure::Silence(limit))??)
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        holder(lease) == Some(self.settings.identity.as_str())
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

fn now() -> Option<MicroTime> {
    Some(MicroTime(jiff::Timestamp::now()))
}

/// A Lease with this process as its holder, on the version of `lease`.
fn taken(lease: Lease, settings: &Settings) -> Lease {
    let before = lease.spec.unwrap_or_default();
    let spec = LeaseSpec {
        acquire_time: now(),
        renew_time: now(),
        holder_identity: Some(settings.identity.clone()),
        lease_duration_seconds: Some(settings.seconds()),
        lease_transitions: Some(before.lease_transitions.unwrap_or(0).saturating_add(1)),
        ..LeaseSpec::default()
    };
    Lease { metadata: lease.metadata, spec: Some(spec) }
}

/// The version of the Lease that was seen last, and when it was seen first.
struct Seen {
    version: Option<String>,
    at: Instant,
}

/// Waits until this process holds the Lease, however long that takes: an API server that refuses or does not answer is
/// asked again, and the log says so once for each reason. Dropped while it waits, it may leave the Lease taken until its
/// time is over.
pub async fn acquire(client: kube::Client, settings: Settings) -> Leadership {
    let api = Api::namespaced(client, &settings.namespace);
    let remote = Remote { api, settings };
    let mut seen = None;
    let mut told = String::new();
    loop {
        // Others count from when they see it, which is later.
        let sent = Instant::now();
        let settings = &remote.settings;
        match attempt(&remote, &mut seen).await {
            Ok(Attempt::Taken(lease)) => {
                tracing::info!(lease = settings.name, identity = settings.identity, "this operator leads");
                return Leadership::start(remote, *lease, sent);
            }
            Ok(Attempt::Wait { holder, time }) => {
                if told != holder && !holder.is_empty() {
                    tracing::info!(lease = settings.name, holder, "another operator leads; standing by");
                    told = holder;
                }
                sleep(time.min(settings.renew)).await;
            }
            Err(failure) => {
                let why = failure.to_string();
                if told != why {
                    tracing::warn!(
                        lease = settings.name,
                        namespace = settings.namespace,
                        error = why,
                        "cannot get the lease; trying again"
                    );
                    told = why;
                }
                sleep(settings.renew / 5).await;
            }
        }
    }
}

enum Attempt {
    Taken(Box<Lease>),
    Wait { holder: String, time: Duration },
}

async fn attempt(remote: &Remote, seen: &mut Option<Seen>) -> Result<Attempt, Failure> {
    let settings = &remote.settings;
    let Some(lease) = remote.get().await? else {
        let metadata = ObjectMeta { name: Some(settings.name.clone()), ..ObjectMeta::default() };
        let created = remote.create(&taken(Lease { metadata, spec: None }, settings)).await;
        return outcome(created);
    };
    let now = Instant::now();
    let version = &lease.metadata.resource_version;
    let at = match seen {
        Some(seen) if seen.version == *version => seen.at,
        _ => seen.insert(Seen { version: version.clone(), at: now }).at,
    };
    let spec = lease.spec.clone().unwrap_or_default();
    match decide(&spec, at, now, settings) {
        Decision::Take | Decision::Renew => outcome(remote.replace(&taken(lease, settings)).await),
        Decision::Wait(until) => {
            Ok(Attempt::Wait { holder: spec.holder_identity.unwrap_or_default(), time: until - now })
        }
    }
}

/// Somebody was quicker: the next look shows who.
fn outcome(written: Result<Lease, Failure>) -> Result<Attempt, Failure> {
    match written {
        Ok(lease) => Ok(Attempt::Taken(Box::new(lease))),
        Err(failure) if failure.is(409) => Ok(Attempt::Wait { holder: String::new(), time: Duration::ZERO }),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(holder: &str, seconds: Option<i32>) -> LeaseSpec {
        // A time that says nothing to anybody else.
        let renew_time = Some(MicroTime(jiff::Timestamp::UNIX_EPOCH));
        let holder_identity = Some(holder.to_owned());
        LeaseSpec { holder_identity, lease_duration_seconds: seconds, renew_time, ..LeaseSpec::default() }
    }

    #[test]
    fn a_lease_is_taken_when_its_holders_time_is_over_since_we_saw_it_change() {
        let settings = Settings { identity: "us".to_owned(), ..Settings::new("system", NAME, "pod") };
        let seen = Instant::now();
        let check = |spec: LeaseSpec, seconds: u64, expected: Decision| {
            assert_eq!(decide(&spec, seen, seen + Duration::from_secs(seconds), &settings), expected, "{spec:?}");
        };
        let wait = |seconds| Decision::Wait(seen + Duration::from_secs(seconds));
        check(LeaseSpec::default(), 0, Decision::Take);
        check(held("", Some(15)), 0, Decision::Take);
        check(held("us", Some(15)), 100, Decision::Renew);
        check(held("another", Some(40)), 0, wait(40));
        check(held("another", Some(40)), 39, wait(40));
        check(held("another", Some(40)), 40, Decision::Take);
        // One that promises nothing sensible.
        for seconds in [None, Some(0), Some(-1)] {
            check(held("another", seconds), 14, wait(15));
            check(held("another", seconds), 15, Decision::Take);
        }
    }

    #[test]
    fn each_process_of_a_pod_has_a_name_of_its_own_and_stops_before_its_time_is_over() {
        let (one, two) = (Settings::new("system", NAME, "pod"), Settings::new("system", NAME, "pod"));
        assert_ne!(one.identity, two.identity);
        assert!(one.identity.starts_with("pod_"));
        assert!(one.give_up() + one.renew <= Duration::from_secs(one.seconds().try_into().unwrap_or(0)));
        let short = Settings { duration: Duration::from_millis(1200), ..one };
        assert_eq!(short.seconds(), 2);
    }
}
