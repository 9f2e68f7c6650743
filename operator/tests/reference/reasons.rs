//! The reasons that conditions have, in the source and in `docs/reference/conditions.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What stands in the source before a reason.
const BEFORE_A_REASON: &[&str] = &["reason:", "waiting(", "bad(", "=> ("];

/// The same where `fn reason` names them.
const BEFORE_THAT_OF_A_HINDRANCE: &str = "=>";

#[test]
fn each_reason_is_explained() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut reasons = BTreeSet::new();
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let program = text.split("#[cfg(test)]").next().unwrap();
            reasons.extend(words_after(program, BEFORE_A_REASON));
            let hindrances = program.split("pub fn reason(").nth(1).and_then(|text| text.split("\n}").next());
            reasons.extend(words_after(hindrances.unwrap_or_default(), &[BEFORE_THAT_OF_A_HINDRANCE]));
        }
    }
    let page = fs::read_to_string(source.join("../../docs/reference/conditions.md")).unwrap();
    let tables = page.split("\n## Specification").nth(1).unwrap().split("\n## Events").next().unwrap();
    let tables = tables.lines().filter(|line| line.starts_with("| `"));
    let explained: BTreeSet<String> = tables
        .flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2).map(str::to_owned))
        .collect();
    assert!(reasons.len() > 20, "{reasons:?}");
    assert_eq!(explained, reasons);
}

/// `"Words"` right after one of these.
fn words_after(text: &str, before: &[&str]) -> BTreeSet<String> {
    let is_word =
        |text: &str| text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(char::is_alphanumeric);
    let mut words = BTreeSet::new();
    let mut seen = 0;
    for part in text.split_inclusive('"') {
        let begin = seen;
        seen += part.len();
        let preceding = text[..begin].trim_end_matches('"').trim_end();
        let word = part.trim_end_matches('"');
        if is_word(word) && text[..begin].ends_with('"') && before.iter().any(|end| preceding.ends_with(end)) {
            words.insert(word.to_owned());
        }
    }
    words
}
