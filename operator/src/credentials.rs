//! Keys and certificates of a node: what is there and good is kept, the rest is made, what a user supplies is judged.
//!
//! No I/O: the Secrets are arguments. Only new keys and serial numbers are drawn from the operating system.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use ledger::crypto::{PrivateKey as LedgerKey, sha3_256};
use pki::renewal::{self, Renewal};
use pki::supplied::{self, Bundle, Fault};
use pki::{Certificate, Leaf, PrivateKey, Role, Serial, Validity, check, leaf};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::api::status::CertificateStatus;
use crate::authority::{Consortium, Data};
use crate::desired::material::{ClientTls, Hidden, Identity, KeyPair, Keyring, MemberTls, ServerTls, Trust};
use crate::desired::names::Names;
use crate::desired::secret;
use crate::status::Cause;
use crate::validate::{Database, Validated};

/// Characters that X.520 allows a common name.
const LONGEST_COMMON_NAME: usize = 64;

/// Secrets by their names: the node's own, and those that its spec names.
pub type Secrets = BTreeMap<String, Data>;

/// How long certificates live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    pub certificate: SignedDuration,
    pub renew_before: SignedDuration,
}

/// What a node's objects are made from, less what is no secret.
#[derive(Debug)]
pub struct Credentials {
    pub key_pair: KeyPair,
    pub keyring: Keyring,
    pub member_tls: Option<MemberTls>,
    pub client_tls: Option<ClientTls>,
    pub gateway_tls: Vec<ServerTls>,
    /// What the status says of them.
    pub certificates: Vec<CertificateStatus>,
    /// Certificates that were made now, each with the reason.
    pub issued: Vec<String>,
    /// The authority ends before long, and nobody but the user replaces it.
    pub ending: Option<Cause>,
}

/// Everything that credentials are made from.
pub struct Source<'a> {
    pub node: &'a Validated,
    pub secrets: &'a Secrets,
    /// `None`: nothing is to be issued.
    pub consortium: Option<&'a Consortium>,
    pub lifetimes: Lifetimes,
    pub now: Timestamp,
}

/// Whether something has to be issued for a node, so that it needs an authority.
pub fn needs_authority(node: &Validated) -> bool {
    let member = matches!(&node.database, Database::Member(member) if member.supplied.is_none());
    let gateway = node.gateway.tls.as_ref().is_some_and(|tls| tls.secret.is_none());
    member || gateway
}

/// Names of the Secrets that a node's credentials are read from.
pub fn secret_names(node: &Validated) -> Vec<String> {
    let Names { keys, member_tls, client_tls, gateway_tls, .. } = Names::of(node);
    let mut names = vec![keys, member_tls, client_tls, gateway_tls];
    names.extend(node.server.key_pair_secret.clone());
    match &node.database {
        Database::Embedded(_) => {}
        Database::Member(member) => {
            names
                .extend(member.supplied.iter().flat_map(|supplied| [supplied.member.clone(), supplied.client.clone()]));
        }
        Database::External { tls_secret, .. } => names.extend(tls_secret.clone()),
    }
    if let Some(tls) = &node.gateway.tls {
        names.extend(tls.secret.clone());
        names.extend(tls.additional_servers.iter().map(|server| server.tls_secret_ref.name.clone()));
    }
    names
}

/// Reads, judges and makes what a node needs.
pub fn prepare(source: &Source<'_>) -> Result<Credentials, Cause> {
    let mut made = Made { source, certificates: Vec::new(), issued: Vec::new() };
    let key_pair = key_pair(source)?;
    let ending = source.consortium.and_then(|consortium| {
        made.tell("ca", consortium.authority.certificate());
        ending(consortium.authority.certificate(), source.now)
    });
    let (member_tls, client_tls) = match &source.node.database {
        Database::Embedded(_) => (None, None),
        Database::External { tls_secret: None, .. } => (None, None),
        Database::External { tls_secret: Some(name), .. } => {
            (None, Some(client(&made.supplied(name, Role::Client, "client", &[])?)))
        }
        Database::Member(member) => match &member.supplied {
            Some(supplied) => made.supplied_member(&supplied.member, &supplied.client)?,
            None => made.issued_member()?,
        },
    };
    let gateway_tls = made.gateway()?;
    let Made { certificates, issued, .. } = made;
    let keyring = Keyring::alone(&key_pair.public);
    Ok(Credentials { key_pair, keyring, member_tls, client_tls, gateway_tls, certificates, issued, ending })
}

