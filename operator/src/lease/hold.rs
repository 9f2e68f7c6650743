//! Holding a Lease: renewing it, noticing that it is lost, giving it back.

use std::fmt;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::{Failure, Remote, holder, now};

/// Why a process does not hold its Lease any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Another one holds it, or nobody (`None`), because somebody wrote so.
    Taken(Option<String>),
    /// Somebody deleted it.
    Deleted,
    /// It could not be renewed in time; with what the last try met.
    NotRenewed(String),
    /// The task that renewed it has ended.
    Ended,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(Some(holder)) => write!(f, "the lease is held by {holder} now"),
            Self::Taken(None) => write!(f, "somebody took this operator's name off the lease"),
            Self::Deleted => write!(f, "the lease was deleted"),
            Self::NotRenewed(why) => write!(f, "the lease could not be renewed in time: {why}"),
            Self::Ended => write!(f, "the lease is not renewed any more"),
        }
    }
}

/// The Lease is held, and renewed in a task of its own, until this is dropped. Dropped without
/// [`Leadership::release`], it makes others wait until the Lease's time is over.
pub struct Leadership {
    lost: watch::Receiver<Option<Lost>>,
    release: oneshot::Sender<()>,
    task: AbortOnDropHandle<()>,
}

impl Leadership {
    /// `sent`: when the request was sent that made `lease` ours.
    pub(super) fn start(remote: Remote, lease: Lease, sent: Instant) -> Self {
        let (report, lost) = watch::channel(None);
        let (release, released) = oneshot::channel();
        let held = Held { remote, lease, confirmed: sent };
        let task = AbortOnDropHandle::new(tokio::spawn(held.keep(report, released)));
        Self { lost, release, task }
    }

    /// Completes when the Lease is lost. A third of its duration is left then, in which whatever writes has to end.
    pub async fn lost(&mut self) -> Lost {
        match self.lost.wait_for(Option::is_some).await {
            Ok(lost) => lost.clone().unwrap_or(Lost::Ended),
            Err(_) => Lost::Ended,
        }
    }

    /// Gives the Lease back, so that another one need not wait. Whatever writes has to have ended before. If it does not
    /// succeed in the time that is left, the log says so.
    pub async fn release(self) {
        // A task that has ended has nothing to give back.
        let _ = self.release.send(());
        let _ = self.task.await;
    }
}

struct Held {
    remote: Remote,
    lease: Lease,
    /// When the last request was sent that succeeded.
    confirmed: Instant,
}

impl Held {
    async fn keep(mut self, report: watch::Sender<Option<Lost>>, released: oneshot::Receiver<()>) {
        tokio::select! {
            lost = self.renew_until_lost() => {
                report.send_replace(Some(lost));
                return;
            }
            Ok(()) = released => {}
        }
        let until = self.give_up();
        match timeout_at(until, self.give_back()).await {
            Ok(Ok(())) => tracing::info!(lease = self.remote.settings.name, "gave the lease back"),
            Ok(Err(failure)) => {
                tracing::warn!(error = %failure, "could not give the lease back; another operator has to wait until its time is over")
            }
            Err(_) => tracing::warn!(
                "could not give the lease back in time; another operator has to wait until its time is over"
            ),
        }
    }

    fn give_up(&self) -> Instant {
        self.confirmed + self.remote.settings.give_up()
    }

    async fn renew_until_lost(&mut self) -> Lost {
        loop {
            sleep_until(self.confirmed + self.remote.settings.renew).await;
            let until = self.give_up();
            let mut met = "no answer from the API server".to_owned();
            match timeout_at(until, self.renew(&mut met)).await {
                Ok(Ok(())) => {}
                Ok(Err(lost)) => return lost,
                Err(_) => return Lost::NotRenewed(met),
            }
        }
    }

    /// Tries until it succeeds; `met` says what the last try met.
    async fn renew(&mut self, met: &mut String) -> Result<(), Lost> {
        loop {
            let sent = Instant::now();
            let failure = match self.write(|spec| spec.renew_time = now()).await {
                Ok(()) => {
                    self.confirmed = sent;
                    return Ok(());
                }
                // Somebody changed it, or an earlier try of ours did whose answer was lost.
                Err(failure) if failure.is(409) || failure.is(404) => match self.remote.get().await {
                    Ok(Some(lease)) if self.remote.is_ours(&lease) => {
                        self.lease = lease;
                        continue;
                    }
                    Ok(Some(lease)) => return Err(Lost::Taken(holder(&lease).map(str::to_owned))),
                    Ok(None) => return Err(Lost::Deleted),
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            tracing::warn!(lease = self.remote.settings.name, error = %failure, "cannot renew the lease; trying again");
            *met = failure.to_string();
            sleep(self.remote.settings.renew / 5).await;
        }
    }

    async fn give_back(&mut self) -> Result<(), Failure> {
        let free = |spec: &mut LeaseSpec| {
            spec.holder_identity = None;
            spec.renew_time = now();
        };
        match self.write(free).await {
            // A renewal under way may have been written when it was broken off.
            Err(failure) if failure.is(409) => match self.remote.get().await? {
                Some(lease) if self.remote.is_ours(&lease) => {
                    self.lease = lease;
                    self.write(free).await
                }
                _ => Ok(()),
            },
            written => written,
        }
    }

    async fn write(&mut self, change: impl Fn(&mut LeaseSpec)) -> Result<(), Failure> {
        let mut lease = self.lease.clone();
        change(lease.spec.get_or_insert_default());
        self.lease = self.remote.replace(&lease).await?;
        Ok(())
    }
}
