//! The first question to a server and its answer, as bytes (MongoDB manual, "OP_MSG" and "hello").

use mongodb::bson::{Document, doc};

/// Of a message's length, the four numbers that begin it.
pub const HEADER: usize = 16;

/// Longest answer that is read, bytes; a real one has some hundred.
pub const LONGEST: usize = 1024 * 1024;

const OP_MSG: i32 = 2013;

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Name of its replica set.
    pub set: Option<String>,
    /// The set's members that hold data, `host:port`.
    pub members: Vec<String>,
    /// Newest wire version it speaks; 0: it did not say.
    pub newest_wire: i32,
    /// Oldest wire version it speaks.
    pub oldest_wire: i32,
    /// It is a router of a sharded cluster.
    pub is_router: bool,
    /// It was started as a member of a set that nobody initiated.
    pub awaits_initiation: bool,
}

/// The question. In its old form, which servers of all versions answer.
pub fn question() -> Result<Vec<u8>, mongodb::bson::error::Error> {
    let body = doc! {"isMaster": 1, "helloOk": true, "$db": "admin"}.to_vec()?;
    // Flags, and the kind of the only section.
    let length = HEADER + 4 + 1 + body.len();
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    let mut message = Vec::new();
    for number in [length, 1, 0, OP_MSG, 0] {
        message.extend(number.to_le_bytes());
    }
    message.push(0);
    message.extend(body);
    Ok(message)
}

/// How many bytes follow a header; `None`: this is not MongoDB's protocol.
pub fn length_after(header: [u8; HEADER]) -> Option<usize> {
    let number = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_le_bytes);
    let length = usize::try_from(number(0)?).ok()?.checked_sub(HEADER)?;
    (number(12)? == OP_MSG && length <= LONGEST).then_some(length)
}

/// Reads what follows the header. `Err`: what the server says against it, or that it does not read.
pub fn answer(bytes: &[u8]) -> Result<Hello, String> {
    let document = match bytes.get(4) {
        Some(0) => Document::from_reader(bytes.get(5..).unwrap_or_default()),
        _ => return Err("its answer does not read".to_owned()),
    };
    let document = document.map_err(|_| "its answer does not read".to_owned())?;
    let number = |name: &str| match document.get(name) {
        Some(value) => value.as_i32().or_else(|| value.as_i64().and_then(|n| i32::try_from(n).ok())),
        None => None,
    };
    let good = document.get_f64("ok").ok() == Some(1.0) || number("ok") == Some(1);
    if !good {
        return Err(document.get_str("errmsg").unwrap_or("it refuses the first question").to_owned());
    }
    let names = |list: &str| {
        let names = document.get_array(list).map(Vec::as_slice).unwrap_or_default();
        names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    Ok(Hello {
        set: document.get_str("setName").ok().map(str::to_owned),
        members: [names("hosts"), names("passives")].concat(),
        newest_wire: number("maxWireVersion").unwrap_or_default(),
        oldest_wire: number("minWireVersion").unwrap_or_default(),
        is_router: document.get_str("msg").ok() == Some("isdbgrid"),
        awaits_initiation: document.get_bool("isreplicaset").unwrap_or_default(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    fn message(document: &Document) -> Vec<u8> {
        let mut bytes = vec![0; 5];
        bytes.extend(document.to_vec().unwrap());
        bytes
    }

    #[test]
    fn the_question_is_as_long_as_it_says() {
        let question = question().unwrap();
        let header: [u8; HEADER] = question[..HEADER].try_into().unwrap();
        assert_eq!(length_after(header), Some(question.len() - HEADER));
    }

    #[test]
    fn members_versions_and_kinds_are_read() {
        let said = doc! {
            "setName": "rs", "hosts": ["a:1", "b:2"], "passives": ["c:3"], "maxWireVersion": 25, "minWireVersion": 0,
            "ok": 1.0,
        };
        let hello = answer(&message(&said)).unwrap();
        let members = ["a:1", "b:2", "c:3"].map(str::to_owned).to_vec();
        assert_eq!(hello, Hello { set: Some("rs".to_owned()), members, newest_wire: 25, ..Hello::default() });
        assert!(answer(&message(&doc! {"isreplicaset": true, "ok": 1})).unwrap().awaits_initiation);
        assert!(answer(&message(&doc! {"msg": "isdbgrid", "ok": 1})).unwrap().is_router);
        assert_eq!(answer(&message(&doc! {"ok": 0, "errmsg": "no"})).unwrap_err(), "no");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bytes in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\0", b"\0\0\0\0\x01", b"\0\0\0\0\0\xff\xff\xff\x7f"] {
            assert!(answer(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(length_after(*b"HTTP/1.1 400 Bad"), None);
        assert_eq!(length_after([0; HEADER]), None);
    }
}
