//! Material of users, in both layouts, right and wrong.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::collections::BTreeMap;

use common::{authority, issue, leaf, leaves, list, now, openssl_prints};
use jiff::SignedDuration;
use pki::leaf::LEAF_LIFETIME;
use pki::supplied::{Bundle, Fault, Files};
use pki::{Authority, Certificate, Leaf, PrivateKey, Role, Serial, Validity, check, supplied};

fn files<'a>(entries: &'a BTreeMap<&'static str, String>) -> Files<'a> {
    entries.iter().map(|(name, text)| (*name, text.as_bytes())).collect()
}

fn texts(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(Fault::to_string).collect()
}

fn read(role: Role, entries: &[(&'static str, String)]) -> Result<Bundle, Vec<String>> {
    let entries = entries.iter().cloned().collect();
    supplied::read(role, &files(&entries)).map_err(|faults| texts(&faults))
}

/// One authority with its list and one leaf with its key, as PEM.
struct Material {
    authority: Authority,
    certificate: Certificate,
    key: String,
}

impl Material {
    fn new(role: Role) -> Self {
        let leaf = leaves().into_iter().find(|leaf| leaf.role == role).unwrap();
        let authority = authority();
        let (certificate, key) = issue(&authority, &leaf);
        Self { authority, certificate, key: key.pem().to_string() }
    }

    fn cert_manager(&self) -> Vec<(&'static str, String)> {
        let (certificate, authority) = (self.certificate.pem(), self.authority.certificate().pem());
        vec![("tls.crt", certificate), ("tls.key", self.key.clone()), ("ca.crt", authority)]
    }

    /// What is wrong with it, beside another authority's certificate and list if there are such.
    fn faults(&self, role: Role, changes: &[(&'static str, String)]) -> Vec<String> {
        let entries: BTreeMap<_, _> = self.cert_manager().into_iter().chain(changes.iter().cloned()).collect();
        let bundle = supplied::read(role, &files(&entries)).unwrap();
        texts(&check::bundle(&bundle, &[], now()))
    }
}

#[test]
fn both_layouts_are_read_with_any_white_space_around() {
    for role in [Role::Member, Role::Client, Role::Gateway] {
        let material = Material::new(role);
        let list = list(&material.authority, &[], 1).pem();
        let (certificate, key) = (material.certificate.pem(), material.key.clone());
        let authority = material.authority.certificate().pem();
        let own = match role {
            Role::Member => {
                vec![
                    ("mdb-instance.pem", format!("{certificate}{key}\n\n")),
                    ("ca.pem", authority),
                    ("mdb-crl.pem", list),
                ]
            }
            Role::Client => vec![
                ("bdb-instance.pem", format!("{}\n\n", certificate)),
                ("bdb-instance.key", key.trim_end().to_owned()),
                ("ca.pem", format!("\n{authority}")),
                ("crlfile", list.replace('\n', "\r\n")),
            ],
            Role::Gateway => vec![("cert.pem", certificate), ("cert.key", key)],
        };
        for entries in [own, material.cert_manager()] {
            let bundle = read(role, &entries).unwrap();
            assert_eq!(bundle.certificate, material.certificate);
            assert_eq!(bundle.key.pem().trim_end(), material.key.trim_end());
            assert_eq!(texts(&check::bundle(&bundle, material.certificate.names(), now())), Vec::<String>::new());
        }
    }
}

#[test]
fn what_is_missing_or_unreadable_is_said_with_its_file() {
    let Material { certificate, key, .. } = Material::new(Role::Member);
    assert_eq!(
        read(Role::Member, &[("mdb-instance.pem", certificate.pem()), ("mdb-crl.pem", "\n".to_owned())]).unwrap_err(),
        [
            "`mdb-instance.pem`: it has no `-----BEGIN PRIVATE KEY-----` section",
            "`ca.pem`: it is missing; the Secret has mdb-crl.pem, mdb-instance.pem",
        ]
    );
    assert_eq!(
        read(Role::Member, &[("cert", certificate.pem())]).unwrap_err(),
        ["neither `mdb-instance.pem` nor `tls.crt` is there; the Secret has cert"]
    );
    assert_eq!(
        read(Role::Gateway, &[]).unwrap_err(),
        ["neither `cert.pem` nor `tls.crt` is there; the Secret is empty"]
    );
    assert_eq!(
        read(Role::Gateway, &[("cert.pem", certificate.pem()), ("tls.crt", certificate.pem())]).unwrap_err(),
        ["both `cert.pem` and `tls.crt` are there: remove the one that does not count"]
    );
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_owned();
    let faults = read(Role::Gateway, &[("tls.crt", key), ("tls.key", encrypted)]).unwrap_err();
    assert_eq!(faults[0], "`tls.crt`: it has no `-----BEGIN CERTIFICATE-----` section");
    assert!(faults[1].starts_with("`tls.key`: the private key is encrypted;"), "{faults:?}");
}

#[test]
fn each_fault_is_named() {
    let material = Material::new(Role::Client);
    let subject = material.certificate.subject();
    assert_eq!(material.faults(Role::Client, &[]), Vec::<String>::new());

    let other_key = PrivateKey::generate().unwrap().pem().to_string();
    assert_eq!(
        material.faults(Role::Client, &[("tls.key", other_key)]),
        [format!("`tls.crt`: the private key does not belong to the certificate {subject}")]
    );

    let stranger = authority();
    let issuer = material.authority.certificate().subject();
    assert_eq!(
        material.faults(Role::Client, &[("ca.crt", stranger.certificate().pem())]),
        [format!(
            "`tls.crt`: the certificate {subject} names {issuer} as its issuer, and none of the authorities in `ca.crt` \
             ({issuer}) has signed it"
        )]
    );

    assert_eq!(
        material.faults(Role::Gateway, &[]),
        ["`tls.crt`: it must not be shown by a server: its key usages lack serverAuth or digitalSignature"]
    );
    let gateway = Material::new(Role::Gateway);
    assert_eq!(
        gateway.faults(Role::Client, &[]),
        ["`tls.crt`: it must not be shown by a client: its key usages lack clientAuth or digitalSignature"]
    );

    let revoking = list(&material.authority, &[&material.certificate], 2).pem();
    let serial = material.certificate.serial();
    assert_eq!(
        material.faults(Role::Client, &[("crl.pem", revoking)]),
        [format!("`crl.pem`: it revokes the certificate {subject} (serial number {serial})")]
    );
    assert_eq!(
        material.faults(Role::Client, &[("crl.pem", list(&stranger, &[], 1).pem())]),
        [
            format!("`crl.pem`: the list of {issuer} was signed by no authority in `ca.crt`"),
            format!("`crl.pem`: it has no list of the authority {issuer}"),
        ]
    );

    let leaf_as_authority = material.faults(Role::Client, &[("ca.crt", material.certificate.pem())]);
    assert!(
        leaf_as_authority[1].starts_with(&format!("`ca.crt`: the certificate {subject} is no certificate authority"))
    );
}

#[test]
fn times_and_names_are_judged() {
    let authority = authority();
    let leaf = leaf(Role::Member, "mdb", &["*.bigchain.svc"]);
    let bundle = |validity: Validity| {
        let key = PrivateKey::generate().unwrap();
        let certificate = authority.issue(&leaf, &key, &Serial::random().unwrap(), validity).unwrap();
        let pem = format!("{}{}", certificate.pem(), *key.pem());
        read(Role::Member, &[("mdb-instance.pem", pem), ("ca.pem", authority.certificate().pem())]).unwrap()
    };
    let hours = SignedDuration::from_hours;
    let validity = Validity::starting(now(), LEAF_LIFETIME).unwrap();
    let bundle = bundle(validity);
    let subject = "CN=mdb,OU=MongoDB-Instance,O=Consortium";
    let names = ["localhost", "a.bigchain.svc", "a.b.bigchain.svc"].map(str::to_owned);
    assert_eq!(
        texts(&check::bundle(&bundle, &names, now())),
        [
            "`mdb-instance.pem`: it is not for the name `a.b.bigchain.svc`: its subject alternative names are localhost, *.bigchain.svc"
        ]
    );
    let (start, end) = (bundle.certificate.not_before(), bundle.certificate.not_after());
    assert_eq!(
        texts(&check::bundle(&bundle, &[], end + hours(1))),
        [format!("`mdb-instance.pem`: the certificate {subject} expired at {end}")]
    );
    let too_early = texts(&check::bundle(&bundle, &[], start - hours(1)));
    assert_eq!(
        too_early[0],
        format!("`mdb-instance.pem`: the certificate {subject} is valid from {start} on, not yet")
    );
}

/// Easy-RSA's certificates have RSA keys, the older form of PEM, and an email address.
#[test]
fn material_of_openssl_with_an_intermediate_authority_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &str| openssl_prints(directory.path(), &arguments.split(' ').collect::<Vec<_>>());
    let read_file = |file: &str| std::fs::read_to_string(directory.path().join(file)).unwrap();
    std::fs::write(directory.path().join("ca.ext"), "basicConstraints=critical,CA:TRUE\n").unwrap();
    std::fs::write(
        directory.path().join("leaf.ext"),
        "extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:mdb-instance-0\n",
    )
    .unwrap();
    run("req -x509 -nodes -newkey rsa:2048 -keyout root.key -out root.pem -subj /O=x/OU=ROOT-CA/CN=root");
    run("req -nodes -newkey rsa:2048 -keyout middle.key -out middle.csr -subj /O=x/CN=middle");
    run("x509 -req -in middle.csr -CA root.pem -CAkey root.key -CAcreateserial -extfile ca.ext -out middle.pem");
    run(
        "req -nodes -newkey rsa:4096 -keyout pkcs8.key -out leaf.csr -subj /O=x/OU=MongoDB-Instance/CN=mdb-instance-0/emailAddress=a@b.c",
    );
    run("rsa -in pkcs8.key -traditional -out leaf.key");
    run("x509 -req -in leaf.csr -CA middle.pem -CAkey middle.key -CAcreateserial -extfile leaf.ext -out leaf.pem");
    let instance = format!("{}{}{}", read_file("leaf.pem"), read_file("middle.pem"), read_file("leaf.key"));
    assert!(instance.contains("BEGIN RSA PRIVATE KEY"));
    let entries = [("mdb-instance.pem", instance), ("ca.pem", read_file("root.pem"))];
    let bundle = read(Role::Member, &entries).unwrap();
    assert_eq!(texts(&check::bundle(&bundle, &["mdb-instance-0".to_owned()], now())), Vec::<String>::new());
    assert_eq!(bundle.certificate.subject(), "emailAddress=a@b.c,CN=mdb-instance-0,OU=MongoDB-Instance,O=x");
    assert_eq!(bundle.chain_pem(), format!("{}{}", read_file("leaf.pem"), read_file("middle.pem")));
    assert_eq!(*bundle.key.pem(), read_file("leaf.key"));
    // Without the one between them nobody knows who signed it.
    let alone =
        [("mdb-instance.pem", format!("{}{}", read_file("leaf.pem"), read_file("leaf.key"))), entries[1].clone()];
    assert_eq!(check::bundle(&read(Role::Member, &alone).unwrap(), &[], now()).len(), 1);
}

#[test]
fn a_client_that_would_be_a_member_is_refused() {
    let authority = authority();
    let [member, client, _] = leaves().map(|leaf| issue(&authority, &leaf).0);
    assert_eq!(check::apart(&member, &client), None);
    // Only O, OU and DC count: another common name makes no other member.
    let disguised = Leaf { common_name: "bdb".to_owned(), ..leaves()[0].clone() };
    let fault = check::apart(&member, &issue(&authority, &disguised).0).unwrap().to_string();
    assert!(fault.contains("MongoDB would take the client for a member"), "{fault}");
}

#[test]
fn an_authority_is_read_with_or_without_its_key() {
    let authority = authority();
    let (certificate, key) = (authority.certificate().pem(), authority.key().pem().to_string());
    let list = list(&authority, &[], 3).pem();
    for (entries, has_key) in [
        (vec![("ca.crt", certificate.clone())], false),
        (vec![("ca.pem", certificate.clone()), ("ca.key", key.clone()), ("crl.pem", list)], true),
        (vec![("tls.crt", certificate.clone()), ("tls.key", key), ("ca.crt", certificate)], true),
    ] {
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        let read = supplied::read_authority(&files(&entries)).unwrap();
        assert_eq!(read.certificates, [authority.certificate().clone()]);
        assert_eq!((read.key.is_some(), read.lists.len()), (has_key, usize::from(entries.contains_key("crl.pem"))));
    }
    let faults = supplied::read_authority(&Files::new()).unwrap_err();
    assert_eq!(texts(&faults), ["none of ca.pem, ca.crt, tls.crt is there; the Secret is empty"]);
}
