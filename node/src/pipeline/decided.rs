//! Wakes what waits for a decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ledger::ids::BlockId;
use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Default)]
struct Shared {
    decisions: AtomicU64,
    waiting: Notify,
    /// This node's last block, while it is undecided.
    last_block: Mutex<Option<BlockId>>,
}

/// Decisions of this node. Whoever waits is woken in the order in which it began to (`tokio::sync::watch` promises none),
/// so that a simulated schedule goes the same way each time.
#[derive(Clone, Default)]
pub struct Decided(Arc<Shared>);

impl Decided {
    /// Nothing of this node is known to be undecided.
    pub fn restart(&self) {
        *self.0.last_block.lock() = None;
    }

    /// This node writes a block.
    pub fn expect(&self, block: BlockId) {
        *self.0.last_block.lock() = Some(block);
    }

    /// Whether the block that was expected last has no decision yet.
    pub fn expected(&self) -> bool {
        self.0.last_block.lock().is_some()
    }

    /// A decision was recorded.
    pub fn tell(&self, block: &BlockId) {
        {
            let mut last = self.0.last_block.lock();
            if last.as_ref() == Some(block) {
                *last = None;
            }
        }
        self.0.decisions.fetch_add(1, Ordering::SeqCst);
        self.0.waiting.notify_waiters();
    }

    /// Sees decisions from now on.
    pub fn subscribe(&self) -> Decisions {
        Decisions { seen: self.0.decisions.load(Ordering::SeqCst), of: self.clone() }
    }
}

/// Decisions as one of those that wait for them sees them.
pub struct Decisions {
    of: Decided,
    seen: u64,
}

impl Decisions {
    /// Waits until there is a decision that was not seen.
    pub async fn changed(&mut self) {
        let of = self.of.clone();
        loop {
            // Made before the look, so that no decision falls between them.
            let told = of.0.waiting.notified();
            if self.see() {
                return;
            }
            told.await;
        }
    }

    /// Whether there is a decision that was not seen; it is seen now.
    pub fn see(&mut self) -> bool {
        let now = self.of.0.decisions.load(Ordering::SeqCst);
        std::mem::replace(&mut self.seen, now) != now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use futures_util::FutureExt as _;

    #[test]
    fn the_last_block_is_expected_until_it_is_decided() {
        let [first, second] = [1, 2].map(|n| BlockId::from_bytes([n; 32]));
        let decided = Decided::default();
        assert!(!decided.expected());
        decided.expect(first);
        decided.expect(second);
        decided.tell(&first);
        assert!(decided.expected());
        decided.tell(&second);
        assert!(!decided.expected());
        decided.expect(first);
        decided.restart();
        assert!(!decided.expected());
    }

    #[test]
    fn each_decision_wakes_once_whether_it_was_waited_for_or_not() {
        let block = BlockId::from_bytes([1; 32]);
        let decided = Decided::default();
        let mut decisions = decided.subscribe();
        assert!(decisions.changed().now_or_never().is_none());
        decided.tell(&block);
        decided.tell(&block);
        assert!(decisions.changed().now_or_never().is_some());
        assert!(!decisions.see());
        {
            let waiting = decisions.changed();
            tokio::pin!(waiting);
            assert!(waiting.as_mut().now_or_never().is_none());
            decided.tell(&block);
            assert!(waiting.now_or_never().is_some());
        }
        decided.tell(&block);
        assert!(decisions.see() && !decisions.see());
    }
}
