//! Words as MongoDB's text index (version 3) sees them: cut at delimiters, lower case, without stop words, stemmed,
//! without diacritics.
//!
//! Sources: MongoDB manual, "Text Indexes" (delimiters, languages, stop words); the stemmers are Snowball's, as there.

use std::borrow::Cow;

use frostem::{Algorithm, Stemmer};
use tantivy::tokenizer::{self as tantivy_text, RawTokenizer, StopWordFilter, TextAnalyzer, TokenStream};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// English words that say nothing. Other languages' lists are tantivy's, which come from Snowball like MongoDB's.
const ENGLISH_STOP_WORDS: &str = "
    a about above after again against all am an and any are aren't as at be because been before being below between
    both but by can't cannot could couldn't did didn't do does doesn't doing don't down during each few for from further
    had hadn't has hasn't have haven't having he he'd he'll he's her here here's hers herself him himself his how how's
    i i'd i'll i'm i've if in into is isn't it it's its itself let's me more most mustn't my myself no nor not of off on
    once only or other ought our ours ourselves out over own same shan't she she'd she'll she's should shouldn't so some
    such than that that's the their theirs them themselves then there there's these they they'd they'll they're they've
    this those through to too under until up very was wasn't we we'd we'll we're we've were weren't what what's when
    when's where where's which while who who's whom why why's with won't would wouldn't you you'd you'll you're you've
    your yours yourself yourselves";

/// A language of the text index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// What a query is in, and everything that does not say otherwise.
    English,
    /// One of the others that MongoDB knows.
    Other(Algorithm),
    /// Neither stop words nor stems.
    None,
}

impl Language {
    /// The value of a `language` member; `None` for what MongoDB does not know.
    pub fn named(name: &str) -> Option<Self> {
        Some(Self::Other(match name {
            "english" | "en" => return Some(Self::English),
            "none" => return Some(Self::None),
            "danish" | "da" => Algorithm::Danish,
            "dutch" | "nl" => Algorithm::Dutch,
            "finnish" | "fi" => Algorithm::Finnish,
            "french" | "fr" => Algorithm::French,
            "german" | "de" => Algorithm::German,
            "hungarian" | "hu" => Algorithm::Hungarian,
            "italian" | "it" => Algorithm::Italian,
            "norwegian" | "nb" => Algorithm::Norwegian,
            "portuguese" | "pt" => Algorithm::Portuguese,
            "romanian" | "ro" => Algorithm::Romanian,
            "russian" | "ru" => Algorithm::Russian,
            "spanish" | "es" => Algorithm::Spanish,
            "swedish" | "sv" => Algorithm::Swedish,
            "turkish" | "tr" => Algorithm::Turkish,
            _ => return None,
        }))
    }

    fn is_stop_word(self, word: &str) -> bool {
        match self {
            Self::None => false,
            Self::English => ENGLISH_STOP_WORDS.split_ascii_whitespace().any(|stop| stop == word),
            Self::Other(algorithm) => {
                let Some(filter) = stop_words(algorithm) else { return false };
                !TextAnalyzer::builder(RawTokenizer::default()).filter(filter).build().token_stream(word).advance()
            }
        }
    }

    fn stem(self, word: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(word),
            Self::English => Stemmer::new(Algorithm::English).stem(word),
            Self::Other(algorithm) => Stemmer::new(algorithm).stem(word),
        }
    }
}

fn stop_words(algorithm: Algorithm) -> Option<StopWordFilter> {
    use tantivy_text::Language as Known;
    StopWordFilter::new(match algorithm {
        Algorithm::Danish => Known::Danish,
        Algorithm::Dutch => Known::Dutch,
        Algorithm::Finnish => Known::Finnish,
        Algorithm::French => Known::French,
        Algorithm::German => Known::German,
        Algorithm::Hungarian => Known::Hungarian,
        Algorithm::Italian => Known::Italian,
        Algorithm::Norwegian => Known::Norwegian,
        Algorithm::Portuguese => Known::Portuguese,
        Algorithm::Russian => Known::Russian,
        Algorithm::Spanish => Known::Spanish,
        Algorithm::Swedish => Known::Swedish,
        _ => return None,
    })
}

/// The terms of a text, in order, repeats included.
pub fn terms(text: &str, language: Language) -> impl Iterator<Item = String> + '_ {
    let words = text.split(move |c| is_delimiter(c, language)).filter(|word| !word.is_empty());
    words.filter_map(move |word| {
        let word = word.to_lowercase();
        // In this order: stop words and stems know diacritics.
        (!language.is_stop_word(&word)).then(|| without_diacritics(&language.stem(&word)))
    })
}