fn ending(authority: &Certificate, now: Timestamp) -> Option<Cause> {
    let Renewal::Renew(reason) = renewal::certificate(authority, now, leaf::AUTHORITY_TOLD_BEFORE) else { return None };
    let message = format!(
        "the certificate authority {}: {reason}, and every certificate ends with it; the operator does not replace it: put \
         a new one into a Secret and name that in spec.tls.caSecretRef of the BigchainCluster, which issues all \
         certificates anew",
        authority.subject()
    );
    Some(Cause { reason: "AuthorityEnds", message })
}

fn key_pair(source: &Source<'_>) -> Result<KeyPair, Cause> {
    let names = Names::of(source.node);
    let (name, is_own) = match &source.node.server.key_pair_secret {
        Some(name) => (name, false),
        None => (&names.keys, true),
    };
    let Some(data) = source.secrets.get(name) else {
        if !is_own {
            return Err(missing("spec.server.keyPairSecretRef", name));
        }
        let key = LedgerKey::from_seed(&rand::random());
        let (public, private) = (key.public_key().to_string(), Hidden::new(key.to_base58().as_str()));
        return Ok(KeyPair { public, private: Some(private) });
    };
    let unusable = |problem: &str| {
        let message = format!("`{}` of the Secret {name} {problem}", secret::PRIVATE_KEY);
        Cause { reason: "KeyPairUnusable", message }
    };
    let file = data.get(secret::PRIVATE_KEY).ok_or_else(|| {
        unusable("is missing: put the node's private key there, in base58 or as `bigchaindb key new` writes it")
    })?;
    let key = ledger_key(&file.0).map_err(|problem| unusable(&problem))?;
    let private = is_own.then(|| Hidden::new(key.to_base58().as_str()));
    Ok(KeyPair { public: key.public_key().to_string(), private })
}

/// What `bigchaindb key new` writes.
#[derive(Deserialize)]
struct KeyFile {
    public: Option<String>,
    private: String,
}

/// A private key in base58, or the JSON of `bigchaindb key new`: the server reads both. An error never shows it.
fn ledger_key(file: &[u8]) -> Result<LedgerKey, String> {
    let unreadable = || "is no Ed25519 private key: give it in base58 or as `bigchaindb key new` writes it".to_owned();
    // The template's values end with a newline.
    let text = std::str::from_utf8(file).map_err(|_| unreadable())?.trim();
    if !text.starts_with('{') {
        return LedgerKey::from_base58(text).map_err(|_| unreadable());
    }
    let pair: KeyFile = serde_json::from_str(text).map_err(|_| unreadable())?;
    let key = LedgerKey::from_base58(&Zeroizing::new(pair.private)).map_err(|_| unreadable())?;
    match (pair.public, key.public_key().to_string()) {
        (Some(public), own) if public != own => {
            Err(format!("names the public key {public}, but its private key is that of {own}: put one key pair there"))
        }
        _ => Ok(key),
    }
}

struct Made<'a> {
    source: &'a Source<'a>,
    certificates: Vec<CertificateStatus>,
    issued: Vec<String>,
}

