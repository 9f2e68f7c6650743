//! `mongod.conf` (MongoDB manual, "Configuration File Options"), for MongoDB 5.0 to 8.0.

use std::fmt::Write as _;

use super::Context;
use super::pod::{DATA, TLS};
use super::{ports, secret};
use crate::validate::Member;

/// The file, whose values are those of the template of 1.0.1 but for:
/// - the way in for whoever is on the same host and has no user yet (`enableLocalhostAuthBypass`) is closed: the first user is
///   made by the operator, with the member's certificate;
/// - passwords are SCRAM-SHA-256 (1.0.1: SHA-1);
/// - no socket in the file system, which is read-only;
/// - slow operations are logged, not also written to the database.
pub(super) fn text(context: &Context<'_>, member: &Member) -> String {
    let lists = context.material.member_tls.as_ref().is_some_and(|tls| tls.trust.lists.is_some());
    // A missing or expired list refuses everybody, so that it is named only where there is one.
    let lists = if lists { format!("\n    CRLFile: {TLS}/{}", secret::LISTS) } else { String::new() };
    let mut text = format!(
        "\
net:
  port: {port}
  bindIpAll: true
  maxIncomingConnections: 8192
  unixDomainSocket:
    enabled: false
  compression:
    compressors: snappy,zstd,zlib
  tls:
    mode: requireTLS
    certificateKeyFile: {TLS}/{member_file}
    CAFile: {TLS}/{authorities}{lists}
    allowConnectionsWithoutCertificates: false
    allowInvalidCertificates: false
    allowInvalidHostnames: false
    disabledProtocols: TLS1_0,TLS1_1
security:
  authorization: enabled
  clusterAuthMode: x509
setParameter:
  authenticationMechanisms: MONGODB-X509,SCRAM-SHA-256
  enableLocalhostAuthBypass: false
replication:
  replSetName: {replica_set}
storage:
  dbPath: {DATA}
  directoryPerDB: true
  wiredTiger:
    collectionConfig:
      blockCompressor: snappy
    indexConfig:
      prefixCompression: true
",
        port = ports::MONGODB,
        member_file = secret::MEMBER,
        authorities = secret::AUTHORITIES,
        replica_set = context.node.cluster.replica_set,
    );
    if let Some(size) = member.cache_size_gb {
        // Writing to a String does not fail.
        let _ = write!(text, "    engineConfig:\n      cacheSizeGB: {size}\n");
    }
    text
}
