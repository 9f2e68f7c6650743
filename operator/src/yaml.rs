//! YAML as `kubectl` reads and prints it.

use serde::Serialize;
use serde_json::Value;

/// The documents of a text that are not empty.
pub fn values(text: &str) -> Result<Vec<Value>, serde_saphyr::Error> {
    let values: Vec<Value> = serde_saphyr::from_multiple(text)?;
    Ok(values.into_iter().filter(|value| !value.is_null()).collect())
}

/// Documents, each after a line of three dashes but the first.
///
/// Plain words that YAML 1.1 takes for something else (`yes`, `on`, `1_000`) are quoted: Kubernetes reads YAML 1.1.
pub fn documents<T: Serialize>(objects: &[T]) -> Result<String, serde_saphyr::ser::Error> {
    let texts: Result<Vec<String>, _> = objects.iter().map(serde_saphyr::to_string).collect();
    Ok(texts?.join("---\n"))
}
