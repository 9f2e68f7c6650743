//! What stands in the log: the records, and their bytes.
//!
//! A record on disk: payload length (u32), checksum (u32), payload; the payload's first byte is the type. Numbers are
//! little-endian, counts and lengths are LEB128. The checksum is CRC-32 over the record's position and the payload, so
//! that a record at a wrong place does not read.

use bytes::Bytes;
use ledger::block::BlockHeader;
use ledger::ids::{BlockId, PublicKey, TxId};
use ledger::rules::Rules;

use crate::store::{Rejection, Settings};

/// Bytes before the payload.
pub const HEADER: usize = 8;

/// Largest payload that is read: far above any record, so that a torn length is found at once.
pub const MAX_PAYLOAD: usize = 64 << 20;

/// A transaction that goes (back) to the backlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requeued {
    /// Which.
    pub id: TxId,
    /// Position of the `Tx` or `Body` record with its bytes.
    pub body: u64,
    /// Who is to put it into a block.
    pub assignee: PublicKey,
    /// Milliseconds since the Unix epoch.
    pub assigned_at: u64,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Fixed at initialisation. Counts only if the genesis block follows.
    Settings(Settings),
    /// Everything before this position was synced when this was written: what is unreadable there was not torn by a
    /// power loss.
    Synced(u64),
    /// A transaction enters the backlog.
    Tx {
        /// Its id.
        id: TxId,
        /// Who is to put it into a block.
        assignee: PublicKey,
        /// Milliseconds since the Unix epoch.
        assigned_at: u64,
        /// Canonical JSON.
        bytes: Bytes,
    },
    /// A transaction that a later block holds without its having been in the backlog in these bytes.
    Body {
        /// Its id.
        id: TxId,
        /// Canonical JSON.
        bytes: Bytes,
    },
    /// Backlog entries get another assignee or time. The nth entry's place in the feed is this record's position + n.
    Reassign(Vec<Requeued>),
    /// A backlog entry is dropped for a reason.
    Reject(Rejection),
    /// Backlog entries are dropped: they are in blocks.
    Delete(Vec<TxId>),
    /// A block; takes its transactions out of the backlog.
    Block {
        /// Its id.
        id: BlockId,
        /// What it says beside its transactions.
        header: BlockHeader,
        /// Positions of its transactions' records, in block order.
        bodies: Vec<u64>,
    },
    /// A vote.
    Vote {
        /// On what.
        block: BlockId,
        /// By whom.
        node: PublicKey,
        /// The document.
        bytes: Bytes,
    },
    /// What became of a block, and which of its transactions go back to the backlog. Places in the feed as in
    /// `Reassign`.
    Decision {
        /// On what.
        block: BlockId,
        /// The outcome.
        valid: bool,
        /// In order.
        requeued: Vec<Requeued>,
    },
}

const SETTINGS: u8 = 1;
const SYNCED: u8 = 2;
const TX: u8 = 3;
const BODY: u8 = 4;
const REASSIGN: u8 = 5;
const REJECT: u8 = 6;
const DELETE: u8 = 7;
const BLOCK: u8 = 8;
const VOTE: u8 = 9;
const DECISION: u8 = 10;

/// Payload length of [`Record::Synced`]; recovery looks for such records byte by byte.
pub const SYNCED_PAYLOAD: usize = 9;

/// The checksum of a payload at a position.
pub fn checksum(position: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Payload length and checksum of a header.
pub fn parse_header(header: &[u8; HEADER]) -> (usize, u32) {
    let [a, b, c, d, e, f, g, h] = *header;
    (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]))
}

/// Whether a payload is a decision's.
pub fn is_decision(payload: &[u8]) -> bool {
    payload.first() == Some(&DECISION)
}

