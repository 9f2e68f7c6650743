//! Blocks that were decided valid, handed to whoever listens.

use std::sync::Arc;

use ledger::block::Block;
use tokio::sync::broadcast;

/// A bounded broadcast: a listener that falls behind by more than the capacity is told so and loses the oldest.
#[derive(Clone)]
pub struct Events {
    sender: broadcast::Sender<Arc<Block>>,
}

impl Events {
    /// `capacity`: blocks that a slow listener may lag behind.
    pub fn new(capacity: usize) -> Self {
        Self { sender: broadcast::Sender::new(capacity) }
    }

    /// Tells every listener. Nobody listening is fine: the stream has no history.
    pub fn publish(&self, block: Arc<Block>) {
        // An error here only says that nobody listens.
        let _ = self.sender.send(block);
    }

    /// Blocks decided from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Block>> {
        self.sender.subscribe()
    }
}
