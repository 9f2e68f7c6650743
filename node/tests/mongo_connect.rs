//! Connecting to MongoDB: who is let in, who is refused, and how that is told.
#![allow(clippy::unwrap_used)] // A test may panic.

mod logs;
mod mongod;
#[path = "mongo_connect/pki.rs"]
mod pki;

use std::path::PathBuf;
use std::time::Duration;

use bigchaindb::secret::Secret;
use bigchaindb::store::StoreError;
use bigchaindb::store::mongo::connect::{Connected, Connection, Login, Server, TlsFiles, connect, recheck};
use logs::Lines;
use mongod::{Mongod, REPLICA_SET};
use mongodb::bson::{Document, doc};
use pki::Pki;
use tokio::net::TcpSocket;

/// None of these may be told to anybody.
const PASSWORD: &str = "open-sesame";
const WRONG_PASSWORD: &str = "open-barley";
const PASSPHRASE: &str = "hush-hush";

/// Long enough for a busy machine; nothing waits for it but a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is confirmed survives a kill.
const DURABLE: &str = "--sync-on-commit";

fn to(server: &Mongod) -> Connection {
    server.connection(PATIENCE, 1)
}

fn with_login(mut connection: Connection, user: &str, password: Option<&str>) -> Connection {
    if let Server::Host { login, .. } = &mut connection.server {
        let password = password.map(|password| Secret::new(password.to_owned()));
        *login = Some(Login { user: user.to_owned(), password });
    }
    connection
}

fn with_tls(mut connection: Connection, files: TlsFiles) -> Connection {
    if let Server::Host { tls, .. } = &mut connection.server {
        *tls = true;
    }
    Connection { tls: files, ..connection }
}

/// A server with this certificate, and further arguments.
fn secured(certificate: &(PathBuf, PathBuf), more: &[&str]) -> Option<Mongod> {
    let (certificate, key) = (certificate.0.to_str().unwrap(), certificate.1.to_str().unwrap());
    Mongod::start(&[&["--tls-cert-file", certificate, "--tls-key-file", key], more].concat())
}

/// Connects and writes with the client's own concerns.
async fn check_good(connection: &Connection) -> Connected {
    let connected = connect(connection).await.unwrap_or_else(|error| panic!("{error}"));
    let written = connected.database.collection::<Document>("probe").insert_one(doc! {"a": 1}).await;
    written.unwrap_or_else(|error| panic!("{error}"));
    connected
}

#[track_caller]
fn check_text(text: &str, hints: &[&str]) {
    for hint in hints {
        assert!(text.contains(hint), "no `{hint}` in: {text}");
    }
    assert_eq!(text.lines().count(), 1, "{text}");
    for secret in [PASSWORD, WRONG_PASSWORD, PASSPHRASE, "PRIVATE KEY"] {
        assert!(!text.contains(secret), "a secret in: {text}");
    }
}

/// Refused at once, for good: however often it would be tried.
async fn check_refused(connection: Connection, hints: &[&str]) {
    let connection = Connection { max_tries: 0, ..connection };
    let refused = tokio::time::timeout(PATIENCE * 3, connect(&connection)).await;
    match refused.expect("it is tried again and again") {
        Err(error @ StoreError::Misconfigured(_)) => check_text(&error.to_string(), hints),
        other => panic!("{:?}", other.map(|connected| connected.replica_set)),
    }
    check_text(&format!("{connection:?}"), &[]);
}

/// A user with a password in `bigchain`, or one of certificates; then the server demands logins.
async fn demand_logins(server: &mut Mongod, connection: &Connection, arguments: &[&str]) {
    let connected = check_good(connection).await;
    let read_write = doc! {"role": "readWrite", "db": "bigchain"};
    let user = doc! {"createUser": "alice", "pwd": PASSWORD, "roles": [read_write.clone()]};
    connected.database.run_command(user).await.unwrap();
    let user = doc! {"createUser": "eve", "pwd": PASSWORD, "roles": [{"role": "read", "db": "elsewhere"}]};
    connected.database.run_command(user).await.unwrap();
    let user = doc! {"createUser": pki::CLIENT, "roles": [read_write]};
    connected.client.database("$external").run_command(user).await.unwrap();
    connected.client.shutdown().await;
    server.restart_with(arguments);
}

