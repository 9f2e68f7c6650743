//! The settings of the MongoDB store: which belong together, and whether the files they name can be used.

use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use serde_json::Value;

use super::fault::Source;
use super::settings;
use super::sources::Tree;
use super::typed::{self, Reader};
use crate::secret::Secret;

/// Names of databases are shorter than this in MongoDB, in bytes.
const LONGEST_NAME: usize = 64;

/// How to reach the database of a federation. Holds secrets, and shows none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MongoDb {
    /// Where it is and who logs in.
    pub server: MongoServer,
    /// The database, unless the connection string names one.
    pub name: String,
    /// Files for TLS.
    pub tls: TlsFiles,
    /// How long one attempt to connect may take.
    pub connection_timeout: Duration,
    /// Attempts to connect; 0: for ever.
    pub max_tries: u64,
    /// Who else writes to the database; `None`: what the ledger's rules say.
    pub compat: Option<Compat>,
    /// Whether commands are counted by their names.
    pub name_commands: bool,
}

/// Where a MongoDB server is and who logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MongoServer {
    /// A connection string (`mongodb://`, `mongodb+srv://`), which says it all.
    Url(Secret),
    /// The settings of 1.0.1.
    Host {
        /// Name or address of a member of the replica set.
        host: String,
        /// Its port.
        port: u16,
        /// Name of the replica set.
        replicaset: String,
        /// Whether the server is spoken to over TLS.
        ssl: bool,
        /// Who logs in.
        login: Option<Login>,
    },
}

/// Who logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// User name; with a certificate, its subject.
    pub user: String,
    /// `None`: by the client certificate (MONGODB-X509).
    pub password: Option<Secret>,
}

/// PEM files for TLS; each held what it should when the configuration was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities that sign servers; `None`: those that browsers know.
    pub ca_cert: Option<PathBuf>,
    /// Revoked certificates.
    pub crlfile: Option<PathBuf>,
    /// This node's own certificate.
    pub client: Option<ClientFiles>,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// The certificate and those between it and the authority.
    pub certfile: PathBuf,
    /// Its private key.
    pub keyfile: PathBuf,
    /// What an encrypted key is encrypted with.
    pub passphrase: Option<Secret>,
}

/// Who else writes to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// Nodes of 1.0.1 as well: writes are such that they notice them.
    Python,
    /// Nodes of this kind only.
    Rust,
}

/// What a connection string says, so that a setting cannot say something else.
const SAID_BY_URL: &[&str] =
    &["database.host", "database.port", "database.replicaset", "database.ssl", "database.login", "database.password"];

/// Reads the settings; what is wrong goes to the reader's faults.
pub(super) fn read(reader: &mut Reader<'_>) -> MongoDb {
    let url = reader.parse("database.url", url);
    let tls = tls_files(reader);
    let host = host(reader, tls.client.is_some());
    if reader.text("database.url").is_some() {
        for path in SAID_BY_URL {
            if is_given(reader.tree(), path) {
                reader.fault(path, "database.url is given as well, which says this too; give only one of them");
            }
        }
    } else if let MongoServer::Host { ssl: false, .. } = host {
        for path in TLS_FILES {
            if reader.text(path).is_some() {
                reader.fault(path, "is given, but database.ssl is false; set it to true, or remove this");
            }
        }
    }
    MongoDb {
        server: url.map_or(host, MongoServer::Url),
        name: reader.parse("database.name", database_name).unwrap_or_default(),
        tls,
        connection_timeout: Duration::from_millis(
            reader.number("database.connection_timeout", 1, i64::from(u32::MAX)).unwrap_or(1),
        ),
        max_tries: reader.number("database.max_tries", 0, i64::MAX).unwrap_or_default(),
        compat: reader.parse("database.compat", |text| match text {
            "python" => Ok(Compat::Python),
            "rust" => Ok(Compat::Rust),
            _ => Err(format!("`{text}` is neither `python` nor `rust`")),
        }),
        name_commands: reader.flag("database.name_commands"),
    }
}

/// A file of 1.0.1 lists every setting: there, the default counts as not given.
fn is_given(tree: &Tree, path: &str) -> bool {
    let given = tree.get(path);
    let default = settings::settings(tree.backend).find(|setting| setting.path == path).map(settings::Setting::default);
    match given.source {
        Source::Default => false,
        Source::File(_) => Some(given.value) != default,
        Source::Environment(_) | Source::Flag(_) => given.value != Value::Null,
    }
}

fn url(text: &str) -> Result<Secret, &'static str> {
    let rest = text.strip_prefix("mongodb://").or_else(|| text.strip_prefix("mongodb+srv://"));
    match rest {
        None => Err("is no connection string: it begins with neither `mongodb://` nor `mongodb+srv://`"),
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => Err("names no server"),
        Some(_) => Ok(Secret::new(text.to_owned())),
    }
}

/// MongoDB manual, "Naming Restrictions".
fn database_name(text: &str) -> Result<String, String> {
    const REFUSED: &[char] = &['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0'];
    match text.chars().find(|c| REFUSED.contains(c)) {
        Some(c) => Err(format!("`{text}` is no name of a database: it holds {c:?}")),
        None if text.len() >= LONGEST_NAME => {
            Err(format!("`{text}` is no name of a database: it is {} bytes long, 63 is the most", text.len()))
        }
        None => Ok(text.to_owned()),
    }
}

