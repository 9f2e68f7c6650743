//! A look at all servers, and what follows from it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use mongodb::options::ServerAddress;
use tokio::time::Instant;

use super::failure::Failure;
use super::hello::Hello;
use super::options::Prepared;
use super::probe::{Problem, probe};

/// What the driver speaks: MongoDB 4.4 and newer.
const OLDEST_WIRE: i32 = 9;
const NEWEST_WIRE: i32 = 29;

/// What a server belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The replica set of this name.
    Set(String),
    /// A set that nobody initiated.
    AwaitsInitiation,
}

/// The replica set that the servers belong to, which must be the configured one. With a revocation list every server that
/// answers was seen to have a good certificate.
pub async fn replica_set(prepared: &Prepared, deadline: Instant) -> Result<Membership, Failure> {
    let with_list = prepared.has_revocation_list();
    let mut seen = Seen::default();
    look(prepared, prepared.seeds(), deadline, !with_list, &mut seen).await?;
    let mut belongs = None;
    for (address, hello) in &seen.answers {
        match check(address, hello, prepared.replica_set()) {
            Ok(Membership::AwaitsInitiation) if belongs.is_some() => {}
            Ok(found) => belongs = Some(found),
            Err(Failure::Unreachable(reason)) => seen.away.push(reason),
            Err(refused) => return Err(refused),
        }
    }
    let Some(belongs) = belongs else { return Err(seen.nobody()) };
    for failure in &seen.refused {
        tracing::warn!("{failure}; the other servers are used");
    }
    if with_list {
        members(prepared, deadline, &mut seen).await?;
    }
    Ok(belongs)
}

/// What is wrong with the set's members, under the names that the set has for them; `None`: nothing is.
pub async fn trouble(prepared: &Prepared, limit: Duration) -> Option<String> {
    let deadline = Instant::now() + limit;
    let mut seen = Seen::default();
    let looked = async {
        look(prepared, prepared.seeds(), deadline, false, &mut seen).await?;
        members(prepared, deadline, &mut seen).await
    };
    match looked.await {
        Err(Failure::Refused(reason) | Failure::Unreachable(reason)) => Some(reason),
        Ok(()) => Some([seen.refused, seen.away].concat().join("; ")).filter(|reasons| !reasons.is_empty()),
    }
}

/// Checks the certificates of all servers that can be found.
pub async fn revocation(prepared: &Prepared, known: &[String], limit: Duration) -> Result<(), Failure> {
    if !prepared.has_revocation_list() {
        return Ok(());
    }
    let deadline = Instant::now() + limit;
    let mut seen = Seen::default();
    let known = known.iter().filter_map(|name| ServerAddress::parse(name).ok());
    let addresses = prepared.seeds().into_iter().chain(known).collect();
    look(prepared, addresses, deadline, false, &mut seen).await?;
    members(prepared, deadline, &mut seen).await
}

#[derive(Default)]
struct Seen {
    asked: BTreeSet<String>,
    answers: Vec<(ServerAddress, Hello)>,
    away: Vec<String>,
    refused: Vec<String>,
}

impl Seen {
    fn nobody(&self) -> Failure {
        // Each is known to be wrong, or one may still come.
        if self.away.is_empty() && !self.refused.is_empty() {
            return Failure::Refused(self.refused.join("; "));
        }
        Failure::Unreachable([self.away.as_slice(), self.refused.as_slice()].concat().join("; "))
    }
}

/// Asks the members that the servers named and that were not asked yet.
async fn members(prepared: &Prepared, deadline: Instant, seen: &mut Seen) -> Result<(), Failure> {
    let named = seen.answers.iter().flat_map(|(_, hello)| &hello.members);
    let addresses: Vec<_> = named.filter_map(|name| ServerAddress::parse(name).ok()).collect();
    look(prepared, addresses, deadline, false, seen).await
}

