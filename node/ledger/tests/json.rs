//! Reading and writing JSON, against recorded answers of the reference and against other parsers.
#![allow(clippy::unwrap_used)]

#[path = "vectors/canonical.rs"]
mod canonical;

#[test]
fn canonical_form_is_the_references() {
    let (judged, failures) = canonical::judge(include_str!("data/canonical-json.json"));
    assert_eq!(judged, 390);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
