//! One connection by hand: which certificate a server shows, and whether it answers whoever shows another.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use mongodb::bson::doc;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::process::{DEADLINE, Place};

/// The first question, as bytes (MongoDB manual, "MongoDB Wire Protocol").
fn hello() -> Vec<u8> {
    let body = doc! { "hello": 1, "$db": "admin" }.to_vec().unwrap();
    let length = i32::try_from(16 + 4 + 1 + body.len()).unwrap();
    let mut message: Vec<u8> = [length, 1, 0, 2013, 0].into_iter().flat_map(i32::to_le_bytes).collect();
    message.push(0);
    message.extend(body);
    message
}

fn stream(place: &Place) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, place.port))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

fn ask(mut stream: impl Read + Write) -> io::Result<()> {
    // A server that refuses may be gone by now; why is in what it sent.
    let _ = stream.write_all(&hello()).and_then(|()| stream.flush());
    stream.read_exact(&mut [0; 16])
}

/// Asks with this certificate, or without one; the serial number of the certificate that the server shows. `Err`: it closes
/// the connection.
pub fn with(place: &Place, certificate: Option<&Path>) -> io::Result<u64> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(place.pki.file("ca.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let config = match certificate {
        Some(file) => {
            let chain = vec![CertificateDer::from_pem_file(file).unwrap()];
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(file).unwrap()).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = stream(place)?;
    ask(rustls::Stream::new(&mut connection, &mut stream))?;
    let shown = &connection.peer_certificates().unwrap()[0];
    let (_, shown) = X509Certificate::from_der(shown).unwrap();
    Ok(shown.raw_serial().iter().fold(0, |serial, byte| (serial << 8) | u64::from(*byte)))
}

/// Asks without TLS.
pub fn plainly(place: &Place) -> io::Result<()> {
    ask(stream(place)?)
}
