//! The table of routes. The dispatcher goes by it and the OpenAPI document is made from it.

use super::openapi::Content;
use super::query::{Described, decode};
use super::{assets, blocks, outputs, statuses, transactions, votes};

/// What answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    Index,
    ApiIndex,
    Transaction,
    Transactions,
    PostTransaction,
    Outputs,
    Statuses,
    Assets,
    Block,
    Blocks,
    Votes,
    Rejection,
    Federation,
    OpenApi,
    Metrics,
    Health,
    Ready,
}

/// One method of a route.
pub struct Endpoint {
    /// Who answers.
    pub handler: Handler,
    /// What it does, for people.
    pub summary: &'static str,
    /// Parameters of the query string, in the order in which they are checked.
    pub parameters: &'static [&'static dyn Described],
    /// The status of success, and what comes with it.
    pub success: (u16, Content),
    /// Other statuses of its own. (Those that every request may meet are not listed.)
    pub refusals: &'static [u16],
}

/// One path, with or without one slash at its end.
pub struct Route {
    /// Without the slash at its end. An `{id}` as the last segment stands for any text without a slash.
    pub path: &'static str,
    /// GET, and with it HEAD.
    pub get: Endpoint,
    /// POST, where there is one.
    pub post: Option<Endpoint>,
}

impl Route {
    /// The value of `Allow`.
    pub const fn allow(&self) -> &'static str {
        if self.post.is_some() { "GET, HEAD, OPTIONS, POST" } else { "GET, HEAD, OPTIONS" }
    }

    /// The path without its slash in front and without its id; whether it has one.
    fn literal(&self) -> (&'static str, bool) {
        let inner = self.path.strip_prefix('/').unwrap_or(self.path);
        match inner.split_once("/{") {
            Some((literal, _)) => (literal, true),
            None => (inner, false),
        }
    }

    /// The name of the id in the path, if there is one.
    pub fn id_name(&self) -> Option<&'static str> {
        let (_, name) = self.path.split_once('{')?;
        name.strip_suffix('}')
    }
}

const fn get(handler: Handler, summary: &'static str, content: Content, refusals: &'static [u16]) -> Endpoint {
    Endpoint { handler, summary, parameters: &[], success: (200, content), refusals }
}

/// Every route there is, the most asked first.
pub static ROUTES: [Route; 16] = [
    Route {
        path: "/api/v1/transactions",
        get: Endpoint {
            handler: Handler::Transactions,
            summary: "Valid transactions of an asset",
            parameters: transactions::PARAMETERS,
            success: (200, Content::Transactions),
            refusals: &[400],
        },
        post: Some(Endpoint {
            handler: Handler::PostTransaction,
            summary: "Send a transaction. 202 says that it is stored and waits for the federation's verdict",
            parameters: &[],
            success: (202, Content::Transaction),
            refusals: &[400, 408, 413],
        }),
    },
    Route {
        path: "/api/v1/statuses",
        get: Endpoint {
            handler: Handler::Statuses,
            summary: "Where the federation stands with a transaction or a block; exactly one must be named",
            parameters: statuses::PARAMETERS,
            success: (200, Content::Status),
            refusals: &[400, 404],
        },
        post: None,
    },
    Route {
        path: "/api/v1/transactions/{transaction_id}",
        get: get(Handler::Transaction, "One transaction of a valid block", Content::Transaction, &[404]),
        post: None,
    },
    Route {
        path: "/api/v1/outputs",
        get: Endpoint {
            handler: Handler::Outputs,
            summary: "Outputs that a key owns",
            parameters: outputs::PARAMETERS,
            success: (200, Content::Outputs),
            refusals: &[400],
        },
        post: None,
    },
    Route {
        path: "/api/v1/assets",
        get: Endpoint {
            handler: Handler::Assets,
            summary: "Assets of valid transactions by their text, best match first",
            parameters: assets::PARAMETERS,
            success: (200, Content::Assets),
            refusals: &[400],
        },
        post: None,
    },
    Route {
        path: "/api/v1/blocks",
        get: Endpoint {
            handler: Handler::Blocks,
            summary: "Ids of the blocks that hold a transaction",
            parameters: blocks::PARAMETERS,
            success: (200, Content::Ids),
            refusals: &[400],
        },
        post: None,
    },
    Route {
        path: "/api/v1/blocks/{block_id}",
        get: get(Handler::Block, "One block, whatever its status", Content::Block, &[404]),
        post: None,
    },
    Route {
        path: "/api/v1/votes",
        get: Endpoint {
            handler: Handler::Votes,
            summary: "All votes on a block, as they were stored, unverified",
            parameters: votes::PARAMETERS,
            success: (200, Content::Votes),
            refusals: &[400],
        },
        post: None,
    },
    Route {
        path: "/api/v1/rejections/{transaction_id}",
        get: get(
            Handler::Rejection,
            "Why a transaction that was taken in with 202 was dropped later",
            Content::Rejection,
            &[404],
        ),
        post: None,
    },
    Route {
        path: "/api/v1/federation",
        get: get(Handler::Federation, "Who shares the ledger: the keyring in force", Content::Federation, &[]),
        post: None,
    },
    Route {
        path: "/",
        get: get(Handler::Index, "The node: version, keys, addresses", Content::Index, &[]),
        post: None,
    },
    Route { path: "/api/v1", get: get(Handler::ApiIndex, "Addresses of the API", Content::ApiIndex, &[]), post: None },
    Route { path: "/api/v1/openapi.json", get: get(Handler::OpenApi, "This document", Content::Any, &[]), post: None },
    Route {
        path: "/metrics",
        get: get(Handler::Metrics, "Counters for Prometheus", Content::Metrics, &[]),
        post: None,
    },
    Route {
        path: "/healthz",
        get: get(Handler::Health, "Whether the process answers", Content::Health, &[]),
        post: None,
    },
    Route {
        path: "/readyz",
        get: get(Handler::Ready, "Whether the node can do its work, check by check", Content::Ready, &[]),
        post: None,
    },
];

