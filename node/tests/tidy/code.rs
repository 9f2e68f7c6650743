//! Just enough of Rust's grammar to tell code from comments, strings and test modules.

/// Source text with comments, strings and characters blanked out; lines and columns stay where they were.
pub struct Code(String);

impl Code {
    /// All code of a file.
    pub fn of(text: &str) -> Self {
        Self(blank(text))
    }

    /// The code that is compiled into the program: items under `#[cfg(test)]` are left out.
    pub fn without_tests(text: &str) -> Self {
        let mut code = blank(text);
        while let Some(start) = code.find("#[cfg(test)]") {
            let end = item_end(&code, start);
            let spaces: String = code[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            code.replace_range(start..end, &spaces);
        }
        Self(code)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where the item that follows an attribute ends: after its matching brace, or at `;` before any brace.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0;
    for (offset, c) in code[start..].char_indices() {
        match c {
            ';' if depth == 0 => return start + offset + 1,
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth <= 0 {
                    return start + offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Whether the code names this, as whole words.
pub fn mentions(code: &Code, name: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.0.match_indices(name).any(|(at, _)| {
        let before = word(code.0[..at].chars().next_back()) && word(name.chars().next());
        let after = word(code.0[at + name.len()..].chars().next()) && word(name.chars().next_back());
        !before && !after
    })
}

/// The first path segments that follow a prefix: `crate::a::b` gives `a`, `use crate::{a::x, b}` gives `a`, `b`.
pub fn identifiers_after(code: &Code, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.0.match_indices(prefix) {
        let rest = &code.0[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group_members(group)),
            None => names.push(identifier(rest)),
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn group_members(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut member = String::new();
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => names.push(identifier(std::mem::take(&mut member).trim())),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                member.push(c);
            }
        }
    }
    names.push(identifier(member.trim()));
    names.retain(|name| !name.is_empty());
    names
}

fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        for c in &chars[at..end] {
            out.push(if *c == '\n' { '\n' } else { ' ' });
        }
        at = end;
    }
    out
}

/// The end of the comment, string or character that begins here; the same place if none does.
fn skipped_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => find(chars, at, |rest| rest[0] == '\n'),
        '/' if next == Some('*') => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        'r' if !follows_word(chars, at) => raw_string_end(chars, at),
        '\'' => character_end(chars, at),
        _ => at,
    }
}

fn follows_word(chars: &[char], at: usize) -> bool {
    // `br"..."` is a raw string too.
    let before = at.checked_sub(1).map(|i| chars[i]);
    before.is_some_and(|c| c != 'b' && (c.is_alphanumeric() || c == '_'))
}

fn find(chars: &[char], from: usize, found: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|i| found(&chars[*i..])).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i < chars.len() {
        if chars[i..].starts_with(&['/', '*']) {
            depth += 1;
            i += 2;
        } else if chars[i..].starts_with(&['*', '/']) {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at;
    }
    let mut close = vec!['"'];
    close.extend(std::iter::repeat_n('#', hashes));
    let end = find(chars, at + hashes + 2, |rest| rest.starts_with(&close));
    (end + close.len()).min(chars.len())
}

/// `'x'` and `'\n'` are characters, `'a` is a lifetime.
fn character_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => (find(chars, at + 3, |rest| rest[0] == '\'') + 1).min(chars.len()),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

#[test]
fn only_code_is_left() {
    let text = "a /* x /* y */ z */ b // c\n\"d \\\" e\" f r#\"g \" h\"# 'i' '\\'' &'j str";
    let words: Vec<String> = Code::of(text).as_str().split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "b", "f", "&'j", "str"]);
    let tests = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { {} } }\n#[cfg(test)]\nmod more;\nfn c() {}";
    let code = Code::without_tests(tests);
    assert!(mentions(&code, "fn a") && mentions(&code, "fn c") && !mentions(&code, "fn b") && !mentions(&code, "more"));
}

#[test]
fn names_are_whole_words() {
    let code = Code::of("use crate::{a::x, b::{c, d}, e}; crate::f::g(); store::embedded_io");
    assert_eq!(identifiers_after(&code, "crate::"), ["a", "b", "e", "f"]);
    assert!(!mentions(&code, "store::embedded"));
    assert!(mentions(&code, "crate::f"));
}
