//! The settings of the MongoDB store.

use std::path::PathBuf;
use std::time::Duration;

use bigchaindb::app::mongo::connection;
use bigchaindb::config::Config;
use bigchaindb::config::fault::Source;
use bigchaindb::config::mongo::{Compat, Login, MongoDb, MongoServer, TlsFiles};
use bigchaindb::store::mongo::connect;
use serde_json::json;

use super::{Place, check_fault, variable};

pub const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
pub const LIST: &str = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
pub const ENCRYPTED_KEY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

const URL: &str = "mongodb+srv://me:open-sesame@cluster.example/ledger?authSource=admin";

fn place() -> Place {
    let mut place = Place::new();
    place.sources.environment.remove("BIGCHAINDB_DATABASE_PATH");
    place.env("BIGCHAINDB_DATABASE_BACKEND", "mongodb");
    place
}

/// Names a new file in a variable.
fn with_file(place: &mut Place, name: &str, text: &str) -> PathBuf {
    let path = place.file(name, text);
    place.env(&format!("BIGCHAINDB_DATABASE_{name}"), path.to_str().unwrap());
    path
}

fn mongodb(place: &Place) -> MongoDb {
    place.load().0.database.mongodb.unwrap()
}

#[track_caller]
fn check_refused(place: &Place, setting: &str, hint: &str) {
    let error = place.refused();
    let name = format!("BIGCHAINDB_DATABASE_{}", setting.to_uppercase());
    check_fault(&error, &format!("database.{setting}"), &variable(&name), hint);
    assert!(!error.to_string().contains("open-sesame"), "{error}");
}

#[test]
fn nothing_given_is_the_server_of_1_0_1s_defaults() {
    let server = MongoServer::Host {
        host: "localhost".to_owned(),
        port: 27017,
        replicaset: "bigchain-rs".to_owned(),
        ssl: false,
        login: None,
    };
    let expected = MongoDb {
        server,
        name: "bigchain".to_owned(),
        tls: TlsFiles::default(),
        connection_timeout: Duration::from_secs(5),
        max_tries: 3,
        compat: None,
        name_commands: false,
    };
    assert_eq!(mongodb(&place()), expected);
    assert_eq!(Place::new().load().0.database.mongodb, None);
}

#[test]
fn all_of_it_reaches_the_connection() {
    let mut place = place();
    place.env("BIGCHAINDB_DATABASE_SSL", "true").env("BIGCHAINDB_DATABASE_LOGIN", "CN=node-1");
    place.env("BIGCHAINDB_DATABASE_KEYFILE_PASSPHRASE", "open-sesame").env("BIGCHAINDB_DATABASE_COMPAT", "python");
    place.env("BIGCHAINDB_DATABASE_NAME_COMMANDS", "true");
    let ca = with_file(&mut place, "CA_CERT", CERTIFICATE);
    let crl = with_file(&mut place, "CRLFILE", LIST);
    let certificate = with_file(&mut place, "CERTFILE", CERTIFICATE);
    let key = with_file(&mut place, "KEYFILE", ENCRYPTED_KEY);
    let settings = mongodb(&place);
    assert_eq!(settings.compat, Some(Compat::Python));
    let connection = connection(&settings);
    assert!(connection.name_commands);
    let connect::Server::Host { host, port, replica_set, tls: true, login: Some(login) } = connection.server else {
        panic!("{:?}", connection.server);
    };
    assert_eq!((host.as_str(), port, replica_set.as_str()), ("localhost", 27017, "bigchain-rs"));
    assert_eq!((login.user.as_str(), login.password), ("CN=node-1", None));
    assert_eq!((connection.tls.ca, connection.tls.crl), (Some(ca), Some(crl)));
    let client = connection.tls.client.unwrap();
    assert_eq!((client.certificate, client.key), (certificate, key));
    assert_eq!(client.passphrase.unwrap().reveal(), "open-sesame");
    assert_eq!((connection.timeout, connection.max_tries), (Duration::from_secs(5), 3));
    assert_eq!(connection.database, "bigchain");
}

#[test]
fn tls_needs_no_more_files_than_are_there() {
    let mut place = place();
    place.env("BIGCHAINDB_DATABASE_SSL", "true");
    assert_eq!(mongodb(&place).tls, TlsFiles::default());
    let ca = with_file(&mut place, "CA_CERT", CERTIFICATE);
    assert_eq!(mongodb(&place).tls, TlsFiles { ca_cert: Some(ca), ..TlsFiles::default() });
}

#[test]
fn files_without_tls_are_refused() {
    let mut place = place();
    with_file(&mut place, "CA_CERT", CERTIFICATE);
    with_file(&mut place, "CRLFILE", LIST);
    check_refused(&place, "ca_cert", "database.ssl is false");
    check_refused(&place, "crlfile", "database.ssl is false");
}

#[test]
fn a_certificate_and_its_key_belong_together() {
    let mut place = place();
    place.env("BIGCHAINDB_DATABASE_SSL", "true");
    with_file(&mut place, "CERTFILE", CERTIFICATE);
    check_refused(&place, "certfile", "without database.keyfile");
    place.sources.environment.remove("BIGCHAINDB_DATABASE_CERTFILE");
    place.env("BIGCHAINDB_DATABASE_KEYFILE_PASSPHRASE", "open-sesame");
    check_refused(&place, "keyfile_passphrase", "without database.keyfile");
    with_file(&mut place, "KEYFILE", KEY);
    check_refused(&place, "keyfile", "without database.certfile");
}

