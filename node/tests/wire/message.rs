//! One message: its frame, and the command or answer in it.

use std::io;

use mongodb::bson::{self, Document, doc};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Both ways since MongoDB 3.6.
pub const OP_MSG: i32 = 2013;
/// A driver's first greeting, when it does not know yet whether the server is newer.
pub const OP_QUERY: i32 = 2004;
/// The answer to that.
pub const OP_REPLY: i32 = 1;

/// `moreToCome`: the other side is not to answer.
const MORE_TO_COME: u32 = 1 << 1;
const CHECKSUM: u32 = 1;
const HEADER: usize = 16;
/// What MongoDB allows.
const LONGEST: usize = 48_000_000;

/// The name of a list of the command, and the documents in it.
type Section<'a> = (String, Vec<&'a [u8]>);

/// A frame as it was on the wire.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: i32,
    pub answers: i32,
    pub code: i32,
    /// What follows the header.
    pub payload: Vec<u8>,
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn i32_at(bytes: &[u8], at: usize) -> io::Result<i32> {
    let bytes = bytes.get(at..at + 4).ok_or_else(|| malformed("a message ends early"))?;
    Ok(i32::from_le_bytes(bytes.try_into().unwrap()))
}

fn length_at(bytes: &[u8], at: usize) -> io::Result<usize> {
    usize::try_from(i32_at(bytes, at)?).map_err(|_| malformed("a negative length"))
}

fn text_at(bytes: &[u8], at: usize) -> io::Result<(String, usize)> {
    let rest = bytes.get(at..).ok_or_else(|| malformed("a message ends early"))?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or_else(|| malformed("a text does not end"))?;
    Ok((String::from_utf8_lossy(&rest[..end]).into_owned(), at + end + 1))
}

fn document_at(bytes: &[u8], at: usize) -> io::Result<(Document, usize)> {
    let end = at + length_at(bytes, at)?;
    let document = bytes.get(at..end).ok_or_else(|| malformed("a document ends early"))?;
    let document = bson::deserialize_from_slice(document).map_err(|e| malformed(&e.to_string()))?;
    Ok((document, end))
}

impl Message {
    /// `None`: the other side has closed.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER];
        match from.read_exact(&mut header).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        };
        let length = length_at(&header, 0)?;
        if !(HEADER..=LONGEST).contains(&length) {
            return Err(malformed("no message has this length"));
        }
        let mut payload = vec![0; length - HEADER];
        from.read_exact(&mut payload).await?;
        Ok(Some(Self { id: i32_at(&header, 4)?, answers: i32_at(&header, 8)?, code: i32_at(&header, 12)?, payload }))
    }

    /// A command that asks for an answer.
    pub fn request(command: &Document) -> Self {
        // No flags, and the kind of the only section.
        let payload = [vec![0; 5], bson::serialize_to_vec(command).unwrap()].concat();
        Self { id: 1, answers: 0, code: OP_MSG, payload }
    }

    /// With a further section, of documents that nobody checks.
    pub fn with(mut self, name: &str, documents: &[Vec<u8>]) -> Self {
        let documents = documents.concat();
        let length = i32::try_from(4 + name.len() + 1 + documents.len()).unwrap();
        self.payload.extend([&[1][..], &length.to_le_bytes(), name.as_bytes(), b"\0", &documents].concat());
        self
    }

    /// The frame's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let length = i32::try_from(self.payload.len() + HEADER).unwrap();
        let mut bytes: Vec<u8> =
            [length, self.id, self.answers, self.code].into_iter().flat_map(i32::to_le_bytes).collect();
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    pub async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        to.write_all(&self.bytes()).await?;
        to.flush().await
    }

    /// The command or answer, with the documents of the further sections as an array under the section's name (as they
    /// would stand in the command itself).
    pub fn document(&self) -> io::Result<Document> {
        match self.code {
            OP_MSG => {
                let (mut command, further) = self.sections()?;
                for (name, documents) in further {
                    let documents = documents.into_iter().map(|bytes| Ok(document_at(bytes, 0)?.0));
                    command.insert(name, documents.collect::<io::Result<Vec<Document>>>()?);
                }
                Ok(command)
            }
            // flags, the collection's name, to skip, to return
            OP_QUERY => {
                let (_, at) = text_at(&self.payload, 4)?;
                Ok(document_at(&self.payload, at + 8)?.0)
            }
            // flags, cursor (8 bytes), starting from, number
            OP_REPLY => Ok(document_at(&self.payload, 20)?.0),
            other => Err(malformed(&format!("opcode {other} is not known here"))),
        }
    }

    /// The command without the documents of the further sections, and how many these hold.
    pub fn command(&self) -> io::Result<(Document, usize)> {
        if self.code != OP_MSG {
            return Ok((self.document()?, 0));
        }
        let (command, further) = self.sections()?;
        Ok((command, further.iter().map(|(_, documents)| documents.len()).sum()))
    }

    /// The command or answer, and the further sections by name.
    fn sections(&self) -> io::Result<(Document, Vec<Section<'_>>)> {
        let payload = &self.payload;
        let end = if self.flags() & CHECKSUM == 0 { payload.len() } else { payload.len() - 4 };
        let (mut command, mut further) = (Document::new(), Vec::new());
        let mut at = 4;
        while at < end {
            let kind = payload[at];
            at += 1;
            match kind {
                0 => (command, at) = document_at(payload, at)?,
                1 => {
                    let section_end = at + length_at(payload, at)?;
                    let (name, start) = text_at(payload, at + 4)?;
                    let mut documents = Vec::new();
                    at = start;
                    while at < section_end {
                        let next = at + length_at(payload, at)?.max(1);
                        documents.push(payload.get(at..next).ok_or_else(|| malformed("a document ends early"))?);
                        at = next;
                    }
                    further.push((name, documents));
                }
                other => return Err(malformed(&format!("a section of kind {other}"))),
            }
        }
        Ok((command, further))
    }

    fn flags(&self) -> u32 {
        i32_at(&self.payload, 0).unwrap_or_default().cast_unsigned()
    }

    /// Whether its sender waits for an answer.
    pub fn wants_answer(&self) -> bool {
        self.code != OP_MSG || self.flags() & MORE_TO_COME == 0
    }

    /// The same request with another command, and one answer to it.
    pub fn instead(&self, command: &Document) -> Self {
        Self { id: self.id, ..Self::request(command) }
    }

    /// The command's name: its first member.
    pub fn name(&self) -> String {
        let command = self.command().unwrap_or_default().0;
        command.keys().next().cloned().unwrap_or_default()
    }

    /// What answers this message with a document, in the form that its sender understands.
    pub fn answer(&self, document: &Document) -> Self {
        let body = bson::serialize_to_vec(document).unwrap();
        let (code, head) = match self.code {
            OP_QUERY => {
                let mut head = vec![0; 16];
                head.extend_from_slice(&1_i32.to_le_bytes());
                (OP_REPLY, head)
            }
            _ => (OP_MSG, vec![0; 5]),
        };
        Self { id: 0, answers: self.id, code, payload: [head, body].concat() }
    }

    /// A refusal, as a server words it.
    pub fn error(&self, code: i32, name: &str, message: &str) -> Self {
        self.answer(&doc! { "ok": 0.0, "errmsg": message, "code": code, "codeName": name })
    }
}