/// The route of a path, and the id in it.
///
/// As Werkzeug 0.12 does it: percent signs are decoded first, all slashes in front count as one, one at the end does
/// not matter, an id is anything but empty.
pub fn find(path: &str) -> Option<(&'static Route, String)> {
    let path = decode(path, false);
    let inner = path.trim_start_matches('/');
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if !path.starts_with('/') || inner.ends_with('/') {
        return None;
    }
    let with = |literal: &str, id: bool| ROUTES.iter().find(|route| route.literal() == (literal, id));
    if let Some(route) = with(inner, false) {
        return Some((route, String::new()));
    }
    let (parent, id) = inner.rsplit_once('/')?;
    Some((with(parent, true)?, id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<(Handler, &str)>) {
        let found = find(path).map(|(route, id)| (route.get.handler, id));
        assert_eq!(found, expected.map(|(handler, id)| (handler, id.to_owned())), "{path}");
    }

    #[test]
    fn slashes_and_percent_signs_are_read_as_by_the_reference() {
        for root in ["/", "//", "///", "/%2F"] {
            check(root, Some((Handler::Index, "")));
        }
        for index in ["/api/v1", "/api/v1/", "//api/v1", "/api%2fv1/", "/%61pi/v1"] {
            check(index, Some((Handler::ApiIndex, "")));
        }
        check("/api/v1/transactions/", Some((Handler::Transactions, "")));
        check("/api/v1/transactions/a", Some((Handler::Transaction, "a")));
        check("/api/v1/blocks/%00/", Some((Handler::Block, "\0")));
        check("/api/v1/blocks/%ff", Some((Handler::Block, "\u{fffd}")));
        check("/api/v1/blocks/", Some((Handler::Blocks, "")));
        for unknown in [
            "",
            "*",
            "/api",
            "/api/",
            "/api//v1",
            "/api/v1//",
            "/API/v1",
            "/nope",
            "/api/v1/rejections",
            "/api/v1/transactions//",
            "/api/v1/transactions//123",
            "/api/v1/transactions/a/b",
            "/api/v1/transactions/a//",
            "/api/v1/transactions/a%2Fb",
            "/api/v1/votes/x",
            "/metrics/x",
        ] {
            check(unknown, None);
        }
    }

    #[test]
    fn no_two_routes_have_the_same_path() {
        for (i, route) in ROUTES.iter().enumerate() {
            assert!(ROUTES[..i].iter().all(|earlier| earlier.literal() != route.literal()), "{}", route.path);
        }
    }
}