impl Made<'_> {
    fn issued_member(&mut self) -> Result<(Option<MemberTls>, Option<ClientTls>), Cause> {
        let node = self.source.node;
        let names = Names::of(node);
        let member = Leaf {
            role: Role::Member,
            organization: node.cluster.organization.clone(),
            common_name: common_name(node),
            names: vec![names.member_host.clone(), format!("{}.{}", names.member_host, node.cluster_domain)],
        };
        let client = Leaf { role: Role::Client, names: Vec::new(), ..member.clone() };
        let trust = self.trust()?;
        let (certificate, key) = self.leaf("member", &member, &names.member_tls, secret::MEMBER, secret::MEMBER)?;
        let certificate_and_key = Hidden::new(format!("{}{}", certificate.pem(), key.pem().as_str()));
        let member_tls = MemberTls { certificate_and_key, trust: trust.clone() };
        let (certificate, key) = self.leaf("client", &client, &names.client_tls, secret::CERTIFICATE, secret::KEY)?;
        let identity = Identity {
            subject: certificate.subject().to_owned(),
            certificate: certificate.pem(),
            key: Hidden::new(key.pem().as_str()),
        };
        Ok((Some(member_tls), Some(ClientTls { identity: Some(identity), trust })))
    }

    fn supplied_member(
        &mut self,
        member: &str,
        client_name: &str,
    ) -> Result<(Option<MemberTls>, Option<ClientTls>), Cause> {
        let names = Names::of(self.source.node);
        let dialled = ["localhost".to_owned(), names.member_host];
        let member = self.supplied(member, Role::Member, "member", &dialled)?;
        let own = self.supplied(client_name, Role::Client, "client", &[])?;
        if let Some(fault) = check::apart(&member.certificate, &own.certificate) {
            return Err(unusable(client_name, &[fault]));
        }
        let certificate_and_key = Hidden::new(format!("{}{}", member.chain_pem(), member.key.pem().as_str()));
        let member_tls = MemberTls { certificate_and_key, trust: trust(&member) };
        Ok((Some(member_tls), Some(client(&own))))
    }

    fn gateway(&mut self) -> Result<Vec<ServerTls>, Cause> {
        let node = self.source.node;
        let Some(tls) = &node.gateway.tls else { return Ok(Vec::new()) };
        let names = Names::of(node);
        let service = [
            names.gateway.clone(),
            format!("{}.{}", names.gateway, node.namespace),
            format!("{}.{}.svc", names.gateway, node.namespace),
            format!("{}.{}.svc.{}", names.gateway, node.namespace, node.cluster_domain),
            "localhost".to_owned(),
        ];
        let first = match &tls.secret {
            Some(name) => {
                let wanted: Vec<String> = node.gateway.server_name.iter().cloned().collect();
                server(&self.supplied(name, Role::Gateway, "gateway", &wanted)?)
            }
            None => {
                let leaf = Leaf {
                    role: Role::Gateway,
                    organization: node.cluster.organization.clone(),
                    common_name: common_name(node),
                    names: node.gateway.server_name.iter().cloned().chain(service).collect(),
                };
                let (certificate_file, key_file) = secret::server_files(0);
                let (certificate, key) =
                    self.leaf("gateway", &leaf, &names.gateway_tls, &certificate_file, &key_file)?;
                ServerTls { certificate: certificate.pem(), key: Hidden::new(key.pem().as_str()) }
            }
        };
        let mut servers = vec![first];
        for additional in &tls.additional_servers {
            let wanted = [additional.name.clone()];
            servers.push(server(&self.supplied(
                &additional.tls_secret_ref.name,
                Role::Gateway,
                &additional.name,
                &wanted,
            )?));
        }
        Ok(servers)
    }

    /// The certificate that is there, if it is good for some time yet; else a new one.
    fn leaf(
        &mut self,
        status_name: &str,
        wanted: &Leaf,
        secret_name: &str,
        certificate_file: &str,
        key_file: &str,
    ) -> Result<(Certificate, PrivateKey), Cause> {
        let Source { secrets, lifetimes, now, .. } = *self.source;
        let authority = &self.consortium()?.authority;
        let failed = |error: pki::Error| Cause {
            reason: "CertificateNotIssued",
            message: format!("the {status_name} certificate cannot be issued: {error}"),
        };
        let there = secrets.get(secret_name).and_then(|data| {
            let file = |name: &str| data.get(name).map(|file| file.0.as_slice());
            let certificate = Certificate::from_pem(file(certificate_file)?).ok()?.into_iter().next()?;
            let key = PrivateKey::from_pem(file(key_file)?).ok()?;
            certificate.is_of(&key).then_some((certificate, key))
        });
        let (kept, reason) = match there {
            None => (None, "there was none that reads".to_owned()),
            Some((certificate, key)) => {
                let renewal = renewal::leaf(&certificate, wanted, authority.certificate(), now, lifetimes.renew_before);
                match renewal.map_err(failed)? {
                    Renewal::Keep => (Some((certificate, key)), String::new()),
                    Renewal::Renew(reason) => (None, reason),
                }
            }
        };
        let pair = match kept {
            Some(pair) => pair,
            None => {
                let issue = || {
                    let key = PrivateKey::generate()?;
                    let validity = Validity::starting(now, lifetimes.certificate)?;
                    Ok((authority.issue(wanted, &key, &Serial::random()?, validity)?, key))
                };
                let pair = issue().map_err(failed)?;
                self.issued.push(format!("the {status_name} certificate was issued: {reason}"));
                pair
            }
        };
        self.tell(status_name, &pair.0);
        Ok(pair)
    }

    /// What a user supplies, judged.
    fn supplied(&mut self, name: &str, role: Role, status_name: &str, names: &[String]) -> Result<Bundle, Cause> {
        let data = self.source.secrets.get(name).ok_or_else(|| missing(field(role), name))?;
        let files = data.iter().map(|(name, file)| (name.as_str(), file.0.as_slice())).collect();
        let bundle = supplied::read(role, &files).map_err(|faults| unusable(name, &faults))?;
        let faults = check::bundle(&bundle, names, self.source.now);
        if !faults.is_empty() {
            return Err(unusable(name, &faults));
        }
        self.tell(status_name, &bundle.certificate);
        Ok(bundle)
    }

    fn tell(&mut self, name: &str, certificate: &Certificate) {
        self.certificates.push(CertificateStatus {
            name: name.to_owned(),
            serial: certificate.serial().to_string(),
            not_after: Time(certificate.not_after()),
        });
    }

    fn trust(&self) -> Result<Trust, Cause> {
        let Consortium { authority, list, .. } = self.consortium()?;
        Ok(Trust { authorities: authority.certificate().pem(), lists: list.as_ref().map(pki::RevocationList::pem) })
    }

    fn consortium(&self) -> Result<&Consortium, Cause> {
        self.source.consortium.ok_or_else(|| Cause {
            reason: "AuthorityMissing",
            message: "there is no certificate authority to issue certificates with".to_owned(),
        })
    }
}

