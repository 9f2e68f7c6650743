//! Which configurations are accepted, and what is said against the others.
#![allow(clippy::unwrap_used)] // A test may panic.

use bson::doc;

use super::*;

fn read_as(text: &str, version: &str) -> Result<Settings, String> {
    let version = Version::parse(version).unwrap();
    read(&Flags::default(), Some(text), Vec::new(), version)
}

fn settings(text: &str) -> Settings {
    read_as(text, "7.0").unwrap()
}

#[track_caller]
fn check_refused(text: &str, hint: &str) {
    let said = read_as(text, "7.0").unwrap_err();
    assert!(said.contains(hint), "no `{hint}` in: {said}");
}

const TLS: &str = "net: {tls: {mode: requireTLS, certificateKeyFile: /c, CAFile: /a, CRLFile: /r, disabledProtocols: 'TLS1_0,TLS1_2'}}\n";

#[test]
fn the_options_of_a_production_configuration_are_read() {
    let text = format!(
        "{TLS}security: {{authorization: enabled, clusterAuthMode: x509}}
setParameter:
  enableLocalhostAuthBypass: false
  authenticationMechanisms: MONGODB-X509,SCRAM-SHA-256
storage:
  dbPath: /data/db
  engine: wiredTiger
  directoryPerDB: true
  journal: {{commitIntervalMs: 100}}
  wiredTiger:
    engineConfig: {{cacheSizeGB: 0.25, journalCompressor: snappy}}
    collectionConfig: {{blockCompressor: snappy}}
    indexConfig: {{prefixCompression: true}}
operationProfiling: {{mode: slowOp, slowOpThresholdMs: 100}}
replication: {{replSetName: bigchain-rs, oplogSizeMB: 64}}
systemLog:
"
    );
    let settings = settings(&text);
    let tls = settings.tls.unwrap();
    assert!(tls.is_required && tls.without_tls12 && !tls.without_tls13);
    assert!(settings.authorization && settings.members_by_certificate && !settings.localhost_exception);
    assert_eq!(settings.mechanisms, ["MONGODB-X509", "SCRAM-SHA-256"]);
    assert_eq!((settings.cache, settings.port, settings.bind), (Some(256), 27017, vec!["localhost".to_owned()]));
    assert_eq!(settings.replica_set.unwrap(), "bigchain-rs");
    let replication = settings.parsed.get_document("replication").unwrap();
    assert_eq!(replication, &doc! { "replSetName": "bigchain-rs", "oplogSizeMB": 64 });
}

#[test]
fn unknown_options_and_those_of_other_releases_are_refused() {
    check_refused("net: {prot: 1}", "Unrecognized option: net.prot");
    check_refused("net: {ssl: {mode: requireSSL}}", "Unrecognized option: net.ssl.mode");
    check_refused("storage: {mmapv1: {smallFiles: true}}", "Unrecognized option: storage.mmapv1.smallFiles");
    check_refused("setParameter: {enableTestCommand: 1}", "Unrecognized option: setParameter.enableTestCommand");
    check_refused("storage: {journal: {enabled: true}}", "Unrecognized option: storage.journal.enabled");
    check_refused("storage: {engine: mmapv1}", "storage.engine");
    assert!(read_as("storage: {journal: {enabled: true}}", "6.0").is_ok());
    assert!(read_as("storage: {journal: {enabled: true}}", "8.0").is_err());
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    check_refused("net: {port: many}", "Error parsing option \"net.port\" as int");
    check_refused("net: {port: 65536}", "not between 0 and 65535");
    check_refused("net: {bindIp: [a, b]}", "Error parsing option \"net.bindIp\" as string");
    check_refused("storage: {directoryPerDB: 1}", "Expected boolean but found string: 1 for option");
    check_refused("storage: {wiredTiger: {engineConfig: {cacheSizeGB: 0.1}}}", "not between 0.25 and 10000");
    check_refused("net: {tls: {mode: requireSSL}}", "it may be: disabled, allowTLS, preferTLS, requireTLS");
    check_refused("net: {port: 1", "Error parsing YAML config file");
    check_refused("- net", "Error parsing YAML config file");
}

#[test]
fn options_that_need_others_are_refused_without() {
    check_refused("net: {tls: {mode: requireTLS, CAFile: /a}}", "need tlsCertificateKeyFile");
    check_refused("net: {tls: {mode: requireTLS, certificateKeyFile: /c}}", "chain of trust");
    check_refused("net: {tls: {CAFile: /a}}", "need to enable TLS");
    check_refused("security: {clusterAuthMode: x509}", "need to enable TLS");
    check_refused("security: {authorization: enabled}\nreplication: {replSetName: rs}", "security.keyFile is required");
    check_refused("systemLog: {destination: file}", "systemLog.path is required");
    check_refused("security: {keyFile: /nowhere}", "/nowhere");
    check_refused("setParameter: {authenticationMechanisms: PLAIN}", "unknown mechanism PLAIN");
}

#[test]
fn knowing_members_implies_authorization_and_flags_win() {
    assert!(settings(&format!("{TLS}security: {{clusterAuthMode: x509}}")).authorization);
    assert!(!settings("").authorization);
    let flags = Flags { config: None, options: vec![("net.port".to_owned(), Value::from("1234"))] };
    let settings = read(&flags, Some("net: {port: 1, bindIp: '*'}"), Vec::new(), Version::DEFAULT).unwrap();
    assert_eq!((settings.port, settings.bind), (1234, vec!["0.0.0.0".to_owned()]));
}
