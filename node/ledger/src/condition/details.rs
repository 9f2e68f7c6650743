//! Details: the JSON form of an output's condition, and of an input that is not signed yet.
//!
//! `{"type": "ed25519-sha-256", "public_key"}` or `{"type": "threshold-sha-256", "threshold", "subconditions"}`.

use super::{Condition, Kind, MAX_DEPTH};
use crate::error::Invalid;
use crate::ids::PublicKey;
use crate::json::Value;

/// What details say.
#[derive(Debug)]
pub struct Details<'v> {
    /// The condition that they describe.
    pub condition: Condition,
    /// Every key in them, in order, repeats included, as text and decoded.
    pub keys: Vec<(&'v str, PublicKey)>,
}

/// Reads details in one walk, conditions from the bottom up: linear in their size.
///
/// # Errors
///
/// [`Invalid::ThresholdTooDeep`] when they nest [`MAX_DEPTH`] levels; [`Invalid::ReferenceFails`] where the reference
/// answers 500: keys that are not 32 bytes of base58, thresholds that cannot be met.
pub fn read<'v>(details: &'v Value<'_>) -> Result<Details<'v>, Invalid> {
    let mut walk = Walk { keys: Vec::new(), unmet: None };
    let condition = walk.condition(details, 0)?;
    match (condition, walk.unmet) {
        (Some(condition), None) => Ok(Details { condition, keys: walk.keys }),
        (_, unmet) => {
            let reason = unmet.unwrap_or_else(|| "a threshold costs more than 32 bits hold".to_owned());
            Err(Invalid::ReferenceFails(format!("`details`: {reason}")))
        }
    }
}

/// Only the keys of details: what an output's owners are, for details that were read before.
pub fn read_keys<'v>(details: &'v Value<'_>) -> Result<Vec<(&'v str, PublicKey)>, Invalid> {
    let mut walk = Walk { keys: Vec::new(), unmet: None };
    walk.keys(details, 0)?;
    Ok(walk.keys)
}

struct Walk<'v> {
    keys: Vec<(&'v str, PublicKey)>,
    /// The first threshold that cannot be met. Reported last: the reference reads everything before it computes
    /// any condition.
    unmet: Option<String>,
}

enum Node<'v, 'a> {
    Key(&'v str, PublicKey),
    Threshold(usize, &'v [Value<'a>]),
}

impl<'v> Walk<'v> {
    fn condition(&mut self, details: &'v Value<'_>, depth: usize) -> Result<Option<Condition>, Invalid> {
        match node(details, depth)? {
            Node::Key(text, key) => {
                self.keys.push((text, key));
                Ok(Some(Condition::ed25519(&key)))
            }
            Node::Threshold(threshold, subconditions) => {
                let mut conditions = Vec::with_capacity(subconditions.len());
                for sub in subconditions {
                    conditions.extend(self.condition(sub, depth + 1)?);
                }
                if threshold > subconditions.len() && self.unmet.is_none() {
                    let n = subconditions.len();
                    self.unmet = Some(format!("a threshold of {threshold} over {n} subconditions cannot be met"));
                }
                let complete = conditions.len() == subconditions.len();
                Ok(if complete { Condition::threshold(threshold, &conditions) } else { None })
            }
        }
    }

    fn keys(&mut self, details: &'v Value<'_>, depth: usize) -> Result<(), Invalid> {
        match node(details, depth)? {
            Node::Key(text, key) => self.keys.push((text, key)),
            Node::Threshold(_, subconditions) => {
                for sub in subconditions {
                    self.keys(sub, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}

fn node<'v, 'a>(details: &'v Value<'a>, depth: usize) -> Result<Node<'v, 'a>, Invalid> {
    if depth >= MAX_DEPTH {
        return Err(Invalid::ThresholdTooDeep);
    }
    let fails = |reason: String| Invalid::ReferenceFails(format!("`details`: {reason}"));
    let Value::Object(details) = details else {
        return Err(fails("not an object".to_owned()));
    };
    match details.get("type") {
        Some(Value::String(kind)) if kind == Kind::Ed25519.name() => {
            let Some(Value::String(text)) = details.get("public_key") else {
                return Err(fails("`public_key` is missing".to_owned()));
            };
            let key = text.parse().map_err(|error| fails(format!("`public_key` {error}")))?;
            Ok(Node::Key(text, key))
        }
        Some(Value::String(kind)) if kind == Kind::Threshold.name() => {
            let threshold = match details.get("threshold") {
                Some(Value::Int(int)) => int.as_u64().and_then(|n| usize::try_from(n).ok()),
                _ => None,
            };
            match (threshold, details.get("subconditions")) {
                (Some(threshold @ 1..), Some(Value::Array(subconditions))) => {
                    Ok(Node::Threshold(threshold, subconditions))
                }
                _ => Err(fails("`threshold` must be positive and `subconditions` a list".to_owned())),
            }
        }
        _ => Err(fails("`type` is neither `ed25519-sha-256` nor `threshold-sha-256`".to_owned())),
    }
}
