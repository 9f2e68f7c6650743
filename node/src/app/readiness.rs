//! `/readyz`: the database takes writes, there is room in the backlog, assets can be searched, the keyring is the others'
//! too, and somebody works with this node's key.

use std::sync::Arc;

use tokio::sync::watch;

use crate::chain::Chain;
use crate::store::Amount;
use crate::store::database::{Database, Duty};
use crate::web::{Check, CheckState, Readiness};

/// What is asked.
pub struct NodeReadiness {
    /// The database.
    pub store: Arc<dyn Database>,
    /// The ledger, for its federation.
    pub chain: Arc<Chain>,
    /// What may wait for a block.
    pub backlog_limit: Amount,
    /// Which process works with this node's key.
    pub duty: watch::Receiver<Duty>,
    /// What is wrong with the keyring file as it is now, if anything.
    pub keyring_fault: watch::Receiver<Option<String>>,
}

impl Readiness for NodeReadiness {
    fn checks(&self) -> Vec<Check> {
        vec![self.database(), self.backlog(), self.search(), self.keyring(), self.duty()]
    }
}

fn check(name: &'static str, state: CheckState, sentence: String) -> Check {
    Check { name, state, sentence }
}

impl NodeReadiness {
    fn database(&self) -> Check {
        match self.store.failure() {
            None => check("database", CheckState::Ok, "takes writes".to_owned()),
            Some(error) => check("database", CheckState::Failed, error.to_string()),
        }
    }

    fn backlog(&self) -> Check {
        let (waiting, most) =
            (Amount { transactions: self.store.backlog_len(), bytes: self.store.backlog_bytes() }, self.backlog_limit);
        let sentence = format!(
            "{} of at most {} transactions wait for a block, {} of at most {} bytes",
            waiting.transactions, most.transactions, waiting.bytes, most.bytes
        );
        check("backlog", if waiting.reaches(most) { CheckState::Degraded } else { CheckState::Ok }, sentence)
    }

    fn search(&self) -> Check {
        match self.store.search_failure() {
            None => check("search", CheckState::Ok, "assets can be searched".to_owned()),
            Some(sentence) => check("search", CheckState::Degraded, sentence),
        }
    }

    fn keyring(&self) -> Check {
        let federation = self.chain.federation();
        if let Some(fault) = self.keyring_fault.borrow().as_ref() {
            let generation = federation.generation();
            let sentence = format!("{fault}; generation {generation} stays in force");
            return check("keyring", CheckState::Degraded, sentence);
        }
        let opinion = self.chain.agreement().opinion(&federation);
        if let Some(example) = opinion.example {
            let (others, differing) = (opinion.others, opinion.differing);
            let whose =
                if 2 * differing > others { "this node's is probably the wrong one" } else { "theirs probably" };
            let sentence = format!("{differing} of {others} other nodes have another keyring, {whose}: {example}");
            return check("keyring", CheckState::Degraded, sentence);
        }
        let (active, generation) = (federation.keys().len(), federation.generation());
        let retired =
            if federation.keys().contains(&federation.node()) { "" } else { "; this node's own is not active" };
        let sentence = format!("{active} active keys, generation {generation}{retired}");
        check("keyring", CheckState::Ok, sentence)
    }

    fn duty(&self) -> Check {
        match &*self.duty.borrow() {
            Duty::Ours { .. } => check("duty", CheckState::Ok, "this process makes blocks and votes".to_owned()),
            Duty::Theirs { holder } => {
                let sentence = format!("stands by: {holder} makes blocks and votes with this node's key");
                check("duty", CheckState::Ok, sentence)
            }
            Duty::Unknown => {
                let sentence =
                    "the database has not said whether another process works with this node's key".to_owned();
                check("duty", CheckState::Degraded, sentence)
            }
        }
    }
}
