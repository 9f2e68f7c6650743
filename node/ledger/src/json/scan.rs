//! The bytes of a JSON string that stand for themselves.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// How many bytes from the start are neither `"` nor `\` nor below 0x20: what a string holds unescaped, and what the
/// canonical writer copies as it is.
pub(super) fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return i * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let rest_at = words.len() * 8;
    rest_at + rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

/// Has the top bit of a byte set where that byte of the word ends a plain run. Borrows can set it falsely, but only
/// above a byte where it is set rightly, so the lowest one is right.
fn special(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::plain_prefix;

    #[test]
    fn finds_the_first_special_byte_at_every_place() {
        for len in 0..40 {
            let plain = vec![b'a'; len];
            assert_eq!(plain_prefix(&plain), len);
            for at in 0..len {
                for special in (0..=255u8).filter(|b| matches!(b, b'"' | b'\\' | 0..0x20)) {
                    let mut bytes = plain.clone();
                    bytes[at] = special;
                    bytes[len - 1] = if at == len - 1 { special } else { b'\\' };
                    assert_eq!(plain_prefix(&bytes), at, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn passes_every_other_byte() {
        for byte in (0x20..=255u8).filter(|b| !matches!(b, b'"' | b'\\')) {
            assert_eq!(plain_prefix(&[byte; 17]), 17, "{byte}");
        }
    }
}
