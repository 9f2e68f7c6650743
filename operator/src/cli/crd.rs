//! `bigchaindb-operator crd`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::api;
use crate::yaml;

/// Prints the definitions, or writes each to `DIR/<name>.yaml`.
pub fn run(out: Option<&Path>) -> anyhow::Result<()> {
    let definitions = api::definitions();
    let Some(directory) = out else {
        let text = yaml::documents(&definitions)?;
        std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
        return Ok(());
    };
    fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
    for definition in definitions {
        let path = directory.join(api::definition_file(&definition));
        let text = yaml::documents(&[definition])?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
