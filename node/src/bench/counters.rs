//! What the nodes count themselves, from their `/metrics`.

use std::collections::BTreeMap;

use crate::client::{self, Endpoint};

/// Of one node, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Blocks written.
    pub blocks: u64,
    /// Votes cast.
    pub votes: u64,
    /// Commands sent to a database server, by name.
    pub commands: BTreeMap<String, u64>,
}

impl Counters {
    /// Of these nodes together; `None`: one of them has no metrics, as BigchainDB Server 1.0.1.
    pub async fn read(nodes: &[Endpoint]) -> Option<Self> {
        let mut sum = Self::default();
        for node in nodes {
            let answer = client::get(node, "/metrics").await.ok().filter(|answer| answer.status == 200)?;
            sum.add(std::str::from_utf8(&answer.body).ok()?);
        }
        Some(sum)
    }

    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let Some((metric, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<u64>() else { continue };
            let (name, labels) = metric.split_once('{').unwrap_or((metric, ""));
            match name {
                "bigchaindb_blocks_written_total" => self.blocks += value,
                "bigchaindb_votes_total" => self.votes += value,
                "bigchaindb_database_commands_total" => {
                    let command = labels.trim_start_matches("command=\"").trim_end_matches("\"}");
                    *self.commands.entry(command.to_owned()).or_default() += value;
                }
                _ => {}
            }
        }
    }

    /// What came since an earlier look.
    pub fn since(mut self, earlier: &Self) -> Self {
        self.blocks = self.blocks.saturating_sub(earlier.blocks);
        self.votes = self.votes.saturating_sub(earlier.votes);
        for (command, count) in &mut self.commands {
            *count = count.saturating_sub(earlier.commands.get(command).copied().unwrap_or_default());
        }
        self.commands.retain(|_, count| *count > 0);
        self
    }

    /// All commands together.
    pub fn sent(&self) -> u64 {
        self.commands.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::metrics::database::Depths;

    #[test]
    fn counters_are_read_of_what_a_node_renders() {
        let metrics = Metrics::new();
        metrics.block_written(3);
        metrics.voted(true, 3);
        metrics.voted(false, 3);
        metrics.database.watch(|| Depths { commands: vec![("find", 5), ("insert", 2)], ..Depths::default() });
        let mut counters = Counters::default();
        counters.add(&metrics.render());
        let commands = BTreeMap::from([("find".to_owned(), 5), ("insert".to_owned(), 2)]);
        assert_eq!(counters, Counters { blocks: 1, votes: 2, commands });
        assert_eq!(counters.sent(), 7);
        let earlier = Counters { blocks: 1, votes: 0, commands: BTreeMap::from([("find".to_owned(), 5)]) };
        let commands = BTreeMap::from([("insert".to_owned(), 2)]);
        assert_eq!(counters.since(&earlier), Counters { blocks: 0, votes: 2, commands });
    }
}
