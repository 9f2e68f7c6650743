//! Values as Python 3.6 prints them: the reference puts `repr(value)` into its messages.

use std::fmt::Write;

use super::printable::is_printable;
use super::{Int, Value};

pub(super) fn write_repr(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(Int::Small(small)) => push(out, format_args!("{small}")),
        Value::Int(Int::Big(digits)) => out.push_str(digits),
        Value::Float(float) => out.push_str(&float_repr(*float)),
        Value::String(text) => write_str_repr(text, out),
        Value::Array(elements) => {
            out.push('[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_repr(element, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (i, (key, value)) in object.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_str_repr(key, out);
                out.push_str(": ");
                write_repr(value, out);
            }
            out.push('}');
        }
    }
}

/// Appends `repr` of a string: in single quotes, unless only double ones avoid an escape.
pub fn write_str_repr(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            _ if c == quote => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            _ if is_printable(c) => out.push(c),
            ..='\u{ff}' => push(out, format_args!("\\x{:02x}", u32::from(c))),
            ..='\u{ffff}' => push(out, format_args!("\\u{:04x}", u32::from(c))),
            _ => push(out, format_args!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push(quote);
}

/// `repr` of a float: the shortest digits that read back to it, with an exponent below 1e-4 and from 1e16 on.
pub fn float_repr(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = shortest(float);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let mut fixed = String::with_capacity(24);
    if float.is_sign_negative() {
        fixed.push('-');
    }
    // How many of the digits are before the point.
    let whole = usize::try_from(exponent + 1).unwrap_or(0);
    match digits.split_at_checked(whole) {
        Some(("", fraction)) => {
            fixed.push_str("0.");
            fixed.extend(std::iter::repeat_n('0', exponent.unsigned_abs() as usize - 1));
            fixed.push_str(fraction);
        }
        Some((digits, "")) => push(&mut fixed, format_args!("{digits}.0")),
        Some((digits, fraction)) => push(&mut fixed, format_args!("{digits}.{fraction}")),
        None => push(&mut fixed, format_args!("{digits:0<whole$}.0")),
    }
    fixed
}

/// `[-]DIGIT[.DIGITS]e[-]EXPONENT` with as few digits as read back to the float. Of two that are equally close Python
/// takes the one with an even last digit, and Rust's shortest form the greater.
fn shortest(float: f64) -> String {
    let shortest = format!("{float:e}");
    let digits = shortest.split('e').next().unwrap_or_default().bytes().filter(u8::is_ascii_digit).count();
    let closest = format!("{float:.*e}", digits.saturating_sub(1));
    // Below a power of two the closest may be outside of what reads back.
    if closest.parse() == Ok(float) { closest } else { shortest }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::{float_repr, write_str_repr};

    #[test]
    fn floats() {
        for (float, repr) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (7167081180460093.0 / 4.0, "1791770295115023.2"),
            (7167081180460095.0 / 4.0, "1791770295115023.8"),
            (2f64.powi(-44), "5.684341886080802e-14"),
            (-0.00012, "-0.00012"),
            (-120.0, "-120.0"),
            (-12.5, "-12.5"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float_repr(float), repr);
        }
    }

    #[test]
    fn strings() {
        for (text, repr) in [
            ("", "''"),
            ("it's", "\"it's\""),
            ("say \"it's\"", "'say \"it\\'s\"'"),
            ("\"", "'\"'"),
            ("a\\b\t\n\r\u{b}\u{7f}\0", "'a\\\\b\\t\\n\\r\\x0b\\x7f\\x00'"),
            ("é\u{a0}\u{ad}北\u{2028}\u{e000}\u{feff}", "'é\\xa0\\xad北\\u2028\\ue000\\ufeff'"),
            ("🚀\u{10ffff}\u{e0001}", "'🚀\\U0010ffff\\U000e0001'"),
            // Unassigned in Unicode 9, which Python 3.6 knows; assigned since.
            ("\u{1f9d0}", "'\\U0001f9d0'"),
        ] {
            let mut out = String::new();
            write_str_repr(text, &mut out);
            assert_eq!(out, repr);
        }
    }
}