#[tokio::test]
async fn a_plain_server_is_connected_to() {
    let Some(server) = Mongod::start(&[]) else { return };
    let connected = check_good(&to(&server)).await;
    assert_eq!((connected.replica_set.as_str(), connected.database.name()), (REPLICA_SET, "bigchain"));
}

#[tokio::test]
async fn a_connection_string_is_enough_and_its_database_counts() {
    let Some(server) = Mongod::start(&[]) else { return };
    for (url, name) in [(server.url(), "bigchain"), (format!("{}/ledger?w=1", server.url()), "ledger")] {
        let connection = Connection { server: Server::Url(Secret::new(url)), ..to(&server) };
        assert_eq!(check_good(&connection).await.database.name(), name);
    }
    let url = format!("{}/?replicaSet=elsewhere", server.url());
    let connection = Connection { server: Server::Url(Secret::new(url)), ..to(&server) };
    check_refused(connection, &["`elsewhere`", REPLICA_SET]).await;
}

#[tokio::test]
async fn the_server_that_comes_back_after_a_kill_is_found_again() {
    let Some(mut server) = Mongod::start(&[DURABLE]) else { return };
    let connected = check_good(&to(&server)).await;
    server.kill9();
    server.restart();
    let collection = connected.database.collection::<Document>("probe");
    assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 1);
}

#[tokio::test]
async fn a_password_is_checked_against_the_database_itself() {
    let Some(mut server) = Mongod::start(&[DURABLE]) else { return };
    let connection = to(&server);
    demand_logins(&mut server, &connection, &["--auth"]).await;
    let address = server.address();
    check_good(&with_login(to(&server), "alice", Some(PASSWORD))).await;
    let wrong = with_login(to(&server), "alice", Some(WRONG_PASSWORD));
    check_refused(wrong, &[&address, "refuses the login of `alice`", "password is wrong"]).await;
    let nobody = with_login(to(&server), "mallory", Some(PASSWORD));
    check_refused(nobody, &[&address, "refuses the login of `mallory`", "no such user"]).await;
    let elsewhere = with_login(to(&server), "eve", Some(PASSWORD));
    check_refused(elsewhere, &[&address, "`eve` is not authorised on the database `bigchain`", "`readWrite`"]).await;
    let other = Connection { database: "other".to_owned(), ..with_login(to(&server), "alice", Some(PASSWORD)) };
    check_refused(other, &["no such user in the database `other`"]).await;
    check_refused(to(&server), &[&address, "demands a login", "database.login"]).await;
    let url = format!("mongodb://alice:{WRONG_PASSWORD}@{address}/bigchain");
    let connection = Connection { server: Server::Url(Secret::new(url)), ..to(&server) };
    check_refused(connection, &[&address, "refuses the login of `alice`"]).await;
}

#[tokio::test]
async fn another_replica_set_or_none_is_refused() {
    let Some(server) = Mongod::start(&[]) else { return };
    let mut connection = to(&server);
    if let Server::Host { replica_set, .. } = &mut connection.server {
        "bigchain-rs".clone_into(replica_set);
    }
    check_refused(connection, &[&server.address(), "`secantus`", "`bigchain-rs`", "database.replicaset"]).await;
    let Some(alone) = Mongod::start(&["--standalone"]) else { return };
    let hints = [&alone.address(), "mongod was not started with the replSet option.", "rs.initiate()"];
    check_refused(to(&alone), &hints).await;
}

#[tokio::test]
async fn a_server_of_the_trusted_authority_is_connected_to() {
    let pki = Pki::new();
    let Some(server) = secured(&pki.server("127.0.0.1"), &[]) else { return };
    let connection = with_tls(to(&server), pki.files());
    check_good(&connection).await;
    let url = format!("{}/?tls=true", server.url());
    check_good(&Connection { server: Server::Url(Secret::new(url)), ..connection }).await;
    let url = format!("{}/?tls=true&tlsAllowInvalidCertificates=true", server.url());
    let careless = Connection { server: Server::Url(Secret::new(url)), ..with_tls(to(&server), pki.files()) };
    check_refused(careless, &["switches the check of certificates off"]).await;
}

