//! Messages as bytes (MongoDB manual, "MongoDB Wire Protocol").

use std::io;

use bson::{Bson, Document};
use tokio::io::{AsyncRead, AsyncReadExt};

const HEADER: usize = 16;

/// Manual, `hello`, `maxMessageSizeBytes`.
pub const LONGEST: usize = 48_000_000;

const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;

/// Flags of OP_MSG.
const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;

/// Flags of OP_REPLY.
const QUERY_FAILURE: i32 = 1 << 1;

/// One whole message, with its header.
pub struct Message {
    bytes: Vec<u8>,
}

/// Which form a request has, and so its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Message,
    Query,
}

/// A command.
#[derive(Debug)]
pub struct Request {
    id: i32,
    form: Form,
    /// No answer is wanted.
    pub is_unanswered: bool,
    /// The command, without document sequences.
    pub body: Document,
}

impl Request {
    /// The command's name.
    pub fn name(&self) -> &str {
        self.body.keys().next().map_or("", String::as_str)
    }

    /// The database that it is for.
    pub fn database(&self) -> &str {
        self.body.get_str("$db").unwrap_or("admin")
    }

    /// It came in the form that only first questions may have from MongoDB 5.1.
    pub fn is_query(&self) -> bool {
        self.form == Form::Query
    }

    /// The answer as bytes.
    pub fn reply(&self, body: &Document) -> Result<Vec<u8>, bson::error::Error> {
        let failed = !is_true(body.get("ok"));
        let body = body.to_vec()?;
        let mut payload = Vec::with_capacity(body.len() + 24);
        let operation = match self.form {
            Form::Message => {
                payload.extend(0_u32.to_le_bytes());
                payload.push(0);
                OP_MSG
            }
            Form::Query => {
                payload.extend(if failed { QUERY_FAILURE } else { 0 }.to_le_bytes());
                payload.extend(0_i64.to_le_bytes());
                payload.extend(0_i32.to_le_bytes());
                payload.extend(1_i32.to_le_bytes());
                OP_REPLY
            }
        };
        payload.extend(body);
        Ok(framed(0, self.id, operation, &payload))
    }
}

/// A command of our own to another server.
pub fn question(body: &Document) -> Result<Message, bson::error::Error> {
    let mut payload = vec![0; 5];
    payload.extend(body.to_vec()?);
    Ok(Message { bytes: framed(1, 0, OP_MSG, &payload) })
}

fn framed(id: i32, response_to: i32, operation: i32, payload: &[u8]) -> Vec<u8> {
    let length = i32::try_from(HEADER + payload.len()).unwrap_or(i32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    for number in [length, id, response_to, operation] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(payload);
    bytes
}

/// Numbers and truth, as MongoDB reads flags in commands.
pub fn is_true(value: Option<&Bson>) -> bool {
    match value {
        Some(Bson::Boolean(value)) => *value,
        Some(value) => number(value).is_some_and(|number| number != 0.0),
        None => false,
    }
}

/// Any kind of number.
pub fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(number) => Some(f64::from(*number)),
        // Settings and times are far below the 53 bits that a double holds.
        Bson::Int64(number) => Some(*number as f64),
        Bson::Double(number) => Some(*number),
        _ => None,
    }
}

