//! Reads Ed25519 cases from standard input and writes a verdict for each: `1` good, `0` not.
//!
//! A case is the public key (32 bytes), the signature (64), the message's length (2, big-endian) and the message.
//! `tests/ed25519/compare.py` compares the verdicts with libsodium's.

use std::io::{self, Read, Write};

use ledger::crypto::{Uncached, Verifier};
use ledger::ids::PublicKey;

fn main() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let (mut key, mut signature, mut length) = ([0; 32], [0; 64], [0; 2]);
    loop {
        match input.read_exact(&mut key) {
            Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return output.flush(),
            other => other?,
        }
        input.read_exact(&mut signature)?;
        input.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        input.read_exact(&mut message)?;
        let good = Uncached.verify(&PublicKey::from_bytes(key), &message, &signature);
        output.write_all(if good { b"1" } else { b"0" })?;
    }
}
