//! What a spec does not say: keys and certificates that were made, read or found.

use std::fmt;

use crate::validate::{Database, Validated};

/// What stands in `render`'s output for what is made when a node is really there.
pub const GENERATED: &str = "<generated>";

/// What the objects hold beside the spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    pub key_pair: KeyPair,
    pub keyring: Keyring,
    /// With a member of the operator's own.
    pub member_tls: Option<MemberTls>,
    /// With a database that is reached by TLS with files.
    pub client_tls: Option<ClientTls>,
    /// A certificate for each name of a gateway that speaks TLS; the first is shown to clients that ask for none of them.
    pub gateway_tls: Vec<ServerTls>,
    /// NGINX's whole configuration.
    pub nginx_conf: String,
    /// Digest of the Secret that holds the external database's address, which the server reads at its start.
    pub connection_digest: Option<String>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// The node's key pair, base58.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    pub public: String,
    /// `None`: it is in a Secret of the user, where the server reads it.
    pub private: Option<Hidden>,
}

/// Public keys of the consortium, base58.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    /// Counts the changes.
    pub generation: u64,
    /// Whom transactions are assigned to.
    pub active: Vec<String>,
    /// Whose blocks and votes count.
    pub known: Vec<String>,
}

impl Keyring {
    /// Of a node that is alone.
    pub fn alone(public: &str) -> Self {
        Self { generation: 0, active: vec![public.to_owned()], known: vec![public.to_owned()] }
    }
}

/// Whom to trust, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Certificates of authorities.
    pub authorities: String,
    /// Revocation lists, one for each authority; `None`: nobody looks for revoked certificates.
    pub lists: Option<String>,
}

/// TLS of `mongod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberTls {
    /// The certificate with its intermediates, then its key, PEM.
    pub certificate_and_key: Hidden,
    pub trust: Trust,
}

/// TLS of the server towards its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// `None`: it logs in otherwise, or not at all.
    pub identity: Option<Identity>,
    pub trust: Trust,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// With its intermediates, PEM.
    pub certificate: String,
    /// PEM.
    pub key: Hidden,
    /// Its subject as RFC 2253 writes it, which is the name of a MongoDB user.
    pub subject: String,
}

/// TLS of one server name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// With its intermediates, PEM.
    pub certificate: String,
    /// PEM.
    pub key: Hidden,
}

impl Material {
    /// What `render` shows: everything that is made or read later is [`GENERATED`].
    pub fn placeholders(node: &Validated, nginx_conf: String) -> Self {
        let hidden = || Hidden::new(GENERATED);
        let trust = || Trust { authorities: GENERATED.to_owned(), lists: Some(GENERATED.to_owned()) };
        let identity = Identity { certificate: GENERATED.to_owned(), key: hidden(), subject: GENERATED.to_owned() };
        let (member_tls, client_tls) = match &node.database {
            Database::Embedded(_) => (None, None),
            Database::Member(_) => (
                Some(MemberTls { certificate_and_key: hidden(), trust: trust() }),
                Some(ClientTls { identity: Some(identity), trust: trust() }),
            ),
            Database::External { tls_secret, .. } => {
                (None, tls_secret.as_ref().map(|_| ClientTls { identity: Some(identity), trust: trust() }))
            }
        };
        let server_names = node.gateway.tls.as_ref().map_or(0, |tls| 1 + tls.additional_servers.len());
        Self {
            key_pair: KeyPair {
                public: GENERATED.to_owned(),
                private: node.server.key_pair_secret.is_none().then(hidden),
            },
            keyring: Keyring::alone(GENERATED),
            member_tls,
            client_tls,
            gateway_tls: vec![ServerTls { certificate: GENERATED.to_owned(), key: hidden() }; server_names],
            nginx_conf,
            connection_digest: None,
        }
    }
}
