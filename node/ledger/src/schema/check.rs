//! Values held against rules.

use super::tables::Rule;
use crate::json::{Int, Object, Value, write_str_repr};

/// Whose reading of the schema.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// Gives the reference's verdict. Reads the value's text again: chokes on NaN, takes integers beyond 64 bits for
    /// floats, strings for C strings.
    RapidJson,
    /// Gives the reference's words.
    JsonSchema,
}

/// Whether the value obeys the rule.
pub(super) fn accepts(rule: &Rule, value: &Value<'_>, engine: Engine) -> bool {
    match (rule, value) {
        (Rule::Anything, _) | (Rule::Null, Value::Null) | (Rule::Boolean, Value::Bool(_)) => true,
        (Rule::Integer { min, max }, Value::Int(int)) => match (int, int.as_u64()) {
            (_, Some(n)) => *min <= n && max.is_none_or(|max| n <= max),
            (Int::Big(digits), None) => engine == Engine::JsonSchema && max.is_none() && !digits.starts_with('-'),
            (Int::Small(_), None) => false,
        },
        (Rule::Text(None), Value::String(_)) => true,
        (Rule::Text(Some(pattern)), Value::String(text)) => pattern.accepts(text, engine),
        (Rule::OneOf(words), Value::String(text)) => words.contains(&text.as_ref()),
        (Rule::Array { items, min, max }, Value::Array(elements)) => {
            elements.len() >= *min
                && max.is_none_or(|max| elements.len() <= max)
                && elements.iter().all(|element| accepts(items, element, engine))
        }
        (Rule::FreeObject { min }, Value::Object(object)) => {
            object.len() >= *min && (engine == Engine::JsonSchema || unreadable_number(value).is_none())
        }
        (Rule::Object { open, required, members }, Value::Object(object)) => {
            let mut required_seen = 0;
            for (key, member) in object.iter() {
                match members.iter().find(|(name, _)| *name == key) {
                    Some((_, rule)) if !accepts(rule, member, engine) => return false,
                    Some(_) => required_seen += usize::from(required.contains(&key)),
                    None if *open => {}
                    None => return false,
                }
            }
            required_seen == required.len()
        }
        (Rule::AnyOf(rules), _) => rules.iter().any(|rule| accepts(rule, value, engine)),
        _ => false,
    }
}

/// The first number that RapidJSON cannot read: NaN, an infinity, an integer beyond a double.
pub(super) fn unreadable_number<'v, 'a>(value: &'v Value<'a>) -> Option<&'v Value<'a>> {
    match value {
        Value::Float(float) => (!float.is_finite()).then_some(value),
        Value::Int(Int::Big(digits)) => (!digits.parse::<f64>().is_ok_and(f64::is_finite)).then_some(value),
        Value::Array(elements) => elements.iter().find_map(unreadable_number),
        Value::Object(object) => object.iter().find_map(|(_, member)| unreadable_number(member)),
        Value::Null | Value::Bool(_) | Value::Int(Int::Small(_)) | Value::String(_) => None,
    }
}

/// The first error in jsonschema's words and order; none exactly if the rule is obeyed.
pub(super) fn first_error(rule: &Rule, value: &Value<'_>, engine: Engine) -> Option<String> {
    let wrong_type = || Some(format!("{} is not of type '{}'", value.repr(), type_name(rule)));
    match (rule, value) {
        (Rule::AnyOf(_), _) => {
            let text = || format!("{} is not valid under any of the given schemas", value.repr());
            (!accepts(rule, value, engine)).then(text)
        }
        (Rule::Text(Some(pattern)), Value::String(text)) => (!pattern.accepts(text, engine))
            .then(|| format!("{} does not match {}", value.repr(), Value::String(pattern.source.into()).repr())),
        (Rule::OneOf(words), Value::String(_)) => {
            let words = Value::Array(words.iter().map(|word| Value::String((*word).into())).collect());
            (!accepts(rule, value, engine)).then(|| format!("{} is not one of {}", value.repr(), words.repr()))
        }
        (Rule::Array { items, min, max }, Value::Array(elements)) => {
            if max.is_some_and(|max| elements.len() > max) {
                return Some(format!("{} is too long", value.repr()));
            }
            if elements.len() < *min {
                return Some(format!("{} is too short", value.repr()));
            }
            elements.iter().find_map(|element| first_error(items, element, engine))
        }
        (Rule::Object { open, required, members }, Value::Object(object)) => {
            if !open && let Some(text) = unexpected_members(members, object) {
                return Some(text);
            }
            if let Some(name) = required.iter().find(|name| object.get(name).is_none()) {
                return Some(format!("'{name}' is a required property"));
            }
            members.iter().find_map(|(name, rule)| first_error(rule, object.get(name)?, engine))
        }
        _ if accepts(rule, value, engine) => None,
        _ => wrong_type(),
    }
}

/// In the document's order. (The reference puts them into a set, so its order is any.)
fn unexpected_members(members: &[(&str, &Rule)], object: &Object<'_>) -> Option<String> {
    let mut names = String::new();
    let mut count = 0;
    for (key, _) in object.iter().filter(|(key, _)| members.iter().all(|(name, _)| name != key)) {
        if count > 0 {
            names.push_str(", ");
        }
        write_str_repr(key, &mut names);
        count += 1;
    }
    let verb = match count {
        0 => return None,
        1 => "was",
        _ => "were",
    };
    Some(format!("Additional properties are not allowed ({names} {verb} unexpected)"))
}

/// The type's name in a schema. Rules that stand only inside [`Rule::AnyOf`], whose errors say nothing of their parts,
/// have one too.
fn type_name(rule: &Rule) -> &'static str {
    match rule {
        Rule::Null => "null",
        Rule::Boolean => "boolean",
        Rule::Integer { .. } => "integer",
        Rule::Text(_) | Rule::OneOf(_) => "string",
        Rule::Array { .. } => "array",
        Rule::Anything | Rule::FreeObject { .. } | Rule::Object { .. } | Rule::AnyOf(_) => "object",
    }
}
