//! What fulfils a condition.

use base64::Engine as _;

use super::der::{self, Malformed, Reader};
use super::{BASE64, COMPOUND_COST, Condition, Kind, Kinds, MAX_DEPTH, sha256, threshold_cost};
use crate::crypto::Verifier;
use crate::error::Invalid;
use crate::ids::PublicKey;

/// A fulfillment of any of the five types, as it was read: nothing is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fulfillment {
    /// A text whose hash the condition names. Proves nothing: whoever sees it can repeat it.
    Preimage(Box<[u8]>),
    /// A fulfillment over the message with a prefix.
    Prefix {
        /// Put before the message.
        prefix: Box<[u8]>,
        /// Part of the condition; the reference never compares it with a message.
        max_message_length: u32,
        /// What fulfils the prefixed message.
        subfulfillment: Box<Fulfillment>,
    },
    /// As many fulfillments as the threshold, and the conditions that are not fulfilled.
    Threshold {
        /// All of them must fulfil; their number is the threshold.
        subfulfillments: Vec<Fulfillment>,
        /// The other conditions.
        subconditions: Vec<Condition>,
    },
    /// Read and written, never accepted.
    Rsa {
        /// Big-endian, 128 to 512 bytes without a leading zero.
        modulus: Box<[u8]>,
        /// Not looked at.
        signature: Box<[u8]>,
    },
    /// A signature.
    Ed25519 {
        /// Whose.
        public_key: PublicKey,
        /// Over the message.
        signature: [u8; 64],
    },
}

impl Fulfillment {
    /// Reads the base64url text of an input.
    ///
    /// # Errors
    ///
    /// [`Invalid::FulfillmentUnparsable`]; [`Invalid::ReferenceFails`] for a text that is no base64 and for more than
    /// [`MAX_DEPTH`] fulfillments inside one another.
    pub fn from_text(text: &str) -> Result<Self, Invalid> {
        let bytes = BASE64.decode(text).map_err(|_| {
            let length = text.len();
            Invalid::ReferenceFails(format!("`fulfillment` is not base64url without padding ({length} characters)"))
        })?;
        Self::from_der(&bytes)
    }

