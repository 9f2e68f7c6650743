//! The server's keyring file.

use serde_json::json;

use super::material::Keyring;

/// The file of the setting `keyring_file`.
pub(super) fn file(keyring: &Keyring) -> String {
    let Keyring { generation, active, known } = keyring;
    let file = json!({"generation": generation, "active": active, "known": known});
    format!("{file:#}\n")
}
