//! Feeds: what is still open first, then what is written from then on, by a change stream.
//!
//! The stream is opened before the scan, so that nothing falls between them, and gives ids only: a block near 16 MB
//! would break it. What a scan gave is not given again. A position holds the stream's resume token and, within a scan,
//! how far it came; one of them is kept for the process after this one (see [`super::voted`]). When the server remembers a
//! token no longer, everything that is open is scanned again, and what else may have been missed since.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Document, Timestamp, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::{ChangeStreamEvent, ResumeToken};
use mongodb::error::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::fault;
use super::shared::Shared;
use crate::store::{Batch, Position, Result, StoreError};

/// Documents that are fetched at once.
const FETCH: usize = 1000;

/// The pause after a failure; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The server no longer has the history that a resume token points into, or never had: `ChangeStreamHistoryLost`,
/// `ChangeStreamFatalError`, `InvalidResumeToken`.
const HISTORY_LOST: [i32; 3] = [286, 280, 260];

/// What one feed is about.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// What it gives.
    type Item: Send + 'static;

    /// For messages: `blocks`.
    fn name(&self) -> &'static str;

    /// What the feeds have in common.
    fn shared(&self) -> &Shared;

    /// The collection that is watched.
    fn collection(&self) -> Collection<RawDocumentBuf>;

    /// Ids of what is open, in the order in which it is given. `since`: when a stream was left that the server remembers
    /// no longer; what is not open any more and was not dealt with is among them then.
    async fn open(&self, since: Option<Timestamp>) -> Result<Vec<ObjectId>>;

    /// Documents by id, in the same order, those that are gone or do not read left out. The number tells two states of
    /// one document apart.
    async fn fetch(&self, ids: &[ObjectId]) -> Result<Vec<(ObjectId, u64, Self::Item)>>;
}

/// Where a feed stands; at first, where everything that is open is scanned.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Place {
    /// Go on in the stream after this; absent where a new one is opened.
    token: Option<ResumeToken>,
    /// What was written before was seen, but for what the scan comes to.
    since: Option<Timestamp>,
    /// The scan came up to this document; absent when it is done.
    scanned: Option<ObjectId>,
}

impl Place {
    /// From there on everything that is open is given, and all that was written since this time.
    pub fn since(time: Option<Timestamp>) -> Self {
        Self { since: time, ..Self::default() }
    }

    /// As it is handed out.
    pub fn position(&self) -> Result<Position> {
        let bytes = mongodb::bson::serialize_to_vec(self);
        let bytes = bytes.map_err(|e| StoreError::Damaged(format!("a resume token cannot be kept: {e}")))?;
        Ok(Position(Bytes::from(bytes)))
    }

    /// One that came back.
    pub fn read(position: &Position) -> Result<Self> {
        mongodb::bson::deserialize_from_slice(&position.0)
            .map_err(|e| StoreError::Damaged(format!("a place in a feed does not read: {e}")))
    }
}

struct Running<T> {
    /// What the caller has seen.
    at: Option<Position>,
    items: mpsc::Receiver<(T, Position)>,
    _task: AbortOnDropHandle<()>,
}

/// One feed, read by a task of its own: a caller that stops waiting interrupts no operation of the driver.
pub struct Feed<S: Source> {
    source: Arc<S>,
    running: Mutex<Option<Running<S::Item>>>,
    /// Items that are read ahead.
    ahead: usize,
    /// How long the server waits before it says that there is nothing.
    wait: Duration,
    /// Counts answers that there is nothing more.
    idle: watch::Sender<u64>,
    /// Whether anybody has asked for items.
    read: AtomicBool,
}

impl<S: Source> Feed<S> {
    /// A feed that nobody reads yet.
    pub fn new(source: S, ahead: usize, wait: Duration) -> Self {
        let (source, running, idle) = (Arc::new(source), Mutex::new(None), watch::Sender::new(0));
        Self { source, running, ahead, wait, idle, read: AtomicBool::new(false) }
    }

    /// Waits until the stream has been found empty twice from now on: what was written before has been read. Does not
    /// wait for a feed that nobody reads.
    pub async fn caught_up(&self) {
        if !self.read.load(Ordering::Relaxed) {
            return;
        }
        let mut idle = self.idle.subscribe();
        let enough = *idle.borrow_and_update() + 2;
        // The sender is here.
        let _ = idle.wait_for(|rounds| *rounds >= enough).await;
    }

