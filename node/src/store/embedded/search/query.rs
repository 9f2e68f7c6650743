//! A `$text` query: words of which any must match, "phrases" which all must, -words and -"phrases" which must not; and
//! MongoDB's score.

use std::collections::{HashMap, HashSet};

use ledger::json::Value;

use super::text::{self, Language};

/// One string of a document.
pub struct Field<'a> {
    /// The string.
    pub text: &'a str,
    /// The language of the object around it.
    pub language: Language,
}

/// All string values of a document, at any depth; names of members are not searched.
pub fn fields<'a>(value: &'a Value<'_>, language: Language, out: &mut Vec<Field<'a>>) {
    match value {
        Value::String(text) => out.push(Field { text, language }),
        Value::Array(values) => values.iter().for_each(|value| fields(value, language, out)),
        Value::Object(members) => {
            let named = members.get("language").and_then(|name| Language::named(name.as_str()?));
            let language = named.unwrap_or(language);
            members.iter().for_each(|(_, value)| fields(value, language, out));
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    }
}

/// See the module. Built from text by [`Query::parse`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Stems; the words of phrases are among them.
    pub terms: HashSet<String>,
    /// Stems.
    pub negated: HashSet<String>,
    phrases: Vec<String>,
    negated_phrases: Vec<String>,
}

impl Query {
    /// Reads a query. Every text is one.
    pub fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        let (mut negation, mut phrase): (bool, Option<usize>) = (false, None);
        // As at the beginning, so after white space: only there does a `-` negate.
        let mut after_space = true;
        let mut rest = query.char_indices().peekable();
        while let Some((start, c)) = rest.next() {
            match c {
                c if c.is_ascii_whitespace() || c == '\u{b}' => {
                    after_space = true;
                    continue;
                }
                '-' if phrase.is_none() && after_space => negation = true,
                '-' => {}
                '"' => match phrase.take() {
                    Some(begin) => {
                        let text = text::folded(query.get(begin..start).unwrap_or_default());
                        if negation { &mut parsed.negated_phrases } else { &mut parsed.phrases }.push(text);
                    }
                    None => {
                        phrase = Some(start + 1);
                        negation &= !after_space;
                    }
                },
                _ => {
                    let ends = |c: char| c.is_ascii_whitespace() || c == '\u{b}' || c == '-' || c == '"';
                    let mut end = query.len();
                    while let Some((at, c)) = rest.peek().copied() {
                        if ends(c) {
                            end = at;
                            break;
                        }
                        rest.next();
                    }
                    // A negation lasts to the next white space.
                    negation &= !after_space || phrase.is_some();
                    let words = text::terms(query.get(start..end).unwrap_or_default(), Language::English);
                    match (negation, phrase) {
                        (true, Some(_)) => {}
                        (true, None) => parsed.negated.extend(words),
                        (false, _) => parsed.terms.extend(words),
                    }
                }
            }
            after_space = false;
        }
        parsed
    }

    /// A document's score; `None` if it does not match.
    pub fn score(&self, fields: &[Field<'_>]) -> Option<f64> {
        let mut score = 0.0;
        let mut matches = false;
        for field in fields {
            let (frequencies, total) = frequencies(field);
            if frequencies.keys().any(|term| self.negated.contains(term)) {
                return None;
            }
            for (term, (count, frequency)) in frequencies.iter().filter(|(term, _)| self.terms.contains(*term)) {
                matches = true;
                let share = 0.5 * f64::from(*count) / f64::from(total) + 0.5;
                let whole = if field.text.eq_ignore_ascii_case(term) { 1.1 } else { 1.0 };
                score += frequency * share * whole;
            }
        }
        let texts: Vec<String> = match (self.phrases.as_slice(), self.negated_phrases.as_slice()) {
            ([], []) => Vec::new(),
            _ => fields.iter().map(|field| text::folded(field.text)).collect(),
        };
        let contains = |phrase: &String| texts.iter().any(|text| text.contains(phrase));
        let matches = matches && self.phrases.iter().all(contains) && !self.negated_phrases.iter().any(contains);
        matches.then_some(score)
    }
}

/// For each term of a field its count and its frequency, in which every repeat counts half of the one before; and the
/// number of all terms.
fn frequencies(field: &Field<'_>) -> (HashMap<String, (u32, f64)>, u32) {
    let mut terms: HashMap<String, (u32, f64)> = HashMap::new();
    let mut total = 0;
    for term in text::terms(field.text, field.language) {
        let (count, frequency) = terms.entry(term).or_default();
        *frequency += 0.5_f64.powi(i32::try_from(*count).unwrap_or(i32::MAX));
        *count += 1;
        total += 1;
    }
    (terms, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(query: &str) -> (Vec<String>, Vec<String>) {
        let parsed = Query::parse(query);
        let sorted = |set: HashSet<String>| {
            let mut words: Vec<String> = set.into_iter().collect();
            words.sort();
            words
        };
        (sorted(parsed.terms), sorted(parsed.negated))
    }

    fn score(query: &str, text: &str) -> Option<f64> {
        Query::parse(query).score(&[Field { text, language: Language::English }])
    }

    #[test]
    fn a_dash_negates_only_after_white_space() {
        let both = |positive: &[&str], negated: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            (owned(positive), owned(negated))
        };
        assert_eq!(words("red -blue green"), both(&["green", "red"], &["blue"]));
        assert_eq!(words("red-blue"), both(&["blue", "red"], &[]));
        assert_eq!(words("-red-blue"), both(&[], &["blue", "red"]));
        assert_eq!(words("- red"), both(&["red"], &[]));
        assert_eq!(words("\"red -blue\" -\"green x\""), both(&["blue", "red"], &[]));
        assert_eq!(words("\"red"), both(&["red"], &[]));
    }

    #[test]
    fn scores_are_mongodb_s() {
        assert_eq!(score("coffee", "coffee"), Some(1.0));
        assert_eq!(score("coffee", "Coffee Shopping"), Some(0.75));
        assert_eq!(score("coffee", "coffee and cream"), Some(0.75));
        assert_eq!(score("bake coffee cake", "Baking a cake"), Some(1.5));
        assert_eq!(score("red", "Red"), Some(1.1), "the stem is the whole field");
        assert_eq!(score("red", "red red"), Some(1.5));
        assert_eq!(score("tea", "coffee"), None);
        assert_eq!(score("the", "the"), None);
        assert_eq!(score("", "coffee"), None);
    }

    #[test]
    fn phrases_and_exclusions_filter() {
        assert!(score("\"coffee shop\"", "Coffee Shopping").is_some(), "a phrase is a piece of text");
        assert!(score("\"coffee shop\"", "shop coffee").is_none());
        assert!(score("\"coffee\" \"cream\"", "coffee").is_none(), "all phrases");
        assert!(score("coffee -shop", "Coffee Shopping").is_none());
        assert!(score("coffee -\"cream t\"", "coffee and cream tea").is_none());
        assert!(score("coffee -\"cream x\"", "coffee and cream tea").is_some());
        assert!(score("-tea", "coffee").is_none(), "nothing is asked for");
        assert!(score("\"CAFÉ con\"", "Cafe\u{301} Con Leche").is_some());
    }
}
