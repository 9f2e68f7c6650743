//! The subject of a certificate as RFC 2253 writes it, letter for letter as
//! `openssl x509 -subject -nameopt RFC2253` prints it: that text is the name of a MongoDB user in `$external`.

use std::fmt::Write as _;

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The names that OpenSSL gives to the attribute types found in subjects; others are printed as object identifiers, as
/// OpenSSL prints those that it does not know.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.16", "postalAddress"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.18", "postOfficeBox"),
    ("2.5.4.20", "telephoneNumber"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.3", "mail"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
    ("1.2.840.113549.1.9.8", "unstructuredAddress"),
    ("1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL"),
    ("1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST"),
    ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC"),
];

/// The name in RFC 2253's order: the last attribute of the certificate first.
pub(crate) fn rfc2253(name: &X509Name<'_>) -> String {
    let relative_names: Vec<Vec<_>> = name.iter().map(|relative| relative.iter().collect()).collect();
    let mut text = String::new();
    for (position, attributes) in relative_names.iter().rev().enumerate() {
        for (within, attribute) in attributes.iter().rev().enumerate() {
            match (position, within) {
                (0, 0) => {}
                (_, 0) => text.push(','),
                _ => text.push('+'),
            }
            push_attribute(&mut text, attribute);
        }
    }
    text
}

fn push_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let identifier = attribute.attr_type().to_id_string();
    let value = attribute.attr_value();
    let short_name = SHORT_NAMES.iter().find(|(known, _)| *known == identifier).map(|(_, name)| *name);
    text.push_str(short_name.unwrap_or(&identifier));
    text.push('=');
    match utf8(value).filter(|_| short_name.is_some()) {
        Some(characters) => push_escaped(text, &characters),
        None => push_dump(text, value),
    }
}

/// The value's characters in UTF-8; `None` for what is no text.
pub(crate) fn utf8(value: &Any<'_>) -> Option<Vec<u8>> {
    let data = value.data;
    match value.tag() {
        Tag::Utf8String => Some(data.to_vec()),
        // One byte a character, which OpenSSL takes for Latin-1.
        Tag::NumericString
        | Tag::PrintableString
        | Tag::T61String
        | Tag::Ia5String
        | Tag::UtcTime
        | Tag::GeneralizedTime
        | Tag::VisibleString => Some(data.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()),
        Tag::BmpString => characters(data.chunks_exact(2), data.len() % 2),
        Tag::UniversalString => characters(data.chunks_exact(4), data.len() % 4),
        _ => None,
    }
}

fn characters<'a>(units: impl Iterator<Item = &'a [u8]>, remainder: usize) -> Option<Vec<u8>> {
    let number = |unit: &[u8]| unit.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    let text: Option<String> = units.map(|unit| char::from_u32(number(unit))).collect();
    text.filter(|_| remainder == 0).map(String::into_bytes)
}

pub(crate) fn push_escaped(text: &mut String, characters: &[u8]) {
    let last = characters.len().saturating_sub(1);
    for (position, byte) in characters.iter().enumerate() {
        let special = match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => true,
            b' ' => position == 0 || position == last,
            // OpenSSL forgets that a character alone is the first one, too.
            b'#' => position == 0 && position != last,
            _ => false,
        };
        if special {
            text.push('\\');
        }
        if byte.is_ascii() && !byte.is_ascii_control() {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "\\{byte:02X}"); // A string takes all that is written to it.
        }
    }
}

/// `#` and the value's DER in hexadecimal.
fn push_dump(text: &mut String, value: &Any<'_>) {
    let header = &value.header;
    let tag = (header.class() as u8) << 6 | u8::from(header.is_constructed()) << 5 | (header.tag().0 as u8 & 0x1F);
    let mut der = vec![tag];
    let length = value.data.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    if value.data.len() < 0x80 {
        der.push(value.data.len() as u8);
    } else {
        der.push(0x80 | significant.len() as u8);
        der.extend(significant);
    }
    der.extend(value.data);
    text.push('#');
    for byte in der {
        let _ = write!(text, "{byte:02X}"); // A string takes all that is written to it.
    }
}
