//! SHA3-256 and Ed25519 with libsodium's verdicts.

use crate::ids::{InvalidId, PublicKey};

/// SHA3-256 (FIPS 202) over the parts one after the other.
pub fn sha3_256(_parts: &[&[u8]]) -> [u8; 32] {
    todo!()
}

/// An Ed25519 private key: the 32-byte seed, written as base58. Never printed.
pub struct PrivateKey(ed25519_dalek::SigningKey);

impl PrivateKey {
    /// From the 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// From base58 text. The error never shows the text.
    pub fn from_base58(_text: &str) -> Result<Self, InvalidId> {
        todo!()
    }

    /// Base58 of the seed, for the one place that writes a key file.
    pub fn to_base58(&self) -> zeroize::Zeroizing<String> {
        todo!()
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        todo!()
    }

    /// Signs.
    pub fn sign(&self, _message: &[u8]) -> [u8; 64] {
        todo!()
    }
}

/// A public key whose point is decoded and which passed libsodium's checks (canonical, not of small order).
#[derive(Clone)]
pub struct DecodedKey(());

impl DecodedKey {
    /// `None` where libsodium refuses every signature under this key.
    pub fn decode(_key: &PublicKey) -> Option<Self> {
        todo!()
    }

    /// libsodium's `crypto_sign_verify_detached` verdict (version 1.0.18).
    pub fn verify(&self, _message: &[u8], _signature: &[u8; 64]) -> bool {
        todo!()
    }
}

/// Where the rules have signatures checked; a node puts its caches behind this.
///
/// An implementation must give [`DecodedKey::verify`]'s verdict on every input: verdicts are consensus.
pub trait Verifier {
    /// Whether the signature is good.
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool;
}

/// The verifier without any cache.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uncached;

impl Verifier for Uncached {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
        DecodedKey::decode(key).is_some_and(|key| key.verify(message, signature))
    }
}
