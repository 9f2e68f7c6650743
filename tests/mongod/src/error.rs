//! What a command answers when it fails.

use bson::{Document, doc};

/// Number and name of an error (MongoDB manual, "Error Codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub i32, pub &'static str);

pub const BAD_VALUE: Code = Code(2, "BadValue");
pub const UNKNOWN_ERROR: Code = Code(8, "UnknownError");
pub const FAILED_TO_PARSE: Code = Code(9, "FailedToParse");
pub const USER_NOT_FOUND: Code = Code(11, "UserNotFound");
pub const UNAUTHORIZED: Code = Code(13, "Unauthorized");
pub const TYPE_MISMATCH: Code = Code(14, "TypeMismatch");
pub const PROTOCOL_ERROR: Code = Code(17, "ProtocolError");
pub const AUTHENTICATION_FAILED: Code = Code(18, "AuthenticationFailed");
pub const ALREADY_INITIALIZED: Code = Code(23, "AlreadyInitialized");
pub const ROLE_NOT_FOUND: Code = Code(31, "RoleNotFound");
pub const COMMAND_NOT_FOUND: Code = Code(59, "CommandNotFound");
pub const INVALID_OPTIONS: Code = Code(72, "InvalidOptions");
pub const NODE_NOT_FOUND: Code = Code(74, "NodeNotFound");
pub const NO_REPLICATION_ENABLED: Code = Code(76, "NoReplicationEnabled");
pub const INVALID_REPLICA_SET_CONFIG: Code = Code(93, "InvalidReplicaSetConfig");
pub const NOT_YET_INITIALIZED: Code = Code(94, "NotYetInitialized");
pub const NOT_SECONDARY: Code = Code(95, "NotSecondary");
pub const NEW_CONFIG_INCOMPATIBLE: Code = Code(103, "NewReplicaSetConfigurationIncompatible");
pub const INVALID_TLS_CONFIGURATION: Code = Code(140, "InvalidSSLConfiguration");
pub const EXCEEDED_TIME_LIMIT: Code = Code(262, "ExceededTimeLimit");
pub const MECHANISM_UNAVAILABLE: Code = Code(334, "MechanismUnavailable");
pub const UNSUPPORTED_OP_QUERY: Code = Code(352, "UnsupportedOpQueryCommand");
pub const NOT_WRITABLE_PRIMARY: Code = Code(10107, "NotWritablePrimary");
pub const NOT_PRIMARY_NO_SECONDARY_OK: Code = Code(13435, "NotPrimaryNoSecondaryOk");
pub const NOT_PRIMARY_OR_SECONDARY: Code = Code(13436, "NotPrimaryOrSecondary");
pub const MISSING_FIELD: Code = Code(40414, "IDLFailedToParse");
pub const UNKNOWN_FIELD: Code = Code(40415, "IDLUnknownField");
pub const USER_EXISTS: Code = Code(51003, "Location51003");
pub const INVALID_COMPATIBILITY: Code = Code(4_926_900, "Location4926900");
pub const CONFIRMATION_NEEDED: Code = Code(7_369_100, "Location7369100");

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct CommandError {
    /// Of `code` in the answer.
    pub code: i32,
    name: &'static str,
    message: String,
}

impl CommandError {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.0, name: code.1, message: message.into() }
    }

    /// The answer.
    pub fn document(&self) -> Document {
        doc! { "ok": 0.0, "errmsg": &self.message, "code": self.code, "codeName": self.name }
    }
}
