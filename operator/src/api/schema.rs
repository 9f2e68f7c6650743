//! What the derived schemas lack, and what they have too much of.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

/// Formats that the API server knows; it warns of others.
const FORMATS: &[&str] = &["date-time", "double", "int32", "int64"];

/// A definition as it is published.
pub fn published(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            tidy(schema);
            schema.required = None;
            let properties = schema.properties.get_or_insert_default();
            properties.insert("metadata".to_owned(), metadata());
            if let Some(spec) = properties.get_mut("spec") {
                default_to_defaults(spec);
            }
        }
    }
    definition
}

/// What every object has anyway, written down so that a rule can say that the name is what it refuses.
fn metadata() -> JSONSchemaProps {
    let of_type = |type_: &str| JSONSchemaProps { type_: Some(type_.to_owned()), ..JSONSchemaProps::default() };
    let name = JSONSchemaProps { max_length: Some(253), ..of_type("string") };
    JSONSchemaProps { properties: Some([("name".to_owned(), name)].into()), ..of_type("object") }
}

/// No `spec` at all and `spec: {}` are the same, so that the smallest resource is a name. The fields' defaults are written
/// out, as the API server holds a default against the rules before it fills in what the default lacks.
fn default_to_defaults(spec: &mut JSONSchemaProps) {
    let fields = spec.properties.iter().flatten();
    let defaults = fields.filter_map(|(name, field)| Some((name.clone(), field.default.clone()?.0)));
    spec.default = Some(JSON(Value::Object(defaults.collect())));
}

/// A description without the line breaks of its source, and with the default, which `kubectl explain` does not show.
fn described(text: &str, default: Option<&JSON>) -> String {
    let text = text.replace('\n', " ");
    match default.map(|default| &default.0) {
        Some(Value::String(value)) => format!("{text} Default: {value}."),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => format!("{text} Default: {value}."),
        _ => text,
    }
}

/// An absent field is absent: the API server then drops a `null`, so that nothing means something else than nothing.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.description = schema.description.take().map(|text| described(&text, schema.default.as_ref()));
    schema.default = schema.default.take().filter(|default| !default.0.is_null());
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    schema.format = schema.format.take().filter(|format| FORMATS.contains(&format.as_str()));
    for inner in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        tidy(inner);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(inner)) => tidy(inner),
        Some(JSONSchemaPropsOrArray::Schemas(inner)) => inner.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(inner)) = &mut schema.additional_properties {
        tidy(inner);
    }
}
