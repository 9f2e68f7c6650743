//! The options of a configuration file that are known, each with its kind and releases (MongoDB manual,
//! "Configuration File Options" of 5.0 to 8.0, and "MongoDB Server Parameters").
//!
//! Left out, and so refused, is what the manual lists only for other programs (`sharding`, `auditLog`, `net.ssl`), and what
//! would change how the server behaves and has no effect here (`net.tls.FIPSMode`, `security.transitionToAuth`, ...).

use crate::version::Version;

/// What an option's value must be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Text,
    Switch,
    Integer(i64, i64),
    Number(f64, f64),
    OneOf(&'static [&'static str]),
}

/// One option.
pub struct Known {
    pub name: &'static str,
    pub kind: Kind,
    /// The first release without it.
    removed: Option<(u32, u32)>,
}

impl Known {
    pub fn is_in(&self, version: Version) -> bool {
        self.removed.is_none_or(|removed| (version.major, version.minor) < removed)
    }
}

const fn known(name: &'static str, kind: Kind) -> Known {
    Known { name, kind, removed: None }
}

const COMPRESSORS: Kind = Kind::OneOf(&["none", "snappy", "zlib", "zstd"]);
const ANY: Kind = Kind::Integer(0, i64::MAX);

/// "Configuration File Options", section by section.
pub const OPTIONS: &[Known] = &[
    known("systemLog.verbosity", Kind::Integer(0, 5)),
    known("systemLog.quiet", Kind::Switch),
    known("systemLog.traceAllExceptions", Kind::Switch),
    known("systemLog.path", Kind::Text),
    known("systemLog.logAppend", Kind::Switch),
    known("systemLog.logRotate", Kind::OneOf(&["rename", "reopen"])),
    known("systemLog.destination", Kind::OneOf(&["file"])),
    known("systemLog.timeStampFormat", Kind::OneOf(&["iso8601-utc", "iso8601-local"])),
    known("processManagement.pidFilePath", Kind::Text),
    known("processManagement.timeZoneInfo", Kind::Text),
    known("net.port", Kind::Integer(0, 65535)),
    known("net.bindIp", Kind::Text),
    known("net.bindIpAll", Kind::Switch),
    known("net.ipv6", Kind::Switch),
    known("net.maxIncomingConnections", Kind::Integer(5, 1_000_000)),
    known("net.wireObjectCheck", Kind::Switch),
    known("net.unixDomainSocket.enabled", Kind::Switch),
    known("net.unixDomainSocket.pathPrefix", Kind::Text),
    known("net.unixDomainSocket.filePermissions", ANY),
    known("net.compression.compressors", Kind::Text),
    known("net.tls.mode", Kind::OneOf(&["disabled", "allowTLS", "preferTLS", "requireTLS"])),
    known("net.tls.certificateKeyFile", Kind::Text),
    known("net.tls.clusterFile", Kind::Text),
    known("net.tls.CAFile", Kind::Text),
    known("net.tls.CRLFile", Kind::Text),
    known("net.tls.allowConnectionsWithoutCertificates", Kind::Switch),
    known("net.tls.allowInvalidCertificates", Kind::Switch),
    known("net.tls.allowInvalidHostnames", Kind::Switch),
    known("net.tls.disabledProtocols", Kind::Text),
    known("net.tls.logVersions", Kind::Text),
    known("security.keyFile", Kind::Text),
    known("security.clusterAuthMode", Kind::OneOf(&["keyFile", "sendKeyFile", "sendX509", "x509"])),
    known("security.authorization", Kind::OneOf(&["enabled", "disabled"])),
    known("security.javascriptEnabled", Kind::Switch),
    known("storage.dbPath", Kind::Text),
    // Manual of 6.1: "Starting in MongoDB 6.1, journaling is always enabled. As a result, MongoDB removes [these options]."
    Known { name: "storage.journal.enabled", kind: Kind::Switch, removed: Some((6, 1)) },
    known("storage.journal.commitIntervalMs", Kind::Integer(1, 500)),
    known("storage.directoryPerDB", Kind::Switch),
    known("storage.syncPeriodSecs", Kind::Number(0.0, 9_000_000.0)),
    known("storage.engine", Kind::OneOf(&["wiredTiger"])),
    known("storage.oplogMinRetentionHours", Kind::Number(0.0, 9_000_000.0)),
    known("storage.wiredTiger.engineConfig.cacheSizeGB", Kind::Number(0.25, 10_000.0)),
    known("storage.wiredTiger.engineConfig.journalCompressor", COMPRESSORS),
    known("storage.wiredTiger.engineConfig.directoryForIndexes", Kind::Switch),
    known("storage.wiredTiger.engineConfig.zstdCompressionLevel", Kind::Integer(1, 22)),
    known("storage.wiredTiger.collectionConfig.blockCompressor", COMPRESSORS),
    known("storage.wiredTiger.indexConfig.prefixCompression", Kind::Switch),
    known("operationProfiling.mode", Kind::OneOf(&["off", "slowOp", "all"])),
    known("operationProfiling.slowOpThresholdMs", ANY),
    known("operationProfiling.slowOpSampleRate", Kind::Number(0.0, 1.0)),
    known("operationProfiling.filter", Kind::Text),
    known("replication.oplogSizeMB", ANY),
    known("replication.replSetName", Kind::Text),
    known("replication.enableMajorityReadConcern", Kind::OneOf(&["true"])),
];

/// "MongoDB Server Parameters": those that an operator of a replica set sets at start.
pub const PARAMETERS: &[Known] = &[
    known("enableLocalhostAuthBypass", Kind::Switch),
    known("authenticationMechanisms", Kind::Text),
    known("tlsX509ExpirationWarningThresholdDays", ANY),
    known("tlsWithholdClientCertificate", Kind::Switch),
    known("suppressNoTLSPeerCertificateWarning", Kind::Switch),
    known("diagnosticDataCollectionEnabled", Kind::Switch),
    known("ttlMonitorEnabled", Kind::Switch),
    known("cursorTimeoutMillis", ANY),
    known("transactionLifetimeLimitSeconds", ANY),
    known("maxTransactionLockRequestTimeoutMillis", ANY),
    known("localLogicalSessionTimeoutMinutes", ANY),
    known("connPoolMaxConnsPerHost", ANY),
    known("notablescan", Kind::Switch),
    known("scramIterationCount", Kind::Integer(5000, i64::MAX)),
    known("scramSHA256IterationCount", Kind::Integer(5000, i64::MAX)),
    known("shutdownTimeoutMillisForSignaledShutdown", ANY),
];