fn field(role: Role) -> &'static str {
    match role {
        Role::Member => "spec.database.memberTlsSecretRef",
        Role::Client => "spec.database.tlsSecretRef",
        Role::Gateway => "spec.gateway.tlsSecretRef",
    }
}

fn missing(field: &str, name: &str) -> Cause {
    let message = format!("{field}: there is no Secret {name} in the node's namespace: create it");
    Cause { reason: "SecretMissing", message }
}

fn unusable(name: &str, faults: &[Fault]) -> Cause {
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    Cause { reason: "CertificateUnusable", message: format!("the Secret {name}: {}", faults.join("; ")) }
}

fn trust(bundle: &Bundle) -> Trust {
    let lists: String = bundle.lists.iter().map(pki::RevocationList::pem).collect();
    Trust {
        authorities: bundle.authorities.iter().map(Certificate::pem).collect(),
        lists: (!lists.is_empty()).then_some(lists),
    }
}

fn client(bundle: &Bundle) -> ClientTls {
    let identity = Identity {
        certificate: bundle.chain_pem(),
        key: Hidden::new(bundle.key.pem().as_str()),
        subject: bundle.certificate.subject().to_owned(),
    };
    ClientTls { identity: Some(identity), trust: trust(bundle) }
}

fn server(bundle: &Bundle) -> ServerTls {
    ServerTls { certificate: bundle.chain_pem(), key: Hidden::new(bundle.key.pem().as_str()) }
}

/// Unique among the consortium's nodes in this Kubernetes cluster.
fn common_name(node: &Validated) -> String {
    let name = format!("{}.{}", node.name, node.namespace);
    if name.len() <= LONGEST_COMMON_NAME {
        return name;
    }
    let digest = sha3_256(&[name.as_bytes()]);
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}.{digest}", node.name)
}

#[cfg(test)]
mod tests;
