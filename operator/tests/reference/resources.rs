//! The fields of the resources, as `docs/reference/resources.md` shows them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::check;
use crate::schema::{self, Field, Rule};

#[test]
fn resources() {
    for (kind, schema) in schema::schemas() {
        check(&format!("{}.md", kind.to_lowercase()), &page(&schema));
    }
}

/// A part of a resource: `spec`, `spec.server`, `status` and so on.
#[derive(Default)]
struct Section {
    description: String,
    rows: Vec<String>,
    /// Messages of rules, each with the fields that it is about.
    rules: Vec<(String, Vec<String>)>,
}

fn page(schema: &Value) -> String {
    let fields = schema::fields(schema);
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let add_rules = |sections: &mut BTreeMap<String, Section>, schema: &Value, path: &str| {
        for rule in schema::rules(schema, path) {
            sections.entry(section_of(&rule.path, &fields)).or_default().add(rule);
        }
    };
    add_rules(&mut sections, schema, "");
    for field in fields.iter().filter(|field| !field.path.starts_with("metadata")) {
        let name = section_of(&field.path, &fields);
        let section = sections.entry(name.clone()).or_default();
        if field.path == name {
            section.description = field.text("description").to_owned();
        } else if field.is_property() {
            section.rows.push(row(field));
        }
        add_rules(&mut sections, &field.schema, &field.path);
    }
    let texts: Vec<String> = sections.iter().map(|(name, section)| section.text(name)).collect();
    texts.join("\n")
}

/// Parts of `spec` that have parts themselves are sections.
fn section_of(path: &str, fields: &[Field]) -> String {
    let mut names = path.split('.');
    let (first, second) = (names.next().unwrap(), names.next().unwrap_or_default());
    let part = format!("{first}.{second}");
    let has_parts = fields.iter().any(|field| field.path.starts_with(&format!("{part}.")));
    if first == "spec" && has_parts && !part.ends_with("[]") { part } else { first.to_owned() }
}

impl Section {
    fn add(&mut self, rule: Rule) {
        match self.rules.iter_mut().find(|(message, _)| *message == rule.message) {
            Some((_, paths)) => paths.push(rule.path),
            None => self.rules.push((rule.message, vec![rule.path])),
        }
    }

    fn text(&self, name: &str) -> String {
        let mut paragraphs = vec![format!("### {name}\n{}", self.description).trim_end().to_owned()];
        if !self.rows.is_empty() {
            paragraphs.push(format!("| field | value | default | what |\n|---|---|---|---|\n{}", self.rows.join("\n")));
        }
        if !self.rules.is_empty() {
            paragraphs.push("Refused with these sentences:".to_owned());
            let rules = self.rules.iter().map(|(message, paths)| format!("- `{}`: {message}", paths.join("`, `")));
            paragraphs.push(rules.collect::<Vec<_>>().join("\n"));
        }
        paragraphs.join("\n\n") + "\n"
    }
}

fn row(field: &Field) -> String {
    let default = match field.get("default").map(|default| without_those_of_parts(default, &field.schema)) {
        _ if field.required => "required".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(Value::Object(parts)) if parts.is_empty() => String::new(),
        Some(default) => format!("`{default}`"),
        None => String::new(),
    };
    // It ends with the default, which has a column here.
    let what = field.text("description").split(" Default: ").next().unwrap().replace('|', "\\|");
    format!("| `{}` | {} | {default} | {what} |", field.path, value(&field.schema))
}

/// What is not told by the parts themselves.
fn without_those_of_parts(default: &Value, schema: &Value) -> Value {
    let Some(parts) = default.as_object() else { return default.clone() };
    let own = |name: &str, value: &Value| schema["properties"][name].get("default") != Some(value);
    parts.iter().filter(|(name, value)| own(name, value)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Type and bounds.
fn value(schema: &Value) -> String {
    let number = |name: &str| schema.get(name).and_then(Value::as_f64);
    let inner = |name: &str| schema.get(name).map(value);
    let mut text = match schema["type"].as_str().unwrap() {
        "array" => format!("list of: {}", inner("items").unwrap()),
        "object" => inner("additionalProperties").map_or("object".to_owned(), |values| format!("map to: {values}")),
        type_ => schema
            .get("format")
            .and_then(Value::as_str)
            .filter(|format| *format == "date-time")
            .unwrap_or(type_)
            .to_owned(),
    };
    if let Some(choices) = schema["enum"].as_array() {
        let choices: Vec<String> = choices.iter().map(|choice| format!("`{}`", choice.as_str().unwrap())).collect();
        text = choices.join(", ");
    }
    if let (Some(least), Some(most)) = (number("minimum"), number("maximum")) {
        write!(text, ", {least} to {most}").unwrap();
    }
    // Those of the items come before.
    let separator = if text.contains(": ") { "; " } else { ", " };
    for (least, most, unit) in
        [("minLength", "maxLength", "characters"), ("", "maxItems", "items"), ("", "maxProperties", "keys")]
    {
        match (number(least), number(most)) {
            (None, Some(most)) => write!(text, "{separator}at most {most} {unit}").unwrap(),
            (Some(least), Some(most)) => write!(text, "{separator}{least} to {most} {unit}").unwrap(),
            _ => {}
        }
    }
    text
}
