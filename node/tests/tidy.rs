//! The project's own rules about its source, so that no review has to remember them.
//!
//! Each rule is a function from one file to its faults; `rules_find_what_they_are_for` shows each of them failing on a
//! small bad example.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/code.rs"]
mod code;

use code::{Code, identifiers_after, mentions};

/// One committed file.
struct Source {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The path inside `node/src` or `node/ledger/src`, without `.rs`; `None` for tests and benches.
    fn module(&self, root: &str) -> Option<&str> {
        let module = self.path.strip_prefix(root)?.strip_suffix(".rs")?;
        let test = module.split('/').any(|part| part == "tests" || part.ends_with("_tests"));
        (!test).then_some(module)
    }
}

const NODE: &str = "node/src/";
const LEDGER: &str = "node/ledger/src/";

type Rule = (&'static str, fn(&Source) -> Vec<String>);

const RULES: &[Rule] = &[
    ("size", size),
    ("directions", directions),
    ("crates", crates),
    ("concrete store", concrete_store),
    ("environment and clock", environment_and_clock),
    ("purity", purity),
    ("dependencies of the ledger", ledger_dependencies),
    ("purity of the operator", operator_purity),
    ("reasons", reasons),
    ("nothing left to do", nothing_left_to_do),
    ("no machine's paths", no_machine_paths),
];

/// Lines of a Rust file. One subject each; a longer one has two.
const MAX_LINES: usize = 600;

fn size(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if source.is_rust() && lines > MAX_LINES {
        return vec![format!("{lines} lines; {MAX_LINES} is the limit: split it by subject")];
    }
    Vec::new()
}

/// What a module must not name: `web, ws, pipeline -> chain -> store -> ledger`, and everything below the composition
/// root knows nothing of it.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("store", &["chain", "web", "ws", "pipeline", "app", "cli"]),
    ("chain", &["web", "ws", "pipeline", "app", "cli"]),
    ("pipeline", &["web", "ws", "app", "cli"]),
    ("web", &["ws", "pipeline", "app", "cli"]),
    ("ws", &["web", "pipeline", "app", "cli"]),
    ("config", &["store", "chain", "web", "ws", "pipeline", "app", "cli"]),
    ("metrics", &["store", "chain", "web", "ws", "pipeline", "app", "cli"]),
    ("client", &["store", "chain", "web", "ws", "pipeline", "app"]),
];

fn directions(source: &Source) -> Vec<String> {
    let Some(module) = source.module(NODE) else { return Vec::new() };
    let top = module.split('/').next().unwrap_or_default();
    let Some((_, banned)) = DIRECTIONS.iter().find(|(name, _)| *name == top) else { return Vec::new() };
    identifiers_after(&Code::without_tests(&source.text), "crate::")
        .into_iter()
        .filter(|name| banned.contains(&name.as_str()))
        .map(|name| format!("`{top}` must not use `crate::{name}`"))
        .collect()
}

/// Crates that only some modules may name, by the beginning of the module's path.
const CRATES: &[(&[&str], &[&str])] = &[
    (&["axum", "hyper", "hyper_util", "tower", "http_body_util"], &["web", "ws", "bench", "client"]),
    (&["tokio_tungstenite"], &["ws", "bench"]),
    (&["fjall", "tantivy"], &["store/embedded"]),
    (&["mongodb"], &["store/mongo"]),
    (&["rustls", "tokio_rustls", "webpki_roots"], &["store/mongo", "config/mongo", "client/tls", "tls"]),
];

fn crates(source: &Source) -> Vec<String> {
    let Some(module) = source.module(NODE) else { return Vec::new() };
    let code = Code::without_tests(&source.text);
    let mut faults = Vec::new();
    for (names, homes) in CRATES {
        if homes.iter().any(|home| module.starts_with(home)) {
            continue;
        }
        for name in names.iter().filter(|name| mentions(&code, &format!("{name}::"))) {
            faults.push(format!("`{name}` may only be used in {}", homes.join(", ")));
        }
    }
    faults
}

