//! Whether the vote stage's feed has begun.
//!
//! The feed begins with what is undecided then. A block that the election stage decided before, by the others' votes alone,
//! would not be in it, and never get this node's vote: the chain of its votes would leave the block out. So blocks that list
//! this node are decided from the feed's first items on; those whose votes came earlier are counted then. A feed that goes on
//! where a process before this one was has begun at once: from there it gives blocks whether they are decided or not.

use std::collections::BTreeSet;

use ledger::ids::BlockId;
use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Default)]
struct State {
    begun: bool,
    /// With votes enough, maybe.
    early: BTreeSet<BlockId>,
}

/// See the module.
#[derive(Default)]
pub struct VoteFeed {
    state: Mutex<State>,
    changed: Notify,
}

impl VoteFeed {
    /// The feed will begin anew.
    pub fn restart(&self) {
        *self.state.lock() = State::default();
    }

    /// The vote stage was given the feed's first items, or more.
    pub fn begun(&self) {
        let mut state = self.state.lock();
        state.begun = true;
        if !state.early.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Whether a block may be decided; if not, it is remembered.
    pub fn allows(&self, block: BlockId) -> bool {
        let mut state = self.state.lock();
        if !state.begun {
            state.early.insert(block);
        }
        state.begun
    }

    /// Waits until the feed has begun, if blocks were remembered; gives them.
    pub async fn early(&self) -> Vec<BlockId> {
        loop {
            {
                let mut state = self.state.lock();
                if state.begun && !state.early.is_empty() {
                    return std::mem::take(&mut state.early).into_iter().collect();
                }
            }
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn what_came_too_early_is_given_once_when_the_feed_has_begun() {
        let block = BlockId::from_bytes([1; 32]);
        let feed = VoteFeed::default();
        assert!(!feed.allows(block));
        assert!(feed.early().now_or_never().is_none());
        feed.begun();
        assert_eq!(feed.early().now_or_never(), Some(vec![block]));
        assert!(feed.allows(block) && feed.early().now_or_never().is_none());
        feed.restart();
        assert!(!feed.allows(block) && feed.early().now_or_never().is_none());
    }
}
