//! The definitions of the resources: the files in crds/, and what an API server makes of them.
//!
//! `REGENERATE=1` writes the files anew, and what else is compared with one.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::fs;
use std::path::{Path, PathBuf};

use bigchaindb_operator::{api, yaml};
use serde_json::Value;

#[path = "crds/accepted.rs"]
mod accepted;
#[path = "api_server/mod.rs"]
mod api_server;
#[path = "crds/refused.rs"]
mod refused;
#[path = "crds/requests.rs"]
mod requests;
#[path = "schema/mod.rs"]
mod schema;
#[path = "crds/shown.rs"]
mod shown;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The YAML files of a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

/// Compares a file with what it should hold.
fn check(path: &Path, fresh: &str) {
    if regenerate() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, fresh).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == fresh,
        "{} is out of date (REGENERATE=1 writes it anew); it should be\n{fresh}",
        path.display()
    );
}

fn regenerate() -> bool {
    std::env::var_os("REGENERATE").is_some()
}

#[test]
fn files_are_what_the_program_writes() {
    let folder = folder("../crds");
    let definitions = api::definitions();
    for definition in &definitions {
        let text = yaml::documents(std::slice::from_ref(definition)).unwrap();
        check(&folder.join(api::definition_file(definition)), &text);
    }
    let names: Vec<String> = definitions.iter().map(api::definition_file).collect();
    for file in files(&folder) {
        assert!(names.iter().any(|name| file.ends_with(name)), "{}: no definition of the program", file.display());
    }
}

#[test]
fn every_field_is_described_and_bounded() {
    let mut faults = Vec::new();
    for (kind, schema) in schema::schemas() {
        for field in schema::fields(&schema).iter().filter(|field| !field.path.starts_with("metadata")) {
            if field.is_property() && !field.text("description").ends_with('.') {
                faults.push(format!("{kind} {}: no description, or no whole sentence", field.path));
            }
            // What the operator writes itself is judged by no rule, and refusing it would hide what it found.
            if !field.path.starts_with("status") && !is_bounded(&field.schema) {
                faults.push(format!("{kind} {}: rules cannot be judged at a known cost without a bound", field.path));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

fn is_bounded(schema: &Value) -> bool {
    let has = |name: &str| schema.get(name).is_some();
    match schema["type"].as_str().unwrap() {
        "string" => has("maxLength") || has("enum"),
        "array" => has("maxItems"),
        "object" => !has("additionalProperties") || has("maxProperties"),
        "integer" | "number" => has("minimum") && has("maximum"),
        _ => true,
    }
}
