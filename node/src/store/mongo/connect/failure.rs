//! Why there is no connection, in one line without secrets.

use mongodb::bson::{Bson, Document};
use mongodb::error::{Error, ErrorKind};

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Another attempt may succeed.
    Unreachable(String),
    /// No attempt can succeed until somebody changes something.
    Refused(String),
}

/// MongoDB manual, "Error Codes".
const USER_NOT_FOUND: i32 = 11;
const UNAUTHORIZED: i32 = 13;
const AUTHENTICATION_FAILED: i32 = 18;

/// Who logs in, for words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `None`: whoever the client certificate is for.
    pub name: Option<String>,
    /// The database that has the user.
    pub source: String,
}

impl User {
    fn name(&self) -> String {
        self.name.as_ref().map_or_else(|| "the client certificate's subject".to_owned(), |name| format!("`{name}`"))
    }
}

/// Words for an error of the driver's first commands, sent to servers that were seen to be well.
pub fn of_driver(error: &Error, place: &str, database: &str, user: Option<&User>) -> Failure {
    match (error.kind.as_ref(), user) {
        (ErrorKind::Authentication { message, .. }, Some(user)) => login(message, place, user),
        (ErrorKind::Command(error), Some(user)) if [USER_NOT_FOUND, AUTHENTICATION_FAILED].contains(&error.code) => {
            login(&error.message, place, user)
        }
        (ErrorKind::Command(error), Some(user)) if error.code == UNAUTHORIZED => Failure::Refused(format!(
            "{place}: {} is not authorised on the database `{database}`; give that user the role `readWrite` there",
            user.name()
        )),
        (ErrorKind::Command(error), None) if error.code == UNAUTHORIZED => Failure::Refused(format!(
            "{place} demands a login and none is configured; set database.login and database.password, or log in with a \
             client certificate"
        )),
        (ErrorKind::InvalidTlsConfig { message, .. }, _) => Failure::Refused(one_line(message)),
        (kind, _) => Failure::Unreachable(format!("{place}: {}", one_line(&kind.to_string()))),
    }
}

/// Whether the driver found no server to send a command to.
pub fn is_without_primary(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::ServerSelection { .. })
}

/// A server says the same of a wrong password and of a user that does not exist, so that nobody can try out names.
fn login(message: &str, place: &str, user: &User) -> Failure {
    let (name, source, said) = (user.name(), &user.source, one_line(message));
    Failure::Refused(if message.contains("X509") {
        format!(
            "{place} refuses the login of {name} by its certificate (MONGODB-X509): there is no such user in the database \
             `{source}`, or the certificate's subject is another; create the user, or correct database.login; it says: \
             {said}"
        )
    } else {
        format!(
            "{place} refuses the login of {name}: the password is wrong, or there is no such user in the database \
             `{source}`; correct database.login and database.password, or create the user; it says: {said}"
        )
    })
}

/// Compares who a certificate logged in (the answer to `connectionStatus`) with the configured name. The driver sends
/// that name in a field that servers do not read (`username`; they read `user`), so that they do not compare it.
pub fn check_subject(status: &Document, expected: &str, place: &str) -> Result<(), Failure> {
    let users = status.get_document("authInfo").and_then(|info| info.get_array("authenticatedUsers"));
    let users = users.map(Vec::as_slice).unwrap_or_default();
    let name = |user: &Bson| user.as_document().and_then(|user| user.get_str("user").ok()).map(str::to_owned);
    let names: Vec<String> = users.iter().filter_map(name).collect();
    if names.is_empty() || names.iter().any(|name| name == expected) {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "{place}: the client certificate logs in as `{}` (MONGODB-X509), and database.login is `{expected}`; correct the \
         setting, or give the certificate of that user",
        names.join("`, `")
    )))
}

/// Line breaks made spaces.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
