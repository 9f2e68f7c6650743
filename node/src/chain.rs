//! What the ledger says: queries across the store's collections, and the facts that the rules need.
//!
//! The HTTP API and the pipelines ask here and never the store's look-ups directly.

mod facts;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ledger::block::Block;
use ledger::crypto::Verifier;
use ledger::election::BlockStatus;
use ledger::error::Invalid;
use ledger::facts::TxStatus;
use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};
use ledger::rules::Rules;
use ledger::transaction::{Operation, Transaction};
use ledger::validate::{self, Verdict};
use tokio::sync::watch;

use crate::agreement::Agreement;
use crate::clock::Clock;
use crate::federation::Federation;
use crate::store::{Amount, BacklogEntry, FoundAsset, Located, Rejection, Store, StoreError, StoredVote};

pub use facts::{Purpose, status_of};

/// A signature check that several threads share.
pub type SharedVerifier = Arc<dyn Verifier + Send + Sync>;

/// Why a transaction was not taken in.
#[derive(Debug)]
pub enum SubmitError {
    /// A broken rule.
    Invalid(Invalid),
    /// Try again later: the intake is full, or the database is away. Resending is safe.
    Busy {
        /// In words.
        reason: String,
        /// Seconds.
        retry_after: u64,
    },
}

/// Signatures that are checked where the request is handled; more go to the blocking pool.
const SIGNATURES_INLINE: usize = 8;

/// Transactions whose other rules are looked at there, too.
const TRANSACTIONS_INLINE: usize = 64;

/// What a [`Chain`] is made of.
pub struct ChainParts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The ledger's consensus rules.
    pub rules: Rules,
    /// Signature checks.
    pub verifier: SharedVerifier,
    /// Who shares the ledger.
    pub federation: Federation,
    /// Time.
    pub clock: Clock,
    /// A backlog as large as this takes nothing more in.
    pub backlog_limit: Amount,
}

/// One ledger as one node sees it.
pub struct Chain {
    store: Arc<dyn Store>,
    rules: Rules,
    verifier: SharedVerifier,
    federation: watch::Sender<Arc<Federation>>,
    clock: Clock,
    backlog_limit: Amount,
    agreement: Agreement,
    /// Bytes of transactions that are being checked and written, on their way to the backlog.
    under_way: AtomicUsize,
}

impl Chain {
    /// Puts the parts together.
    pub fn new(parts: ChainParts) -> Self {
        let ChainParts { store, rules, verifier, federation, clock, backlog_limit } = parts;
        let federation = watch::Sender::new(Arc::new(federation));
        Self {
            store,
            rules,
            verifier,
            federation,
            clock,
            backlog_limit,
            agreement: Agreement::default(),
            under_way: AtomicUsize::new(0),
        }
    }

    /// The database, for the pipelines' writes and feeds.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Who shares the ledger now. A keyring may change while a node runs: ask once for each thing that is done.
    pub fn federation(&self) -> Arc<Federation> {
        self.federation.borrow().clone()
    }

    /// Tells of changes of [`Self::federation`].
    pub fn federation_changes(&self) -> watch::Receiver<Arc<Federation>> {
        self.federation.subscribe()
    }

    /// From now on others share the ledger.
    pub fn set_federation(&self, federation: Federation) {
        self.federation.send_replace(Arc::new(federation));
    }

    /// Whether the others' blocks list the same nodes.
    pub fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// The ledger's consensus rules.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// Signature checks.
    pub fn verifier(&self) -> &SharedVerifier {
        &self.verifier
    }

