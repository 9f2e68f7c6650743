//! Who a connection belongs to.

use std::net::SocketAddr;

use bson::Document;

use crate::authorization::{self, Need, Role};
use crate::error::{AUTHENTICATION_FAILED, BAD_VALUE, CommandError, PROTOCOL_ERROR, USER_NOT_FOUND};
use crate::log;
use crate::server::Server;
use crate::subject::Subject;
use crate::users::EXTERNAL;

/// What a connection came with, and as whom it logged in.
pub struct Login {
    peer: SocketAddr,
    /// Of the certificate that the client showed.
    certificate: Option<Subject>,
    /// Of the certificate that this server showed at that time.
    member: Option<Subject>,
    identity: Option<Identity>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    /// Another member, or whoever has a member's certificate.
    Member,
    /// A user of `$external`.
    User(String),
}

impl Login {
    pub fn new(peer: SocketAddr, certificate: Option<Subject>, member: Option<Subject>) -> Self {
        Self { peer, certificate, member, identity: None }
    }

    /// Manual, `authenticate` and "Use X.509 Certificates to Authenticate Clients on Self-Managed Deployments". What failed
    /// is in the log; the client is told no more than `mongod` tells it.
    pub fn authenticate(&mut self, server: &Server, command: &Document) -> Result<Document, CommandError> {
        let attempt = self.identify(server, command);
        let user = self.certificate.as_ref().map_or("", |certificate| certificate.name.as_str());
        let attributes = serde_json::json!({
            "client": self.peer.to_string(), "mechanism": "MONGODB-X509", "user": user, "db": EXTERNAL,
            "error": attempt.as_ref().err().map(ToString::to_string),
        });
        match attempt {
            Ok(identity) => {
                log::info("ACCESS", 5_286_306, "conn", "Successfully authenticated", &attributes);
                self.identity = Some(identity);
                Ok(bson::doc! { "dbname": EXTERNAL, "user": user })
            }
            Err(error) => {
                log::info("ACCESS", 5_286_307, "conn", "Failed to authenticate", &attributes);
                let told = [USER_NOT_FOUND.0, PROTOCOL_ERROR.0].contains(&error.code);
                Err(if told { error } else { CommandError::new(AUTHENTICATION_FAILED, "Authentication failed.") })
            }
        }
    }

    fn identify(&self, server: &Server, command: &Document) -> Result<Identity, CommandError> {
        let failed = |reason: &str| CommandError::new(AUTHENTICATION_FAILED, reason);
        let mechanism = command.get_str("mechanism").unwrap_or_default();
        if mechanism != "MONGODB-X509" {
            return Err(CommandError::new(BAD_VALUE, format!("Unsupported mechanism: {mechanism}")));
        }
        if !server.settings.mechanisms.iter().any(|enabled| enabled == mechanism) {
            return Err(CommandError::new(BAD_VALUE, "x.509 authentication is disabled."));
        }
        let (Some(certificate), Some(own)) = (&self.certificate, &self.member) else {
            return Err(failed("No verified subject name available from client"));
        };
        let user = command.get_str("user").unwrap_or_default();
        if !user.is_empty() && user != certificate.name {
            return Err(failed("There is no x.509 client certificate matching the user."));
        }
        // A speculative one names its database otherwise.
        let database = command.get_str("$db").or_else(|_| command.get_str("db")).unwrap_or(EXTERNAL);
        if database != EXTERNAL {
            let reason = "X.509 authentication must always use the $external database.";
            return Err(CommandError::new(PROTOCOL_ERROR, reason));
        }
        if own.is_fellow(certificate) {
            if !server.settings.members_by_certificate {
                return Err(failed(
                    "The provided certificate can only be used for cluster authentication, not client authentication. \
                     The current configuration does not allow x.509 cluster authentication, check the \
                     --clusterAuthMode flag",
                ));
            }
            let message =
                "Client isn't a mongod or mongos, but is connecting with a certificate with cluster membership";
            log::warning("ACCESS", 20430, "conn", message, &serde_json::Value::Null);
            return Ok(Identity::Member);
        }
        if server.users.get(&certificate.name, EXTERNAL).is_none() {
            let reason = format!("Could not find user \"{}\" for db \"{EXTERNAL}\"", certificate.name);
            return Err(CommandError::new(USER_NOT_FOUND, reason));
        }
        Ok(Identity::User(certificate.name.clone()))
    }

    /// Forgets who logged in (manual, `logout`).
    pub fn forget(&mut self) {
        self.identity = None;
    }

    /// Name and database of who logged in. A user that was removed since is nobody.
    pub fn user(&self, server: &Server) -> Option<(String, &'static str)> {
        match self.identity.as_ref()? {
            Identity::Member => Some(("__system".to_owned(), "local")),
            Identity::User(name) => server.users.get(name, EXTERNAL).map(|user| (user.name, EXTERNAL)),
        }
    }

    /// The roles as they are now.
    pub fn roles(&self, server: &Server) -> Vec<Role> {
        match &self.identity {
            Some(Identity::Member) => vec![Role::system()],
            Some(Identity::User(name)) => server.users.get(name, EXTERNAL).map(|user| user.roles).unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// Whether this connection may do all of this.
    pub fn may(&self, server: &Server, needs: &[Need<'_>]) -> bool {
        let roles = self.roles(server);
        let by_role = |need: &Need<'_>| roles.iter().any(|role| role.allows(*need));
        let is_excepted =
            server.settings.localhost_exception && self.peer.ip().is_loopback() && server.users.is_empty();
        let by_exception = |need: &Need<'_>| is_excepted && authorization::localhost_exception_allows(*need);
        !server.settings.authorization || needs.iter().all(|need| by_role(need) || by_exception(need))
    }
}
