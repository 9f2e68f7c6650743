//! A lease on a node's key: of several processes with one key on one database, one at a time writes for the node.
//!
//! A document of the collection `leases` for each key. The holder renews it; whoever has seen no renewal for as long as
//! a lease lasts, by its own monotonic clock, takes it over by compare-and-set, with an epoch that is one higher. (Nobody's
//! wall clock matters; the server's tells only which lease is so old that it need not be watched first.) The holder counts
//! from before it asked for its last renewal: when the time is over it writes nothing more until the server has confirmed
//! that nobody else took over, so a process that was stopped for a while does no harm when it goes on.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::fault;
use super::shared::Shared;
use crate::store::database::Duty;
use crate::store::{Result, StoreError};

/// How often it is renewed, or asked for, in one time to live.
const RENEWALS: u32 = 6;

/// A lease that was renewed so many times its duration ago is free, by the server's clock.
const LONG: u32 = 5;

/// Nobody has the lease.
const NOBODY: ObjectId = ObjectId::from_bytes([0; 12]);

/// This process's claim.
pub struct Lease {
    /// Who asks: no two processes are the same.
    process: ObjectId,
    /// The same for people.
    name: String,
    lasts: Duration,
    /// Until when this process may write.
    until: Mutex<Option<Instant>>,
    /// Another process's claim, and since when it looks like this.
    watched: Mutex<Option<(Claim, Instant)>>,
    duty: watch::Sender<Duty>,
}

impl Lease {
    /// Not asked for yet. `name` tells people which process this is.
    pub fn new(name: String, lasts: Duration) -> Self {
        let (until, watched) = (Mutex::new(None), Mutex::new(None));
        Self { process: ObjectId::new(), name, lasts, until, watched, duty: watch::Sender::new(Duty::Unknown) }
    }

    /// What is known now, and whatever changes.
    pub fn duty(&self) -> watch::Receiver<Duty> {
        self.duty.subscribe()
    }

    /// Whether a claim has looked the same for as long as a lease lasts.
    fn silent(&self, found: Claim, now: Instant) -> bool {
        let mut watched = self.watched.lock();
        match *watched {
            Some((claim, since)) if claim == found => now.duration_since(since) > self.lasts,
            _ => {
                *watched = Some((found, now));
                false
            }
        }
    }

    /// Whether this process may write for its node.
    fn check(&self) -> Result<()> {
        if self.until.lock().is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        Err(StoreError::Unavailable(
            "the database has not confirmed lately that this process alone works with its node's key".to_owned(),
        ))
    }
}

/// What another process's claim looks like. It changes with each renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    process: ObjectId,
    epoch: i64,
    renewals: i64,
}

impl Claim {
    fn read(document: &Document) -> Self {
        let number =
            |name| document.get_i64(name).or_else(|_| document.get_i32(name).map(i64::from)).unwrap_or_default();
        let process = document.get_object_id("process").unwrap_or(NOBODY);
        Self { process, epoch: number("epoch"), renewals: number("renewals") }
    }

    fn ours(document: &Document) -> Duty {
        Duty::Ours { epoch: u64::try_from(Self::read(document).epoch).unwrap_or_default() }
    }
}

impl Shared {
    /// Refuses to write for the node while another process may be doing so. Whoever never asked for the lease is not
    /// one that competes.
    pub fn may_write(&self) -> Result<()> {
        self.lease.get().map_or(Ok(()), Lease::check)
    }

    /// Renews the lease, takes it, or finds out who has it.
    async fn claim(&self, lease: &Lease) -> Result<Duty> {
        let unavailable = |e: mongodb::error::Error| fault::unavailable(&e);
        let (asked, key) = (Instant::now(), self.node.to_string());
        let renewal = doc! { "$inc": { "renewals": 1_i64 }, "$currentDate": { "renewed": true } };
        let update = self.leases.find_one_and_update(doc! { "_id": &key, "process": lease.process }, renewal);
        if let Some(document) = update.return_document(ReturnDocument::After).await.map_err(unavailable)? {
            *lease.until.lock() = Some(asked + lease.lasts);
            return Ok(Claim::ours(&document));
        }
        *lease.until.lock() = None;
        let Some(document) = self.leases.find_one(doc! { "_id": &key }).await.map_err(unavailable)? else {
            // The first one ever: there is a document to compete for from now on.
            let vacant = doc! { "_id": key, "process": NOBODY, "name": "", "epoch": 0_i64, "renewals": 0_i64 };
            fault::inserted(self.leases.insert_one(vacant).await)?;
            return Ok(Duty::Unknown);
        };
        let found = Claim::read(&document);
        let Claim { process, epoch, renewals } = found;
        if process == NOBODY || lease.silent(found, asked) || self.long_dead(&document, lease.lasts).await? {
            let as_found = doc! { "_id": key, "process": process, "epoch": epoch, "renewals": renewals };
            let mine = doc! {
                "$set": { "process": lease.process, "name": &lease.name },
                "$inc": { "epoch": 1_i64, "renewals": 1_i64 },
                "$currentDate": { "renewed": true },
            };
            let update = self.leases.find_one_and_update(as_found, mine).return_document(ReturnDocument::After);
            if let Some(document) = update.await.map_err(unavailable)? {
                *lease.until.lock() = Some(asked + lease.lasts);
                return Ok(Claim::ours(&document));
            }
        }
        Ok(Duty::Theirs { holder: document.get_str("name").unwrap_or("unknown").to_owned() })
    }

    /// Whether the last renewal is so old, by the server's clock, that nobody need watch for another.
    async fn long_dead(&self, document: &Document, lasts: Duration) -> Result<bool> {
        let Ok(renewed) = document.get_datetime("renewed") else { return Ok(false) };
        let answer = self.database.run_command(doc! { "hello": 1 }).await.map_err(|e| fault::unavailable(&e))?;
        let Ok(now) = answer.get_datetime("localTime") else { return Ok(false) };
        let age = now.timestamp_millis().saturating_sub(renewed.timestamp_millis());
        Ok(u128::try_from(age).is_ok_and(|age| age > (lasts * LONG).as_millis()))
    }

    /// Gives it back: whoever waits for it need not wait until it runs out.
    pub async fn release(&self) -> Result<()> {
        let Some(lease) = self.lease.get() else { return Ok(()) };
        *lease.until.lock() = None;
        let mine = doc! { "_id": self.node.to_string(), "process": lease.process };
        let free = doc! { "$set": { "process": NOBODY, "name": "" }, "$inc": { "renewals": 1_i64 } };
        self.leases.update_one(mine, free).await.map_err(|e| fault::unavailable(&e))?;
        Ok(())
    }
}

/// Runs for as long as the store is open.
pub async fn run(shared: Arc<Shared>) {
    let Some(lease) = shared.lease.get() else { return };
    let mut ticks = tokio::time::interval(lease.lasts / RENEWALS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut now = shared.claim(lease).await;
        if let Ok(Duty::Unknown) = now {
            now = shared.claim(lease).await;
        }
        let now = now.unwrap_or_else(|error| {
            tracing::debug!(%error, "the lease on this node's key could not be renewed");
            Duty::Unknown
        });
        lease.duty.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
    }
}

/// What people find this process by.
pub fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let host = host.map_or_else(|_| "an unnamed host".to_owned(), |name| name.trim().to_owned());
    format!("process {} on {host}", std::process::id())
}