    /// See [`crate::store::Store`].
    pub async fn next(&self, after: Option<&Position>, limit: usize) -> Result<Batch<S::Item>> {
        let mut slot = self.running.lock().await;
        loop {
            let running = match slot.take() {
                Some(running) if after.is_some() && running.at.as_ref() == after => slot.insert(running),
                // Whoever has no place asks for what is open now, even if that was asked before.
                _ => slot.insert(self.start(after)?),
            };
            let mut received = Vec::new();
            if running.items.recv_many(&mut received, limit.max(1)).await == 0 {
                // The task is gone: start another.
                *slot = None;
                continue;
            }
            let (items, mut positions): (Vec<_>, Vec<_>) = received.into_iter().unzip();
            if let Some(position) = positions.pop() {
                running.at = Some(position.clone());
                return Ok(Batch { items, position });
            }
        }
    }

    fn start(&self, after: Option<&Position>) -> Result<Running<S::Item>> {
        let place = after.map(Place::read).transpose()?.unwrap_or_default();
        self.read.store(true, Ordering::Relaxed);
        let (items, received) = mpsc::channel(self.ahead);
        let idle = self.idle.clone();
        let mut reader = Reader { source: self.source.clone(), wait: self.wait, items, idle, given: HashMap::new() };
        let task = tokio::spawn(async move { reader.run(place).await });
        Ok(Running { at: after.cloned(), items: received, _task: AbortOnDropHandle::new(task) })
    }
}

/// Why a reader stopped.
enum Stopped {
    /// Nobody reads the feed any more.
    Unread,
    /// The server failed; the place is where to go on.
    Failed(StoreError, Option<Place>),
    /// The server has forgotten the place, which was this or the one that was begun with.
    Forgotten(Option<Place>),
}

struct Reader<S: Source> {
    source: Arc<S>,
    wait: Duration,
    items: mpsc::Sender<(S::Item, Position)>,
    idle: watch::Sender<u64>,
    /// States that were given and that the stream may tell of again.
    given: HashMap<ObjectId, u64>,
}

