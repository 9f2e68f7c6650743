//! What is applied for a node, as `render` prints it, against files that a person can read. `REGENERATE=1` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn render(file: &Path) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bigchaindb-operator"));
    let output = command.args(["render", "-f"]).arg(file).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

#[test]
fn what_is_applied_is_what_was_read_before() {
    let mut differing = Vec::new();
    for file in files(&folder("tests/desired")).into_iter().chain(files(&folder("../k8s/samples"))) {
        let golden = folder("tests/golden").join(file.file_name().unwrap());
        let rendered = render(&file).unwrap();
        if std::env::var_os("REGENERATE").is_some() {
            std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
            std::fs::write(&golden, &rendered).unwrap();
        }
        if std::fs::read_to_string(&golden).unwrap_or_default() != rendered {
            differing.push(golden);
        }
    }
    assert!(differing.is_empty(), "these differ (REGENERATE=1 writes them anew; read the difference): {differing:#?}");
}

#[test]
fn no_secret_and_nothing_that_is_not_restricted_is_printed() {
    for golden in files(&folder("tests/golden")) {
        let text = std::fs::read_to_string(&golden).unwrap();
        assert!(!text.contains("PRIVATE KEY") && !text.contains("\ndata:\n  private.key"), "{}", golden.display());
        let pods = text.matches("automountServiceAccountToken: false\n      containers").count();
        for setting in [
            "runAsNonRoot: true",
            "readOnlyRootFilesystem: true",
            "allowPrivilegeEscalation: false",
            "type: RuntimeDefault",
        ] {
            assert_eq!(text.matches(setting).count(), pods, "{setting} in {}", golden.display());
        }
        assert!(pods >= 2, "{}: {pods} pods", golden.display());
    }
}

#[test]
fn faults_name_the_field() {
    for (spec, told) in [
        ("{server: {extraEnv: [{name: HOME, value: x}]}}", "spec.server.extraEnv[0].name"),
        ("{gateway: {dnsServer: nowhere}}", "spec.gateway.dnsServer"),
        ("{gateway: {mongodbAllowlist: [all]}}", "spec.gateway.mongodbAllowlist[0]"),
        ("{gateway: {websocketPort: 443}}", "spec.gateway.websocketPort"),
        ("{database: {mode: External}}", "spec.database.uri"),
        ("{database: {engine: Embedded}, gateway: {mongodbAllowlist: [10.0.0.0/8]}}", "remove the list"),
        ("{podTemplate: {labels: {bigchaindb.com/node: x}}}", "spec.podTemplate.labels"),
        ("{database: {engine: Rethink}}", "Rethink"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("node.yaml");
        let head = "apiVersion: bigchaindb.com/v1alpha1\nkind: BigchainNode\nmetadata: {name: node-a}\n";
        std::fs::write(&file, format!("{head}spec: {spec}\n")).unwrap();
        let error = render(&file).unwrap_err();
        assert!(error.contains(told) && !error.contains("panicked"), "{spec}: {error}");
    }
}