/// Asks servers at the same time; `first`: until one answers.
async fn look(
    prepared: &Prepared,
    addresses: Vec<ServerAddress>,
    deadline: Instant,
    first: bool,
    seen: &mut Seen,
) -> Result<(), Failure> {
    let fresh: Vec<_> = addresses.into_iter().filter(|address| seen.asked.insert(address.to_string())).collect();
    let mut asked: FuturesUnordered<_> = fresh
        .into_iter()
        .map(|address| async move {
            let answer = probe(&address, prepared.tls(), deadline).await;
            (address, answer)
        })
        .collect();
    while let Some((address, answer)) = asked.next().await {
        match answer {
            Ok(hello) => {
                seen.answers.push((address, hello));
                if first {
                    return Ok(());
                }
            }
            Err(Problem::Revocation(reason)) => return Err(Failure::Refused(reason)),
            Err(Problem::Server(Failure::Refused(reason))) => seen.refused.push(reason),
            Err(Problem::Server(Failure::Unreachable(reason))) => seen.away.push(reason),
        }
    }
    Ok(())
}

fn check(address: &ServerAddress, hello: &Hello, configured: Option<&str>) -> Result<Membership, Failure> {
    if hello.newest_wire < OLDEST_WIRE {
        return Err(Failure::Refused(format!(
            "{address} is too old: it speaks wire version {} and this node needs {OLDEST_WIRE}, that is MongoDB 4.4, or \
             newer; upgrade the server",
            hello.newest_wire
        )));
    }
    if hello.oldest_wire > NEWEST_WIRE {
        return Err(Failure::Refused(format!(
            "{address} is too new: it speaks wire versions from {} and this node knows those up to {NEWEST_WIRE}; use a \
             newer node",
            hello.oldest_wire
        )));
    }
    match (&hello.set, configured) {
        (Some(name), Some(configured)) if name != configured => Err(Failure::Refused(format!(
            "{address} belongs to the replica set `{name}`, and database.replicaset is `{configured}`; correct the setting \
             or the server's address"
        ))),
        (Some(name), _) => Ok(Membership::Set(name.clone())),
        (None, _) if hello.awaits_initiation => Ok(Membership::AwaitsInitiation),
        (None, _) if hello.is_router => Err(Failure::Refused(format!(
            "{address} is a router of a sharded cluster (mongos); give the address of a replica set's member"
        ))),
        (None, _) => Err(Failure::Refused(format!(
            "{address}: mongod was not started with the replSet option. It runs alone, and a node needs the change streams \
             of a replica set; start it with `--replSet {}` and run `rs.initiate()` (one member is enough)",
            configured.unwrap_or("NAME")
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    fn refusal(hello: &Hello) -> String {
        match check(&ServerAddress::parse("db:1").unwrap(), hello, Some("rs")) {
            Err(Failure::Refused(text) | Failure::Unreachable(text)) => text,
            Ok(belongs) => panic!("{belongs:?} is accepted"),
        }
    }

    #[test]
    fn servers_that_cannot_serve_are_refused_each_with_its_reason() {
        let good = Hello { set: Some("rs".to_owned()), newest_wire: 21, ..Hello::default() };
        let belongs = |hello: &Hello| check(&ServerAddress::parse("db:1").unwrap(), hello, Some("rs")).unwrap();
        assert_eq!(belongs(&good), Membership::Set("rs".to_owned()));
        let waiting = Hello { set: None, awaits_initiation: true, ..good.clone() };
        assert_eq!(belongs(&waiting), Membership::AwaitsInitiation);
        assert!(
            refusal(&Hello { newest_wire: 6, ..good.clone() }).contains("db:1 is too old: it speaks wire version 6")
        );
        assert!(refusal(&Hello { oldest_wire: 99, newest_wire: 99, ..good.clone() }).contains("db:1 is too new"));
        assert!(refusal(&Hello { set: None, is_router: true, ..good.clone() }).contains("mongos"));
        assert!(refusal(&Hello { set: None, ..good.clone() }).contains("not started with the replSet option"));
        let other = refusal(&Hello { set: Some("other".to_owned()), ..good });
        assert!(other.contains("`other`") && other.contains("`rs`"), "{other}");
    }
}
