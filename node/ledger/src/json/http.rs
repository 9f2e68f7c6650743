//! JSON as 1.0.1 answers with: CPython's `json.dumps`, in three layouts.

use super::canonical::write_int;
use super::python::float_repr;
use super::{Object, Order, Value};

/// How the parts are put together.
pub(super) struct Layout {
    item_separator: &'static [u8],
    key_separator: &'static [u8],
    sorted: bool,
    /// Each item on a line of its own, indented by two spaces for each level.
    indented: bool,
}

pub(super) const SPACED: Layout =
    Layout { item_separator: b", ", key_separator: b": ", sorted: false, indented: false };
pub(super) const INDENTED: Layout =
    Layout { item_separator: b", ", key_separator: b": ", sorted: true, indented: true };
pub(super) const COMPACT: Layout = Layout { item_separator: b",", key_separator: b":", sorted: true, indented: false };

pub(super) fn write(value: &Value<'_>, layout: &Layout, out: &mut Vec<u8>) {
    write_value(value, layout, 0, out);
}

fn write_value(value: &Value<'_>, layout: &Layout, level: usize, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(int) => write_int(int, out),
        Value::Float(float) => write_float(*float, out),
        Value::String(text) => write_string(text, out),
        Value::Array(elements) if elements.is_empty() => out.extend_from_slice(b"[]"),
        Value::Array(elements) => {
            out.push(b'[');
            for (i, element) in elements.iter().enumerate() {
                start_item(i == 0, layout, level + 1, out);
                write_value(element, layout, level + 1, out);
            }
            end_items(layout, level, out);
            out.push(b']');
        }
        Value::Object(object) => write_object(object, layout, level, out),
    }
}

fn write_object(object: &Object<'_>, layout: &Layout, level: usize, out: &mut Vec<u8>) {
    if object.is_empty() {
        return out.extend_from_slice(b"{}");
    }
    out.push(b'{');
    let order = if layout.sorted { object.sorted() } else { Order::AsTheyAre };
    for place in 0..object.len() {
        let (key, value) = object.at(&order, place);
        start_item(place == 0, layout, level + 1, out);
        write_string(key, out);
        out.extend_from_slice(layout.key_separator);
        write_value(value, layout, level + 1, out);
    }
    end_items(layout, level, out);
    out.push(b'}');
}

fn start_item(first: bool, layout: &Layout, level: usize, out: &mut Vec<u8>) {
    if !first {
        out.extend_from_slice(layout.item_separator);
    }
    if layout.indented {
        new_line(level, out);
    }
}

fn end_items(layout: &Layout, level: usize, out: &mut Vec<u8>) {
    if layout.indented {
        new_line(level, out);
    }
}

fn new_line(level: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', 2 * level));
}

fn write_float(float: f64, out: &mut Vec<u8>) {
    let word: &[u8] = match float {
        _ if float.is_finite() => return out.extend_from_slice(float_repr(float).as_bytes()),
        f64::INFINITY => b"Infinity",
        f64::NEG_INFINITY => b"-Infinity",
        _ => b"NaN",
    };
    out.extend_from_slice(word);
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    let stands_for_itself = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    out.push(b'"');
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest.as_bytes().iter().take_while(|byte| stands_for_itself(byte)).count();
        let (run, tail) = rest.split_at(plain);
        out.extend_from_slice(run.as_bytes());
        let mut chars = tail.chars();
        if let Some(c) = chars.next() {
            write_escape(c, out);
        }
        rest = chars.as_str();
    }
    out.push(b'"');
}

fn write_escape(c: char, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match c {
        '"' | '\\' => c as u8,
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                out.extend([12, 8, 4, 0].map(|shift| HEX[usize::from(*unit >> shift & 15)]));
            }
            return;
        }
    };
    out.extend([b'\\', short]);
}
