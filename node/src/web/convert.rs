//! Readers of single parameter values, with 1.0.1's own words for bad ones.

use ledger::election::BlockStatus;
use ledger::ids::{PublicKey, TxId};
use ledger::json::Value;
use ledger::transaction::Operation;

/// Any text.
pub fn text(value: &str) -> Result<String, String> {
    Ok(value.to_owned())
}

/// 64 hexadecimal digits of either case. Python's `$` lets one trailing line break through; such an id names nothing.
pub fn transaction_id(value: &str) -> Result<Option<TxId>, String> {
    let digits = value.strip_suffix('\n').unwrap_or(value);
    if digits.len() != 64 || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err("Invalid hash".to_owned());
    }
    Ok(value.to_ascii_lowercase().parse().ok())
}

/// 43 or 44 characters that look like base58. `None`: the key of nobody, because it decodes to no 32 bytes (1.0.1 does
/// not look).
pub fn public_key(value: &str) -> Result<Option<PublicKey>, String> {
    let key = value.strip_suffix('\n').unwrap_or(value);
    let base58 = |c: u8| c.is_ascii_alphanumeric() && !matches!(c, b'I' | b'l' | b'0' | b'O');
    if !matches!(key.len(), 43 | 44) || !key.bytes().all(base58) {
        return Err("Invalid base58 ed25519 key".to_owned());
    }
    Ok(value.parse().ok())
}

/// `true` or `false` in any case.
pub fn boolean(value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("Boolean value must be \"true\" or \"false\" (lowercase)".to_owned()),
    }
}

/// `CREATE` or `TRANSFER` in any case. (The text lacks a quotation mark in 1.0.1 too.)
pub fn operation(value: &str) -> Result<Operation, String> {
    match value.to_uppercase().as_str() {
        "CREATE" => Ok(Operation::Create),
        "TRANSFER" => Ok(Operation::Transfer),
        _ => Err("Operation must be \"CREATE\" or \"TRANSFER".to_owned()),
    }
}

/// `valid`, `invalid`, `undecided` in any case.
pub fn block_status(value: &str) -> Result<BlockStatus, String> {
    let lower = value.to_lowercase();
    [BlockStatus::Valid, BlockStatus::Invalid, BlockStatus::Undecided]
        .into_iter()
        .find(|status| status.as_str() == lower)
        .ok_or_else(|| format!("{lower} is not a valid choice"))
}

/// How many at most, as Python reads integers: white space around it, a sign, single underscores between digits.
/// 0: all. A negative number means its amount, as to MongoDB; what is too large means a lot.
pub fn limit(value: &str) -> Result<usize, String> {
    integer(value).ok_or_else(|| {
        let mut repr = String::new();
        Value::String(value.into()).write_repr(&mut repr);
        // CPython cuts the value it shows at 200 characters.
        let shown: String = repr.chars().take(200).collect();
        format!("invalid literal for int() with base 10: {shown}")
    })
}

fn integer(value: &str) -> Option<usize> {
    let trimmed = value.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let mut amount = 0_usize;
    let mut after_digit = false;
    for c in digits.chars() {
        match c.to_digit(10) {
            Some(d) => amount = amount.saturating_mul(10).saturating_add(d as usize),
            None if c == '_' && after_digit => {}
            None => return None,
        }
        after_digit = c != '_';
    }
    after_digit.then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_64_digits_of_either_case() {
        let id = "15386803A7b44ce7d8849c1269610d1c2b30cf994b8d0853023ab5fe68cba9ae";
        assert_eq!(transaction_id(id), Ok(id.to_lowercase().parse().ok()));
        assert_eq!(transaction_id(&format!("{id}\n")), Ok(None));
        for bad in ["", &id[1..], &format!("{id}0"), &format!("{id} "), &format!("{id}\n\n"), &id.replace('1', "g")] {
            assert_eq!(transaction_id(bad), Err("Invalid hash".to_owned()), "{bad:?}");
        }
    }

    #[test]
    fn keys_look_like_base58() {
        let key = "AazELur99m2B6vqjQCBje427HdTAXaEGS7hv7JPgWCVC";
        assert_eq!(public_key(key), Ok(key.parse().ok()));
        assert!(public_key(key).is_ok_and(|k| k.is_some()));
        for nobody in [&"z".repeat(44), &format!("{key}\n"), &"1".repeat(43)] {
            assert_eq!(public_key(nobody), Ok(None), "{nobody:?}");
        }
        for bad in ["", "abc", &"O".repeat(44), &format!("{key}1"), &key[..42], &format!("{}é", &key[..42])] {
            assert_eq!(public_key(bad), Err("Invalid base58 ed25519 key".to_owned()), "{bad:?}");
        }
    }

    #[test]
    fn words_are_read_in_any_case() {
        assert_eq!(boolean("TRUE"), Ok(true));
        assert_eq!(boolean("False"), Ok(false));
        assert!(["", "0", "1", "yes", " true"].iter().all(|v| boolean(v).is_err()));
        assert_eq!(operation("transfer"), Ok(Operation::Transfer));
        assert!(["", "GENESIS", "CREATE "].iter().all(|v| operation(v).is_err()));
        assert_eq!(block_status("VALID"), Ok(BlockStatus::Valid));
        assert_eq!(block_status("Bogus"), Err("bogus is not a valid choice".to_owned()));
        assert_eq!(block_status(""), Err(" is not a valid choice".to_owned()));
    }

    #[test]
    fn limits_are_python_integers() {
        for (value, amount) in [("1", 1), ("0", 0), (" +12\n", 12), ("-3", 3), ("1_000", 1000), ("\u{a0}7", 7)] {
            assert_eq!(integer(value), Some(amount), "{value:?}");
        }
        assert_eq!(integer(&"9".repeat(40)), Some(usize::MAX));
        for bad in ["", " ", "+", "x", "1.0", "1 2", "_1", "1_", "1__0", "+-1", "0x1"] {
            assert_eq!(integer(bad), None, "{bad:?}");
        }
    }
}
