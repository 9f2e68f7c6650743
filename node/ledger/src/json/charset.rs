//! The bytes of a request's body as UTF-8.

use std::borrow::Cow;
use std::fmt;

/// Why a body is no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CharsetError {
    /// Nobody here knows this character set; the reference fails with 500.
    Unknown {
        /// As it was given.
        charset: String,
    },
    /// The body is not in the character set that it claims; the reference answers as to a body that is no JSON.
    Undecodable,
}

impl fmt::Display for CharsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { charset } => {
                write!(f, "The character set `{charset}` is not known here: send the body as UTF-8.")
            }
            Self::Undecodable => f.write_str("The body is not in the character set that its Content-Type names."),
        }
    }
}

impl std::error::Error for CharsetError {}

/// The body's text as UTF-8, for [`super::parse()`]. `charset` is the parameter of the Content-Type, without quotes.
///
/// Without one, or with `utf-8`, the text is UTF-8, UTF-16 or UTF-32, told apart by its byte order mark or by where the
/// first bytes are zero, as the reference's recorded answers show. Whether given UTF-8 is right is left to the parser.
///
/// Names are Python's, in any case and with any punctuation: `utf-8`, `latin-1`, `iso-8859-1`, `us-ascii`, `utf-16` and
/// `utf-32` (by their byte order mark, or else little-endian), `utf-16-le`, `utf-16-be`, `utf-32-le`, `utf-32-be`.
pub fn decode<'a>(body: &'a [u8], charset: Option<&str>) -> Result<Cow<'a, [u8]>, CharsetError> {
    let charset = charset.unwrap_or_default();
    let name: String = charset.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = match name.to_ascii_lowercase().as_str() {
        "" | "utf8" | "u8" | "utf" | "utf8sig" => detected(body).to_owned(),
        named => named.to_owned(),
    };
    let text = match name.as_str() {
        "utf8" => return Ok(Cow::Borrowed(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body))),
        "ascii" | "usascii" | "646" if body.is_ascii() => return Ok(Cow::Borrowed(body)),
        "ascii" | "usascii" | "646" => None,
        "latin1" | "latin" | "l1" | "iso88591" | "cp819" | "8859" => {
            Some(body.iter().map(|b| char::from(*b)).collect())
        }
        "utf16" | "u16" => match body {
            [0xFE, 0xFF, text @ ..] => utf16(text, u16::from_be_bytes),
            [0xFF, 0xFE, text @ ..] | text => utf16(text, u16::from_le_bytes),
        },
        "utf16le" => utf16(body, u16::from_le_bytes),
        "utf16be" => utf16(body, u16::from_be_bytes),
        "utf32" | "u32" => match body {
            [0, 0, 0xFE, 0xFF, text @ ..] => utf32(text, u32::from_be_bytes),
            [0xFF, 0xFE, 0, 0, text @ ..] | text => utf32(text, u32::from_le_bytes),
        },
        "utf32le" => utf32(body, u32::from_le_bytes),
        "utf32be" => utf32(body, u32::from_be_bytes),
        _ => return Err(CharsetError::Unknown { charset: charset.to_owned() }),
    };
    text.map(|text: String| Cow::Owned(text.into_bytes())).ok_or(CharsetError::Undecodable)
}

/// Which kind of Unicode a JSON text is in: its first two characters are ASCII, or it begins with a byte order mark.
fn detected(body: &[u8]) -> &'static str {
    match body {
        [0, 0, 0xFE, 0xFF, ..] | [0xFF, 0xFE, 0, 0, ..] => "utf32",
        // Only where there is a zero byte, as the reference has it.
        [0xFE, 0xFF, 0, _, ..] | [0xFE, 0xFF, _, 0, ..] | [0xFF, 0xFE, 0, _, ..] | [0xFF, 0xFE, _, 0, ..] => "utf16",
        [0, 0, 0, _, ..] => "utf32be",
        [0, _, 0, _, ..] | [0, _] => "utf16be",
        [_, 0, 0, 0, ..] => "utf32le",
        [_, 0, _, 0, ..] | [_, 0] => "utf16le",
        _ => "utf8",
    }
}