/// What phrases are compared in: lower case, no diacritics.
pub fn folded(text: &str) -> String {
    without_diacritics(&text.to_lowercase())
}

fn without_diacritics(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    text.nfd().filter(|c| !is_combining_mark(*c)).collect()
}

/// Unicode's dashes, hyphens, quotation marks, terminal punctuation, white space and pattern syntax; an apostrophe is
/// part of an English word.
fn is_delimiter(c: char, language: Language) -> bool {
    if c.is_ascii() {
        return match c {
            '\'' => language != Language::English,
            '_' => false,
            _ => c.is_ascii_whitespace() || c == '\u{b}' || c.is_ascii_punctuation(),
        };
    }
    if c.is_whitespace() {
        return true;
    }
    matches!(u32::from(c),
        0xA1..=0xA7 | 0xA9 | 0xAB | 0xAC | 0xAE | 0xB0 | 0xB1 | 0xB6 | 0xBB | 0xBF | 0xD7 | 0xF7
        | 0x37E | 0x387 | 0x589 | 0x58A | 0x5BE | 0x5C3 | 0x60C | 0x61B | 0x61F | 0x6D4
        | 0x700..=0x70A | 0x70C | 0x7F8 | 0x7F9 | 0x830..=0x83E | 0x85E | 0x964 | 0x965 | 0xE5A | 0xE5B | 0xF08
        | 0xF0D..=0xF12 | 0x104A | 0x104B | 0x1361..=0x1368 | 0x1400 | 0x166D | 0x166E | 0x16EB..=0x16ED
        | 0x17D4..=0x17D6 | 0x17DA | 0x1802..=0x1806 | 0x1808 | 0x1809 | 0x1944 | 0x1945 | 0x1AA8..=0x1AAB
        | 0x1B5A | 0x1B5B | 0x1B5D..=0x1B5F | 0x1C3B..=0x1C3F | 0x1C7E | 0x1C7F
        | 0x2010..=0x2027 | 0x2030..=0x203E | 0x2041..=0x2053 | 0x2055..=0x205E | 0x207B | 0x208B
        | 0x2190..=0x245F | 0x2500..=0x2775 | 0x2794..=0x2BFF | 0x2E00..=0x2E7F | 0x3001..=0x3003
        | 0x3008..=0x3020 | 0x3030 | 0x30A0 | 0x30FB | 0xA4FE | 0xA4FF | 0xA60D..=0xA60F | 0xA6F3..=0xA6F7
        | 0xA876 | 0xA877 | 0xA8CE | 0xA8CF | 0xA92F | 0xA9C7..=0xA9C9 | 0xAA5D..=0xAA5F | 0xAADF | 0xAAF0 | 0xAAF1
        | 0xABEB | 0xFD3E | 0xFD3F | 0xFE31 | 0xFE32 | 0xFE41..=0xFE46 | 0xFE50..=0xFE52 | 0xFE54..=0xFE58 | 0xFE63
        | 0xFF01 | 0xFF02 | 0xFF07 | 0xFF0C..=0xFF0E | 0xFF1A | 0xFF1B | 0xFF1F | 0xFF61..=0xFF65)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn english(text: &str) -> Vec<String> {
        terms(text, Language::English).collect()
    }

    #[test]
    fn words_are_stemmed_and_folded() {
        assert_eq!(english("Baking a cake"), ["bake", "cake"]);
        assert_eq!(english("Café CON cafés"), ["cafe", "con", "cafe"]);
        assert_eq!(english("сы\u{301}рники Сырники"), ["сырники", "сырники"]);
        assert_eq!(english("I can't, the cat's coat-rack; snake_case"), ["cat", "coat", "rack", "snake_cas"]);
        assert_eq!(english(" -- \u{3000}…"), Vec::<String>::new());
    }

    #[test]
    fn languages_have_their_own_stems_and_stop_words() {
        let terms = |text, name| terms(text, Language::named(name).unwrap_or(Language::None)).collect::<Vec<_>>();
        assert_eq!(terms("los gatos", "spanish"), ["gat"]);
        assert_eq!(terms("los gatos", "none"), ["los", "gatos"]);
        assert_eq!(terms("los gatos", "en"), ["los", "gato"]);
        assert_eq!(Language::named("klingon"), None);
    }
}
