//! Volume claims: objects of their own, as in the template, so that they can grow and outlive their StatefulSets.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::labels::Component;
use super::{Context, Object};
use crate::validate::{Database, Volume};

pub(super) fn all(context: &Context<'_>) -> Vec<Object> {
    let (name, component, volume) = match &context.node.database {
        Database::Embedded(volume) => (&context.names.server, Component::Server, volume),
        Database::Member(member) => (&context.names.member, Component::MongoDb, &member.volume),
        Database::External { .. } => return Vec::new(),
    };
    let Volume::New { size, class } = volume else { return Vec::new() };
    let requests = BTreeMap::from([("storage".to_owned(), Quantity(size.0.clone()))]);
    vec![Object::PersistentVolumeClaim(Box::new(PersistentVolumeClaim {
        // Kept: the ledger is on it.
        metadata: context.kept(name, component),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements { requests: Some(requests), ..Default::default() }),
            storage_class_name: class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }))]
}