/// Where a concrete store may be named outside its own files: the composition root, and the commands that work on a
/// directory without a node.
const STORE_OWNERS: &[&str] = &["app", "store/embedded", "store/mongo", "cli/backup", "cli/restore"];

/// Names of concrete stores.
const STORES: &[&str] = &["EmbeddedStore", "store::embedded", "MongoStore", "store::mongo"];

fn concrete_store(source: &Source) -> Vec<String> {
    let Some(module) = source.module(NODE) else { return Vec::new() };
    let owner = STORE_OWNERS.iter().any(|owner| module.starts_with(owner));
    let code = Code::without_tests(&source.text);
    if !owner && STORES.iter().any(|store| mentions(&code, store)) {
        return vec![format!("only {} may name a concrete store: take `Arc<dyn Store>`", STORE_OWNERS.join(", "))];
    }
    Vec::new()
}

/// Who may ask what time it is, and why. Everything else takes a `Clock`, so that tests decide it.
const CLOCK_READERS: &[(&str, &str)] = &[("app", "the composition root hands the clock down")];

/// Who may measure how long something takes, and why. Nothing that goes into the ledger may depend on it.
const STOPWATCHES: &[(&str, &str)] = &[
    ("app", "tells how long starting and stopping took"),
    ("bench", "measures"),
    ("cli", "waits for a transaction's verdict with a deadline"),
    ("client", "waits for a server's answer with a deadline"),
    ("pipeline", "counts the time of each stage; waits by the runtime's clock, which tests can stop"),
    ("store", "tells how long its work took"),
    ("web", "counts the time of each answer"),
    ("ws", "sends pings by the runtime's clock, which tests can stop"),
];

fn environment_and_clock(source: &Source) -> Vec<String> {
    let Some(module) = source.module(NODE) else { return Vec::new() };
    let code = Code::without_tests(&source.text);
    let mut faults = Vec::new();
    let environment = ["std::env", "env::var", "env::vars", "env::args"];
    if module != "main" && environment.iter().any(|name| mentions(&code, name)) {
        faults.push("the environment is read in main.rs only: take what you need as an argument".to_owned());
    }
    let among = |list: &[(&str, &str)]| list.iter().any(|(name, _)| module.split('/').next() == Some(name));
    if !among(CLOCK_READERS) && mentions(&code, "SystemTime::now") {
        faults.push("the clock is read by the composition root only: take a `Clock` as an argument".to_owned());
    }
    if !among(STOPWATCHES) && mentions(&code, "Instant::now") {
        faults.push("nothing here may depend on how long something takes: see STOPWATCHES".to_owned());
    }
    faults
}

/// What the pure crate must not touch: an address or a span of time is a value, a socket or a clock is not.
const IMPURE: &[&str] = &[
    "std::fs",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "std::env",
    "Instant",
    "SystemTime",
    "std::thread",
    "std::process",
    "println!",
    "eprintln!",
    "async fn",
];

fn purity(source: &Source) -> Vec<String> {
    if source.module(LEDGER).is_none() {
        return Vec::new();
    }
    let code = Code::without_tests(&source.text);
    let touched = IMPURE.iter().filter(|name| mentions(&code, name));
    touched.map(|name| format!("the ledger crate is pure: no `{name}`")).collect()
}

const OPERATOR: &str = "operator/src/";

/// What of the operator only computes: from a resource and what was observed to objects, steps and sentences.
const OPERATOR_PURE: &[&str] = &[
    "api",
    "apply/",
    "authority",
    "credentials",
    "desired",
    "nginx",
    "pods",
    "replica_set",
    "status",
    "validate",
    "workloads",
];

/// What those must not touch, beside [`IMPURE`]: nothing is asked, nothing is done.
const OPERATOR_IMPURE: &[&str] = &["kube::Client", "kube::client", "mongodb::", "tokio::", "Timestamp::now"];

