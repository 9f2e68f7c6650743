//! Reads that see no less than what was seen before, whichever member is primary by now.
//!
//! A change stream tells of what a majority has. A primary that was elected a moment ago, or that does not know yet that it
//! is none any more, may answer a majority read with less: what an event tells of would not be found, and be left out for
//! ever. So each read runs in a causal session and waits until its member has come as far as the latest event and the
//! latest read before it (`afterClusterTime`). A primary that works is there already.

use futures_util::TryStreamExt;
use mongodb::action::{Aggregate, Find, FindOne, ImplicitSession};
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Timestamp, doc};
use mongodb::{ClientSession, SessionCursor};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::fault;
use super::shared::Shared;
use crate::store::Result;

/// The latest time of the cluster that is known of; never goes back.
#[derive(Default)]
pub struct Clock(Mutex<Option<Timestamp>>);

impl Clock {
    /// As far as is known.
    pub fn now(&self) -> Option<Timestamp> {
        *self.0.lock()
    }

    /// Something was seen that happened at this time.
    pub fn advance(&self, to: Option<Timestamp>) {
        let mut now = self.0.lock();
        *now = (*now).max(to);
    }
}

/// A query for documents.
pub trait Query: Send {
    /// Asks within a session.
    fn run(
        self,
        session: &mut ClientSession,
    ) -> impl Future<Output = mongodb::error::Result<SessionCursor<RawDocumentBuf>>> + Send;
}

impl Query for Find<'_, RawDocumentBuf> {
    async fn run(self, session: &mut ClientSession) -> mongodb::error::Result<SessionCursor<RawDocumentBuf>> {
        self.session(session).await
    }
}

impl Query for Aggregate<'_, ImplicitSession, RawDocumentBuf> {
    async fn run(self, session: &mut ClientSession) -> mongodb::error::Result<SessionCursor<RawDocumentBuf>> {
        self.session(session).await
    }
}

impl Shared {
    /// A session whose reads see no less than what was seen before. [`Clock::advance`] with its time afterwards.
    pub async fn causal(&self) -> Result<ClientSession> {
        let session = self.database.client().start_session().causal_consistency(true).await;
        let mut session = session.map_err(|e| fault::unavailable(&e))?;
        if let Some(seen) = self.clock.now() {
            session.advance_operation_time(seen);
        }
        Ok(session)
    }

    /// All documents that a query gives.
    pub async fn all(&self, query: impl Query) -> Result<Vec<RawDocumentBuf>> {
        let mut session = self.causal().await?;
        let found = async {
            let mut cursor = query.run(&mut session).await?;
            cursor.stream(&mut session).try_collect().await
        };
        let found = found.await.map_err(|e| fault::unavailable(&e));
        self.clock.advance(session.operation_time());
        found
    }

    /// The first document that a query gives.
    pub async fn one<T: DeserializeOwned + Send + Sync>(&self, find: FindOne<'_, T>) -> Result<Option<T>> {
        let mut session = self.causal().await?;
        let found = find.session(&mut session).await.map_err(|e| fault::unavailable(&e));
        self.clock.advance(session.operation_time());
        found
    }

    /// From now on reads see all that the primary has written, also what a majority has not confirmed yet. A new change
    /// stream begins there: what is not in it is what is to be found otherwise.
    pub async fn see_all_written(&self) -> Result<()> {
        let mut session = self.causal().await?;
        let answer = self.database.run_command(doc! { "ping": 1 }).session(&mut session).await;
        answer.map_err(|e| fault::unavailable(&e))?;
        self.clock.advance(session.operation_time());
        Ok(())
    }
}
