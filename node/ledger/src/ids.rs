//! Identifiers, parsed once: after that an id is 32 bytes, never a string that might be something else.

use std::fmt;
use std::str::FromStr;

/// Text that is not the identifier it was taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidId {
    /// What was expected, for people: "64 lower-case hexadecimal digits" and the like.
    pub expected: &'static str,
    /// The text that was given.
    pub got: String,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.got, self.expected)
    }
}

impl std::error::Error for InvalidId {}

const HEX: &str = "64 lower-case hexadecimal digits";

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    fn digit(c: u8) -> Option<u8> {
        match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        }
    }
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

fn write_hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 64];
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes the 32 bytes of a SHA3-256 digest.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes of the digest.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The 64 lower-case hexadecimal digits, as ASCII.
            pub fn to_hex(&self) -> [u8; 64] {
                write_hex(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_hex(text).map(Self).ok_or_else(|| InvalidId { expected: HEX, got: text.to_owned() })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.to_hex().iter().try_for_each(|c| fmt::Write::write_char(f, char::from(*c)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

hash_id! {
    /// Id of a transaction: SHA3-256 of its canonical body without `id` and with every fulfillment null.
    TxId
}
hash_id! {
    /// Id of a block: SHA3-256 of its canonical inner `block` object.
    BlockId
}

/// An Ed25519 public key, written as base58 of its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes the 32 bytes of a compressed point; whether they are a good point is the signature check's matter.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether a transaction can name this key: the schema wants 43 characters of base58, and one key in some hundred
    /// thousand has fewer. Whoever makes a key draws again then.
    pub fn fits_schema(&self) -> bool {
        self.to_string().len() >= 43
    }
}

impl FromStr for PublicKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut bytes = [0; 32];
        match bs58::decode(text).onto(&mut bytes) {
            // Shorter text decodes to fewer bytes: not a key.
            Ok(32) => Ok(Self(bytes)),
            _ => Err(InvalidId { expected: "a base58 Ed25519 public key of 32 bytes", got: text.to_owned() }),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.0).into_string())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One output of one transaction: what a TRANSFER spends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OutputRef {
    /// The transaction that holds the output.
    pub transaction_id: TxId,
    /// Its place among that transaction's outputs, from 0.
    pub index: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_exactly_64_lower_case_digits() {
        let hex = "15386803a7b44ce7d8849c1269610d1c2b30cf994b8d0853023ab5fe68cba9ae";
        assert_eq!(hex.parse::<TxId>().map(|id| id.to_string()).as_deref(), Ok(hex));
        for bad in ["", "ab", &hex.to_uppercase(), &hex[1..], &format!("{hex}0"), &hex.replace('1', "g")] {
            assert!(bad.parse::<TxId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn short_keys_do_not_fit_the_schema() {
        let mut bytes = [0xff; 32];
        assert!(PublicKey::from_bytes(bytes).fits_schema());
        bytes[..3].copy_from_slice(&[0, 0, 1]);
        let short = PublicKey::from_bytes(bytes);
        assert_eq!((short.to_string().len(), short.fits_schema()), (42, false));
    }

    #[test]
    fn keys_are_32_bytes_of_base58() {
        let key = "JEAkEJqLbbgDRAtMm8YAjGp759Aq2qTn9eaEHUj2XePE";
        assert_eq!(key.parse::<PublicKey>().map(|k| k.to_string()).as_deref(), Ok(key));
        for bad in ["", "1", &key[2..], &format!("{key}1"), &key.replace('J', "0")] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }
}
