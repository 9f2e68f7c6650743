//! The form that ids and signatures commit to: what python-rapidjson 0.0.11 writes with sorted keys.

use super::scan::plain_prefix;
use super::{Int, Value, grisu};

/// Appends the canonical bytes. NaN and infinities, which no ledger holds, come out as Python's words.
pub(super) fn write(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(int) => write_int(int, out),
        Value::Float(float) => write_float(*float, out),
        Value::String(text) => write_string(text, out),
        Value::Array(elements) => {
            out.push(b'[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(element, out);
            }
            out.push(b']');
        }
        Value::Object(object) => {
            out.push(b'{');
            let order = object.sorted();
            for place in 0..object.len() {
                if place > 0 {
                    out.push(b',');
                }
                let (key, value) = object.at(&order, place);
                write_string(key, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Plain decimal digits; the same in every writer.
pub(super) fn write_int(int: &Int<'_>, out: &mut Vec<u8>) {
    let small = match int {
        Int::Big(digits) => return out.extend_from_slice(digits.as_bytes()),
        Int::Small(small) => *small,
    };
    if small < 0 {
        out.push(b'-');
    }
    let mut rest = small.unsigned_abs();
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = text.as_bytes();
    out.push(b'"');
    loop {
        let (plain, tail) = rest.split_at(plain_prefix(rest));
        out.extend_from_slice(plain);
        let Some((&special, tail)) = tail.split_first() else { break };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
        rest = tail;
    }
    out.push(b'"');
}

fn write_float(float: f64, out: &mut Vec<u8>) {
    if float.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if float.is_sign_negative() {
        out.push(b'-');
    }
    if float.is_infinite() {
        return out.extend_from_slice(b"Infinity");
    }
    if float == 0.0 {
        return out.extend_from_slice(b"0.0");
    }
    let decimal = grisu::digits(float.abs());
    let digits = decimal.digits();
    // The value is 0.DIGITS * 10^point.
    let point = digits.len() as i32 + decimal.exponent;
    let zeros = |out: &mut Vec<u8>, n: i32| out.extend(std::iter::repeat_n(b'0', n as usize));
    if decimal.exponent >= 0 && point <= 21 {
        out.extend_from_slice(digits);
        zeros(out, decimal.exponent);
        out.extend_from_slice(b".0");
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(point as usize);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else if -6 < point && point <= 0 {
        out.extend_from_slice(b"0.");
        zeros(out, -point);
        out.extend_from_slice(digits);
    } else {
        let (first, rest) = digits.split_at(1);
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.push(b'e');
        write_int(&Int::Small(i64::from(point - 1)), out);
    }
}
