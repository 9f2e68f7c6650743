//! What the rules may know about the rest of the ledger.
//!
//! Facts are gathered first and judged after: a rule never looks anything up, so a lost database can only lead to
//! [`InputFact::Unknown`], never to an "invalid".

use std::sync::Arc;

use crate::ids::TxId;
use crate::transaction::Transaction;

/// Where the federation stands with a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum TxStatus {
    /// Written, in no block that counts.
    Backlog,
    /// In a block that is not decided.
    Undecided,
    /// In a block that the federation decided valid.
    Valid,
}

impl TxStatus {
    /// The word that the HTTP API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::Undecided => "undecided",
            Self::Valid => "valid",
        }
    }
}

/// What is known about one input of a TRANSFER.
#[derive(Clone, Debug)]
pub enum InputFact {
    /// The store could not say: the verdict is undetermined.
    Unknown(String),
    /// No transaction with that id in any block that counts, nor in the backlog.
    Missing,
    /// The spent transaction, and who else spends this output.
    Found {
        /// The transaction whose output is spent.
        transaction: Arc<Transaction>,
        /// Its status.
        status: TxStatus,
        /// Other transactions (never the judged one) that spend this very output and count as spenders.
        spenders: Vec<TxId>,
    },
}

/// One fact for each input, in the inputs' order. Empty for CREATE and GENESIS.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// See [`InputFact`].
    pub inputs: Vec<InputFact>,
}
