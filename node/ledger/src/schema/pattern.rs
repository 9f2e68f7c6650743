//! The schemas' regular expressions, matched by hand.

use super::check::Engine;

/// A regular expression.
pub(super) struct Pattern {
    /// As the schema has it; messages show it.
    pub(super) source: &'static str,
    /// Starts with `^` and ends with `$`, and describes no line break: the whole text must match. The others search.
    anchored: bool,
    matches: fn(&[u8]) -> bool,
}

pub(super) const HASH: Pattern = search("[0-9a-f]{64}", |text| has_run(text, 64, &HEX));
/// The class was meant to leave out some letters, but a `^` that is not its first character is one of its members.
pub(super) const KEY: Pattern = search("[1-9a-zA-Z^OIl]{43,44}", |text| has_run(text, 43, &LOOSE_BASE58));
pub(super) const SIGNATURE: Pattern = search("[1-9a-zA-Z^OIl]{86,88}", |text| has_run(text, 86, &LOOSE_BASE58));
pub(super) const TIMESTAMP: Pattern = search("[0-9]{10}", |text| has_run(text, 10, &DIGIT));
pub(super) const VERSION: Pattern = whole("^1\\.0$", |text| text == b"1.0");
pub(super) const ED25519: Pattern = whole("^ed25519-sha-256$", |text| text == b"ed25519-sha-256");
pub(super) const THRESHOLD: Pattern = whole("^threshold-sha-256$", |text| text == b"threshold-sha-256");
pub(super) const AMOUNT: Pattern = whole("^[0-9]{1,20}$", |text| (1..=20).contains(&text.len()) && DIGIT.all(text));
pub(super) const FULFILLMENT: Pattern = whole("^[a-zA-Z0-9_-]*$", |text| BASE64URL.all(text));
pub(super) const CONDITION_URI: Pattern = whole(
    "^ni:///sha-256;([a-zA-Z0-9_-]{0,86})[?](fpt=(ed25519|threshold)-sha-256(&)?|cost=[0-9]+(&)?|\
     subtypes=ed25519-sha-256(&)?){2,3}$",
    is_condition_uri,
);

const fn search(source: &'static str, matches: fn(&[u8]) -> bool) -> Pattern {
    Pattern { source, anchored: false, matches }
}

const fn whole(source: &'static str, matches: fn(&[u8]) -> bool) -> Pattern {
    Pattern { source, anchored: true, matches }
}

impl Pattern {
    pub(super) fn accepts(&self, text: &str, engine: Engine) -> bool {
        match engine {
            // A C string: it ends at the first NUL.
            Engine::RapidJson => (self.matches)(text.split('\0').next().unwrap_or_default().as_bytes()),
            // Python's `$` also matches before a line break at the very end.
            Engine::JsonSchema if self.anchored => (self.matches)(text.strip_suffix('\n').unwrap_or(text).as_bytes()),
            Engine::JsonSchema => (self.matches)(text.as_bytes()),
        }
    }
}

/// A class of bytes, as a table: these checks go over every byte of a transaction's keys, ids and fulfillments.
struct Class([bool; 256]);

static DIGIT: Class = Class::of(b"0123456789");
static HEX: Class = Class::of(b"0123456789abcdef");
static LOOSE_BASE58: Class = Class::of(b"123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ^");
static BASE64URL: Class = Class::of(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-");

impl Class {
    const fn of(members: &[u8]) -> Self {
        let mut table = [false; 256];
        let mut i = 0;
        while i < members.len() {
            table[members[i] as usize] = true;
            i += 1;
        }
        Self(table)
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    fn all(&self, text: &[u8]) -> bool {
        text.iter().all(|byte| self.has(*byte))
    }

    /// How many bytes from the start are of the class.
    fn prefix(&self, text: &[u8]) -> usize {
        text.iter().take_while(|byte| self.has(**byte)).count()
    }
}

/// Whether the text has `length` bytes of a class in a row.
fn has_run(text: &[u8], length: usize, class: &Class) -> bool {
    let mut run = 0;
    text.iter().any(|byte| {
        run = if class.has(*byte) { run + 1 } else { 0 };
        run == length
    })
}

fn is_condition_uri(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"ni:///sha-256;") else { return false };
    let hash_length = BASE64URL.prefix(rest);
    let Some(mut rest) = rest[hash_length..].strip_prefix(b"?") else { return false };
    let mut parts = 0;
    // No part starts with a digit or an ampersand, so to take all of them is the only way.
    while !rest.is_empty() && parts < 3 {
        let Some(tail) = uri_part(rest) else { return false };
        rest = tail.strip_prefix(b"&").unwrap_or(tail);
        parts += 1;
    }
    hash_length <= 86 && rest.is_empty() && parts >= 2
}

/// What follows one `name=value`.
fn uri_part(text: &[u8]) -> Option<&[u8]> {
    const FIXED: [&[u8]; 3] = [b"fpt=ed25519-sha-256", b"fpt=threshold-sha-256", b"subtypes=ed25519-sha-256"];
    if let Some(cost) = text.strip_prefix(b"cost=") {
        let digits = DIGIT.prefix(cost);
        return (digits > 0).then_some(&cost[digits..]);
    }
    FIXED.iter().find_map(|part| text.strip_prefix(*part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_uris() {
        let hash = "49C5UWNODwtcINxLgLc90bMCFqCymFYONGEmV4a0sG4";
        let uri = |hash: &str, query: &str| format!("ni:///sha-256;{hash}?{query}");
        for good in [
            uri(hash, "fpt=ed25519-sha-256&cost=131072"),
            uri(hash, "fpt=threshold-sha-256&cost=132096&subtypes=ed25519-sha-256"),
            uri(hash, "cost=1cost=2"),
            uri(hash, "cost=1&cost=2&cost=3&"),
            uri("", "cost=1&fpt=ed25519-sha-256"),
            uri(&"a".repeat(86), "cost=1&fpt=ed25519-sha-256"),
        ] {
            assert!(is_condition_uri(good.as_bytes()), "{good}");
        }
        for bad in [
            uri(hash, "fpt=ed25519-sha-256"),
            uri(hash, "cost=1&cost=2&cost=3&cost=4"),
            uri(hash, "cost=1&cost=2&cost=3&&"),
            uri(hash, "cost=1&&cost=2"),
            uri(hash, "cost=&cost=2"),
            uri(hash, "fpt=preimage-sha-256&cost=2"),
            uri(hash, "fpt=ed25519-sha-256&cost=1x"),
            uri(&"a".repeat(87), "cost=1&fpt=ed25519-sha-256"),
            uri("a+b", "cost=1&fpt=ed25519-sha-256"),
            String::new(),
        ] {
            assert!(!is_condition_uri(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn the_engines_differ_at_a_final_line_break_and_at_nul() {
        let verdicts = |pattern: &Pattern, text: &str| {
            (pattern.accepts(text, Engine::RapidJson), pattern.accepts(text, Engine::JsonSchema))
        };
        assert_eq!(verdicts(&VERSION, "1.0"), (true, true));
        assert_eq!(verdicts(&VERSION, "1.0\n"), (false, true));
        assert_eq!(verdicts(&VERSION, "1.0\n\n"), (false, false));
        assert_eq!(verdicts(&VERSION, "1.0\0garbage"), (true, false));
        let hash = "a".repeat(64);
        assert_eq!(verdicts(&HASH, &format!("garbage {hash} garbage")), (true, true));
        assert_eq!(verdicts(&HASH, &format!("\0{hash}")), (false, true));
    }
}