impl Message {
    /// `None`: the other side is done.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; HEADER];
        match stream.read_exact(&mut bytes).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        };
        let length = usize::try_from(number_at(&bytes, 0)?).unwrap_or_default();
        if !(HEADER..=LONGEST).contains(&length) {
            return Err(malformed("its length is impossible"));
        }
        bytes.resize(length, 0);
        stream.read_exact(&mut bytes[HEADER..]).await?;
        Ok(Some(Self { bytes }))
    }

    /// As it was read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// More answers follow this one, unasked.
    pub fn is_followed(&self) -> bool {
        number_at(&self.bytes, 12).is_ok_and(|operation| operation == OP_MSG)
            && number_at(&self.bytes, HEADER).is_ok_and(|flags| flags.cast_unsigned() & MORE_TO_COME != 0)
    }

    /// Reads the command.
    pub fn request(&self) -> io::Result<Request> {
        let id = number_at(&self.bytes, 4)?;
        match number_at(&self.bytes, 12)? {
            OP_MSG => {
                let flags = number_at(&self.bytes, HEADER)?.cast_unsigned();
                let checksum = if flags & CHECKSUM_PRESENT == 0 { 0 } else { 4 };
                let end = self.bytes.len().saturating_sub(checksum);
                let sections = self.bytes.get(HEADER + 4..end).ok_or_else(|| malformed("it ends too early"))?;
                let body = body(sections)?;
                Ok(Request { id, form: Form::Message, is_unanswered: flags & MORE_TO_COME != 0, body })
            }
            OP_QUERY => {
                let rest = self.bytes.get(HEADER + 4..).unwrap_or_default();
                let end = rest.iter().position(|byte| *byte == 0).ok_or_else(|| malformed("it names no collection"))?;
                // Behind the name: how many documents to skip and to return.
                let mut body = document(rest.get(end + 9..).unwrap_or_default())?;
                if let Some(Bson::Document(inner)) = body.remove("$query").or_else(|| body.remove("query")) {
                    body = inner;
                }
                let name = String::from_utf8_lossy(&rest[..end]).into_owned();
                let database = name.split('.').next().unwrap_or_default();
                body.insert("$db", database);
                Ok(Request { id, form: Form::Query, is_unanswered: false, body })
            }
            other => Err(malformed(&format!("messages of the kind {other} are not known"))),
        }
    }
}

/// The section of kind 0.
fn body(mut sections: &[u8]) -> io::Result<Document> {
    while let Some((kind, rest)) = sections.split_first() {
        if *kind == 0 {
            return document(rest);
        }
        let length = usize::try_from(number_at(rest, 0)?).unwrap_or(usize::MAX);
        sections = rest.get(length.max(4)..).ok_or_else(|| malformed("a section ends too early"))?;
    }
    Err(malformed("it has no command"))
}

fn document(bytes: &[u8]) -> io::Result<Document> {
    Document::from_reader(bytes).map_err(|error| malformed(&format!("its document does not read: {error}")))
}

fn number_at(bytes: &[u8], at: usize) -> io::Result<i32> {
    let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(i32::from_le_bytes).ok_or_else(|| malformed("it ends too early"))
}

fn malformed(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a message is malformed: {reason}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_command_behind_a_document_sequence_is_found() {
        let body = doc! {"insert": "c", "$db": "bigchain"};
        let mut payload = vec![0; 4];
        payload.extend([1, 6, 0, 0, 0, b'd', 0]);
        payload.push(0);
        payload.extend(body.to_vec().unwrap());
        let request = Message { bytes: framed(7, 0, OP_MSG, &payload) }.request().unwrap();
        assert_eq!((request.name(), request.database(), request.id), ("insert", "bigchain", 7));
    }

    #[test]
    fn the_first_question_in_its_old_form_is_read() {
        let mut payload = vec![0; 4];
        payload.extend(b"admin.$cmd\0");
        payload.extend([0; 8]);
        payload.extend(doc! {"isMaster": 1}.to_vec().unwrap());
        let request = Message { bytes: framed(7, 0, OP_QUERY, &payload) }.request().unwrap();
        assert_eq!((request.name(), request.database(), request.is_query()), ("isMaster", "admin", true));
        let reply = request.reply(&doc! {"ok": 1.0}).unwrap();
        assert_eq!(number_at(&reply, 12).unwrap(), OP_REPLY);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for payload in [&[][..], &[0; 3], &[0; 4], &[0, 0, 0, 0, 1, 255, 255, 255, 127], &[0, 0, 0, 0, 0, 5]] {
            assert!(Message { bytes: framed(1, 0, OP_MSG, payload) }.request().is_err(), "{payload:?}");
        }
        assert!(Message { bytes: framed(1, 0, 2012, &[0; 9]) }.request().is_err());
    }
}
