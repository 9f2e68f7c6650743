//! From the settings of the MongoDB store to the connection that it takes.

use std::time::Duration;

use super::database::DatabaseSettings;
use crate::config::mongo::{ClientFiles, Login, MongoDb, MongoServer, TlsFiles};
use crate::secret::Secret;
use crate::store::mongo::connect;

/// The connection that the settings describe.
pub fn connection(settings: &MongoDb) -> connect::Connection {
    let MongoDb { server, name, tls, connection_timeout, max_tries, compat: _, name_commands } = settings;
    connect::Connection {
        server: match server {
            MongoServer::Url(url) => connect::Server::Url(url.clone()),
            MongoServer::Host { host, port, replicaset, ssl, login } => connect::Server::Host {
                host: host.clone(),
                port: *port,
                replica_set: replicaset.clone(),
                tls: *ssl,
                login: login.as_ref().map(log_in),
            },
        },
        database: name.clone(),
        tls: files(tls),
        timeout: *connection_timeout,
        max_tries: *max_tries,
        name_commands: *name_commands,
    }
}

/// The database of a connection string, tried once. `name`: unless the string has one.
pub fn at_url(url: Secret, name: &str) -> DatabaseSettings {
    let connection = connect::Connection {
        server: connect::Server::Url(url),
        database: name.to_owned(),
        tls: connect::TlsFiles::default(),
        timeout: Duration::from_secs(5),
        max_tries: 1,
        name_commands: false,
    };
    DatabaseSettings::MongoDb { connection: Box::new(connection), compat: None }
}

fn log_in(login: &Login) -> connect::Login {
    let Login { user, password } = login;
    connect::Login { user: user.clone(), password: password.clone() }
}

fn files(files: &TlsFiles) -> connect::TlsFiles {
    let TlsFiles { ca_cert, crlfile, client } = files;
    connect::TlsFiles {
        ca: ca_cert.clone(),
        crl: crlfile.clone(),
        client: client.as_ref().map(|ClientFiles { certfile, keyfile, passphrase }| connect::ClientCertificate {
            certificate: certfile.clone(),
            key: keyfile.clone(),
            passphrase: passphrase.clone(),
        }),
    }
}
