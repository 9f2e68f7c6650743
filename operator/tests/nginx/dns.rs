//! A DNS server on 127.0.0.1 whose answers change.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

type Names = Arc<Mutex<HashMap<String, Ipv4Addr>>>;

/// Runs until it is dropped.
pub struct Dns {
    pub address: SocketAddr,
    names: Names,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let names = Names::default();
        let answers = names.clone();
        let thread = thread::spawn(move || serve(&socket, &answers));
        Self { address, names, thread: Some(thread) }
    }

    /// From now on the name has this address alone.
    pub fn point(&self, name: &str, address: Ipv4Addr) {
        self.names.lock().unwrap().insert(name.to_owned(), address);
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        // An empty packet ends it.
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], self.address).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(socket: &UdpSocket, names: &Names) {
    let mut packet = [0; 512];
    loop {
        let (length, client) = socket.recv_from(&mut packet).unwrap();
        if length == 0 {
            return;
        }
        socket.send_to(&answer(&packet[..length], &names.lock().unwrap()), client).unwrap();
    }
}

/// RFC 1035, for questions of type A; others have no answer.
fn answer(query: &[u8], names: &HashMap<String, Ipv4Addr>) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut position = 12;
    while query[position] != 0 {
        let end = position + 1 + usize::from(query[position]);
        labels.push(String::from_utf8_lossy(&query[position + 1..end]).into_owned());
        position = end;
    }
    let question = &query[12..position + 5];
    let asks_for_ipv4 = query[position + 1..position + 3] == [0, 1];
    let known = names.get(&labels.join("."));
    let address = known.filter(|_| asks_for_ipv4);
    // An answer, recursion available, and 3 if there is no such name; one question, and one or no answer.
    let mut packet = [&query[..2], &[0x81, if known.is_some() { 0x80 } else { 0x83 }, 0, 1]].concat();
    packet.extend([0, u8::from(address.is_some()), 0, 0, 0, 0]);
    packet.extend(question);
    if let Some(address) = address {
        // The question's name, A, IN, for an hour, four bytes.
        packet.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0x0E, 0x10, 0, 4]);
        packet.extend(address.octets());
    }
    packet
}