fn operator_purity(source: &Source) -> Vec<String> {
    let Some(module) = source.module(OPERATOR) else { return Vec::new() };
    let code = Code::without_tests(&source.text);
    let pure = OPERATOR_PURE.iter().any(|name| module.starts_with(name));
    let touched = IMPURE.iter().chain(OPERATOR_IMPURE).filter(|name| pure && mentions(&code, name));
    let mut faults: Vec<String> = touched.map(|name| format!("`{module}` only computes: no `{name}`")).collect();
    if !module.starts_with("mongo_admin") && mentions(&code, "mongodb::") && !pure {
        faults.push("only mongo_admin talks to a database".to_owned());
    }
    faults
}

/// All that the pure crate may depend on: data formats and arithmetic.
const LEDGER_DEPENDENCIES: &[&str] = &[
    "base64",
    "bs58",
    "bytes",
    "curve25519-dalek",
    "ed25519-dalek",
    "itoa",
    "memchr",
    "num-bigint",
    "sha2",
    "sha3",
    "thiserror",
    "zeroize",
];

fn ledger_dependencies(source: &Source) -> Vec<String> {
    if source.path != "node/ledger/Cargo.toml" {
        return Vec::new();
    }
    let section = source.text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    section
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty() && !name.starts_with('#')))
        .filter(|name| !LEDGER_DEPENDENCIES.contains(name))
        .map(|name| format!("`{name}` is not among the dependencies a pure crate may have"))
        .collect()
}

fn reasons(source: &Source) -> Vec<String> {
    if !source.is_rust() {
        return Vec::new();
    }
    let code = Code::of(&source.text);
    let lines: Vec<&str> = source.text.lines().collect();
    let mut faults = Vec::new();
    for (index, line) in code.as_str().lines().enumerate() {
        if !line.contains("#[allow(") && !line.contains("#![allow(") && !line.contains("#[ignore") {
            continue;
        }
        let here = lines[index];
        let above = index.checked_sub(1).map_or("", |above| lines[above].trim_start());
        if !here.contains("//") && !here.contains("reason") && !here.contains("ignore =") && !above.starts_with("//") {
            faults.push(format!("line {}: say why beside it", index + 1));
        }
    }
    faults
}

fn nothing_left_to_do(source: &Source) -> Vec<String> {
    // In two halves, so that this file does not break its own rule.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimple", "mented!(")];
    let mut faults = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        for mark in marks.iter().filter(|mark| line.contains(**mark)) {
            faults.push(format!("line {}: `{mark}`: do it, or open an issue", index + 1));
        }
    }
    faults
}

fn no_machine_paths(source: &Source) -> Vec<String> {
    let homes = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/")];
    let mut faults = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        for home in homes.iter().filter(|home| line.contains(**home)) {
            faults.push(format!("line {}: `{home}` is a path of somebody's machine", index + 1));
        }
    }
    faults
}

/// Paths in backticks that begin with one of the project's folders must exist.
fn missing_paths(source: &Source, exists: impl Fn(&str) -> bool) -> Vec<String> {
    const FOLDERS: &[&str] = &["node/", "operator/", "charts/", "crds/", "k8s/", "docs/", "tests/", "scripts/", ".ci/"];
    if !source.path.ends_with(".md") {
        return Vec::new();
    }
    let quoted = source.text.split('`').skip(1).step_by(2);
    quoted
        .filter(|path| FOLDERS.iter().any(|folder| path.starts_with(folder)))
        .filter(|path| !path.contains([' ', '*', '<', '{', '\n']) && !path.contains("NNNN"))
        .filter(|path| !exists(path))
        .map(|path| format!("names `{path}`, which does not exist"))
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every text file of the project, without what git ignores.
fn sources() -> Vec<Source> {
    const SKIPPED: &[&str] = &[".git", "target", "docs/book", "bigchaindb-data", "node/ledger/tests/data"];
    const KINDS: &[&str] = &["rs", "md", "toml", "py", "sh"];
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap().path();
            let path = entry.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            if SKIPPED.contains(&path.as_str()) {
                continue;
            }
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let kind = entry.extension().and_then(|kind| kind.to_str());
            let script = kind.is_none() && (path.starts_with("scripts/") || path.starts_with(".ci/"));
            if script || path == "Makefile" || kind.is_some_and(|kind| KINDS.contains(&kind)) {
                let text = fs::read_to_string(&entry).unwrap_or_else(|e| panic!("{path}: {e}"));
                found.push(Source { path, text });
            }
        }
    }
    found
}

