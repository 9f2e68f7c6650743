//! The parser: CPython 3.6's `json.loads`, without its recursion.

use std::borrow::Cow;

use super::scan::plain_prefix;
use super::{Int, MAX_DEPTH, Object, ParseError, Value};

/// Parses a whole text in time linear in its length (apart from sorting the keys of large objects).
///
/// A text that is wrong in several ways gives [`ParseError::LoneSurrogate`] only if nothing else is wrong.
pub fn parse(text: &[u8]) -> Result<Value<'_>, ParseError> {
    let text = std::str::from_utf8(text).map_err(|e| ParseError::Syntax { at: e.valid_up_to() })?;
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, lone_surrogate: None };
    let value = parser.value()?;
    parser.skip_space();
    if parser.at < parser.bytes.len() {
        return Err(parser.syntax());
    }
    match parser.lone_surrogate {
        Some(at) => Err(ParseError::LoneSurrogate { at }),
        None => Ok(value),
    }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    lone_surrogate: Option<usize>,
}

/// A container whose end has not been read. Kept in a vector, not on the call stack: nesting costs no stack.
enum Open<'a> {
    Array(Vec<Value<'a>>),
    Object { members: Vec<(Cow<'a, str>, Value<'a>)>, key: Cow<'a, str> },
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Result<Value<'a>, ParseError> {
        let mut open: Vec<Open<'a>> = Vec::new();
        loop {
            self.skip_space();
            let mut value = match self.peek() {
                Some(b'[' | b'{') if open.len() == MAX_DEPTH => return Err(ParseError::TooDeep),
                Some(b'[') => {
                    self.at += 1;
                    self.skip_space();
                    if self.peek() != Some(b']') {
                        open.push(Open::Array(Vec::new()));
                        continue;
                    }
                    self.at += 1;
                    Value::Array(Vec::new())
                }
                Some(b'{') => {
                    self.at += 1;
                    self.skip_space();
                    if self.peek() != Some(b'}') {
                        let key = self.key()?;
                        open.push(Open::Object { members: Vec::new(), key });
                        continue;
                    }
                    self.at += 1;
                    Value::Object(Object::default())
                }
                _ => self.scalar()?,
            };
            // The value is complete: put it where it belongs, which may complete the container around it.
            loop {
                self.skip_space();
                value = match open.last_mut() {
                    None => return Ok(value),
                    Some(Open::Array(elements)) => {
                        elements.push(value);
                        match self.next()? {
                            b',' => break,
                            b']' => Value::Array(std::mem::take(elements)),
                            _ => return Err(self.syntax_before()),
                        }
                    }
                    Some(Open::Object { members, key }) => {
                        members.push((std::mem::take(key), value));
                        match self.next()? {
                            b',' => {
                                self.skip_space();
                                *key = self.key()?;
                                break;
                            }
                            b'}' => Value::Object(Object::from_members(std::mem::take(members))),
                            _ => return Err(self.syntax_before()),
                        }
                    }
                };
                open.pop();
            }
        }
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<Cow<'a, str>, ParseError> {
        if self.next()? != b'"' {
            return Err(self.syntax_before());
        }
        let key = self.string()?;
        self.skip_space();
        match self.next()? {
            b':' => Ok(key),
            _ => Err(self.syntax_before()),
        }
    }

    fn scalar(&mut self) -> Result<Value<'a>, ParseError> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(Value::String(self.string()?))
            }
            Some(b'0'..=b'9') => self.number(),
            Some(b'-') if self.bytes[self.at..].starts_with(b"-Infinity") => {
                self.word("-Infinity", Value::Float(f64::NEG_INFINITY))
            }
            Some(b'-') => self.number(),
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'N') => self.word("NaN", Value::Float(f64::NAN)),
            Some(b'I') => self.word("Infinity", Value::Float(f64::INFINITY)),
            _ => Err(self.syntax()),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, ParseError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value<'a>, ParseError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.skip_digits(),
            _ => return Err(self.syntax()),
        }
        let integer_end = self.at;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.expect_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.expect_digits()?;
        }
        let token = &self.text[start..self.at];
        if self.at > integer_end {
            return match token.parse() {
                Ok(float) => Ok(Value::Float(float)),
                Err(_) => Err(ParseError::Syntax { at: start }),
            };
        }
        Ok(Value::Int(match token.parse() {
            Ok(small) => Int::Small(small),
            Err(_) => Int::Big(Cow::Borrowed(token)),
        }))
    }

    fn expect_digits(&mut self) -> Result<(), ParseError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.syntax());
        }
        self.skip_digits();
        Ok(())
    }

    fn skip_digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    /// The rest of a string after its opening quote.
    fn string(&mut self) -> Result<Cow<'a, str>, ParseError> {
        let start = self.at;
        self.at += plain_prefix(&self.bytes[start..]);
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut string = self.text[start..self.at].to_owned();
        loop {
            match self.next()? {
                b'"' => return Ok(Cow::Owned(string)),
                b'\\' => string.push(self.escape()?),
                _ => return Err(self.syntax_before()),
            }
            let run = self.at;
            self.at += plain_prefix(&self.bytes[run..]);
            string.push_str(&self.text[run..self.at]);
        }
    }

    /// The character that an escape stands for, read after its backslash.
    fn escape(&mut self) -> Result<char, ParseError> {
        Ok(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(self.syntax_before()),
        })
    }

    fn unicode_escape(&mut self) -> Result<char, ParseError> {
        let backslash = self.at - 2;
        let first = self.hex4()?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        if first < 0xDC00 && self.bytes[self.at..].starts_with(b"\\u") {
            let second_at = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                let joined = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = second_at;
        }
        self.lone_surrogate.get_or_insert(backslash);
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u32, ParseError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or_else(|| self.syntax_before())?;
            code = code << 4 | digit;
        }
        Ok(code)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, ParseError> {
        let byte = self.peek().ok_or_else(|| self.syntax())?;
        self.at += 1;
        Ok(byte)
    }

    fn syntax(&self) -> ParseError {
        ParseError::Syntax { at: self.at }
    }

    /// The byte that was just read is wrong.
    fn syntax_before(&self) -> ParseError {
        ParseError::Syntax { at: self.at - 1 }
    }
}
