//! Service accounts: one for each component, without rights and without a token.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::labels::Component;
use super::{Context, Object};
use crate::validate::Database;

pub(super) fn all(context: &Context<'_>) -> Vec<Object> {
    let mut components = vec![(&context.names.server, Component::Server), (&context.names.gateway, Component::Gateway)];
    if matches!(context.node.database, Database::Member(_)) {
        components.insert(0, (&context.names.member, Component::MongoDb));
    }
    let account = |(name, component): (&String, Component)| {
        Object::ServiceAccount(Box::new(ServiceAccount {
            metadata: context.owned(name, component),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        }))
    };
    components.into_iter().map(account).collect()
}