#[test]
fn the_project_keeps_its_rules() {
    let mut report = String::new();
    let sources = sources();
    assert!(sources.iter().any(|source| source.path == "node/src/main.rs"), "no sources found");
    for source in &sources {
        for (name, rule) in RULES {
            for fault in rule(source) {
                writeln!(report, "{} [{name}]: {fault}", source.path).unwrap();
            }
        }
        for fault in missing_paths(source, |path| root().join(path).exists()) {
            writeln!(report, "{} [paths]: {fault}", source.path).unwrap();
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn rules_find_what_they_are_for() {
    let long = "//\n".repeat(MAX_LINES + 1);
    let left = concat!("// TO", "DO: later");
    let home = concat!("see /ro", "ot/x");
    // Rule, file, text, and a like text that is fine.
    let examples: &[(&str, &str, &str, &str)] = &[
        ("size", "node/src/chain.rs", &long, "//\n"),
        ("directions", "node/src/store/log.rs", "use crate::chain::Chain;", "use crate::clock::Clock;"),
        ("directions", "node/src/chain.rs", "use crate::{clock, web::Router};", "use crate::{clock, store};"),
        ("directions", "node/src/pipeline/vote.rs", "fn f() { crate::app::g() }", "// crate::app::g()"),
        ("crates", "node/src/pipeline.rs", "use axum::Router;", "#[cfg(test)]\nmod tests { use axum::Router; }"),
        ("crates", "node/src/store.rs", "type P = fjall::Keyspace;", "const P: &str = \"fjall::Keyspace\";"),
        ("concrete store", "node/src/web.rs", "use crate::store::EmbeddedStore;", "use crate::store::Store;"),
        ("environment and clock", "node/src/config.rs", "std::env::var(\"HOME\")", "environment.get(\"HOME\")"),
        ("environment and clock", "node/src/chain.rs", "let t = Instant::now();", "let t = clock();"),
        ("environment and clock", "node/src/web.rs", "let t = SystemTime::now();", "let t = Instant::now();"),
        ("purity", "node/ledger/src/json.rs", "use std::fs::File;", "/// Not `std::fs`.\nfn f() {}"),
        ("purity of the operator", "operator/src/validate.rs", "use kube::Client;", "use kube::ResourceExt;"),
        ("purity of the operator", "operator/src/membership.rs", "use mongodb::Client;", "use kube::Client;"),
        (
            "dependencies of the ledger",
            "node/ledger/Cargo.toml",
            "[dependencies]\ntokio.workspace = true\n",
            "[dependencies]\nbs58.workspace = true\n\n[dev-dependencies]\nproptest = \"1\"\n",
        ),
        ("reasons", "node/src/cli.rs", "#[allow(clippy::x)]\nfn f() {}", "#[allow(clippy::x)] // why\nfn f() {}"),
        ("nothing left to do", "node/src/cli.rs", left, "// Done."),
        ("no machine's paths", "docs/a.md", home, "see ~/x"),
    ];
    for (name, path, bad, good) in examples {
        let (_, rule) = RULES.iter().find(|(rule, _)| rule == name).unwrap();
        let faults = |text: &str| rule(&Source { path: (*path).to_owned(), text: text.to_owned() });
        assert_eq!(faults(bad).len(), 1, "{name} on {path}: {bad:.60}");
        assert_eq!(faults(good), Vec::<String>::new(), "{name} on {path}: {good:.60}");
    }
    for (name, _) in RULES {
        assert!(examples.iter().any(|(example, ..)| example == name), "no example for {name}");
    }
}

#[test]
fn pages_that_name_missing_files_are_found() {
    let page = |text: &str| Source { path: "docs/architecture.md".to_owned(), text: text.to_owned() };
    let exists = |path: &str| path == "node/src/app.rs";
    assert_eq!(missing_paths(&page("See `node/src/app.rs` and `node/<any>`."), exists), Vec::<String>::new());
    assert_eq!(missing_paths(&page("See `node/src/gone.rs`."), exists).len(), 1);
}