#[test]
fn files_that_cannot_be_used_are_told_with_their_names() {
    let mut place = place();
    let missing = place.path("missing.pem");
    place.env("BIGCHAINDB_DATABASE_SSL", "true").env("BIGCHAINDB_DATABASE_CA_CERT", missing.to_str().unwrap());
    with_file(&mut place, "CRLFILE", CERTIFICATE);
    with_file(&mut place, "CERTFILE", "PFX, not PEM");
    let key = with_file(&mut place, "KEYFILE", CERTIFICATE);
    let missing = format!("`{}` cannot be read: No such file", missing.display());
    check_refused(&place, "ca_cert", &missing);
    check_refused(&place, "crlfile", "does not hold a revocation list in PEM form");
    check_refused(&place, "certfile", "does not hold a certificate in PEM form");
    check_refused(&place, "keyfile", &format!("`{}` does not hold a private key", key.display()));
    assert_eq!(place.refused().faults.len(), 4, "{}", place.refused());
    with_file(&mut place, "KEYFILE", ENCRYPTED_KEY);
    check_refused(&place, "keyfile", "give its passphrase in database.keyfile_passphrase");
    with_file(&mut place, "KEYFILE", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n");
    check_refused(&place, "keyfile", "openssl pkcs8 -topk8");
}

#[test]
fn a_login_needs_a_password_or_a_certificate() {
    let mut place = place();
    place.env("BIGCHAINDB_DATABASE_LOGIN", "me");
    check_refused(&place, "login", "without database.password");
    place.env("BIGCHAINDB_DATABASE_PASSWORD", "open-sesame");
    let MongoServer::Host { login: Some(Login { user, password: Some(password) }), .. } = mongodb(&place).server else {
        panic!("no login");
    };
    assert_eq!((user.as_str(), password.reveal()), ("me", "open-sesame"));
    place.sources.environment.remove("BIGCHAINDB_DATABASE_LOGIN");
    check_refused(&place, "password", "without database.login");
}

#[test]
fn a_connection_string_takes_the_place_of_what_it_says() {
    let mut place = place();
    // A file of 1.0.1 lists its defaults.
    place.config_file(&json!({"database": {"host": "localhost", "port": 27017, "ssl": false, "login": null}}));
    place.env("BIGCHAINDB_DATABASE_URL", URL).env("BIGCHAINDB_DATABASE_NAME", "chain");
    let settings = mongodb(&place);
    let MongoServer::Url(url) = &settings.server else { panic!("{settings:?}") };
    assert_eq!((url.reveal(), settings.name.as_str()), (URL, "chain"));
    let ca = with_file(&mut place, "CA_CERT", CERTIFICATE);
    assert_eq!(mongodb(&place).tls.ca_cert, Some(ca));
    for (setting, value) in [("host", "localhost"), ("port", "27017"), ("replicaset", "rs"), ("ssl", "true")] {
        place.env(&format!("BIGCHAINDB_DATABASE_{}", setting.to_uppercase()), value);
        check_refused(&place, setting, "database.url is given as well");
    }
    place.env("BIGCHAINDB_DATABASE_LOGIN", "me").env("BIGCHAINDB_DATABASE_PASSWORD", "open-sesame");
    check_refused(&place, "login", "database.url is given as well");
    check_refused(&place, "password", "database.url is given as well");
    assert_eq!(place.refused().faults.len(), 6, "{}", place.refused());
    place.config_file(&json!({"database": {"host": "db.example"}}));
    place.sources.environment.remove("BIGCHAINDB_DATABASE_HOST");
    check_fault(&place.refused(), "database.host", &Source::File(place.path("config.json")), "database.url");
}

#[test]
fn values_that_cannot_be_are_refused() {
    for (setting, value, hint) in [
        ("url", "postgres://me:open-sesame@db", "begins with neither `mongodb://`"),
        ("url", "mongodb:///ledger", "names no server"),
        ("compat", "java", "`java` is neither `python` nor `rust`"),
        ("name", "a.b", "`a.b` is no name of a database"),
        ("name", &"n".repeat(64), "63 is the most"),
        ("port", "0", "0 is not between 1 and 65535"),
        ("host", "db/x", "`db/x` is not a host name"),
        ("connection_timeout", "0", "between 1"),
        ("max_tries", "-1", "0 is the least"),
        ("ssl", "maybe", "`maybe` is neither"),
    ] {
        let mut place = place();
        place.env(&format!("BIGCHAINDB_DATABASE_{}", setting.to_uppercase()), value);
        check_refused(&place, setting, hint);
    }
}

#[test]
fn secrets_are_in_no_output() {
    let mut place = place();
    place.env("BIGCHAINDB_DATABASE_SSL", "true").env("BIGCHAINDB_DATABASE_LOGIN", "me");
    place.env("BIGCHAINDB_DATABASE_PASSWORD", "open-sesame").env("BIGCHAINDB_DATABASE_KEYFILE_PASSPHRASE", "hush-hush");
    with_file(&mut place, "CERTFILE", CERTIFICATE);
    with_file(&mut place, "KEYFILE", ENCRYPTED_KEY);
    let check = |config: &Config| {
        let connection = format!("{:?}", connection(config.database.mongodb.as_ref().unwrap()));
        for shown in [config.to_masked_json().to_string(), format!("{config:?}"), connection] {
            assert!(!shown.contains("open-sesame") && !shown.contains("hush-hush"), "{shown}");
        }
    };
    check(&place.load().0);
    for name in ["LOGIN", "PASSWORD", "SSL", "KEYFILE_PASSPHRASE", "CERTFILE", "KEYFILE"] {
        place.sources.environment.remove(&format!("BIGCHAINDB_DATABASE_{name}"));
    }
    place.env("BIGCHAINDB_DATABASE_URL", URL);
    check(&place.load().0);
}