impl<S: Source> Reader<S> {
    async fn run(&mut self, mut place: Place) {
        let mut pause = PAUSE;
        loop {
            let begun = Instant::now();
            let stopped = self.read(place.clone()).await;
            if begun.elapsed() > LONGEST_PAUSE {
                pause = PAUSE;
            }
            let (feed, pause_ms) = (self.source.name(), pause.as_millis() as u64);
            place = match stopped {
                Stopped::Unread => return,
                Stopped::Failed(error, reached) => {
                    tracing::warn!(feed, %error, pause_ms, "a feed was interrupted");
                    reached.unwrap_or(place)
                }
                Stopped::Forgotten(reached) => {
                    tracing::warn!(feed, "the server has no history since then: reading all that is open");
                    Place::since(reached.unwrap_or(place).since)
                }
            };
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn read(&mut self, place: Place) -> Stopped {
        let mut stream = match self.watch(place.token.as_ref()).await {
            Ok(stream) => stream,
            Err(error) => return stopped(&error, None),
        };
        let scanning = place.token.is_none() || place.scanned.is_some();
        let mut reached = place;
        if reached.token.is_none() {
            reached.token = match self.token(&mut stream).await {
                Ok(token) => Some(token),
                Err(stop) => return stop,
            };
        }
        if scanning && let Err(stop) = self.scan(&mut reached).await {
            return stop;
        }
        self.follow(stream, reached).await
    }

    async fn watch(
        &self,
        after: Option<&ResumeToken>,
    ) -> mongodb::error::Result<ChangeStream<ChangeStreamEvent<Document>>> {
        let pipeline = [
            // Nobody's documents have other keys, and a text that is none would break the stream each time.
            doc! { "$match": {
                "operationType": { "$in": ["insert", "update", "replace"] },
                "documentKey._id": { "$type": "objectId" },
            } },
            doc! { "$project": { "_id": 1, "operationType": 1, "documentKey": 1, "clusterTime": 1 } },
        ];
        let collection = self.source.collection().clone_with_type::<Document>();
        collection.watch().pipeline(pipeline).max_await_time(self.wait).resume_after(after.cloned()).await
    }

    /// Where a new stream begins. Servers that do not say so at once say so with their first answer.
    async fn token(
        &self,
        stream: &mut ChangeStream<ChangeStreamEvent<Document>>,
    ) -> std::result::Result<ResumeToken, Stopped> {
        loop {
            if let Some(token) = stream.resume_token() {
                return Ok(token);
            }
            match stream.next_if_any().await {
                // It will be found by the scan, too.
                Ok(_) => {}
                Err(error) => return Err(stopped(&error, None)),
            }
        }
    }

    /// Gives what is open. The last item's position says that the scan is done.
    async fn scan(&mut self, reached: &mut Place) -> std::result::Result<(), Stopped> {
        let failed = |error, place: &Place| Stopped::Failed(error, place.scanned.is_some().then(|| place.clone()));
        self.source.shared().see_all_written().await.map_err(|e| failed(e, reached))?;
        let now = self.source.shared().clock.now();
        let mut ids = self.source.open(reached.since).await.map_err(|e| failed(e, reached))?;
        if let Some(after) = reached.scanned
            && let Some(place) = ids.iter().position(|id| *id == after)
        {
            ids.drain(..=place);
        }
        let mut held: Option<(ObjectId, S::Item)> = None;
        for chunk in ids.chunks(FETCH) {
            let found = self.source.fetch(chunk).await.map_err(|e| failed(e, reached))?;
            for (id, state, item) in found {
                self.given.insert(id, state);
                if let Some((id, item)) = held.replace((id, item)) {
                    reached.scanned = Some(id);
                    self.give(item, reached).await?;
                }
            }
        }
        (reached.since, reached.scanned) = (now, None);
        if let Some((_, item)) = held {
            self.give(item, reached).await?;
        }
        Ok(())
    }

    async fn follow(&mut self, stream: ChangeStream<ChangeStreamEvent<Document>>, mut reached: Place) -> Stopped {
        let (told, mut news) = mpsc::channel(FETCH);
        let _pump = AbortOnDropHandle::new(tokio::spawn(pump(stream, told)));
        loop {
            let mut events = Vec::new();
            let mut batch = Vec::new();
            if news.recv_many(&mut batch, FETCH).await == 0 {
                return Stopped::Failed(StoreError::Unavailable("the stream was cut off".to_owned()), Some(reached));
            }
            let mut ending = None;
            let mut idle = 0;
            for news in batch {
                match news {
                    News::Event(id, token, time) => {
                        self.source.shared().clock.advance(time);
                        events.push((id, Place { token: Some(token), since: time.or(reached.since), scanned: None }));
                    }
                    News::Nothing => idle += 1,
                    News::Failed(error) => ending = Some(error),
                }
            }
            if let Err(stop) = self.pass_on(events, &mut reached).await {
                return stop;
            }
            if let Some(error) = ending {
                return stopped(&error, Some(reached));
            }
            if idle > 0 {
                self.idle.send_modify(|rounds| *rounds += idle);
                if self.items.is_closed() {
                    return Stopped::Unread;
                }
            }
        }
    }

    async fn pass_on(
        &mut self,
        events: Vec<(ObjectId, Place)>,
        reached: &mut Place,
    ) -> std::result::Result<(), Stopped> {
        if events.is_empty() {
            return Ok(());
        }
        let ids: Vec<ObjectId> = events.iter().map(|(id, _)| *id).collect();
        let found = self.source.fetch(&ids).await.map_err(|error| Stopped::Failed(error, Some(reached.clone())))?;
        let mut found: HashMap<ObjectId, (u64, S::Item)> =
            found.into_iter().map(|(id, state, item)| (id, (state, item))).collect();
        for (id, place) in events {
            if let Some((state, item)) = found.remove(&id)
                && self.given.insert(id, state) != Some(state)
            {
                self.give(item, &place).await?;
            }
            *reached = place;
        }
        if self.given.len() > 100 * FETCH {
            // Only what the stream may tell of again must be known, and that is recent.
            self.given.clear();
        }
        Ok(())
    }

    async fn give(&self, item: S::Item, place: &Place) -> std::result::Result<(), Stopped> {
        let position = place.position().map_err(|error| Stopped::Failed(error, None))?;
        self.items.send((item, position)).await.map_err(|_| Stopped::Unread)
    }
}

/// What a stream tells.
enum News {
    /// A document was written.
    Event(ObjectId, ResumeToken, Option<Timestamp>),
    /// The server has nothing more for now.
    Nothing,
    /// The end.
    Failed(Error),
}

/// Reads a stream, one event at a time as the driver gives them; whoever takes them takes many at once.
async fn pump(mut stream: ChangeStream<ChangeStreamEvent<Document>>, told: mpsc::Sender<News>) {
    loop {
        let news = match stream.next_if_any().await {
            Ok(None) if stream.is_alive() => News::Nothing,
            Ok(None) => News::Failed(Error::custom("the stream has ended")),
            Ok(Some(event)) => match event.document_key.as_ref().and_then(|key| key.get_object_id("_id").ok()) {
                Some(id) => News::Event(id, event.id, event.cluster_time),
                // Nobody's document: ours all have such an id.
                None => continue,
            },
            Err(error) => News::Failed(error),
        };
        let last = matches!(news, News::Failed(_));
        if told.send(news).await.is_err() || last {
            return;
        }
    }
}

fn stopped(error: &Error, reached: Option<Place>) -> Stopped {
    match error.kind.as_ref() {
        ErrorKind::Command(failure) if HISTORY_LOST.contains(&failure.code) => Stopped::Forgotten(reached),
        // Ours: the collection was dropped. A stream that goes on after the same token would end there again.
        ErrorKind::Custom(_) => Stopped::Forgotten(reached),
        _ => Stopped::Failed(fault::unavailable(error), reached),
    }
}
