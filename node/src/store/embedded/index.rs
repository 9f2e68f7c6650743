//! The index: where in the log things stand, for everything in decided blocks. Derived from the log, never synced, and
//! thrown away when in doubt.
//!
//! Keys begin with a byte that names the table; numbers in keys are big-endian, so that ranges come in order.
//!
//! | table | key | value |
//! |---|---|---|
//! | `T` | transaction id | for each block with it: block position, body position, block status |
//! | `S` | spent transaction id, output index | ids of the spending transactions |
//! | `P` | owner, block position, place in the block, output index | transaction id |
//! | `A` | asset id, block position, place in the block | body position |
//! | `B` | block id | block position |
//! | `O` | block position | block id, status, number of transactions |
//! | `V` | block id, vote position | who voted |
//! | `F` | vote position | nothing |
//! | `R` | transaction id | position of the rejection |
//! | `L` | a node's key | position of its newest vote |
//! | `M` | nothing | the [`Checkpoint`] |

pub mod fjall;
pub mod memory;

use bytes::Bytes;
use ledger::election::BlockStatus;
use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};

use super::record::Reader;
use crate::store::{Result, StoreError};

/// A sorted map from bytes to bytes, written in batches.
pub trait Index: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// Keys from `from` (inclusive) to `to` (exclusive) with their values, in order. Both are of one table.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>>;

    /// Writes all pairs or, seen from after a killed process, none.
    fn write(&self, batch: Vec<(Vec<u8>, Vec<u8>)>) -> Result<()>;

    /// Makes everything durable.
    fn sync(&self) -> Result<()>;
}

/// What went wrong with the index, in words for people.
pub fn broken(what: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!(
        "the index does not read ({what}): stop the node; the index is rebuilt at the next start"
    ))
}

/// One block that holds a transaction, as table `T` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The block's record.
    pub block: u64,
    /// The record with the transaction's bytes.
    pub body: u64,
    /// The block's status.
    pub status: BlockStatus,
}

/// Bytes of one [`Held`].
const HELD: usize = 17;

impl Held {
    /// Appends it to a value of table `T`, unless it is there.
    pub fn add_to(&self, value: &mut Vec<u8>) {
        if !Self::read(value).any(|held| held.block == self.block) {
            value.extend_from_slice(&self.block.to_be_bytes());
            value.extend_from_slice(&self.body.to_be_bytes());
            value.push(status_byte(self.status));
        }
    }

    /// Reads a value of table `T`.
    pub fn read(value: &[u8]) -> impl Iterator<Item = Self> + '_ {
        value.chunks_exact(HELD).filter_map(|held| {
            let (block, rest) = held.split_first_chunk()?;
            let (body, rest) = rest.split_first_chunk()?;
            let status = byte_status(*rest.first()?);
            Some(Self { block: u64::from_be_bytes(*block), body: u64::from_be_bytes(*body), status })
        })
    }
}

/// A value of table `O`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The block.
    pub id: BlockId,
    /// Its status.
    pub status: BlockStatus,
    /// How many transactions it holds.
    pub transactions: u64,
}

impl Order {
    /// The value's bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(41);
        out.extend_from_slice(self.id.as_bytes());
        out.push(status_byte(self.status));
        out.extend_from_slice(&self.transactions.to_le_bytes());
        out
    }

    /// Reads a value.
    pub fn read(value: &Bytes) -> Result<Self> {
        let mut rest = Reader { rest: value.clone() };
        let mut read = || {
            let id = BlockId::from_bytes(rest.array()?);
            let status = byte_status(rest.byte()?);
            Some(Self { id, status, transactions: rest.u64()? })
        };
        read().ok_or_else(|| broken(&"a block's entry is cut"))
    }
}

/// Up to where the index knows the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// Decisions, rejections and late votes before this position are in.
    pub through: u64,
    /// Position of the record that ends at `through`.
    pub last: u64,
    /// Checksum of that record: an index of another log is noticed.
    pub checksum: u32,
    /// Everything open stands at this position or after it.
    pub replay_from: u64,
    /// Blocks in the index.
    pub blocks: u64,
    /// Transactions in these blocks.
    pub transactions: u64,
}

impl Checkpoint {
    /// The value's bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let Self { through, last, checksum, replay_from, blocks, transactions } = self;
        let numbers = [through, last, u64::from(checksum), replay_from, blocks, transactions];
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    /// Reads a value.
    pub fn read(value: &Bytes) -> Option<Self> {
        let mut rest = Reader { rest: value.clone() };
        Some(Self {
            through: rest.u64()?,
            last: rest.u64()?,
            checksum: u32::try_from(rest.u64()?).ok()?,
            replay_from: rest.u64()?,
            blocks: rest.u64()?,
            transactions: rest.u64()?,
        })
    }
}

fn status_byte(status: BlockStatus) -> u8 {
    match status {
        BlockStatus::Undecided => 0,
        BlockStatus::Valid => 1,
        BlockStatus::Invalid => 2,
    }
}

fn byte_status(byte: u8) -> BlockStatus {
    match byte {
        1 => BlockStatus::Valid,
        2 => BlockStatus::Invalid,
        _ => BlockStatus::Undecided,
    }
}

/// Keys.
pub mod key {
    use super::{BlockId, OutputRef, PublicKey, TxId};

    fn join(table: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
        key.push(table);
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    pub fn transaction(id: &TxId) -> Vec<u8> {
        join(b'T', &[id.as_bytes()])
    }

    pub fn spent(output: &OutputRef) -> Vec<u8> {
        join(b'S', &[output.transaction_id.as_bytes(), &output.index.to_be_bytes()])
    }

    pub fn owned(owner: &PublicKey, block: u64, place: u32, index: u32) -> Vec<u8> {
        join(b'P', &[owner.as_bytes(), &block.to_be_bytes(), &place.to_be_bytes(), &index.to_be_bytes()])
    }

    pub fn transfer(asset: &TxId, block: u64, place: u32) -> Vec<u8> {
        join(b'A', &[asset.as_bytes(), &block.to_be_bytes(), &place.to_be_bytes()])
    }

    pub fn block(id: &BlockId) -> Vec<u8> {
        join(b'B', &[id.as_bytes()])
    }

    pub fn order(block: u64) -> Vec<u8> {
        join(b'O', &[&block.to_be_bytes()])
    }

    pub fn vote(block: &BlockId, vote: u64) -> Vec<u8> {
        join(b'V', &[block.as_bytes(), &vote.to_be_bytes()])
    }

    pub fn vote_feed(vote: u64) -> Vec<u8> {
        join(b'F', &[&vote.to_be_bytes()])
    }

    pub fn rejection(id: &TxId) -> Vec<u8> {
        join(b'R', &[id.as_bytes()])
    }

    pub fn last_vote(node: &PublicKey) -> Vec<u8> {
        join(b'L', &[node.as_bytes()])
    }

    pub fn checkpoint() -> Vec<u8> {
        join(b'M', &[])
    }

    /// The number in the last eight bytes before `behind` more.
    pub fn number(key: &[u8], behind: usize) -> Option<u64> {
        let (head, _) = key.split_at_checked(key.len().checked_sub(behind)?)?;
        head.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }
}
