//! Secrets: under fixed names and keys, whatever layout their content came in.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::labels::Component;
use super::material::Trust;
use super::{Context, Object};

/// The private key in a key pair's Secret, base58.
pub const PRIVATE_KEY: &str = "private.key";
/// The public key beside it.
const PUBLIC_KEY: &str = "public.key";
/// Certificate and key of `mongod` in one file.
pub const MEMBER: &str = "member.pem";
/// The client's certificate.
pub const CERTIFICATE: &str = "client.pem";
/// The client's key.
pub const KEY: &str = "client.key";
/// Certificates of authorities.
pub const AUTHORITIES: &str = "ca.pem";
/// Revocation lists.
pub const LISTS: &str = "crl.pem";

/// The files of one of the gateway's certificates: certificate and key.
pub fn server_files(index: usize) -> (String, String) {
    (format!("server-{index}.pem"), format!("server-{index}.key"))
}

pub(super) fn all(context: &Context<'_>) -> Vec<Object> {
    let Context { material, names, .. } = context;
    let mut secrets = Vec::new();
    if let Some(private) = &material.key_pair.private {
        let files = [(PRIVATE_KEY, private.reveal()), (PUBLIC_KEY, &material.key_pair.public)];
        // Kept: whoever loses it loses the node's identity.
        secrets.push(secret(context.kept(&names.keys, Component::Server), files));
    }
    if let Some(tls) = &material.member_tls {
        let mut files = trust(&tls.trust);
        files.push((MEMBER, tls.certificate_and_key.reveal()));
        secrets.push(secret(context.owned(&names.member_tls, Component::MongoDb), files));
    }
    if let Some(tls) = &material.client_tls {
        let mut files = trust(&tls.trust);
        if let Some(identity) = &tls.identity {
            files.extend([(CERTIFICATE, identity.certificate.as_str()), (KEY, identity.key.reveal())]);
        }
        secrets.push(secret(context.owned(&names.client_tls, Component::Server), files));
    }
    if !material.gateway_tls.is_empty() {
        let mut files = Vec::new();
        for (index, tls) in material.gateway_tls.iter().enumerate() {
            let (certificate, key) = server_files(index);
            files.extend([(certificate, tls.certificate.as_str()), (key, tls.key.reveal())]);
        }
        secrets.push(secret(context.owned(&names.gateway_tls, Component::Gateway), files));
    }
    secrets
}

fn trust(trust: &Trust) -> Vec<(&'static str, &str)> {
    let lists = trust.lists.as_deref().map(|lists| (LISTS, lists));
    std::iter::once((AUTHORITIES, trust.authorities.as_str())).chain(lists).collect()
}

fn secret<'a, K: Into<String>>(metadata: ObjectMeta, files: impl IntoIterator<Item = (K, &'a str)>) -> Object {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let data: BTreeMap<String, ByteString> = files.into_iter().map(|(key, text)| (key.into(), bytes(text))).collect();
    let type_ = Some("Opaque".to_owned());
    Object::Secret(Box::new(Secret { metadata, data: Some(data), type_, ..Secret::default() }))
}