    /// Reads the binary form. Bytes after it are ignored.
    ///
    /// # Errors
    ///
    /// As [`Self::from_text`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, Invalid> {
        read(&mut Reader::new(bytes), 0).map_err(|error| match error {
            ReadError::Malformed => Invalid::FulfillmentUnparsable,
            ReadError::TooDeep => {
                Invalid::ReferenceFails(format!("`fulfillment` is nested deeper than {MAX_DEPTH} levels"))
            }
        })
    }

    /// The base64url text.
    pub fn to_text(&self) -> String {
        BASE64.encode(self.to_der())
    }

    /// The binary form, sets sorted.
    pub fn to_der(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(102);
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        der::write_constructed(out, 0xa0 | self.kind() as u8, |out| match self {
            Self::Preimage(preimage) => der::write_tlv(out, 0x80, preimage),
            Self::Prefix { prefix, max_message_length, subfulfillment } => {
                der::write_tlv(out, 0x80, prefix);
                der::write_integer(out, 0x81, u64::from(*max_message_length));
                der::write_constructed(out, 0xa2, |out| subfulfillment.write(out));
            }
            Self::Threshold { subfulfillments, subconditions } => {
                der::write_set(out, 0xa0, subfulfillments, Self::write);
                // A condition that was read has a cost of 32 bits, so none is left out.
                der::write_set(out, 0xa1, subconditions, |sub, out| out.extend(sub.to_der().unwrap_or_default()));
            }
            Self::Rsa { modulus, signature } => {
                der::write_tlv(out, 0x80, modulus);
                der::write_tlv(out, 0x81, signature);
            }
            Self::Ed25519 { public_key, signature } => {
                der::write_tlv(out, 0x80, public_key.as_bytes());
                der::write_tlv(out, 0x81, signature);
            }
        });
    }

    /// Its type.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Preimage(_) => Kind::Preimage,
            Self::Prefix { .. } => Kind::Prefix,
            Self::Threshold { .. } => Kind::Threshold,
            Self::Rsa { .. } => Kind::Rsa,
            Self::Ed25519 { .. } => Kind::Ed25519,
        }
    }

    /// The condition that it fulfils. `None` where none can be written: an empty threshold, costs beyond 32 bits.
    pub fn condition(&self) -> Option<Condition> {
        self.derive().condition
    }

    /// Whether it fulfils its condition over the message.
    ///
    /// Everything inside must verify, and the reference must be able to write the fulfillment: it judges the written
    /// form. It cannot where it needs the cost of a part and there is none.
    pub fn verify(&self, message: &[u8], verifier: &dyn Verifier) -> bool {
        let leaf = !self.kind().is_compound();
        (leaf || self.derive().writable) && self.verify_parts(&mut vec![message], verifier)
    }

    /// `message` holds the message, then the prefixes from the outermost to the innermost: signed is the reverse.
    fn verify_parts<'a>(&'a self, message: &mut Vec<&'a [u8]>, verifier: &dyn Verifier) -> bool {
        match self {
            Self::Preimage(_) => true,
            Self::Rsa { .. } => false,
            Self::Prefix { prefix, subfulfillment, .. } => {
                message.push(prefix);
                let verified = subfulfillment.verify_parts(message, verifier);
                message.pop();
                verified
            }
            Self::Threshold { subfulfillments, .. } => {
                subfulfillments.iter().all(|sub| sub.verify_parts(message, verifier))
            }
            Self::Ed25519 { public_key, signature } => match message.as_slice() {
                [whole] => verifier.verify(public_key, whole, signature),
                parts => {
                    let whole: Vec<u8> = parts.iter().rev().copied().flatten().copied().collect();
                    verifier.verify(public_key, &whole, signature)
                }
            },
        }
    }

    /// Cost, condition and whether it can be written, bottom-up: linear in the size of the fulfillment.
    fn derive(&self) -> Derived {
        match self {
            Self::Preimage(preimage) => Derived::leaf(Kind::Preimage, sha256(preimage), preimage.len() as u64),
            Self::Rsa { modulus, .. } => {
                let mut contents = Vec::with_capacity(modulus.len() + 4);
                der::write_tlv(&mut contents, 0x80, modulus);
                Derived::leaf(Kind::Rsa, sha256(&der::sequence(&contents)), rsa_cost(modulus))
            }
            Self::Ed25519 { public_key, .. } => Derived::of(Condition::ed25519(public_key)),
            Self::Prefix { prefix, max_message_length, subfulfillment } => {
                let sub = subfulfillment.derive();
                let added = (prefix.len() as u64).saturating_add(u64::from(*max_message_length) + COMPOUND_COST);
                let cost = sub.condition.map(|sub| sub.cost.saturating_add(added));
                let condition = cost.and_then(|cost| {
                    let sub = sub.condition?;
                    let mut contents = Vec::with_capacity(prefix.len() + 64);
                    der::write_tlv(&mut contents, 0x80, prefix);
                    der::write_integer(&mut contents, 0x81, u64::from(*max_message_length));
                    der::write_tlv(&mut contents, 0xa2, &sub.to_der()?);
                    let fingerprint = sha256(&der::sequence(&contents));
                    let subtypes = sub.subtypes.with(sub.kind).without(Kind::Prefix);
                    Some(Condition { kind: Kind::Prefix, fingerprint, cost, subtypes })
                });
                Derived { cost, condition, writable: sub.writable }
            }
            Self::Threshold { subfulfillments, subconditions } => {
                let threshold = subfulfillments.len();
                let subs: Vec<Derived> = subfulfillments.iter().map(Self::derive).collect();
                // The reference sorts what it writes by cost.
                let writable = subs.iter().all(|sub| sub.writable && sub.cost.is_some());
                let conditions: Option<Vec<Condition>> =
                    subs.iter().map(|sub| sub.condition).chain(subconditions.iter().copied().map(Some)).collect();
                let cost = conditions.as_ref().and_then(|all| threshold_cost(threshold, all));
                let condition = conditions.and_then(|all| Condition::threshold(threshold, &all));
                Derived { cost, condition, writable }
            }
        }
    }

    /// Calls `each` with every public key whose signature is inside.
    pub fn for_each_key(&self, each: &mut dyn FnMut(&PublicKey)) {
        match self {
            Self::Preimage(_) | Self::Rsa { .. } => {}
            Self::Prefix { subfulfillment, .. } => subfulfillment.for_each_key(each),
            Self::Threshold { subfulfillments, .. } => {
                for sub in subfulfillments {
                    sub.for_each_key(each);
                }
            }
            Self::Ed25519 { public_key, .. } => each(public_key),
        }
    }
}

