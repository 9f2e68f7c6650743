//! How many commands were sent to the servers.
//!
//! Each command takes one connection out of the driver's pool, which costs nothing to count. To learn their names the driver
//! must be asked for events that hold each command and each answer as a tree: 8 µs for each transaction in one, so only
//! on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;
use mongodb::event::command::CommandEvent;
use mongodb::options::ClientOptions;

/// Where nobody asked for names.
const ANY: &str = "any";

/// The commands that are told apart, by MongoDB's names; the last stands for all others.
const NAMES: [&str; 13] = [
    ANY,
    "aggregate",
    "connectionStatus",
    "createIndexes",
    "delete",
    "find",
    "getMore",
    "hello",
    "insert",
    "listCollections",
    "listIndexes",
    "update",
    "other",
];

/// Counters that the driver moves.
#[derive(Debug, Default)]
pub struct Commands([AtomicU64; NAMES.len()]);

impl Commands {
    /// Has the client of these options count here. The driver's own questions after its servers' state are not counted.
    pub(super) fn watch(self: &Arc<Self>, by_name: bool, options: &mut ClientOptions) {
        let commands = self.clone();
        if by_name {
            options.command_event_handler = Some(EventHandler::callback(move |event| {
                if let CommandEvent::Started(started) = event {
                    commands.count(&started.command_name);
                }
            }));
        } else {
            options.cmap_event_handler = Some(EventHandler::callback(move |event| {
                if let CmapEvent::ConnectionCheckedOut(_) = event {
                    commands.count(ANY);
                }
            }));
        }
    }

    fn count(&self, name: &str) {
        let known = NAMES.iter().position(|known| *known == name).unwrap_or(NAMES.len() - 1);
        if let Some(counter) = self.0.get(known) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Those that were sent at least once, by name.
    pub fn sent(&self) -> Vec<(&'static str, u64)> {
        let counts = NAMES.into_iter().zip(self.0.iter().map(|counter| counter.load(Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_known_are_counted_together() {
        let commands = Commands::default();
        for name in ["find", "insert", "find", "serverStatus", "", "other"] {
            commands.count(name);
        }
        assert_eq!(commands.sent(), [("find", 2), ("insert", 1), ("other", 3)]);
    }
}
