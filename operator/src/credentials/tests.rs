//! What is made of good and of bad Secrets.
#![allow(clippy::unwrap_used)] // A test may panic.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::*;
use crate::authority;
use crate::validate::{self, Cluster, Images, Observed};

fn node(spec: Value) -> Validated {
    let node = json!({
        "apiVersion": "bigchaindb.com/v1alpha1",
        "kind": "BigchainNode",
        "metadata": {"name": "node-a", "namespace": "bigchain"},
        "spec": spec,
    });
    let image = |name: &str| Some(format!("example.org/{name}:1"));
    let observed = Observed {
        cluster: Cluster {
            name: "node-a".to_owned(),
            namespace: "bigchain".to_owned(),
            replica_set: "bigchain-rs".to_owned(),
            organization: "Consortium".to_owned(),
            allowed_namespaces: Vec::new(),
        },
        images: Images { server: image("server"), mongodb: image("mongod"), gateway: image("gateway") },
        dns_server: "10.0.0.10".to_owned(),
    };
    validate::validate(&serde_json::from_value(node).unwrap(), &observed).unwrap()
}

fn days(number: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * number)
}

fn prepared(spec: Value, secrets: &[(&str, &[(&str, &str)])], now: Timestamp) -> Result<Credentials, Cause> {
    let files = |files: &[(&str, &str)]| -> Data {
        files.iter().map(|(name, text)| ((*name).to_owned(), ByteString(text.as_bytes().to_vec()))).collect()
    };
    let secrets = secrets.iter().map(|(name, data)| ((*name).to_owned(), files(data))).collect();
    let made = "2020-01-01T00:00:00Z".parse().unwrap();
    let consortium = authority::open(&authority::create(&Data::new(), "Consortium", "node-a", made).unwrap()).unwrap();
    let lifetimes = Lifetimes { certificate: days(365), renew_before: days(60) };
    let (node, consortium) = (&node(spec), Some(&consortium));
    prepare(&Source { node, secrets: &secrets, consortium, lifetimes, now })
}

#[test]
fn a_key_that_was_pasted_on_one_line_is_not_told() {
    let key = PrivateKey::generate().unwrap().pem();
    let digits = key.lines().nth(1).unwrap();
    let numbers: Vec<String> = digits.bytes().take(8).map(|byte| byte.to_string()).collect();
    for between in ["\\n", " "] {
        let pasted = key.replace('\n', between);
        let pasted = [pasted.as_str(), pasted.trim_end_matches(between)];
        for text in pasted {
            let gateway = ("gateway", json!({"gateway": {"tlsSecretRef": {"name": "own"}}}), ["tls.crt", "tls.key"]);
            let member = json!({"database": {
                "memberTlsSecretRef": {"name": "own"}, "tlsSecretRef": {"name": "own"},
            }});
            let member = ("member", member, ["mdb-instance.pem", "ca.pem"]);
            for (part, spec, files) in [gateway, member] {
                let files = files.map(|file| (file, text));
                let cause = prepared(spec, &[("own", &files)], Timestamp::now()).unwrap_err();
                let told = format!("{cause:?}");
                assert_eq!(cause.reason, "CertificateUnusable", "{part}: {told}");
                assert!(told.contains("line breaks"), "{part}: {told}");
                assert!(!told.contains(&digits[..8]) && !told.contains(&numbers.join(", ")), "{part}: {told}");
            }
        }
    }
}

#[test]
fn a_key_pair_is_taken_in_base58_and_as_key_new_writes_it() {
    let key = LedgerKey::from_seed(&[7; 32]);
    let (public, private) = (key.public_key().to_string(), key.to_base58());
    let other = LedgerKey::from_seed(&[8; 32]).public_key().to_string();
    let spec = || json!({"server": {"keyPairSecretRef": {"name": "own"}}, "database": {"engine": "Embedded"}});
    let read =
        |text: &str| prepared(spec(), &[("own", &[("private.key", text)])], Timestamp::now()).map(|made| made.key_pair);
    let pair = KeyPair { public: public.clone(), private: None };
    for text in [
        format!("{}\n", *private),
        json!({"public": public, "private": *private}).to_string(),
        format!("\n{:#}\n", json!({"private": *private})),
    ] {
        assert_eq!(read(&text), Ok(pair.clone()));
    }
    let unreadable = "is no Ed25519 private key";
    for (text, problem) in [
        (json!({"public": other, "private": *private}).to_string(), "names the public key"),
        (json!({"public": public}).to_string(), unreadable),
        (format!("{{\"private\": \"{}", *private), unreadable),
        (json!({"private": format!("{}x", *private)}).to_string(), unreadable),
        (format!("{}x", *private), unreadable),
        (String::new(), unreadable),
    ] {
        let cause = read(&text).unwrap_err();
        assert_eq!(cause.reason, "KeyPairUnusable");
        assert!(cause.message.contains(problem) && !cause.message.contains(private.as_str()), "{}", cause.message);
    }
}

#[test]
fn the_authority_is_told_with_the_certificates_and_before_it_ends() {
    let made = |now: &str| prepared(json!({}), &[], now.parse().unwrap()).unwrap();
    let early = made("2020-01-02T00:00:00Z");
    let names: Vec<&str> = early.certificates.iter().map(|certificate| certificate.name.as_str()).collect();
    assert_eq!(names, ["ca", "member", "client", "gateway"]);
    assert_eq!(early.certificates[0].not_after.0.to_string(), "2029-12-29T00:00:00Z");
    assert_eq!(early.ending, None);
    assert_eq!(made("2028-12-28T00:00:00Z").ending, None);
    let cause = made("2028-12-30T00:00:00Z").ending.unwrap();
    assert_eq!(cause.reason, "AuthorityEnds");
    assert!(cause.message.contains("it expires at 2029-12-29T00:00:00Z"), "{}", cause.message);
}