fn host(reader: &mut Reader<'_>, has_certificate: bool) -> MongoServer {
    let password = reader.text("database.password").map(Secret::new);
    let login = match (reader.text("database.login"), password) {
        (None, None) => None,
        (None, Some(_)) => {
            reader.fault("database.password", "is given without database.login; give both or none");
            None
        }
        (Some(_), None) if !has_certificate => {
            reader.fault(
                "database.login",
                "is given without database.password, and there is no client certificate (database.certfile, \
                 database.keyfile) to log in with; give one of them",
            );
            None
        }
        (Some(user), password) => Some(Login { user, password }),
    };
    MongoServer::Host {
        host: reader.parse("database.host", typed::host).unwrap_or_default(),
        port: reader.number("database.port", 1, i64::from(u16::MAX)).and_then(|n| u16::try_from(n).ok()).unwrap_or(1),
        replicaset: reader.text("database.replicaset").unwrap_or_default(),
        ssl: reader.flag("database.ssl"),
        login,
    }
}

const TLS_FILES: &[&str] =
    &["database.ca_cert", "database.crlfile", "database.certfile", "database.keyfile", "database.keyfile_passphrase"];

fn tls_files(reader: &mut Reader<'_>) -> TlsFiles {
    let ca_cert = file(reader, "database.ca_cert", "a certificate", SectionKind::Certificate);
    let crlfile = file(reader, "database.crlfile", "a revocation list", SectionKind::Crl);
    let certfile = file(reader, "database.certfile", "a certificate", SectionKind::Certificate);
    let passphrase = reader.text("database.keyfile_passphrase").map(Secret::new);
    let keyfile = key_file(reader, passphrase.is_some());
    let given = |path: &str| reader.text(path).is_some();
    let (has_certificate, has_key) = (given("database.certfile"), given("database.keyfile"));
    if has_certificate && !has_key {
        reader.fault("database.certfile", "is given without database.keyfile, its private key; give both or none");
    }
    if has_key && !has_certificate {
        reader.fault("database.keyfile", "is given without database.certfile, its certificate; give both or none");
    }
    if passphrase.is_some() && !has_key {
        reader.fault("database.keyfile_passphrase", "is given without database.keyfile; remove it, or give the key");
    }
    // A file that cannot be used is a fault of its own, and the certificate counts as given.
    let client = (has_certificate && has_key).then(|| ClientFiles {
        certfile: certfile.unwrap_or_default(),
        keyfile: keyfile.unwrap_or_default(),
        passphrase,
    });
    TlsFiles { ca_cert, crlfile, client }
}

/// A file that must hold a certain kind of PEM section.
fn file(reader: &mut Reader<'_>, path: &str, what: &str, wanted: SectionKind) -> Option<PathBuf> {
    let file = PathBuf::from(reader.text(path)?);
    let fault = match std::fs::read(&file) {
        Err(error) => format!("`{}` cannot be read: {error}", file.display()),
        Ok(bytes) => match sections(&bytes) {
            Some(kinds) if kinds.contains(&wanted) => return Some(file),
            _ => format!("`{}` does not hold {what} in PEM form (`-----BEGIN ...`)", file.display()),
        },
    };
    reader.fault(path, fault);
    None
}

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

fn key_file(reader: &mut Reader<'_>, has_passphrase: bool) -> Option<PathBuf> {
    let path = "database.keyfile";
    let file = PathBuf::from(reader.text(path)?);
    let fault = match std::fs::read(&file) {
        Err(error) => format!("`{}` cannot be read: {error}", file.display()),
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let plain =
                |kind| matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey);
            if text.contains("Proc-Type: 4,ENCRYPTED") {
                format!(
                    "`{}` is encrypted in OpenSSL's old form, which this node does not read; convert it with \
                     `openssl pkcs8 -topk8 -in OLD -out NEW`",
                    file.display()
                )
            } else if text.contains(ENCRYPTED) {
                if has_passphrase {
                    return Some(file);
                }
                format!("`{}` is encrypted; give its passphrase in database.keyfile_passphrase", file.display())
            } else if sections(&bytes).is_some_and(|kinds| kinds.into_iter().any(plain)) {
                return Some(file);
            } else {
                format!("`{}` does not hold a private key in PEM form (`-----BEGIN ...`)", file.display())
            }
        }
    };
    reader.fault(path, fault);
    None
}

/// A section of a PEM file, whatever is in it.
struct Section(SectionKind);

impl PemObject for Section {
    fn from_pem(kind: SectionKind, _: Vec<u8>) -> Option<Self> {
        Some(Self(kind))
    }
}

/// The kinds of a file's sections; `None` if a section does not read.
fn sections(bytes: &[u8]) -> Option<Vec<SectionKind>> {
    let kinds: Result<Vec<_>, pem::Error> =
        Section::pem_slice_iter(bytes).map(|section| section.map(|s| s.0)).collect();
    kinds.ok()
}
