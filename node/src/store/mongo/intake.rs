//! Writes to the backlog, gathered: while one group is on its way to the server, the next one fills. A server makes a
//! group of a thousand durable in little more time than one.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::shared::Shared;
use crate::store::{BacklogEntry, Result, StoreError};

/// Writes in one group at most.
const GROUP: usize = 1000;

struct Request {
    entries: Vec<BacklogEntry>,
    answer: oneshot::Sender<Result<()>>,
}

/// Where writes to the backlog go.
pub struct Intake {
    requests: mpsc::Sender<Request>,
    _task: AbortOnDropHandle<()>,
}

impl Intake {
    /// Starts the task that writes.
    pub fn new(shared: Arc<Shared>) -> Self {
        let (requests, queue) = mpsc::channel(GROUP);
        Self { requests, _task: AbortOnDropHandle::new(tokio::spawn(run(shared, queue))) }
    }

    /// Writes entries; durable when this returns.
    pub async fn write(&self, entries: Vec<BacklogEntry>) -> Result<()> {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request { entries, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

async fn run(shared: Arc<Shared>, mut queue: mpsc::Receiver<Request>) {
    loop {
        let mut group = Vec::new();
        if queue.recv_many(&mut group, GROUP).await == 0 {
            return;
        }
        let (entries, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|r| (r.entries, r.answer)).unzip();
        let written = shared.write_backlog(entries.concat()).await;
        for answer in answers {
            // Whoever asked may be gone.
            let _ = answer.send(written.clone());
        }
    }
}