    /// Milliseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        (self.clock)()
    }

    /// Checks a transaction against the ledger and writes it to the backlog; durable when this returns.
    pub async fn submit(&self, tx: Arc<Transaction>) -> Result<(), SubmitError> {
        let _under_way = self.make_room(tx.bytes().len())?;
        match self.judge(&tx, Purpose::Mining).await.map_err(busy)? {
            Verdict::Valid => {}
            Verdict::Invalid(broken) => return Err(SubmitError::Invalid(broken)),
            Verdict::Undetermined(reason) => return Err(SubmitError::Busy { reason, retry_after: 1 }),
        }
        // Last, so that whatever else is wrong is told as the reference tells it: that one takes rivals of what waits
        // in, and drops them later.
        if let Some(output) = facts::contested(self.store.as_ref(), &tx).await.map_err(busy)? {
            let transaction_id = output.transaction_id.to_string();
            return Err(SubmitError::Invalid(Invalid::AlreadySpent { transaction_id }));
        }
        let entry =
            BacklogEntry { assignee: self.federation().assignee(&tx), transaction: tx, assigned_at: self.now() };
        self.store.write_backlog(vec![entry]).await.map_err(busy)
    }

    /// Counts a transaction in, or refuses it when too much waits already. What is under way counts as if it waited:
    /// many large ones at once would be too many else.
    fn make_room(&self, bytes: usize) -> Result<UnderWay<'_>, SubmitError> {
        let before = self.under_way.fetch_add(bytes, Ordering::Relaxed);
        let room = UnderWay { total: &self.under_way, bytes };
        let waiting = Amount { transactions: self.store.backlog_len(), bytes: self.store.backlog_bytes() + before };
        if waiting.reaches(self.backlog_limit) {
            let Amount { transactions, bytes } = waiting;
            return Err(SubmitError::Busy {
                reason: format!(
                    "{transactions} transactions wait for a block already, with what is being checked {bytes} bytes: \
                     send it again in a moment"
                ),
                retry_after: 1,
            });
        }
        Ok(room)
    }

    /// Gathers the facts and applies the rules.
    pub async fn judge(&self, tx: &Arc<Transaction>, purpose: Purpose<'_>) -> Result<Verdict, StoreError> {
        let facts = facts::gather(self.store.as_ref(), std::slice::from_ref(tx), purpose).await?;
        let facts = facts.into_iter().next().unwrap_or_default();
        if is_much(std::slice::from_ref(tx)) {
            let (tx, verifier) = (tx.clone(), self.verifier.clone());
            // The verdict is remembered inside; a task that was cancelled at shutdown only means it is computed below.
            let _ = tokio::task::spawn_blocking(move || tx.signatures_valid(verifier.as_ref())).await;
        }
        Ok(validate::transaction(tx, &facts, self.rules, self.verifier.as_ref()))
    }

    /// The same for many at once: one batch of look-ups, many checks on a thread that may compute for long.
    pub async fn judge_all(
        &self,
        transactions: &[Arc<Transaction>],
        purpose: Purpose<'_>,
    ) -> Result<Vec<Verdict>, StoreError> {
        let facts = facts::gather(self.store.as_ref(), transactions, purpose).await?;
        let (verifier, rules) = (self.verifier.clone(), self.rules);
        let check = move |transactions: &[Arc<Transaction>]| {
            let judged = transactions.iter().zip(&facts);
            judged.map(|(tx, facts)| validate::transaction(tx, facts, rules, verifier.as_ref())).collect()
        };
        if !is_much(transactions) {
            return Ok(check(transactions));
        }
        let transactions = transactions.to_vec();
        tokio::task::spawn_blocking(move || check(&transactions))
            .await
            .map_err(|e| StoreError::Unavailable(format!("the check was cut off: {e}")))
    }

    async fn located(&self, id: &TxId) -> Result<Option<Located>, StoreError> {
        Ok(self.store.locate(std::slice::from_ref(id)).await?.into_iter().next().flatten())
    }

    /// A transaction of a valid block.
    pub async fn transaction(&self, id: &TxId) -> Result<Option<Arc<Transaction>>, StoreError> {
        let located = self.located(id).await?;
        Ok(located.filter(|l| status_of(l) == Some(TxStatus::Valid)).map(|l| l.transaction))
    }

    /// Where the federation stands with a transaction; `None`: unknown, or only in invalid blocks.
    pub async fn transaction_status(&self, id: &TxId) -> Result<Option<TxStatus>, StoreError> {
        Ok(self.located(id).await?.as_ref().and_then(status_of))
    }

    /// Valid transactions of an asset: its CREATE and/or its TRANSFERs.
    pub async fn transactions_of_asset(
        &self,
        asset: &TxId,
        operation: Option<Operation>,
    ) -> Result<Vec<Arc<Transaction>>, StoreError> {
        let mut found = Vec::new();
        if operation != Some(Operation::Transfer) {
            let create = self.transaction(asset).await?;
            found.extend(create.filter(|tx| tx.operation() == Operation::Create));
        }
        if operation != Some(Operation::Create) {
            found.extend(self.store.transfers_of(asset).await?);
        }
        Ok(found)
    }

    /// Outputs that a key owns; `spent` filters. Undecided transactions count, as owners and as spenders.
    pub async fn outputs(&self, owner: &PublicKey, spent: Option<bool>) -> Result<Vec<OutputRef>, StoreError> {
        let owned = self.store.outputs_of(owner).await?;
        let Some(spent) = spent else { return Ok(owned) };
        let spenders = self.store.spenders(&owned).await?;
        let kept = owned.into_iter().zip(&spenders).filter(|(_, spenders)| {
            let in_blocks = |s: &Located| matches!(status_of(s), Some(TxStatus::Valid | TxStatus::Undecided));
            spenders.iter().any(in_blocks) == spent
        });
        Ok(kept.map(|(output, _)| output).collect())
    }

    /// Blocks that hold a transaction; `status` filters.
    pub async fn blocks_of(&self, id: &TxId, status: Option<BlockStatus>) -> Result<Vec<BlockId>, StoreError> {
        let blocks = self.located(id).await?.map(|l| l.blocks).unwrap_or_default();
        Ok(blocks.into_iter().filter(|b| status.is_none_or(|s| s == b.status)).map(|b| b.block).collect())
    }

    /// One block, whatever its status.
    pub async fn block(&self, id: &BlockId) -> Result<Option<Arc<Block>>, StoreError> {
        Ok(self.store.block(id).await?.map(|stored| stored.block))
    }

    /// A block's status.
    pub async fn block_status(&self, id: &BlockId) -> Result<Option<BlockStatus>, StoreError> {
        Ok(self.store.block_statuses(std::slice::from_ref(id)).await?.into_iter().next().flatten())
    }

    /// All votes on a block, unverified.
    pub async fn votes(&self, block: &BlockId) -> Result<Vec<StoredVote>, StoreError> {
        Ok(self.store.votes(std::slice::from_ref(block)).await?.into_iter().next().unwrap_or_default())
    }

    /// Assets of valid transactions by text; `limit` 0: all.
    pub async fn search_assets(&self, query: &str, limit: usize) -> Result<Vec<FoundAsset>, StoreError> {
        self.store.search_assets(query, limit).await
    }

    /// Why a transaction was dropped from the backlog.
    pub async fn rejection(&self, id: &TxId) -> Result<Option<Rejection>, StoreError> {
        self.store.rejection(id).await
    }
}

/// Whether checking these takes longer than handing them to another thread.
fn is_much(transactions: &[Arc<Transaction>]) -> bool {
    let unknown = transactions.iter().filter(|tx| !tx.signatures_known());
    transactions.len() > TRANSACTIONS_INLINE
        || unknown.map(|tx| tx.signature_count()).sum::<usize>() > SIGNATURES_INLINE
}

/// A transaction's bytes on their way to the backlog, counted for as long as this lives.
struct UnderWay<'a> {
    total: &'a AtomicUsize,
    bytes: usize,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn busy(error: StoreError) -> SubmitError {
    SubmitError::Busy { reason: format!("{error}; the outcome is unknown, sending it again is safe"), retry_after: 2 }
}
