//! Writing JSON as BigchainDB Server 1.0.1 wrote it: four spaces of indent.

use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

/// The text of a value, indented by four spaces.
pub fn to_text(value: &Value) -> String {
    let mut out = Vec::new();
    let layout = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    // Writing JSON values into memory does not fail.
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, layout));
    String::from_utf8_lossy(&out).into_owned()
}

/// The same value with the members of every object in order of their names.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            names.into_iter().filter_map(|name| Some((name.clone(), sorted(members.get(name)?)))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// Writes a configuration file. It holds the private key, so only its owner may read it (1.0.1 let everybody).
pub fn write(path: &Path, value: &Value) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // The mode above counts only for a new file.
    if file.metadata()?.is_file() {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    file.write_all(to_text(value).as_bytes())?;
    file.write_all(b"\n")
}
