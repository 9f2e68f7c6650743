//! Texts that are never shown: passwords, passphrases, connection strings.

use std::fmt;

use zeroize::Zeroizing;

/// A text that no log, error or debug output shows; its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text in.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for whoever must send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing_of_it() {
        let secret = Secret::new("open sesame".to_owned());
        assert_eq!((format!("{secret:?}"), secret.reveal()), ("Secret(...)".to_owned(), "open sesame"));
    }
}
