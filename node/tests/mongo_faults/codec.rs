//! The frames of these tests against a server's own.

use mongodb::bson::{self, doc};
use tokio::net::TcpStream;

use crate::mongod::Mongod;
use crate::wire::message::{Message, OP_MSG, OP_QUERY, OP_REPLY};

#[tokio::test]
async fn old_and_new_greetings_are_read_and_answered() {
    let Some(server) = Mongod::start(&[]) else { return };
    let greeting = doc! { "isMaster": 1, "$db": "admin" };
    let new = Message::request(&greeting);
    let body = bson::serialize_to_vec(&greeting).unwrap();
    // No flags; skip nothing, return one document.
    let payload = [&[0; 4][..], b"admin.$cmd\0", &[0; 4], &(-1_i32).to_le_bytes(), &body].concat();
    let old = Message { code: OP_QUERY, payload, ..new.clone() };
    for (question, code) in [(old, OP_REPLY), (new, OP_MSG)] {
        assert_eq!((question.name().as_str(), question.wants_answer()), ("isMaster", true));
        assert_eq!(question.document().unwrap(), greeting);
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        question.write(&mut stream).await.unwrap();
        let answer = Message::read(&mut stream).await.unwrap().unwrap();
        assert_eq!((answer.code, answer.answers), (code, question.id));
        let said = answer.document().unwrap();
        assert_eq!(said.get_str("setName").unwrap(), crate::mongod::REPLICA_SET);
        // Ours, in the same form.
        let repeated = question.answer(&said);
        assert_eq!((repeated.code, repeated.answers, repeated.payload), (code, question.id, answer.payload));
    }
}

#[tokio::test]
async fn further_sections_are_read_as_a_server_reads_them() {
    let Some(server) = Mongod::start(&[]) else { return };
    let command = doc! { "insert": "c", "$db": "d" };
    let documents = [0, 1, 2].map(|n| bson::serialize_to_vec(&doc! { "_id": n }).unwrap());
    let question = Message::request(&command).with("documents", &documents);
    assert_eq!(question.command().unwrap(), (command, 3));
    assert_eq!(question.document().unwrap().get_array("documents").unwrap().len(), 3);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    question.write(&mut stream).await.unwrap();
    let answer = Message::read(&mut stream).await.unwrap().unwrap();
    assert_eq!(answer.document().unwrap().get_i32("n").unwrap(), 3);
}
