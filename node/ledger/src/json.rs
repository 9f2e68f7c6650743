//! JSON as BigchainDB 1.0.1 reads and hashes it.

use std::borrow::Cow;

/// A JSON value that borrows from the text it was parsed from wherever it can.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A token without `.`, `e`, `E`.
    Int(Int<'a>),
    /// Any other number; may be NaN or infinite (`NaN`, `Infinity`, `1e999` are accepted, as CPython does).
    Float(f64),
    /// A string; always valid Unicode.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// An integer of any size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Int<'a> {
    /// Fits 64 bits.
    Small(i64),
    /// Decimal digits with an optional `-`, no leading zeros, does not fit `i64`.
    Big(Cow<'a, str>),
}

/// Members in insertion order; a repeated key keeps its first place and its last value.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// Why a text is no JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Not JSON at this byte offset; the reference answers 400 with its framework's sentence.
    Syntax {
        /// Byte offset.
        at: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// A lone UTF-16 surrogate escape: kills the reference's process.
    LoneSurrogate {
        /// Byte offset.
        at: usize,
    },
}

/// Deepest nesting of arrays and objects that is read (the reference's interpreter gives up near 1000).
pub const MAX_DEPTH: usize = 1000;

/// Parses a whole text in time linear in its length.
pub fn parse(_text: &[u8]) -> Result<Value<'_>, ParseError> {
    todo!()
}

impl<'a> Object<'a> {
    /// The member of that name.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.members.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Adds a member at the end, or replaces the value of the one that has the key.
    pub fn insert(&mut self, _key: impl Into<Cow<'a, str>>, _value: Value<'a>) {
        todo!()
    }

    /// Takes a member out.
    pub fn remove(&mut self, _key: &str) -> Option<Value<'a>> {
        todo!()
    }

    /// Members in insertion order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.members.iter().map(|(k, v)| (k.as_ref(), v))
    }
}

impl Value<'_> {
    /// Appends the canonical form (canonical-json rules: sorted keys, Grisu2 digits); the bytes that are hashed.
    pub fn write_canonical(&self, _out: &mut Vec<u8>) {
        todo!()
    }

    /// The canonical form.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        out
    }

    /// As Python's `repr` prints it, for messages: `None`, `'text'`, `{'k': 1.5}`.
    pub fn write_repr(&self, _out: &mut String) {
        todo!()
    }

    /// The writer of 1.0.1's successful GETs: `", "`, `": "`, insertion order, non-ASCII escaped, Python's float repr,
    /// no final newline.
    pub fn write_http(&self, _out: &mut Vec<u8>) {
        todo!()
    }

    /// The writer of 1.0.1's index documents, 202s and errors: sorted keys, two-space indent, `", "` before each line
    /// break, non-ASCII escaped, no final newline.
    pub fn write_http_indented(&self, _out: &mut Vec<u8>) {
        todo!()
    }

    /// Copies whatever is borrowed.
    pub fn into_owned(self) -> Value<'static> {
        todo!()
    }
}