fn utf16(body: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, []) = body.as_chunks::<2>() else { return None };
    char::decode_utf16(units.iter().map(|bytes| unit(*bytes))).collect::<Result<_, _>>().ok()
}

fn utf32(body: &[u8], unit: fn([u8; 4]) -> u32) -> Option<String> {
    let (units, []) = body.as_chunks::<4>() else { return None };
    units.iter().map(|bytes| char::from_u32(unit(*bytes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(charset: &str, body: &[u8], expected: Option<&str>) {
        let text = decode(body, Some(charset));
        match expected {
            Some(expected) => assert_eq!(text.as_deref(), Ok(expected.as_bytes()), "{charset}"),
            None => assert_eq!(text, Err(CharsetError::Undecodable), "{charset}"),
        }
    }

    #[test]
    fn each_character_set() {
        assert_eq!(decode(b"\xEF\xBB\xBF{}", None).as_deref(), Ok(b"{}".as_slice()));
        check("utf-8", b"\xEF\xBB\xBF{}", Some("{}"));
        for text in ["{}", "1", "[\"é🍺\"]"] {
            let units16: Vec<u16> = text.encode_utf16().collect();
            let bytes = |mark: bool, be: bool, wide: bool| -> Vec<u8> {
                let mark = mark.then_some('\u{feff}');
                let units: Vec<u32> = match wide {
                    true => mark.into_iter().chain(text.chars()).map(u32::from).collect(),
                    false => mark.map(|c| c as u16).into_iter().chain(units16.iter().copied()).map(u32::from).collect(),
                };
                let width = if wide { 4 } else { 2 };
                let ordered = |unit: u32| {
                    if be { unit.to_be_bytes()[4 - width..].to_vec() } else { unit.to_le_bytes()[..width].to_vec() }
                };
                units.into_iter().flat_map(ordered).collect()
            };
            for (mark, be, wide) in (0..8).map(|n| (n & 1 > 0, n & 2 > 0, n & 4 > 0)) {
                let body = bytes(mark, be, wide);
                assert_eq!(decode(&body, None).as_deref(), Ok(text.as_bytes()), "{body:?}");
            }
        }
        check("utf-8-sig", b"\xEF\xBB\xBF{}", Some("{}"));
        assert_eq!(decode(b"\xE9", None).as_deref(), Ok(b"\xE9".as_slice()), "left to the parser");
        check("UTF-8", "é".as_bytes(), Some("é"));
        check("latin-1", b"\xE9", Some("é"));
        check("ISO-8859-1", b"\xE9", Some("é"));
        check("us-ascii", b"e", Some("e"));
        check("us-ascii", b"\xE9", None);
        check("utf-16", b"\xFE\xFF\0e\xD8\x3C\xDF\x7A", Some("e🍺"));
        check("utf-16", b"\xFF\xFEe\0", Some("e"));
        check("utf_16", b"e\0", Some("e"));
        check("utf-16-le", b"e\0", Some("e"));
        check("utf-16BE", b"\0e", Some("e"));
        check("utf-16be", b"\0e\0", None);
        check("utf-16be", b"\xD8\x3C\0e", None);
        check("utf-32", b"\0\0\xFE\xFF\0\0\0e", Some("e"));
        check("utf-32", b"\xFF\xFE\0\0e\0\0\0", Some("e"));
        check("utf-32-le", b"e\0\0\0", Some("e"));
        check("utf-32be", b"\0\0\xD8\0", None);
        check("utf-32be", b"\0\0\0", None);
    }

    #[test]
    fn unknown_character_sets_are_named() {
        let unknown = CharsetError::Unknown { charset: "klingon".to_owned() };
        assert_eq!(decode(b"{}", Some("klingon")), Err(unknown));
    }
}