#[tokio::test]
async fn certificates_that_cannot_be_trusted_are_refused_each_with_its_reason() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let Some(server) = secured(&pki.server("127.0.0.1"), &[]) else { return };
    let address = server.address();
    let other = stranger.ca();
    let hints = [&address, "not signed by an authority", other.to_str().unwrap(), "database.ca_cert"];
    check_refused(with_tls(to(&server), stranger.files()), &hints).await;
    check_refused(with_tls(to(&server), TlsFiles::default()), &[&address, "Mozilla's list"]).await;
    let Some(server) = secured(&pki.expired_server("127.0.0.1"), &[]) else { return };
    let hints = [&server.address(), "has expired on 2020-02-03T00:00:00Z", "renew"];
    check_refused(with_tls(to(&server), pki.files()), &hints).await;
    let Some(server) = secured(&pki.server("db.example"), &[]) else { return };
    let hints = [&server.address(), "not for `127.0.0.1`", "it is for `db.example`", "database.host"];
    check_refused(with_tls(to(&server), pki.files()), &hints).await;
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_also_later() {
    let pki = Pki::new();
    let Some(server) = secured(&pki.server("127.0.0.1"), &[]) else { return };
    let address = server.address();
    let with_list = |crl| with_tls(to(&server), TlsFiles { crl: Some(crl), ..pki.files() });
    let list = pki.revocation_list(false, 2999);
    let connection = with_list(list.clone());
    check_good(&connection).await;
    recheck(&connection, &[]).await.unwrap();
    let revoked = pki.revocation_list(true, 2999);
    let hints = [&address, "revoked", revoked.to_str().unwrap()];
    check_refused(with_list(revoked.clone()), &hints).await;
    // The list is read anew, and a server that is only known by its name is looked at too.
    std::fs::copy(&revoked, &list).unwrap();
    let error = recheck(&connection, &[]).await.unwrap_err();
    check_text(&error.to_string(), &[&address, "revoked"]);
    let (_reserved, free) = free_port();
    let mut elsewhere = connection.clone();
    if let Server::Host { port, .. } = &mut elsewhere.server {
        *port = free;
    }
    recheck(&elsewhere, &[]).await.unwrap();
    let error = recheck(&elsewhere, std::slice::from_ref(&address)).await.unwrap_err();
    check_text(&error.to_string(), &[&address, "revoked"]);
    // It cannot be told: the list is too old, or of somebody else.
    let hints = [&address, "has expired on 2021-01-02T00:00:00Z", "database.crlfile"];
    check_refused(with_list(pki.revocation_list(false, 2021)), &hints).await;
    for (name, hint) in [("another authority", "is not of the authority"), ("test authority", "does not count")] {
        let stranger = Pki::named(name);
        let hints = [&address, hint, "database.crlfile"];
        check_refused(with_list(stranger.revocation_list(false, 2999)), &hints).await;
    }
    check_refused(with_list(pki.ca()), &["database.crlfile", "holds no revocation list"]).await;
}

/// A connection string of two servers.
fn to_both(first: &str, second: &str, options: &str) -> Server {
    Server::Url(Secret::new(format!("mongodb://{first},{second}/?replicaSet={REPLICA_SET}{options}")))
}

