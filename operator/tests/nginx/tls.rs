//! HTTPS through the gateway.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bigchaindb_operator::nginx::values::ServerName;
use bigchaindb_operator::nginx::{KeyPairFiles, Named, Settings, Tls, TlsVersion};
use jiff::Timestamp;
use pki::leaf::{AUTHORITY_LIFETIME, LEAF_LIFETIME};
use pki::{Authority, Certificate, Leaf, PrivateKey, Role, Serial, Validity};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::gateway::{self, Gateway, connect, file, program, request};
use crate::{Node, stream_url};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

/// An authority and a folder with certificates of its servers.
struct Pki {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl Pki {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The certificates are read by another user.
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(directory.path(), permissions).unwrap();
        let validity = Validity::starting(Timestamp::now(), AUTHORITY_LIFETIME).unwrap();
        let (key, serial) = (PrivateKey::generate().unwrap(), Serial::random().unwrap());
        let authority = Authority::create("Consortium", "Root", key, &serial, validity).unwrap();
        Self { directory, authority }
    }

    /// A new certificate for the name, in the files of that name.
    fn issue(&self, name: &str) -> (Certificate, KeyPairFiles) {
        let leaf = Leaf {
            role: Role::Gateway,
            organization: "Consortium".to_owned(),
            common_name: "gateway".to_owned(),
            names: vec![name.to_owned()],
        };
        let validity = Validity::starting(Timestamp::now(), LEAF_LIFETIME).unwrap();
        let key = PrivateKey::generate().unwrap();
        let certificate = self.authority.issue(&leaf, &key, &Serial::random().unwrap(), validity).unwrap();
        let path = |extension: &str| self.directory.path().join(name.replace('*', "_")).with_extension(extension);
        let files =
            KeyPairFiles { certificate: file(&path("crt"), &certificate.pem()), key: file(&path("key"), &key.pem()) };
        (certificate, files)
    }

    fn start(&self, node: &Node, min_version: TlsVersion) -> Option<Gateway> {
        let tls = Tls { min_version, default: self.issue("a.example").1, named: Vec::new() };
        Some(Gateway::start(&program()?, Settings { tls: Some(tls), ..node.settings() }))
    }

    /// A connection whose certificate is checked against `name`.
    fn connect(
        &self,
        port: u16,
        name: &'static str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate().der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut session = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        let mut stream = connect(port);
        while session.is_handshaking() {
            session.complete_io(&mut stream).map_err(|error| error.to_string())?;
        }
        Ok(StreamOwned::new(session, stream))
    }

    /// The certificate that a client is shown who asks for `name`.
    fn shown(&self, port: u16, name: &'static str) -> Result<Certificate, String> {
        let stream = self.connect(port, name, rustls::DEFAULT_VERSIONS)?;
        Ok(Certificate::from_der(stream.conn.peer_certificates().unwrap()[0].to_vec()).unwrap())
    }
}

/// What `openssl s_client` says who offers TLS 1.1 alone.
fn offer_tls_1_1(port: u16) -> String {
    let arguments = ["s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect", &format!("127.0.0.1:{port}")];
    let output = Command::new("openssl").args(arguments).stdin(Stdio::null()).output().expect("`openssl` runs");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn versions_below_the_least_are_refused() {
    let (node, pki) = (Node::start(), Pki::new());
    for (least, allows_1_2) in [(TlsVersion::V1_2, true), (TlsVersion::V1_3, false)] {
        let Some(gateway) = pki.start(&node, least) else { return };
        let port = gateway.settings.port;
        for (version, allowed) in [(&rustls::version::TLS12, allows_1_2), (&rustls::version::TLS13, true)] {
            let connected = pki.connect(port, "a.example", &[version]);
            assert_eq!(connected.is_ok(), allowed, "{version:?} with {least:?} as the least");
            if let Ok(stream) = connected {
                assert_eq!(request(stream, GET).status, 200);
            }
        }
        // The server's refusal, not the client's own.
        let said = offer_tls_1_1(port);
        assert!(said.contains("alert protocol version"), "{said}");
        // Plain HTTP has no answer from the node.
        assert_eq!(request(gateway.connect(), GET).status, 400);
    }
}

#[test]
fn each_name_has_its_certificate_and_a_renewed_one_counts_at_once() {
    let Some(program) = program() else { return };
    let (node, pki) = (Node::start(), Pki::new());
    let (default, default_files) = pki.issue("a.example");
    let (shared, shared_files) = pki.issue("api.example");
    let (wildcard, wildcard_files) = pki.issue("*.b.example");
    let name = |name: &str| ServerName::parse("serverName", name).unwrap();
    let tls = Tls {
        min_version: TlsVersion::V1_2,
        default: default_files,
        named: vec![
            Named { names: vec![name("api.example")], files: shared_files },
            Named { names: vec![name("*.b.example")], files: wildcard_files },
        ],
    };
    let gateway = Gateway::start(&program, Settings { tls: Some(tls), ..node.settings() });
    for port in [gateway.settings.port, gateway.settings.websocket_port.unwrap()] {
        for (name, certificate) in [("a.example", &default), ("api.example", &shared), ("x.b.example", &wildcard)] {
            assert_eq!(pki.shown(port, name).as_ref(), Ok(certificate), "{name}");
        }
        // The default's, which is not for that name.
        let refusal = pki.shown(port, "elsewhere.example").unwrap_err();
        assert!(refusal.contains("NotValidForName") || refusal.contains("not valid for name"), "{refusal}");
    }
    let (renewed, _) = pki.issue("api.example");
    assert_ne!(renewed, shared);
    assert_eq!(pki.shown(gateway.settings.port, "api.example"), Ok(renewed));
}

#[test]
fn websockets_pass_through_both_ports_in_tls() {
    let (node, pki) = (Node::start(), Pki::new());
    let Some(gateway) = pki.start(&node, TlsVersion::V1_2) else { return };
    for port in [gateway.settings.port, gateway.settings.websocket_port.unwrap()] {
        let stream = pki.connect(port, "a.example", rustls::DEFAULT_VERSIONS).unwrap();
        let (mut socket, _) = tungstenite::client(stream_url(port, "s"), stream).unwrap();
        socket.send(Message::text("hello")).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text("hello"));
    }
    // Health is asked for by who knows no certificate.
    let health = request(gateway::connect(gateway.settings.health_port), "GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(health.status, 200);
    assert!(Path::new(&gateway.settings.directory.to_string()).join("nginx.pid").exists());
}
