//! The schemas of the resources, field by field.
#![allow(dead_code)] // Each test program uses a part of it.

use bigchaindb_operator::api;
use serde_json::Value;

/// A field, also an item of a list (`spec.gateway.additionalServers[].name`) or of a map (`spec.podTemplate.labels.*`).
pub struct Field {
    pub path: String,
    pub required: bool,
    pub schema: Value,
}

impl Field {
    /// A bound or the like, if the schema has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.schema.get(name)
    }

    pub fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it is a property with a name, not an item.
    pub fn is_property(&self) -> bool {
        !self.path.ends_with("[]") && !self.path.ends_with(".*")
    }
}

/// A rule of `x-kubernetes-validations`.
pub struct Rule {
    /// The field that a refusal names.
    pub path: String,
    /// What the API server says when it refuses something, with `…` for values.
    pub message: String,
}

impl Rule {
    /// Whether this sentence refuses something by this rule.
    pub fn says(&self, sentence: &str) -> bool {
        let mut parts = self.message.split('…').rev();
        let Some(mut rest) = sentence.strip_suffix(parts.next().unwrap()) else { return false };
        parts.all(|part| {
            let begin = rest.rfind(part);
            rest = &rest[..begin.unwrap_or(0)];
            begin.is_some()
        })
    }
}

/// The resources: kind, and the schema of the whole object.
pub fn schemas() -> Vec<(String, Value)> {
    let definitions = api::definitions().into_iter();
    let schemas = definitions.map(|definition| {
        let version = &definition.spec.versions[0];
        let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        (definition.spec.names.kind, serde_json::to_value(schema).unwrap())
    });
    schemas.collect()
}

/// All fields, each after what it is in.
pub fn fields(schema: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    walk(schema, "", &mut fields);
    fields
}

fn walk(schema: &Value, path: &str, fields: &mut Vec<Field>) {
    let mut add = |path: String, inner: &Value, required: bool| {
        fields.push(Field { path: path.clone(), required, schema: inner.clone() });
        walk(inner, &path, fields);
    };
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let required = schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        add(path, inner, required);
    }
    if let Some(items) = schema.get("items") {
        add(format!("{path}[]"), items, false);
    }
    if let Some(values) = schema.get("additionalProperties") {
        add(format!("{path}.*"), values, false);
    }
}

/// The rules of one field, or of the whole object if the path is empty.
pub fn rules(schema: &Value, path: &str) -> Vec<Rule> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    let rules = rules.map(|rule| {
        let inner = rule["fieldPath"].as_str().unwrap_or_default();
        let message = match (rule["message"].as_str(), rule["messageExpression"].as_str()) {
            (Some(message), None) => message.to_owned(),
            (None, Some(expression)) => without_values(expression),
            _ => panic!("one message is wanted: {rule}"),
        };
        Rule { path: format!("{path}{inner}").trim_start_matches('.').to_owned(), message }
    });
    rules.collect()
}

/// A sum of texts and values in CEL, `'about ' + self['x'] + '!'`, as `about …!`.
fn without_values(expression: &str) -> String {
    let mut message = String::new();
    let (mut depth, mut quoted) = (0, false);
    for character in expression.chars() {
        match character {
            '\'' if depth == 0 => quoted = !quoted,
            _ if quoted => message.push(character),
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '+' | ' ' => {}
            _ if message.ends_with('…') => {}
            _ => message.push('…'),
        }
    }
    message
}