#[tokio::test]
async fn one_good_server_is_enough_unless_another_one_is_revoked() {
    let (pki, stranger) = (Pki::new(), Pki::named("another authority"));
    let Some(good) = secured(&pki.server("127.0.0.1"), &[]) else { return };
    let Some(foreign) = secured(&stranger.server("127.0.0.1"), &[]) else { return };
    let (_reserved, free) = free_port();
    let away = format!("127.0.0.1:{free}");
    let connection = with_tls(to(&good), pki.files());
    for other in [&away, &foreign.address()] {
        check_good(&Connection { server: to_both(other, &good.address(), "&tls=true"), ..connection.clone() }).await;
    }
    let Some(revoked) = secured(&pki.server_numbered("127.0.0.1", pki::SERVER + 1), &[]) else { return };
    let server = to_both(&good.address(), &revoked.address(), "&tls=true");
    check_good(&Connection { server: server.clone(), ..connection.clone() }).await;
    let tls = TlsFiles { crl: Some(pki.revocation_list(false, 2999)), ..pki.files() };
    check_refused(Connection { server, tls, ..connection }, &[&revoked.address(), "revoked"]).await;
}

#[tokio::test]
async fn members_that_are_not_to_be_had_under_the_sets_names_are_told() {
    let pki = Pki::new();
    let Some(server) = secured(&pki.server("localhost"), &[]) else { return };
    // The set calls its member 127.0.0.1.
    let mut connection = Connection { timeout: Duration::from_secs(1), ..with_tls(to(&server), pki.files()) };
    if let Server::Host { host, .. } = &mut connection.server {
        "localhost".clone_into(host);
    }
    let error = connect(&connection).await.unwrap_err();
    let hints = ["no primary was found", &server.address(), "not for `127.0.0.1` (it is for `localhost`)"];
    check_text(&error.to_string(), &hints);
}

#[tokio::test]
async fn a_dns_name_without_servers_is_told() {
    let url = format!("mongodb+srv://alice:{PASSWORD}@cluster.ledger.invalid/");
    let connection = Connection {
        server: Server::Url(Secret::new(url)),
        database: "bigchain".to_owned(),
        tls: TlsFiles::default(),
        timeout: Duration::from_millis(200),
        max_tries: 1,
        name_commands: false,
    };
    let error = connect(&connection).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    check_text(&error.to_string(), &["gave up connecting to cluster.ledger.invalid after 1 attempt"]);
}

#[tokio::test]
async fn a_client_certificate_logs_in() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let certificate = pki.server("127.0.0.1");
    let ca = pki.ca();
    let demanding = [DURABLE, "--tls-ca-file", ca.to_str().unwrap(), "--tls-require-client-cert"];
    let Some(mut server) = secured(&certificate, &demanding) else { return };
    let (cert, key) = (certificate.0.to_str().unwrap(), certificate.1.to_str().unwrap());
    let arguments = [&["--auth", "--tls-cert-file", cert, "--tls-key-file", key][..], &demanding].concat();
    let client = pki.client("node-1");
    let files = TlsFiles { client: Some(client.clone()), ..pki.files() };
    let connection = with_tls(to(&server), files.clone());
    demand_logins(&mut server, &connection, &arguments).await;
    let address = server.address();
    check_good(&with_login(connection.clone(), pki::CLIENT, None)).await;
    check_good(&with_login(connection.clone(), "alice", Some(PASSWORD))).await;
    let hints = [&address, "logs in as `CN=node-1`", "database.login is `CN=node-2`"];
    check_refused(with_login(connection.clone(), "CN=node-2", None), &hints).await;
    let unknown = TlsFiles { client: Some(pki.client("node-2")), ..pki.files() };
    let hints = [&address, "refuses the login of `CN=node-2` by its certificate", "`$external`"];
    check_refused(with_login(with_tls(to(&server), unknown), "CN=node-2", None), &hints).await;

    // An encrypted key, and one file for both.
    let mut encrypted = client.clone();
    encrypted.key = pki.file(&pki::encrypt(&client.key, PASSPHRASE));
    encrypted.passphrase = Some(Secret::new(PASSPHRASE.to_owned()));
    let login =
        |client| with_login(with_tls(to(&server), TlsFiles { client: Some(client), ..pki.files() }), pki::CLIENT, None);
    check_good(&login(encrypted.clone())).await;
    encrypted.passphrase = Some(Secret::new(PASSWORD.to_owned()));
    check_refused(login(encrypted.clone()), &["cannot be decrypted", "database.keyfile_passphrase"]).await;
    let both = [&client.key, &client.certificate].map(|file| std::fs::read_to_string(file).unwrap()).concat();
    let both = pki.file(&both);
    let mut joined = client.clone();
    (joined.certificate, joined.key) = (both.clone(), both.clone());
    check_good(&login(joined)).await;
    let url = format!(
        "mongodb://CN%3Dnode-1@{address}/?tls=true&tlsCertificateKeyFile={}&authMechanism=MONGODB-X509",
        both.display()
    );
    let by_url = Connection { server: Server::Url(Secret::new(url)), ..with_tls(to(&server), pki.files()) };
    check_good(&by_url).await;

    // Nothing of them is left in the folder for temporary files.
    let own = std::fs::read_to_string(&client.certificate).unwrap();
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let texts = left
        .filter(|path| path.extension().is_some_and(|kind| kind == "pem"))
        .filter_map(|path| std::fs::read_to_string(path).ok());
    assert_eq!(texts.filter(|text| text.contains(own.trim())).count(), 0);

    let mut mixed = client.clone();
    mixed.key = pki.client("node-1").key;
    check_refused(login(mixed), &["do not belong together"]).await;
    let hints = [&address, "refuses this node's certificate", "database.certfile"];
    check_refused(login(stranger.client("node-1")), &hints).await;
    check_refused(with_tls(to(&server), pki.files()), &hints).await;
}

