//! What must always hold, and what must hold when all is said and done.

use std::collections::{BTreeMap, BTreeSet};

use ledger::ids::{BlockId, OutputRef, PublicKey, TxId};

use crate::corpus::CORPUS;
use crate::database::Database;

/// A transaction that was accepted waits, or stands in a block that somebody has not decided invalid (and will requeue
/// it when that is decided), or has a reason why it was dropped, which is for good.
pub fn nothing_is_lost(db: &mut Database, id: &TxId, after: &str) {
    if !db.accepted.contains(id) || db.rejections.contains_key(id) || db.waits(id) {
        return;
    }
    let holding = db.holding(|tx| tx.id() == *id);
    let given_up = |block: &BlockId| db.members.iter().all(|node| db.decisions.get(&(*node, *block)) == Some(&false));
    if holding.iter().all(|(block, _)| given_up(block)) {
        let (name, n) = (CORPUS.name(id), holding.len());
        db.broken(format!("{name} {after} and is lost: it does not wait, and {n} invalid blocks hold it"));
    }
}

/// A node is gone for good: nothing that was accepted waited for it alone.
pub fn nothing_hangs_on(db: &mut Database, gone: &PublicKey) {
    for id in db.accepted.clone() {
        nothing_is_lost(db, &id, &format!("hung on {gone}, which is gone,"));
    }
}

/// A decision was recorded: nobody decides otherwise, and the valid blocks agree.
pub fn decided(db: &mut Database, block: &BlockId, valid: bool) {
    if db.nodes.iter().any(|node| db.decisions.get(&(*node, *block)).is_some_and(|other| *other != valid)) {
        db.broken(format!("nodes decided differently on block {}", short(block)));
    }
    let Some(decided) = db.find_block(block).cloned() else {
        db.broken(format!("a decision on block {} that is not there", short(block)));
        return;
    };
    if valid {
        valid_blocks_agree(db);
    } else {
        for tx in &decided.transactions {
            nothing_is_lost(db, &tx.id(), "was in a block decided invalid");
        }
    }
}

/// No output is spent twice, no transaction stands twice, in blocks that anybody decided valid.
fn valid_blocks_agree(db: &mut Database) {
    let mut spent: BTreeMap<OutputRef, TxId> = BTreeMap::new();
    let mut places: BTreeMap<TxId, BlockId> = BTreeMap::new();
    let mut broken = None;
    let valid = |id: &BlockId| db.nodes.iter().any(|node| db.decisions.get(&(*node, *id)) == Some(&true));
    for block in db.blocks.values().filter(|block| valid(&block.id)) {
        for tx in &block.transactions {
            let name = CORPUS.name(&tx.id());
            if let Some(other) = places.insert(tx.id(), block.id).filter(|other| *other != block.id) {
                broken = Some(format!("{name} is in two valid blocks, {} and {}", short(&other), short(&block.id)));
            }
            for output in tx.spends() {
                if let Some(other) = spent.insert(output, tx.id()).filter(|other| *other != tx.id()) {
                    broken = Some(format!("{} and {name} spend one output, both valid", CORPUS.name(&other)));
                }
            }
        }
    }
    if let Some(broken) = broken {
        db.broken(broken);
    }
}

/// Why the ledger is not settled yet: every accepted transaction has one verdict everywhere, nothing waits, and all
/// blocks are decided, with the votes of all of their voters who will go on.
pub fn unsettled(db: &Database) -> Option<String> {
    for id in &db.accepted {
        let valid = db.members.iter().filter(|node| db.is_valid(node, id)).count();
        if valid != db.members.len() && (valid > 0 || !db.rejections.contains_key(id)) {
            return Some(format!("{} has no verdict: valid at {valid} nodes", CORPUS.name(id)));
        }
    }
    if let Some(entry) = db.backlog.values().next() {
        return Some(format!("{} still waits", CORPUS.name(&entry.transaction.id())));
    }
    let open = db.members.iter().find_map(|node| db.undecided(node).first().map(|(_, block)| *block));
    if let Some(block) = open {
        return Some(format!("block {} is undecided", short(&block)));
    }
    let votes: BTreeSet<(PublicKey, BlockId)> = db.votes.values().map(|(node, vote)| (*node, vote.block)).collect();
    db.members.iter().find_map(|node| {
        let name = node.to_string();
        let mut due = db.blocks.values().filter(|block| block.header.voters.contains(&name));
        let unvoted = due.find(|block| block.id != db.genesis.id && !votes.contains(&(*node, block.id)))?;
        Some(format!("{name} has not voted on block {}", short(&unvoted.id)))
    })
}

/// Of a settled ledger: what was rejected had to be.
pub fn rejected_rightly(db: &Database) -> Option<String> {
    let valid = |id: &TxId| db.members.iter().any(|node| db.is_valid(node, id));
    db.accepted.iter().filter(|id| !valid(id)).find_map(|id| {
        let rejection = db.rejections.get(id)?;
        let tx = CORPUS.find(id)?;
        let rival = |other: &TxId| other != id && db.members.iter().all(|node| db.is_valid(node, other));
        let lost_to = CORPUS.spenders(tx).any(|other| rival(&other.id()));
        let right = rejection.class == "DoubleSpend" && lost_to;
        (!right).then(|| format!("{} was rejected without need: {}", CORPUS.name(id), rejection.message))
    })
}

/// The beginning of an id.
pub fn short(id: &BlockId) -> String {
    id.to_string()[..8].to_owned()
}
