//! Crypto-conditions (draft-thomas-crypto-conditions-02): conditions, their `ni:` URIs and their binary form.
//!
//! A condition is what an output is locked with: a type, a fingerprint and a cost. What unlocks it is a
//! [`fulfillment::Fulfillment`]; an output's JSON form of it is read by [`details`].

pub mod der;
pub mod details;
pub mod fulfillment;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256};

use crate::ids::PublicKey;

/// Base64 of fulfillments and fingerprints: written without padding, read whatever the spare bits of the last
/// character are (the reference does not look at them).
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Nested thresholds and prefixes that are followed. An output's details have fewer than this
/// ([`crate::error::Invalid::ThresholdTooDeep`]), so nothing that can be spent needs more.
pub const MAX_DEPTH: usize = 100;

/// Types of conditions. The number is the DER tag and the bit in a set of subtypes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Kind {
    /// Whoever knows the preimage of a hash.
    Preimage = 0,
    /// A condition over a message with something put before it.
    Prefix = 1,
    /// m of n conditions.
    Threshold = 2,
    /// An RSA-PSS signature.
    Rsa = 3,
    /// An Ed25519 signature.
    Ed25519 = 4,
}

impl Kind {
    /// In the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Preimage, Self::Prefix, Self::Threshold, Self::Rsa, Self::Ed25519];

    /// As a condition URI and details write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preimage => "preimage-sha-256",
            Self::Prefix => "prefix-sha-256",
            Self::Threshold => "threshold-sha-256",
            Self::Rsa => "rsa-sha-256",
            Self::Ed25519 => "ed25519-sha-256",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether conditions of this type contain others, and so list subtypes.
    pub const fn is_compound(self) -> bool {
        matches!(self, Self::Prefix | Self::Threshold)
    }
}

/// A set of types.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Kinds(u8);

impl Kinds {
    /// No type.
    pub const NONE: Self = Self(0);

    /// This set and one more type.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// This set without one type.
    #[must_use]
    pub const fn without(self, kind: Kind) -> Self {
        Self(self.0 & !(1 << kind as u8))
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the type is in it.
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

/// A condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Condition {
    /// Its type.
    pub kind: Kind,
    /// SHA-256 of what is known of the fulfillment beforehand.
    pub fingerprint: [u8; 32],
    /// What checking a fulfillment may cost at most, by the draft's formulas.
    pub cost: u64,
    /// The types inside; empty unless the type is compound.
    pub subtypes: Kinds,
}

/// Cost of an Ed25519 condition.
const ED25519_COST: u64 = 131_072;

/// Cost that a compound condition adds for each condition inside.
const COMPOUND_COST: u64 = 1024;

impl Condition {
    /// The condition that this key's signature fulfils.
    pub fn ed25519(key: &PublicKey) -> Self {
        let mut contents = [0; 36];
        contents[..4].copy_from_slice(&[0x30, 34, 0x80, 32]);
        contents[4..].copy_from_slice(key.as_bytes());
        Self { kind: Kind::Ed25519, fingerprint: sha256(&contents), cost: ED25519_COST, subtypes: Kinds::NONE }
    }

    /// The condition that `threshold` of the others fulfil. `None` where none can be written: a threshold that is
    /// zero, above 65,535 or more than there are conditions, or a cost beyond 32 bits inside.
    pub fn threshold(threshold: usize, subconditions: &[Self]) -> Option<Self> {
        let cost = threshold_cost(threshold, subconditions)?;
        if threshold == 0 || threshold > 65_535 {
            return None;
        }
        let mut encoded = subconditions.iter().map(Self::to_der).collect::<Option<Vec<_>>>()?;
        encoded.sort_unstable();
        let mut contents = Vec::with_capacity(8 + encoded.len() * 48);
        der::write_integer(&mut contents, 0x80, threshold as u64);
        der::write_tlv(&mut contents, 0xa1, &encoded.concat());
        let subtypes = subconditions.iter().fold(Kinds::NONE, |all, sub| all.union(sub.subtypes).with(sub.kind));
        Some(Self {
            kind: Kind::Threshold,
            fingerprint: sha256(&der::sequence(&contents)),
            cost,
            subtypes: subtypes.without(Kind::Threshold),
        })
    }

    /// The binary form; `None` if the cost has no room in 32 bits.
    pub fn to_der(&self) -> Option<Vec<u8>> {
        let cost = u32::try_from(self.cost).ok()?;
        let mut contents = Vec::with_capacity(48);
        der::write_tlv(&mut contents, 0x80, &self.fingerprint);
        der::write_integer(&mut contents, 0x81, u64::from(cost));
        if self.kind.is_compound() {
            let bits = self.subtypes.0.reverse_bits();
            let unused = bits.trailing_zeros().min(8) as u8;
            let written: &[u8] = if bits == 0 { &[0] } else { &[unused, bits] };
            der::write_tlv(&mut contents, 0x82, written);
        }
        let mut out = Vec::with_capacity(contents.len() + 2);
        der::write_tlv(&mut out, 0xa0 | self.kind as u8, &contents);
        Some(out)
    }