/// What follows from a fulfillment.
struct Derived {
    cost: Option<u64>,
    condition: Option<Condition>,
    writable: bool,
}

impl Derived {
    fn of(condition: Condition) -> Self {
        Self { cost: Some(condition.cost), condition: Some(condition), writable: true }
    }

    fn leaf(kind: Kind, fingerprint: [u8; 32], cost: u64) -> Self {
        Self::of(Condition { kind, fingerprint, cost, subtypes: Kinds::NONE })
    }
}

/// The square of the modulus' length in bits, divided by 64.
fn rsa_cost(modulus: &[u8]) -> u64 {
    let leading = modulus.first().map_or(0, |first| u64::from(first.leading_zeros()));
    let bits = (modulus.len() as u64 * 8).saturating_sub(leading);
    bits * bits / 64
}

enum ReadError {
    Malformed,
    TooDeep,
}

impl From<Malformed> for ReadError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

fn read(input: &mut Reader<'_>, depth: usize) -> Result<Fulfillment, ReadError> {
    if depth > MAX_DEPTH {
        return Err(ReadError::TooDeep);
    }
    let (kind, mut contents) = input.choice()?;
    let fulfillment = match kind {
        Kind::Preimage => Fulfillment::Preimage(contents.octets(0)?.into()),
        Kind::Prefix => {
            let prefix = contents.octets(0)?.into();
            let max_message_length = contents.u32(1)?;
            // What follows the fulfillment in this wrapper is ignored, as the reference's decoder does.
            let subfulfillment = Box::new(read(&mut contents.wrapper(2)?, depth + 1)?);
            Fulfillment::Prefix { prefix, max_message_length, subfulfillment }
        }
        Kind::Threshold => {
            let mut fulfilled = contents.constructed(0)?;
            let mut subfulfillments = Vec::new();
            while !fulfilled.is_empty() {
                subfulfillments.push(read(&mut fulfilled, depth + 1)?);
            }
            let mut unfulfilled = contents.constructed(1)?;
            let mut subconditions = Vec::new();
            while !unfulfilled.is_empty() {
                subconditions.push(Condition::from_der(&mut unfulfilled)?);
            }
            Fulfillment::Threshold { subfulfillments, subconditions }
        }
        Kind::Rsa => {
            let modulus = contents.octets(0)?;
            let signature = contents.octets(1)?;
            if !(128..=512).contains(&modulus.len()) || modulus.first() == Some(&0) {
                return Err(ReadError::Malformed);
            }
            Fulfillment::Rsa { modulus: modulus.into(), signature: signature.into() }
        }
        Kind::Ed25519 => {
            let public_key = contents.octets(0)?.try_into().map_err(|_| Malformed)?;
            let signature = contents.octets(1)?.try_into().map_err(|_| Malformed)?;
            Fulfillment::Ed25519 { public_key: PublicKey::from_bytes(public_key), signature }
        }
    };
    contents.end()?;
    Ok(fulfillment)
}
