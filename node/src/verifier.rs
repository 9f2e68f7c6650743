//! Signature checks with a cache of decoded keys.
//!
//! Decoding a public key costs about a tenth of a check and busy signers come again and again. Verdicts themselves are
//! remembered in [`ledger::transaction::Transaction`], which the pipelines share.

use std::collections::HashMap;
use std::sync::RwLock;

use ledger::crypto::{DecodedKey, Verifier};
use ledger::ids::PublicKey;

const SHARDS: usize = 16;

/// See the module's page.
pub struct CachingVerifier {
    shards: Vec<RwLock<HashMap<PublicKey, Option<DecodedKey>>>>,
    capacity_per_shard: usize,
}

impl CachingVerifier {
    /// Remembers about `capacity` keys.
    pub fn new(capacity: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            capacity_per_shard: capacity.div_ceil(SHARDS).max(1),
        }
    }
}

impl Verifier for CachingVerifier {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
        // The last byte but one is as random as any other of an honest key, and a hostile one only crowds its own shard.
        let shard = &self.shards[usize::from(key.as_bytes()[30]) % SHARDS];
        let known = shard.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(key).cloned();
        let decoded = known.unwrap_or_else(|| {
            let decoded = DecodedKey::decode(key);
            let mut keys = shard.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            if keys.len() >= self.capacity_per_shard {
                // Start over: cheaper than keeping an order, and a key costs one decoding to come back.
                keys.clear();
            }
            keys.insert(*key, decoded);
            decoded
        });
        decoded.is_some_and(|decoded| decoded.verify(message, signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::crypto::PrivateKey;

    #[test]
    fn remembered_keys_give_the_same_verdicts_also_when_the_cache_overflows() {
        let verifier = CachingVerifier::new(1);
        for seed in 0..200u8 {
            let key = PrivateKey::from_seed(&[seed; 32]);
            let signature = key.sign(b"message");
            for _ in 0..2 {
                assert!(verifier.verify(&key.public_key(), b"message", &signature));
                assert!(!verifier.verify(&key.public_key(), b"another", &signature));
            }
        }
    }
}
