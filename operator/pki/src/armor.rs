//! PEM, in a way that leaves no copy of a private key behind.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::{self, PemObject as _, SectionKind};
use zeroize::Zeroizing;

use crate::error::Error;

/// Characters of a line of base64 in PEM.
const LINE: usize = 64;

/// One section of a PEM text; its bytes are overwritten when it is dropped, as it may be a private key.
pub struct Section {
    pub kind: SectionKind,
    pub der: Zeroizing<Vec<u8>>,
}

/// All sections of the kinds that X.509 knows, in their order; what stands between them is skipped.
pub fn sections(pem: &[u8]) -> Result<Vec<Section>, Error> {
    let mut sections = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let (kind, der) = section.map_err(|error| Error::Pem(problem(&error)))?;
        sections.push(Section { kind, der: Zeroizing::new(der) });
    }
    Ok(sections)
}

/// What is wrong and what to do. Nothing of the library's own words: they quote the line, which in a text without line
/// breaks is the whole key.
fn problem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::IllegalSectionStart { .. } => {
            "something follows on a `-----BEGIN …-----` line; give each line of the text its own, with line breaks and not \
             `\\n` or blanks between them"
        }
        pem::Error::MissingSectionEnd { .. } => {
            "a `-----BEGIN …-----` line has no `-----END …-----` line that matches it; give the whole text, with line \
             breaks and not `\\n` or blanks between its lines"
        }
        pem::Error::Base64Decode(_) => {
            "what stands between the `-----BEGIN …-----` and `-----END …-----` lines is not base64; give the text as it \
             was made"
        }
        _ => "it cannot be read as text of such sections; give the text as it was made",
    }
}

/// The PEM text of these bytes, ending with a newline.
pub fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let digits = Zeroizing::new(STANDARD.encode(der));
    // All of it at once: a text that grows leaves its shorter selves in memory.
    let mut text = Zeroizing::new(String::with_capacity(digits.len() + digits.len() / LINE + 2 * label.len() + 40));
    let mut push = |parts: &[&str]| parts.iter().for_each(|part| text.push_str(part));
    push(&["-----BEGIN ", label, "-----\n"]);
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        push(&[line, "\n"]);
        rest = after;
    }
    push(&["-----END ", label, "-----\n"]);
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    #[test]
    fn text_that_is_written_is_read_back_and_was_never_moved_while_it_grew() {
        for length in [0, 1, 47, 48, 49, 4096] {
            let der = vec![7; length];
            let text = encode("CERTIFICATE", &der);
            assert!(text.lines().all(|line| line.len() <= LINE), "{}", *text);
            let capacity = STANDARD.encode(&der).len() + STANDARD.encode(&der).len() / LINE + 62;
            assert_eq!(text.capacity(), capacity, "a text of {} bytes", text.len());
            let read = sections(text.as_bytes()).unwrap();
            assert_eq!((read.len(), read[0].kind, &*read[0].der), (1, SectionKind::Certificate, &der));
        }
    }
    /// A text pasted without its line breaks is one line, which the library quotes.
    #[test]
    fn nothing_of_a_text_on_one_line_is_told() {
        let secret = encode("PRIVATE KEY", &[7; 100]);
        let quoted = "66, 119, 99"; // The library writes a line as numbers: "Bwc".
        for (ends, between) in [("", "\\n"), ("\\n", "\\n"), ("", " "), (" and more", " "), ("", "")] {
            let pasted = format!("{}{ends}", secret.trim_end().replace('\n', between));
            let library = <(SectionKind, Vec<u8>)>::pem_slice_iter(pasted.as_bytes()).find_map(Result::err).unwrap();
            assert!(library.to_string().contains(quoted), "{library}");
            let error = sections(pasted.as_bytes()).err().unwrap();
            let (told, shown) = (error.to_string(), format!("{error:?}"));
            for told in [&told, &shown] {
                assert!(!told.contains("Bwc") && !told.contains("66") && told.contains("line breaks"), "{told}");
            }
        }
        let error = sections(b"-----BEGIN PRIVATE KEY-----\nA\xff!=\n-----END PRIVATE KEY-----\n").err().unwrap();
        assert!(error.to_string().contains("not base64"), "{error}");
    }
}