#[tokio::test]
async fn who_speaks_another_language_is_told_so() {
    let pki = Pki::new();
    let Some(server) = secured(&pki.server("127.0.0.1"), &[]) else { return };
    let hasty = Connection { timeout: Duration::from_millis(300), ..to(&server) };
    let error = connect(&hasty).await.unwrap_err();
    check_text(&error.to_string(), &[&server.address(), "speaks TLS only (database.ssl)"]);
    let Some(server) = Mongod::start(&[]) else { return };
    let hasty = Connection { timeout: Duration::from_millis(300), ..with_tls(to(&server), pki.files()) };
    let error = connect(&hasty).await.unwrap_err();
    check_text(&error.to_string(), &[&server.address(), "speaks no TLS"]);
}

/// A port that nobody listens on, and that nobody else gets as long as the socket lives.
fn free_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn nobody_listening_is_tried_as_often_as_configured() {
    let (_reserved, port) = free_port();
    let lines = Lines::collect();
    let connection = Connection {
        server: Server::Host {
            host: "127.0.0.1".to_owned(),
            port,
            replica_set: REPLICA_SET.to_owned(),
            tls: false,
            login: Some(Login { user: "alice".to_owned(), password: Some(Secret::new(PASSWORD.to_owned())) }),
        },
        database: "bigchain".to_owned(),
        tls: TlsFiles::default(),
        timeout: Duration::from_millis(50),
        max_tries: 3,
        name_commands: false,
    };
    let error = connect(&connection).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let gave_up = format!("gave up connecting to 127.0.0.1:{port} after 3 attempt(s) of 50 ms: 127.0.0.1:{port}: ");
    check_text(&error.to_string(), &[&gave_up, "refused"]);
    let attempts = lines.with(&[&format!("Connection to 127.0.0.1:{port} ")]);
    assert_eq!(attempts.len(), 3, "{attempts:?}");
    for (number, line) in attempts.iter().enumerate() {
        let text = format!("Attempt {}/3. Connection to 127.0.0.1:{port} failed after 50ms.", number + 1);
        check_text(line, &[&text, "refused"]);
    }
}

#[tokio::test]
async fn a_server_that_comes_late_is_waited_for() {
    let Some(mut server) = Mongod::start(&[]) else { return };
    server.kill9();
    let connection = Connection { timeout: Duration::from_millis(200), max_tries: 0, ..to(&server) };
    let connecting = tokio::spawn(async move { connect(&connection).await.map(|connected| connected.replica_set) });
    let server = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    });
    let server = server.await.unwrap();
    let connected = tokio::time::timeout(PATIENCE * 3, connecting).await.unwrap().unwrap();
    assert_eq!(connected.unwrap(), REPLICA_SET);
    drop(server);
}