impl Record {
    /// Appends the whole record, header included.
    pub fn write(&self, position: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        self.write_payload(out);
        let payload = &out[start + HEADER..];
        let length = payload.len() as u32;
        let checksum = checksum(position, payload);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + HEADER].copy_from_slice(&checksum.to_le_bytes());
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        match self {
            Self::Settings(Settings { rules }) => {
                out.push(SETTINGS);
                put_bytes(out, rules.to_string().as_bytes());
            }
            Self::Synced(position) => {
                out.push(SYNCED);
                out.extend_from_slice(&position.to_le_bytes());
            }
            Self::Tx { id, assignee, assigned_at, bytes } => {
                out.push(TX);
                out.extend_from_slice(id.as_bytes());
                out.extend_from_slice(assignee.as_bytes());
                out.extend_from_slice(&assigned_at.to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Self::Body { id, bytes } => {
                out.push(BODY);
                out.extend_from_slice(id.as_bytes());
                out.extend_from_slice(bytes);
            }
            Self::Reassign(entries) => {
                out.push(REASSIGN);
                put_requeued(out, entries);
            }
            Self::Reject(Rejection { transaction_id, class, message, at }) => {
                out.push(REJECT);
                out.extend_from_slice(transaction_id.as_bytes());
                out.extend_from_slice(&at.to_le_bytes());
                put_bytes(out, class.as_bytes());
                put_bytes(out, message.as_bytes());
            }
            Self::Delete(ids) => {
                out.push(DELETE);
                put_number(out, ids.len() as u64);
                ids.iter().for_each(|id| out.extend_from_slice(id.as_bytes()));
            }
            Self::Block { id, header, bodies } => {
                out.push(BLOCK);
                out.extend_from_slice(id.as_bytes());
                put_header(out, header);
                put_positions(out, bodies);
            }
            Self::Vote { block, node, bytes } => {
                out.push(VOTE);
                out.extend_from_slice(block.as_bytes());
                out.extend_from_slice(node.as_bytes());
                out.extend_from_slice(bytes);
            }
            Self::Decision { block, valid, requeued } => {
                out.push(DECISION);
                out.extend_from_slice(block.as_bytes());
                out.push(u8::from(*valid));
                put_requeued(out, requeued);
            }
        }
    }

    /// Reads a payload; `None` if it is none (which a good checksum rules out, save for a newer version's records).
    pub fn read(payload: &Bytes) -> Option<Self> {
        let mut rest = Reader { rest: payload.clone() };
        let record = match rest.byte()? {
            SETTINGS => {
                let rules: Rules = rest.text()?.parse().ok()?;
                Self::Settings(Settings { rules })
            }
            SYNCED => Self::Synced(rest.u64()?),
            TX => Self::Tx {
                id: TxId::from_bytes(rest.array()?),
                assignee: PublicKey::from_bytes(rest.array()?),
                assigned_at: rest.u64()?,
                bytes: rest.all(),
            },
            BODY => Self::Body { id: TxId::from_bytes(rest.array()?), bytes: rest.all() },
            REASSIGN => Self::Reassign(rest.requeued()?),
            REJECT => {
                let transaction_id = TxId::from_bytes(rest.array()?);
                let at = rest.u64()?;
                Self::Reject(Rejection { transaction_id, at, class: rest.text()?, message: rest.text()? })
            }
            DELETE => {
                let n = rest.count(32)?;
                Self::Delete((0..n).map(|_| Some(TxId::from_bytes(rest.array()?))).collect::<Option<_>>()?)
            }
            BLOCK => Self::Block {
                id: BlockId::from_bytes(rest.array()?),
                header: rest.header()?,
                bodies: rest.positions()?,
            },
            VOTE => Self::Vote {
                block: BlockId::from_bytes(rest.array()?),
                node: PublicKey::from_bytes(rest.array()?),
                bytes: rest.all(),
            },
            DECISION => Self::Decision {
                block: BlockId::from_bytes(rest.array()?),
                valid: rest.byte()? != 0,
                requeued: rest.requeued()?,
            },
            _ => return None,
        };
        rest.rest.is_empty().then_some(record)
    }
}

/// Appends a LEB128 number.
pub fn put_number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_requeued(out: &mut Vec<u8>, entries: &[Requeued]) {
    put_number(out, entries.len() as u64);
    for Requeued { id, body, assignee, assigned_at } in entries {
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&body.to_le_bytes());
        out.extend_from_slice(assignee.as_bytes());
        out.extend_from_slice(&assigned_at.to_le_bytes());
    }
}

fn put_header(out: &mut Vec<u8>, header: &BlockHeader) {
    let BlockHeader { timestamp, node_pubkey, voters, signature } = header;
    put_bytes(out, timestamp.as_bytes());
    put_bytes(out, node_pubkey.as_bytes());
    put_number(out, voters.len() as u64);
    voters.iter().for_each(|voter| put_bytes(out, voter.as_bytes()));
    put_bytes(out, signature.as_bytes());
}

/// Differences to the position before, zigzag: transactions stand in a block about as they came.
fn put_positions(out: &mut Vec<u8>, positions: &[u64]) {
    put_number(out, positions.len() as u64);
    let mut last = 0_u64;
    for &position in positions {
        let difference = position.wrapping_sub(last) as i64;
        put_number(out, (difference << 1 ^ difference >> 63) as u64);
        last = position;
    }
}

/// Takes values off the front of some bytes; `None` where they end too early.
pub struct Reader {
    /// What is left.
    pub rest: Bytes,
}

impl Reader {
    fn take(&mut self, n: usize) -> Option<Bytes> {
        (n <= self.rest.len()).then(|| self.rest.split_to(n))
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// N bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = self.rest.first_chunk().copied();
        if array.is_some() {
            self.take(N)?;
        }
        array
    }

    /// A little-endian number.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A LEB128 number.
    pub fn number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    /// A number of things of at least this many bytes each: never more than can follow.
    pub fn count(&mut self, each: usize) -> Option<usize> {
        let n = usize::try_from(self.number()?).ok()?;
        (n.checked_mul(each)? <= self.rest.len()).then_some(n)
    }

    /// A length and as many bytes.
    pub fn bytes(&mut self) -> Option<Bytes> {
        let n = self.count(1)?;
        self.take(n)
    }

    /// A length and text.
    pub fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.into()).ok()
    }

    /// Everything that is left.
    pub fn all(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }

    fn requeued(&mut self) -> Option<Vec<Requeued>> {
        let n = self.count(80)?;
        let entry = |_| {
            Some(Requeued {
                id: TxId::from_bytes(self.array()?),
                body: self.u64()?,
                assignee: PublicKey::from_bytes(self.array()?),
                assigned_at: self.u64()?,
            })
        };
        (0..n).map(entry).collect()
    }

    fn header(&mut self) -> Option<BlockHeader> {
        let timestamp = self.text()?;
        let node_pubkey = self.text()?;
        let n = self.count(1)?;
        let voters = (0..n).map(|_| self.text()).collect::<Option<_>>()?;
        Some(BlockHeader { timestamp, node_pubkey, voters, signature: self.text()? })
    }

    fn positions(&mut self) -> Option<Vec<u64>> {
        let n = self.count(1)?;
        let mut last = 0_u64;
        let position = |_| {
            let n = self.number()?;
            last = last.wrapping_add((n >> 1) ^ (n & 1).wrapping_neg());
            Some(last)
        };
        (0..n).map(position).collect()
    }
}
