//! What is refused, and what a person is told.
//!
//! Each file of `tests/refused` begins with the sentences that are expected, a comment each. One document is created; of
//! two, the second one is to replace the first.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bigchaindb_operator::yaml;
use kube::core::Status;
use serde_json::Value;

use crate::requests::Requests;
use crate::schema::{self, Rule};
use crate::{files, folder, regenerate};

/// What Kubernetes adds when a fault keeps it from judging by the rules.
const NOT_ALL_JUDGED: &str = "some validation rules were not checked because the object was invalid";

#[tokio::test]
async fn each_wrong_object_is_refused_with_its_sentence() {
    let Some(requests) = Requests::start().await else { return };
    let mut differing = Vec::new();
    for file in files(&folder("tests/refused")) {
        let text = fs::read_to_string(&file).unwrap();
        let expected = sentences(&text);
        let status = refusal(&requests, &file, &text).await;
        let told = told(&status);
        if regenerate() {
            let comments: Vec<String> = told.iter().map(|sentence| format!("# {sentence}\n")).collect();
            let objects: Vec<&str> = text.lines().skip_while(|line| line.starts_with('#')).collect();
            fs::write(&file, format!("{}{}\n", comments.concat(), objects.join("\n"))).unwrap();
        } else if told != expected {
            differing.push(format!("{}:\nexpected {expected:#?}\ntold     {told:#?}", file.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// What is expected.
fn sentences(text: &str) -> BTreeSet<String> {
    text.lines().map_while(|line| line.strip_prefix("# ")).map(str::to_owned).collect()
}

/// Objects of all files are in one namespace, so those that are created have the name of their file.
async fn refusal(requests: &Requests, file: &Path, text: &str) -> Status {
    let mut objects = yaml::values(text).unwrap();
    let refused = match objects.as_mut_slice() {
        [object] => requests.judge(object).await,
        [first, second] => {
            let created = requests.create(first).await.unwrap_or_else(|error| panic!("{}: {error:?}", file.display()));
            second["metadata"] = created["metadata"].clone();
            requests.replace(second, "").await
        }
        _ => panic!("{}: one object is wanted, or two", file.display()),
    };
    refused.err().unwrap_or_else(|| panic!("{}: it is accepted", file.display()))
}

/// What `kubectl` prints, one sentence for each fault.
fn told(status: &Status) -> BTreeSet<String> {
    let causes: Vec<_> = status.details.iter().flat_map(|details| &details.causes).collect();
    if causes.is_empty() {
        return BTreeSet::from([status.message.clone()]);
    }
    let causes = causes.into_iter().filter(|cause| !cause.message.contains(NOT_ALL_JUDGED));
    causes.map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

fn expected() -> Vec<String> {
    let texts = files(&folder("tests/refused")).into_iter().map(|file| fs::read_to_string(file).unwrap());
    texts.flat_map(|text| sentences(&text)).collect()
}

#[test]
fn each_rule_has_a_case() {
    let cases = expected();
    let has_case = |rule: &Rule| cases.iter().any(|sentence| rule.says(sentence));
    let mut without = BTreeSet::new();
    for (_, schema) in schema::schemas() {
        let fields = schema::fields(&schema).into_iter().flat_map(|field| schema::rules(&field.schema, &field.path));
        let rules = schema::rules(&schema, "").into_iter().chain(fields);
        without.extend(rules.filter(|rule| !has_case(rule)).map(|rule| format!("{}: {}", rule.path, rule.message)));
    }
    assert!(without.is_empty(), "no file of tests/refused shows {without:#?}");
}

#[test]
fn each_choice_and_each_range_of_a_number_has_a_case() {
    let cases: BTreeSet<String> = expected().iter().map(|case| case.split(": ").next().unwrap().to_owned()).collect();
    let mut without = Vec::new();
    for (kind, schema) in schema::schemas() {
        let limited = |schema: &Value| ["enum", "minimum"].iter().any(|bound| schema.get(bound).is_some());
        let fields = schema::fields(&schema).into_iter();
        let fields = fields.filter(|field| limited(&field.schema) && field.path.starts_with("spec"));
        without
            .extend(fields.filter(|field| !cases.contains(&field.path)).map(|field| format!("{kind} {}", field.path)));
    }
    assert!(without.is_empty(), "no file of tests/refused has a wrong value of {without:#?}");
}
