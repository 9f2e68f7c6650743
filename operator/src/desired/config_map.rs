//! ConfigMaps: the configuration files of the three programs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::labels::Component;
use super::{Context, Object, keyring, mongod_conf};
use crate::validate::Database;

/// `mongod`'s configuration.
pub(super) const MONGOD: &str = "mongod.conf";
/// The server's keyring.
pub(super) const KEYRING: &str = "keyring.json";
/// NGINX's configuration.
pub(super) const NGINX: &str = "nginx.conf";

pub(super) fn all(context: &Context<'_>) -> Vec<Object> {
    let Context { node, material, names } = context;
    let mut maps = Vec::new();
    if let Database::Member(member) = &node.database {
        let text = mongod_conf::text(context, member);
        maps.push(map(context, &names.member, Component::MongoDb, MONGOD, text));
    }
    maps.push(map(context, &names.server, Component::Server, KEYRING, keyring::file(&material.keyring)));
    maps.push(map(context, &names.gateway, Component::Gateway, NGINX, material.nginx_conf.clone()));
    maps
}

fn map(context: &Context<'_>, name: &str, component: Component, file: &str, text: String) -> Object {
    Object::ConfigMap(Box::new(ConfigMap {
        metadata: context.owned(name, component),
        data: Some(BTreeMap::from([(file.to_owned(), text)])),
        ..ConfigMap::default()
    }))
}