    /// Reads the binary form that is next in `input`.
    pub(crate) fn from_der(input: &mut der::Reader<'_>) -> Result<Self, der::Malformed> {
        let (kind, mut contents) = input.choice()?;
        let fingerprint = contents.octets(0)?.try_into().map_err(|_| der::Malformed)?;
        let cost = u64::from(contents.u32(1)?);
        let subtypes = if kind.is_compound() { Kinds(contents.bits(2)? & 0x1f) } else { Kinds::NONE };
        contents.end()?;
        Ok(Self { kind, fingerprint, cost, subtypes })
    }
}

fn sha256(contents: &[u8]) -> [u8; 32] {
    Sha256::digest(contents).into()
}

/// Sum of the `threshold` largest costs, and 1024 for each. A threshold of zero counts all, as the reference does.
fn threshold_cost(threshold: usize, subconditions: &[Condition]) -> Option<u64> {
    let mut costs: Vec<u64> = subconditions.iter().map(|sub| sub.cost).collect();
    costs.sort_unstable_by(|a, b| b.cmp(a));
    let counted = if threshold == 0 { &costs } else { costs.get(..threshold)? };
    let largest = counted.iter().fold(0_u64, |sum, cost| sum.saturating_add(*cost));
    Some(largest.saturating_add(COMPOUND_COST.saturating_mul(costs.len() as u64)))
}

/// The `ni:` URI.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = BASE64.encode(self.fingerprint);
        write!(f, "ni:///sha-256;{fingerprint}?fpt={}&cost={}", self.kind.name(), self.cost)?;
        if self.kind.is_compound() {
            f.write_str("&subtypes=")?;
            // The names stand in alphabetical order.
            let ordered = [Kind::Ed25519, Kind::Prefix, Kind::Preimage, Kind::Rsa, Kind::Threshold];
            let present = ordered.into_iter().filter(|kind| self.subtypes.contains(*kind));
            for (n, kind) in present.enumerate() {
                write!(f, "{}{}", if n == 0 { "" } else { "," }, kind.name())?;
            }
        }
        Ok(())
    }
}

/// Why a text is no condition URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUri {
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for InvalidUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a condition URI: {}", self.reason)
    }
}

impl std::error::Error for InvalidUri {}

impl FromStr for Condition {
    type Err = InvalidUri;

    /// Reads a URI as [`fmt::Display`] writes it; the parameters may stand in any order, each once.
    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        let refuse = |reason| InvalidUri { reason };
        let rest = text.strip_prefix("ni:///sha-256;").ok_or(refuse("it does not start with `ni:///sha-256;`"))?;
        let (hash, parameters) = rest.split_once('?').ok_or(refuse("there is no `?`"))?;
        let mut fingerprint = [0; 32];
        if BASE64.decode_slice(hash, &mut fingerprint) != Ok(32) {
            return Err(refuse("the fingerprint is not base64url of 32 bytes"));
        }
        let (mut kind, mut cost, mut subtypes) = (None, None, None);
        for parameter in parameters.split('&') {
            let (name, value) = parameter.split_once('=').ok_or(refuse("a parameter has no value"))?;
            let repeated = match name {
                "fpt" => kind.replace(Kind::from_name(value).ok_or(refuse("`fpt` names no type"))?).is_some(),
                "cost" => cost.replace(read_cost(value).ok_or(refuse("`cost` is no number"))?).is_some(),
                "subtypes" => {
                    subtypes.replace(read_subtypes(value).ok_or(refuse("`subtypes` names no types"))?).is_some()
                }
                _ => return Err(refuse("a parameter is not `fpt`, `cost` or `subtypes`")),
            };
            if repeated {
                return Err(refuse("a parameter is repeated"));
            }
        }
        let kind: Kind = kind.ok_or(refuse("`fpt` is missing"))?;
        let cost = cost.ok_or(refuse("`cost` is missing"))?;
        if subtypes.is_some() != kind.is_compound() {
            return Err(refuse("`subtypes` stands with `prefix-sha-256` and `threshold-sha-256` and no other type"));
        }
        Ok(Self { kind, fingerprint, cost, subtypes: subtypes.unwrap_or_default() })
    }
}

fn read_cost(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

fn read_subtypes(text: &str) -> Option<Kinds> {
    if text.is_empty() {
        return Some(Kinds::NONE);
    }
    text.split(',').try_fold(Kinds::NONE, |all, name| Some(all.with(Kind::from_name(name)?)))
}
