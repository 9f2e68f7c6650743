//! Levels by module: what a name means here. It may be one of this program's modules or one of 1.0.1's, whose
//! configurations go on working.

use std::collections::BTreeMap;

use super::OURS;
use crate::config::level::Level;

/// Modules of the reference that are called otherwise here, and what does their work.
const RENAMED: [(&str, &str); 13] = [
    ("bigchaindb.backend", "bigchaindb::store"),
    ("bigchaindb.commands", "bigchaindb::cli"),
    ("bigchaindb.config_utils", "bigchaindb::config"),
    ("bigchaindb.core", "bigchaindb::chain"),
    ("bigchaindb.log", "bigchaindb::telemetry"),
    ("bigchaindb.pipelines", "bigchaindb::pipeline"),
    ("bigchaindb.pipelines.block", "bigchaindb::pipeline::block"),
    ("bigchaindb.pipelines.election", "bigchaindb::pipeline::election"),
    ("bigchaindb.pipelines.stale", "bigchaindb::pipeline::stale"),
    ("bigchaindb.pipelines.vote", "bigchaindb::pipeline::vote"),
    ("bigchaindb.processes", "bigchaindb::app"),
    ("bigchaindb.web.views", "bigchaindb::web"),
    ("bigchaindb.web.websocket_server", "bigchaindb::ws"),
];

/// This program's modules: those of `lib.rs`.
const MODULES: [&str; 21] = [
    "agreement",
    "app",
    "bench",
    "chain",
    "cli",
    "client",
    "clock",
    "config",
    "events",
    "federation",
    "listen",
    "metrics",
    "pipeline",
    "secret",
    "store",
    "telemetry",
    "tls",
    "verifier",
    "verify",
    "web",
    "ws",
];

/// Prefixes of messages' targets and their levels; a later one stands above an equal earlier one.
pub fn targets(levels: &BTreeMap<String, Level>) -> Vec<(String, Level)> {
    let mut targets = Vec::new();
    // As in Python, a level holds for everything below its module. What was one module there is at most one here.
    for (name, level) in levels {
        let name = dotted(name);
        let renamed = RENAMED.iter().filter(|(python, _)| is_within(&name, python));
        if let Some((_, target)) = renamed.max_by_key(|(python, _)| python.len()) {
            targets.push(((*target).to_owned(), *level));
        }
    }
    for (python, target) in RENAMED {
        // The level of everything needs no line for each module, which would stand above the level of one of them.
        let around = levels.iter().filter(|(name, _)| *name != OURS && is_within(python, &dotted(name)));
        if let Some((_, level)) = around.max_by_key(|(name, _)| name.len()) {
            targets.push((target.to_owned(), *level));
        }
    }
    // The program's own names are exact. Targets are paths of Rust, or names that 1.0.1 gave its messages.
    for (name, level) in levels {
        let name = dotted(name);
        targets.push((name.replace('.', "::"), *level));
        targets.push((name, *level));
    }
    targets
}

/// Whether a name means anything here.
pub fn is_known(name: &str) -> bool {
    let name = dotted(name);
    let ours = |module: &&str| is_within(&name, &format!("{OURS}.{module}"));
    name == OURS
        || MODULES.iter().any(ours)
        || RENAMED.iter().any(|(python, _)| is_within(&name, python) || is_within(python, &name))
}

fn dotted(name: &str) -> String {
    name.replace("::", ".")
}

fn is_within(name: &str, module: &str) -> bool {
    name.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::filter::Targets;

    use super::*;

    fn enabled(levels: &[(&str, Level)], target: &str) -> LevelFilter {
        let levels = levels.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
        let filter = Targets::new().with_target(OURS, Level::Info).with_targets(super::targets(&levels));
        let all = [LevelFilter::TRACE, LevelFilter::DEBUG, LevelFilter::INFO, LevelFilter::WARN, LevelFilter::ERROR];
        let found = all.into_iter().find(|f| f.into_level().is_some_and(|level| filter.would_enable(target, &level)));
        found.unwrap_or(LevelFilter::OFF)
    }

    #[test]
    fn a_level_reaches_what_does_a_module_s_work_and_nothing_else() {
        for (name, target) in [
            ("bigchaindb.web", "bigchaindb.web.views.base"),
            ("bigchaindb.web", "bigchaindb::web::server"),
            ("bigchaindb.web", "bigchaindb::ws::subscriber"),
            ("bigchaindb.web.views", "bigchaindb.web.views.base"),
            ("bigchaindb.web.views.base", "bigchaindb.web.views.base"),
            ("bigchaindb.web.websocket_server", "bigchaindb::ws"),
            ("bigchaindb.ws", "bigchaindb::ws"),
            ("bigchaindb::web::error", "bigchaindb::web::error"),
            ("bigchaindb.backend", "bigchaindb::store::embedded"),
            ("bigchaindb.backend.mongodb.query", "bigchaindb::store::embedded"),
            ("bigchaindb.pipelines", "bigchaindb::pipeline::vote"),
            ("bigchaindb.pipelines.vote", "bigchaindb::pipeline::vote"),
            ("bigchaindb.pipelines.utils", "bigchaindb::pipeline::vote"),
            ("bigchaindb.core", "bigchaindb::chain"),
            ("bigchaindb.app", "bigchaindb::app"),
            ("bigchaindb", "bigchaindb::pipeline::vote"),
            ("bigchaindb", "bigchaindb.web.views.base"),
        ] {
            assert!(is_known(name), "{name}");
            assert_eq!(enabled(&[(name, Level::Debug)], target), LevelFilter::DEBUG, "{name}: {target}");
            assert_eq!(enabled(&[(name, Level::Error)], target), LevelFilter::ERROR, "{name}: {target}");
        }
        for (name, target) in [
            ("bigchaindb.pipelines.vote", "bigchaindb::pipeline::block"),
            ("bigchaindb.web.websocket_server", "bigchaindb::web"),
            ("bigchaindb.webs", "bigchaindb::web"),
            ("bigchaindb.core", "bigchaindb::cli"),
        ] {
            assert_eq!(enabled(&[(name, Level::Debug)], target), LevelFilter::INFO, "{name}: {target}");
        }
    }

    #[test]
    fn the_nearest_name_decides() {
        let levels = [
            ("bigchaindb", Level::Error),
            ("bigchaindb.pipeline", Level::Warning),
            ("bigchaindb.pipelines.vote", Level::Debug),
            ("bigchaindb.web", Level::Debug),
            ("bigchaindb.ws", Level::Warning),
        ];
        for (target, level) in [
            ("bigchaindb::app", LevelFilter::ERROR),
            ("bigchaindb::pipeline::block", LevelFilter::WARN),
            ("bigchaindb::pipeline::vote", LevelFilter::DEBUG),
            ("bigchaindb::web::server", LevelFilter::DEBUG),
            ("bigchaindb::ws", LevelFilter::WARN),
        ] {
            assert_eq!(enabled(&levels, target), level, "{target}");
        }
    }

    #[test]
    fn what_means_nothing_is_known_to() {
        for name in ["bichaindb.core", "bigchaindb.voting", "bigchaindb.webs", "pymongo", "", "bigchaindb."] {
            assert!(!is_known(name), "{name}");
        }
    }

    #[test]
    fn the_modules_are_those_of_the_library() {
        let declared = include_str!("../lib.rs").lines().filter_map(|line| line.strip_prefix("pub mod "));
        let declared: Vec<&str> = declared.map(|rest| rest.trim_end_matches(';')).collect();
        assert_eq!(MODULES.as_slice(), declared);
    }
}
