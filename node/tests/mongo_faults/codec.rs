//! The frames of these tests against a server's own.

use mongodb::bson::{self, Document, doc};
use tokio::net::TcpStream;

use crate::mongod::Mongod;
use crate::wire::message::{Message, OP_MSG, OP_QUERY, OP_REPLY};

fn message(code: i32, head: &[&[u8]], command: &Document) -> Message {
    let payload = [head.concat(), bson::serialize_to_vec(command).unwrap()].concat();
    Message { id: 7, answers: 0, code, payload }
}

#[tokio::test]
async fn old_and_new_greetings_are_read_and_answered() {
    let Some(server) = Mongod::start(&[]) else { return };
    let greeting = doc! { "isMaster": 1, "$db": "admin" };
    let (zero, one) = (0_i32.to_le_bytes(), (-1_i32).to_le_bytes());
    let old = message(OP_QUERY, &[&zero, b"admin.$cmd\0", &zero, &one], &greeting);
    let new = message(OP_MSG, &[&zero, b"\0"], &greeting);
    for (question, code) in [(old, OP_REPLY), (new, OP_MSG)] {
        assert_eq!((question.name().as_str(), question.wants_answer()), ("isMaster", true));
        assert_eq!(question.document().unwrap(), greeting);
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        question.write(&mut stream).await.unwrap();
        let answer = Message::read(&mut stream).await.unwrap().unwrap();
        assert_eq!((answer.code, answer.answers), (code, 7));
        let said = answer.document().unwrap();
        assert_eq!(said.get_str("setName").unwrap(), crate::mongod::REPLICA_SET);
        // Ours, in the same form.
        let repeated = question.answer(&said);
        assert_eq!((repeated.code, repeated.answers, repeated.payload), (code, 7, answer.payload));
    }
}

#[tokio::test]
async fn further_sections_are_read_as_a_server_reads_them() {
    let Some(server) = Mongod::start(&[]) else { return };
    let command = doc! { "insert": "c", "$db": "d" };
    let documents: Vec<Document> = (0..3).map(|n| doc! { "_id": n }).collect();
    let mut question = message(OP_MSG, &[&0_i32.to_le_bytes(), b"\0"], &command);
    let bodies: Vec<u8> = documents.iter().flat_map(|document| bson::serialize_to_vec(document).unwrap()).collect();
    let length = i32::try_from(4 + b"documents\0".len() + bodies.len()).unwrap();
    question.payload.extend([&[1][..], &length.to_le_bytes(), b"documents\0", &bodies].concat());
    assert_eq!(question.command().unwrap(), (command, 3));
    assert_eq!(question.document().unwrap().get_array("documents").unwrap().len(), 3);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    question.write(&mut stream).await.unwrap();
    let answer = Message::read(&mut stream).await.unwrap().unwrap();
    assert_eq!(answer.document().unwrap().get_i32("n").unwrap(), 3);
}
