//! Distinguished encoding of what crypto-conditions are made of.
//!
//! Written: DER. Read: what the reference's decoder (pyasn1 0.2.3) takes, since whether a fulfillment parses is a
//! verdict. It is definite lengths and primitive strings only, but lengths, integers and tag numbers may have leading
//! zeros; what was read so is written again in DER.

use super::Kind;

/// Not the structure that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Bytes that are still to be read.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything is read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Refuses what is left over.
    pub fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    /// One of the five types, as a constructed value with a context tag; and its contents.
    pub fn choice(&mut self) -> Result<(Kind, Self), Malformed> {
        let (class, number, contents) = self.value()?;
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u64 == number).ok_or(Malformed)?;
        if class == CONSTRUCTED { Ok((kind, Self::new(contents))) } else { Err(Malformed) }
    }

    /// Contents of a constructed value with this context tag.
    pub fn constructed(&mut self, tag: u64) -> Result<Self, Malformed> {
        self.expect(CONSTRUCTED, tag).map(Self::new)
    }

    /// Contents of the wrapper that this context tag puts around a value. The reference takes it in primitive form too.
    pub fn wrapper(&mut self, tag: u64) -> Result<Self, Malformed> {
        match self.value()? {
            (CONSTRUCTED | PRIMITIVE, number, contents) if number == tag => Ok(Self::new(contents)),
            _ => Err(Malformed),
        }
    }

    /// An OCTET STRING under this context tag.
    pub fn octets(&mut self, tag: u64) -> Result<&'a [u8], Malformed> {
        self.expect(PRIMITIVE, tag)
    }

    /// An INTEGER from 0 to 2^32 - 1 under this context tag. Without any byte it is zero.
    pub fn u32(&mut self, tag: u64) -> Result<u32, Malformed> {
        let bytes = self.expect(PRIMITIVE, tag)?;
        if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            return Err(Malformed);
        }
        u32::try_from(big_endian(bytes)).map_err(|_| Malformed)
    }

    /// A BIT STRING under this context tag: its first eight bits, bit 0 lowest.
    pub fn bits(&mut self, tag: u64) -> Result<u8, Malformed> {
        match self.expect(PRIMITIVE, tag)? {
            [0] => Ok(0),
            [unused @ 0..8, bits] => Ok((bits >> unused << unused).reverse_bits()),
            [0..8, bits, _, ..] => Ok(bits.reverse_bits()),
            _ => Err(Malformed),
        }
    }

    fn expect(&mut self, class: u8, tag: u64) -> Result<&'a [u8], Malformed> {
        let (found_class, number, contents) = self.value()?;
        if (found_class, number) == (class, tag) { Ok(contents) } else { Err(Malformed) }
    }

    /// Class and form bits, tag number and contents of the next value.
    fn value(&mut self) -> Result<(u8, u64, &'a [u8]), Malformed> {
        let first = self.byte()?;
        let mut number = u64::from(first & 0x1f);
        if number == 0x1f {
            number = 0;
            loop {
                let byte = self.byte()?;
                // A number that overflows stays far from every tag in use.
                number = number.saturating_mul(128).saturating_add(u64::from(byte & 0x7f));
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        let length = match self.byte()? {
            short @ 0..0x80 => usize::from(short),
            // The indefinite form.
            0x80 => return Err(Malformed),
            long => {
                let bytes = self.take(usize::from(long & 0x7f))?;
                usize::try_from(big_endian(bytes)).map_err(|_| Malformed)?
            }
        };
        Ok((first & 0xe0, number, self.take(length)?))
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Class "context-specific", primitive form.
const PRIMITIVE: u8 = 0x80;
/// Class "context-specific", constructed form.
const CONSTRUCTED: u8 = 0xa0;

/// An unsigned number of any length; what does not fit is the largest.
fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number: u64, byte| number.saturating_mul(256).saturating_add(u64::from(*byte)))
}

/// Appends a value; `tag` is the whole tag byte.
pub fn write_tlv(out: &mut Vec<u8>, tag: u8, contents: &[u8]) {
    let (header, length) = header(tag, contents.len());
    out.extend_from_slice(&header[..length]);
    out.extend_from_slice(contents);
}

/// Appends a value whose contents `write` appends. They are moved once to make room for the length.
pub fn write_constructed(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let (header, length) = header(tag, out.len() - start);
    out.splice(start..start, header[..length].iter().copied());
}

/// Appends a SET OF: the elements that `write` appends, in the order of their bytes.
pub fn write_set<T>(out: &mut Vec<u8>, tag: u8, elements: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
    write_constructed(out, tag, |out| {
        let start = out.len();
        let mut ends = Vec::with_capacity(elements.len());
        for element in elements {
            write(element, out);
            ends.push(out.len() - start);
        }
        let written = &out[start..];
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let mut parts: Vec<&[u8]> = starts.zip(&ends).map(|(start, end)| &written[start..*end]).collect();
        if !parts.is_sorted() {
            parts.sort_unstable();
            let sorted = parts.concat();
            out.truncate(start);
            out.extend_from_slice(&sorted);
        }
    });
}

/// Tag and length, and how many bytes they take.
fn header(tag: u8, length: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = tag;
    let bytes = length.to_be_bytes();
    let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    match significant {
        [] => (header, 2),
        [short @ 0..0x80] => {
            header[1] = *short;
            (header, 2)
        }
        long => {
            header[1] = 0x80 | long.len() as u8;
            header[2..2 + long.len()].copy_from_slice(long);
            (header, 2 + long.len())
        }
    }
}

/// Appends an INTEGER.
pub fn write_integer(out: &mut Vec<u8>, tag: u8, value: u64) {
    let mut bytes = [0; 9];
    bytes[1..].copy_from_slice(&value.to_be_bytes());
    // The first bit is the sign: it must stay zero.
    let zeros = bytes.windows(2).take_while(|pair| pair[0] == 0 && pair[1] & 0x80 == 0).count();
    write_tlv(out, tag, &bytes[zeros..]);
}

/// A SEQUENCE with its universal tag.
pub fn sequence(contents: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(contents.len() + 6);
    write_tlv(&mut out, 0x30, contents);
    out
}
