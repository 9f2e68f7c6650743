//! JSON as BigchainDB 1.0.1 reads and hashes it.
//!
//! [`parse()`] takes what CPython's `json.loads` takes and keeps the difference between integers and floats; the writers
//! are methods of [`Value`]. A parsed value nests at most [`MAX_DEPTH`] levels, which bounds the recursion of everything
//! that walks it, its destructor included.

mod canonical;
mod charset;
mod grisu;
mod http;
mod parse;
mod printable;
mod python;
mod scan;

use std::borrow::Cow;
use std::fmt;

pub use charset::{CharsetError, decode};
pub use parse::parse;
pub use python::{float_repr, write_str_repr};

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

/// Up to this many members a search through all of them is cheaper than sorting their keys.
const FEW_MEMBERS: usize = 16;

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { at } => write!(f, "not JSON at byte {at}"),
            Self::TooDeep => write!(f, "JSON nested deeper than {MAX_DEPTH} levels"),
            Self::LoneSurrogate { at } => write!(f, "the escape at byte {at} is half of a surrogate pair"),
        }
    }
}

impl std::error::Error for ParseError {}

impl Int<'_> {
    /// The number, if it is not negative and fits 64 bits.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Small(n) => u64::try_from(*n).ok(),
            Self::Big(digits) => digits.parse().ok(),
        }
    }
}

impl<'a> Object<'a> {
    /// Takes members as they were read, repeated keys included.
    fn from_members(mut members: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        if members.len() <= FEW_MEMBERS {
            let mut i = 1;
            while i < members.len() {
                match members[..i].iter().position(|(key, _)| *key == members[i].0) {
                    Some(first) => members[first].1 = members.remove(i).1,
                    None => i += 1,
                }
            }
        } else {
            merge_repeated(&mut members);
        }
        Self { members }
    }

    /// The member of that name.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.members.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The member of that name, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value<'a>> {
        self.members.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Adds a member at the end, or replaces the value of the one that has the key. Looks at every member: for
    /// objects of a known, small shape.
    pub fn insert(&mut self, key: impl Into<Cow<'a, str>>, value: Value<'a>) {
        let key = key.into();
        match self.get_mut(&key) {
            Some(old) => *old = value,
            None => self.members.push((key, value)),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Value<'a>> {
        let at = self.members.iter().position(|(k, _)| k == key)?;
        Some(self.members.remove(at).1)
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Members in insertion order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.members.iter().map(|(k, v)| (k.as_ref(), v))
    }

    /// The order by key: that of code points, which is that of the keys' UTF-8 bytes.
    fn sorted(&self) -> Order {
        let members = &self.members;
        let by_key = |a: usize, b: usize| members[a].0.cmp(&members[b].0);
        if members.is_sorted_by(|a, b| a.0 <= b.0) {
            Order::AsTheyAre
        } else if members.len() <= FEW_MEMBERS {
            let mut order: [u8; FEW_MEMBERS] = std::array::from_fn(|i| i as u8);
            order[..members.len()].sort_unstable_by(|&a, &b| by_key(a.into(), b.into()));
            Order::Few(order)
        } else {
            let mut order: Vec<usize> = (0..members.len()).collect();
            order.sort_unstable_by(|&a, &b| by_key(a, b));
            Order::Many(order)
        }
    }

    /// The member at a place of an order.
    fn at(&self, order: &Order, place: usize) -> (&str, &Value<'a>) {
        let (key, value) = match order {
            Order::AsTheyAre => &self.members[place],
            Order::Few(order) => &self.members[usize::from(order[place])],
            Order::Many(order) => &self.members[order[place]],
        };
        (key, value)
    }
}

/// Places of an object's members.
enum Order {
    AsTheyAre,
    Few([u8; FEW_MEMBERS]),
    Many(Vec<usize>),
}

/// Leaves each key its first place and its last value. Sorts instead of hashing: no input makes it slow.
#[cold]
fn merge_repeated<'a>(members: &mut Vec<(Cow<'a, str>, Value<'a>)>) {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_unstable_by(|&a, &b| members[a].0.cmp(&members[b].0).then(a.cmp(&b)));
    let mut repeated = vec![false; members.len()];
    let mut first = order[0];
    for pair in order.windows(2) {
        let (before, i) = (pair[0], pair[1]);
        if members[i].0 == members[before].0 {
            members[first].1 = std::mem::replace(&mut members[i].1, Value::Null);
            repeated[i] = true;
        } else {
            first = i;
        }
    }
    let mut repeated = repeated.into_iter();
    members.retain(|_| repeated.next() != Some(true));
}

impl<'a> FromIterator<(Cow<'a, str>, Value<'a>)> for Object<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Value<'a>)>>(members: I) -> Self {
        Self::from_members(members.into_iter().collect())
    }
}

impl<'a> Value<'a> {
    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Value<'a>]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Appends the canonical form (canonical-json rules: sorted keys, Grisu2 digits); the bytes that are hashed.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        canonical::write(self, out);
    }

    /// The canonical form.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        out
    }

    /// As Python's `repr` prints it, for messages: `None`, `'text'`, `{'k': 1.5}`.
    pub fn write_repr(&self, out: &mut String) {
        python::write_repr(self, out);
    }

    /// The same as a new string.
    pub fn repr(&self) -> String {
        let mut out = String::new();
        self.write_repr(&mut out);
        out
    }

    /// The writer of 1.0.1's successful GETs: `", "`, `": "`, insertion order, non-ASCII escaped, Python's float repr,
    /// no final newline.
    pub fn write_http(&self, out: &mut Vec<u8>) {
        http::write(self, &http::SPACED, out);
    }

    /// The writer of 1.0.1's index documents, 202s and errors: sorted keys, two-space indent, `", "` before each line
    /// break, non-ASCII escaped, no final newline.
    pub fn write_http_indented(&self, out: &mut Vec<u8>) {
        http::write(self, &http::INDENTED, out);
    }

    /// The same documents without any white space, as 1.0.1 answers a request with `X-Requested-With: XMLHttpRequest`.
    pub fn write_http_compact(&self, out: &mut Vec<u8>) {
        http::write(self, &http::COMPACT, out);
    }

    /// Copies whatever is borrowed.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(b),
            Self::Int(Int::Small(n)) => Value::Int(Int::Small(n)),
            Self::Int(Int::Big(digits)) => Value::Int(Int::Big(Cow::Owned(digits.into_owned()))),
            Self::Float(f) => Value::Float(f),
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Array(elements) => Value::Array(own_elements(elements)),
            Self::Object(object) => Value::Object(object.into_owned()),
        }
    }
}

/// A loop, because `collect` takes four times the stack, and this recurses.
fn own_elements(elements: Vec<Value<'_>>) -> Vec<Value<'static>> {
    let mut owned = Vec::with_capacity(elements.len());
    for element in elements {
        owned.push(element.into_owned());
    }
    owned
}

impl Object<'_> {
    /// Copies whatever is borrowed.
    pub fn into_owned(self) -> Object<'static> {
        let mut members = Vec::with_capacity(self.members.len());
        for (key, value) in self.members {
            members.push((Cow::Owned(key.into_owned()), value.into_owned()));
        }
        Object { members }
    }
}
