//! How far a node has voted on the blocks: a place in their feed, kept in the collection `feeds` for the process after.
//!
//! A block that the others wrote and this node decided on by their votes, just before it ended, is not open any more; it gets
//! its vote of this node because the feed goes on where it was left. Where the server remembers that place no longer, such
//! blocks are found by this node's decisions. Nothing of the kind is kept of the backlog and of the votes: what is still to
//! be done there is what is open.

use std::collections::HashSet;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{RawDocument, cstr};
use mongodb::bson::{Document, Timestamp, doc};

use super::blocks::ASKED;
use super::fault;
use super::feed::Place;
use super::shared::Shared;
use crate::store::{Position, Result, StoreError};

/// How far the clock by which a node's decisions are numbered may be from the server's, seconds.
const CLOCKS: u32 = 60;

impl Shared {
    /// The place that was kept last; the first time a new one, at which everything that is open is to be given.
    pub async fn voted_up_to(&self) -> Result<Position> {
        let kept = self.one(self.feeds.find_one(doc! { "_id": self.node.to_string() })).await?;
        let place = kept.and_then(|mut kept| kept.remove("blocks"));
        if let Some(place) = place.and_then(|place| mongodb::bson::deserialize_from_bson::<Place>(place).ok()) {
            return place.position();
        }
        // None, or one of a later version of this program.
        self.see_all_written().await?;
        let position = Place::since(self.clock.now()).position()?;
        self.keep_voted_up_to(&position).await?;
        Ok(position)
    }

    /// What was given up to there has its vote, or needs none.
    pub async fn keep_voted_up_to(&self, position: &Position) -> Result<()> {
        self.may_write()?;
        let place: Document = mongodb::bson::deserialize_from_slice(&position.0)
            .map_err(|e| StoreError::Damaged(format!("a place in a feed does not read: {e}")))?;
        let (node, kept) = (self.node.to_string(), doc! { "blocks": place });
        let replace = self.feeds.replace_one(doc! { "_id": node }, kept).upsert(true);
        replace.await.map(drop).map_err(|e| fault::unavailable(&e))
    }

    /// Blocks that this node has decided on since then without having voted on them.
    pub async fn decided_without_vote(&self, since: Timestamp) -> Result<Vec<String>> {
        let node = self.node.to_string();
        let mut first = [0; 12];
        first[..4].copy_from_slice(&since.time.saturating_sub(CLOCKS).to_be_bytes());
        let recent = doc! { "node": &node, "_id": { "$gte": ObjectId::from_bytes(first) } };
        let decided = self.all(self.decisions.find(recent).projection(doc! { "_id": 0, "block": 1 })).await?;
        let decided: Vec<&str> = decided.iter().filter_map(|found| found.get_str(cstr!("block")).ok()).collect();
        let mut without = Vec::new();
        for blocks in decided.chunks(ASKED) {
            let mine = doc! { "vote.voting_for_block": { "$in": blocks }, "node_pubkey": &node };
            let votes = self.votes.find(mine).projection(doc! { "_id": 0, "vote.voting_for_block": 1 });
            let votes = self.all(votes).await?;
            let voted: HashSet<&str> = votes.iter().filter_map(|vote| voted_on(vote)).collect();
            without.extend(blocks.iter().filter(|block| !voted.contains(**block)).map(|block| (*block).to_owned()));
        }
        Ok(without)
    }
}

fn voted_on(vote: &RawDocument) -> Option<&str> {
    vote.get_document(cstr!("vote")).ok()?.get_str(cstr!("voting_for_block")).ok()
}
