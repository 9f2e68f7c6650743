//! Why a member could not be looked at, or did not do what it was told, in one line without secrets.

use mongodb::error::{Error, ErrorKind};

/// What goes wrong with a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// Certificates or a key that do not read.
    #[error("{0}")]
    Material(String),
    #[error("{place} does not answer: {reason}")]
    Away { place: String, reason: String },
    /// One of both sides does not take the other's certificate.
    #[error("{place}: {reason}")]
    Certificate { place: String, reason: String },
    #[error(
        "{place} refuses the login of `{subject}` (MONGODB-X509): it takes a certificate for a member's only if its O, OU and \
         DC are those of its own; it says: {message}"
    )]
    Login { place: String, subject: String, message: String },
    #[error(
        "{place} does not take `{subject}` for a member and refuses {command}: the certificate's O, OU and DC must be those of \
         its own; it says: {message}"
    )]
    NoMember { place: String, subject: String, command: &'static str, message: String },
    #[error("{place} refuses {command}{}: {message} (code {})", .code.advice(), .code.number())]
    Command { place: String, command: &'static str, code: Code, message: String },
}

impl AdminError {
    /// Whether it is to go by itself; else somebody must change something.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Away { .. } => true,
            Self::Command { code, .. } => code.is_passing(),
            Self::Material(_) | Self::Certificate { .. } | Self::Login { .. } | Self::NoMember { .. } => false,
        }
    }
}

/// MongoDB's error codes (its manual, "Error Codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    HostUnreachable,
    UserNotFound,
    Unauthorized,
    AuthenticationFailed,
    AlreadyInitialized,
    WriteConcernFailed,
    NodeNotFound,
    NoReplicationEnabled,
    ShutdownInProgress,
    InvalidReplicaSetConfig,
    NotYetInitialized,
    PrimarySteppedDown,
    NotWritablePrimary,
    InterruptedAtShutdown,
    InterruptedByStateChange,
    NotPrimaryNoSecondaryOk,
    NotPrimaryOrSecondary,
    UserExists,
    Other(i32),
}

/// Each with its number.
const CODES: &[(Code, i32)] = &[
    (Code::HostUnreachable, 6),
    (Code::UserNotFound, 11),
    (Code::Unauthorized, 13),
    (Code::AuthenticationFailed, 18),
    (Code::AlreadyInitialized, 23),
    (Code::WriteConcernFailed, 64),
    (Code::NodeNotFound, 74),
    (Code::NoReplicationEnabled, 76),
    (Code::ShutdownInProgress, 91),
    (Code::InvalidReplicaSetConfig, 93),
    (Code::NotYetInitialized, 94),
    (Code::PrimarySteppedDown, 189),
    (Code::NotWritablePrimary, 10107),
    (Code::InterruptedAtShutdown, 11600),
    (Code::InterruptedByStateChange, 11602),
    (Code::NotPrimaryNoSecondaryOk, 13435),
    (Code::NotPrimaryOrSecondary, 13436),
    (Code::UserExists, 51003),
];

impl Code {
    /// From MongoDB's number.
    pub fn of(number: i32) -> Self {
        CODES.iter().find(|(_, known)| *known == number).map_or(Self::Other(number), |(code, _)| *code)
    }

    /// MongoDB's number.
    pub fn number(self) -> i32 {
        match self {
            Self::Other(number) => number,
            code => CODES.iter().find(|(known, _)| *known == code).map_or(0, |(_, number)| *number),
        }
    }

    /// Whether the same command may succeed later.
    fn is_passing(self) -> bool {
        matches!(
            self,
            Self::HostUnreachable
                | Self::WriteConcernFailed
                | Self::ShutdownInProgress
                | Self::PrimarySteppedDown
                | Self::NotWritablePrimary
                | Self::InterruptedAtShutdown
                | Self::InterruptedByStateChange
                | Self::NotPrimaryNoSecondaryOk
                | Self::NotPrimaryOrSecondary
        )
    }

    fn advice(self) -> &'static str {
        match self {
            Self::NodeNotFound | Self::InvalidReplicaSetConfig => {
                " (the member must be able to reach itself under the name that the replica set gives it, and listen on that \
                 port)"
            }
            Self::WriteConcernFailed => " (it was not confirmed by a majority of the members in time)",
            Self::NotWritablePrimary
            | Self::NotPrimaryNoSecondaryOk
            | Self::NotPrimaryOrSecondary
            | Self::PrimarySteppedDown
            | Self::InterruptedByStateChange => " (it is not PRIMARY, which may change by itself)",
            Self::ShutdownInProgress | Self::InterruptedAtShutdown => " (it is shutting down)",
            _ => "",
        }
    }
}

/// Words for an error of the driver, sent to a server that was seen to be there.
pub fn of_driver(error: &Error, place: &str, command: &'static str, subject: &str) -> AdminError {
    let (place, subject) = (place.to_owned(), subject.to_owned());
    match error.kind.as_ref() {
        ErrorKind::Authentication { message, .. } => AdminError::Login { place, subject, message: one_line(message) },
        ErrorKind::Command(failure) => {
            let (code, message) = (Code::of(failure.code), one_line(&failure.message));
            match code {
                Code::UserNotFound | Code::AuthenticationFailed => AdminError::Login { place, subject, message },
                Code::Unauthorized => AdminError::NoMember { place, subject, command, message },
                code => AdminError::Command { place, command, code, message },
            }
        }
        ErrorKind::InvalidTlsConfig { message, .. } => AdminError::Material(one_line(message)),
        kind => AdminError::Away { place, reason: one_line(&kind.to_string()) },
    }
}

/// Line breaks made spaces.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_number_and_the_others_keep_theirs() {
        for (code, number) in CODES {
            assert_eq!((Code::of(*number), code.number()), (*code, *number));
        }
        assert_eq!((Code::of(103), Code::Other(103).number()), (Code::Other(103), 103));
    }

    #[test]
    fn a_change_of_the_primary_passes_and_a_refused_configuration_does_not() {
        let refusal =
            |code| AdminError::Command { place: String::new(), command: "ping", code, message: String::new() };
        for number in [189, 10107, 13435, 13436, 11602, 64] {
            assert!(refusal(Code::of(number)).is_passing(), "{number}");
        }
        for number in [23, 74, 76, 93, 94, 51003, 103] {
            assert!(!refusal(Code::of(number)).is_passing(), "{number}");
        }
    }
}
