//! SHA3-256 and Ed25519 with libsodium's verdicts.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, Verifier as _, VerifyingKey};
use sha3::{Digest as _, Sha3_256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::ids::{InvalidId, PublicKey};

/// SHA3-256 (FIPS 202) over the parts one after the other.
pub fn sha3_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha3_256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// An Ed25519 private key: the 32-byte seed, written as base58. Never printed.
pub struct PrivateKey(ed25519_dalek::SigningKey);

impl PrivateKey {
    /// From the 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// From base58 text. The error never shows the text.
    pub fn from_base58(text: &str) -> Result<Self, InvalidId> {
        let mut seed = Zeroizing::new([0; 32]);
        match bs58::decode(text).onto(&mut *seed) {
            Ok(32) => Ok(Self::from_seed(&seed)),
            _ => Err(InvalidId {
                expected: "a base58 Ed25519 private key of 32 bytes",
                got: "(private key, not shown)".to_owned(),
            }),
        }
    }

    /// Base58 of the seed, for the one place that writes a key file.
    pub fn to_base58(&self) -> Zeroizing<String> {
        let mut seed = self.0.to_bytes();
        let text = Zeroizing::new(bs58::encode(&seed).into_string());
        seed.zeroize();
        text
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey of {}", self.public_key())
    }
}

/// A public key whose point is decoded and which passed libsodium's checks (canonical, not of small order).
///
/// A few hundred bytes without any allocation: cheap to copy.
#[derive(Clone, Copy)]
pub struct DecodedKey(VerifyingKey);

impl DecodedKey {
    /// `None` where libsodium refuses every signature under this key.
    pub fn decode(key: &PublicKey) -> Option<Self> {
        let bytes = key.as_bytes();
        if !is_canonical(bytes) || is_small_order(bytes) {
            return None;
        }
        VerifyingKey::from_bytes(bytes).ok().map(Self)
    }

    /// libsodium's `crypto_sign_verify_detached` verdict (version 1.0.18).
    ///
    /// `VerifyingKey::verify` refuses S >= L and compares `sB - hA`, encoded, with the bytes of R, as libsodium does:
    /// so a non-canonical R can never match. What is left is R of small order.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        !is_small_order(signature.r_bytes()) && self.0.verify(message, &signature).is_ok()
    }
}

impl fmt::Debug for DecodedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodedKey of {}", PublicKey::from_bytes(self.0.to_bytes()))
    }
}

/// Whether the y coordinate is below p = 2^255 - 19 (the sign bit does not matter).
fn is_canonical(point: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = point;
    *low < 0xed || high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// Whether this encodes a point whose order divides 8, in any of the ways that libsodium knows, of either sign.
fn is_small_order(point: &[u8; 32]) -> bool {
    SMALL_ORDER.iter().any(|known| point[..31] == known[..31] && point[31] & 0x7f == known[31])
}

/// y of the points of small order: 0 and 1, the two of order 8, p - 1, and the non-canonical p and p + 1.
const SMALL_ORDER: [[u8; 32]; 7] = [
    y_from(0, 0, 0),
    y_from(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    y_from(0xec, 0xff, 0x7f),
    y_from(0xed, 0xff, 0x7f),
    y_from(0xee, 0xff, 0x7f),
];

const fn y_from(low: u8, middle: u8, high: u8) -> [u8; 32] {
    let mut y = [middle; 32];
    y[0] = low;
    y[31] = high;
    y
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody knows a private key for such points, so no recorded signature can show this.
    #[test]
    fn keys_that_are_not_canonical_are_refused() {
        let decodes =
            |low: u8, fill: u8, high: u8| DecodedKey::decode(&PublicKey::from_bytes(y_from(low, fill, high))).is_some();
        for sign in [0, 0x80] {
            // p + k is another way to write k: about half of them are points of the curve.
            let canonical = (2..19).filter(|k| decodes(*k, 0, sign)).count();
            assert!(canonical > 4, "{canonical}");
            assert!((2..19).all(|k| !decodes(0xed + k, 0xff, 0x7f | sign)));
        }
    }
}
