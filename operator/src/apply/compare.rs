//! Whether an object is as it is wanted. Pure.

use serde_json::Value;

use super::amount;

/// Members that hold amounts, which the API server writes in a form of its own: `500m` for `0.5`.
const AMOUNTS: &[&str] = &["requests", "limits", "sizeLimit"];

/// Whether everything that is wanted is there: every field with the wanted value, lists of the same length. What the API
/// server adds by itself does not count.
pub fn is_current(live: &Value, wanted: &Value) -> bool {
    compare(live, wanted, false)
}

fn compare(live: &Value, wanted: &Value, amounts: bool) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(key, value)| match live.get(key) {
            Some(live) => compare(live, value, amounts || AMOUNTS.contains(&key.as_str())),
            None => is_empty(value),
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| compare(live, wanted, amounts))
        }
        (Value::Number(live), Value::Number(wanted)) => live.as_f64() == wanted.as_f64(),
        (Value::String(live), Value::String(wanted)) if amounts => amount::same(live, wanted),
        _ => live == wanted,
    }
}

/// The API server leaves out what is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_server_adds_does_not_count_and_what_others_change_does() {
        let wanted = json!({"spec": {"replicas": 1, "containers": [{"name": "a", "env": []}]}, "data": {"k": "v"}});
        let live = json!({
            "spec": {"replicas": 1, "containers": [{"name": "a", "imagePullPolicy": "Always"}], "added": true},
            "data": {"k": "v"},
            "status": {},
        });
        assert!(is_current(&live, &wanted));
        for (change, value) in [
            ("/spec/replicas", json!(2)),
            ("/spec/containers/0/name", json!("b")),
            ("/spec/containers", json!([])),
            ("/data/k", json!("w")),
            ("/data", json!({})),
        ] {
            let mut changed = live.clone();
            *changed.pointer_mut(change).expect("the path is there") = value;
            assert!(!is_current(&changed, &wanted), "{change}");
        }
    }

    #[test]
    fn amounts_are_compared_by_value_and_other_texts_are_not() {
        let of = |key: &str, value: &str| json!({ key: { "cpu": value } });
        assert!(is_current(&of("requests", "500m"), &of("requests", "0.5")));
        assert!(!is_current(&of("requests", "500m"), &of("requests", "0.6")));
        assert!(!is_current(&of("data", "500m"), &of("data", "0.5")));
    }
}
