//! A server and a client of rustls meet with the certificates made here, each demanding the other's.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::sync::Arc;

use common::{authority, issue, leaves, list};
use pki::{Authority, Certificate, PrivateKey, RevocationList};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

type Identity = (Certificate, PrivateKey);

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().der().clone()).unwrap();
    Arc::new(roots)
}

fn parts((certificate, key): &Identity) -> (Vec<rustls::pki_types::CertificateDer<'static>>, PrivateKeyDer<'static>) {
    (vec![certificate.der().clone()], PrivateKeyDer::from_pem_slice(key.pem().as_bytes()).unwrap())
}

/// `Ok` if each takes the other; the first error else.
fn meet(
    authority: &Authority,
    list: &RevocationList,
    server: &Identity,
    client: &Identity,
    name: &'static str,
) -> Result<(), String> {
    let provider = Arc::new(default_provider());
    let lists = || [CertificateRevocationListDer::from_pem_slice(list.pem().as_bytes()).unwrap()];
    let check_client = WebPkiClientVerifier::builder_with_provider(roots(authority), provider.clone())
        .with_crls(lists())
        .build()
        .unwrap();
    let check_server = WebPkiServerVerifier::builder_with_provider(roots(authority), provider.clone())
        .with_crls(lists())
        .build()
        .unwrap();
    let (chain, key) = parts(server);
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(check_client)
        .with_single_cert(chain, key)
        .unwrap();
    let (chain, key) = parts(client);
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_webpki_verifier(check_server)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name.try_into().unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().map_err(|error| format!("server: {error}"))?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().map_err(|error| format!("client: {error}"))?;
    }
    Ok(())
}

#[test]
fn a_member_and_its_clients_take_each_other() {
    let authority = authority();
    let [member, client, gateway] = leaves().map(|leaf| issue(&authority, &leaf));
    let empty = list(&authority, &[], 1);
    let host = "node-a-mdb.bigchain.svc";
    assert_eq!(meet(&authority, &empty, &member, &client, host), Ok(()));
    // To the other members it is a client.
    assert_eq!(meet(&authority, &empty, &member, &member, "localhost"), Ok(()));
    assert_eq!(meet(&authority, &empty, &gateway, &client, "node-a.example.org"), Ok(()));
    let refused = |list, server, client, name| meet(&authority, list, server, client, name).unwrap_err();
    assert!(refused(&empty, &member, &client, "node-b-mdb.bigchain.svc").contains("client: invalid peer certificate"));
    assert!(refused(&empty, &member, &gateway, host).contains("server: invalid peer certificate"));
    assert!(refused(&empty, &client, &client, "localhost").contains("client: invalid peer certificate"));
    let revoking = list(&authority, &[&client.0], 2);
    assert_eq!(refused(&revoking, &member, &client, host), "server: invalid peer certificate: Revoked");
    assert_eq!(
        refused(&list(&authority, &[&member.0], 3), &member, &client, host),
        "client: invalid peer certificate: Revoked"
    );
}
