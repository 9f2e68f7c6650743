//! What a `BigchainNode` says of itself: conditions from what was found. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a node does of which all parts are good.
pub const SERVES: &str = "the database answers, and the server and the gateway are ready";

/// How one part of a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It works.
    Good,
    /// It works, and somebody has to do something before long.
    Ending(Cause),
    /// It comes, if nothing goes wrong.
    Waiting(Cause),
    /// Somebody has to do something.
    Bad(Cause),
    /// Nobody looked, as a part before it stopped that: it counts as it did before.
    NotLookedAt,
}

/// Why a part of a node is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// One word for programs, `CamelCase`.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl Standing {
    /// It comes.
    pub fn waiting(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Waiting(Cause { reason, message: message.into() })
    }

    /// Somebody has to do something.
    pub fn bad(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Bad(Cause { reason, message: message.into() })
    }

    /// Why it is not good.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Good | Self::NotLookedAt => None,
            Self::Ending(cause) | Self::Waiting(cause) | Self::Bad(cause) => Some(cause),
        }
    }

    fn is_good(&self) -> bool {
        matches!(self, Self::Good | Self::Ending(_))
    }
}

/// How all parts stand. The order is that in which they come to life, so the first cause is the one to name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standings {
    pub specification: Standing,
    pub certificates: Standing,
    pub database: Standing,
    pub server: Standing,
    pub gateway: Standing,
}

impl Standings {
    fn all(&self) -> [&Standing; 5] {
        let Self { specification, certificates, database, server, gateway } = self;
        [specification, certificates, database, server, gateway]
    }

    /// Nobody looked at what comes after this.
    pub fn stopped_at_specification(standing: Standing) -> Self {
        Self {
            specification: standing,
            certificates: Standing::NotLookedAt,
            database: Standing::NotLookedAt,
            server: Standing::NotLookedAt,
            gateway: Standing::NotLookedAt,
        }
    }

    /// Whether all parts were looked at.
    pub fn is_complete(&self) -> bool {
        !self.all().contains(&&Standing::NotLookedAt)
    }

    /// The first part that somebody has to see to.
    pub fn bad(&self) -> Option<&Cause> {
        self.all().into_iter().find(|standing| matches!(standing, Standing::Bad(_))).and_then(Standing::cause)
    }

    /// The first part that is not there yet.
    pub fn waiting(&self) -> Option<&Cause> {
        self.all().into_iter().find(|standing| matches!(standing, Standing::Waiting(_))).and_then(Standing::cause)
    }

    /// Whether all is well.
    pub fn is_good(&self) -> bool {
        self.all().into_iter().all(Standing::is_good)
    }
}

/// The conditions of a node. A condition that stays as it was keeps the time since when.
///
/// What was not looked at stays as it was, with the generation that it was about: a node that served goes on to do so while
/// a new specification is refused, or while it is paused.
pub fn conditions(
    standings: &Standings,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let (waiting, bad, is_complete) = (standings.waiting(), standings.bad(), standings.is_complete());
    let find = |type_: &str| before.iter().find(|old| old.type_ == type_);
    let condition = |type_: &str, status: &str, reason: &str, message: &str| {
        let since = find(type_).filter(|old| old.status == status);
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: generation,
            last_transition_time: since.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    };
    let because = |type_: &str, status: &str, cause: &Cause| condition(type_, status, cause.reason, &cause.message);
    let part = |type_: &str, standing: &Standing, message: &str| match standing {
        Standing::Good => condition(type_, "True", "Ready", message),
        Standing::Ending(cause) => because(type_, "True", cause),
        Standing::Waiting(cause) | Standing::Bad(cause) => because(type_, "False", cause),
        Standing::NotLookedAt => find(type_).cloned().unwrap_or_else(|| {
            condition(type_, "Unknown", "NotLookedAt", "a part before it comes first: see the condition Ready")
        }),
    };
    let ready = match (bad.or(waiting), find("Ready").filter(|old| !is_complete && old.status == "True")) {
        (_, Some(old)) => old.clone(),
        (Some(cause), None) => because("Ready", "False", cause),
        (None, None) => condition("Ready", "True", "Running", SERVES),
    };
    let progressing = match waiting {
        Some(cause) => because("Progressing", "True", cause),
        None => condition("Progressing", "False", "Settled", "nothing is under way"),
    };
    let degraded = match (bad, find("Degraded").filter(|_| !is_complete)) {
        (Some(cause), _) => because("Degraded", "True", cause),
        (None, Some(old)) => old.clone(),
        (None, None) => condition("Degraded", "False", "Settled", "nothing is known to be wrong"),
    };
    vec![
        ready,
        progressing,
        degraded,
        part("CertificatesReady", &standings.certificates, "the keys and certificates are there and valid"),
        part("DatabaseReady", &standings.database, "the database answers"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Standings {
        Standings {
            specification: Standing::Good,
            certificates: Standing::Good,
            database: Standing::Good,
            server: Standing::Good,
            gateway: Standing::Good,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn look(standings: &Standings, before: &[Condition], second: i64) -> Vec<(String, String, String, i64)> {
        let conditions = conditions(standings, before, Some(1), at(second));
        conditions.into_iter().map(|c| (c.type_, c.status, c.reason, c.last_transition_time.0.as_second())).collect()
    }

    #[test]
    fn what_is_wrong_is_named_before_what_waits_for_it() {
        let mut standings = good();
        standings.server = Standing::waiting("Starting", "it starts");
        standings.gateway = Standing::bad("ImageNotFound", "no such image");
        let conditions = look(&standings, &[], 1);
        let told: Vec<(&str, &str, &str)> =
            conditions.iter().map(|(t, s, r, _)| (t.as_str(), s.as_str(), r.as_str())).collect();
        assert_eq!(
            told,
            [
                ("Ready", "False", "ImageNotFound"),
                ("Progressing", "True", "Starting"),
                ("Degraded", "True", "ImageNotFound"),
                ("CertificatesReady", "True", "Ready"),
                ("DatabaseReady", "True", "Ready"),
            ]
        );
    }

    #[test]
    fn what_ends_before_long_is_told_of_a_node_that_is_ready() {
        let cause = Cause { reason: "AuthorityEnds", message: "it ends".to_owned() };
        let standings = Standings { certificates: Standing::Ending(cause), ..good() };
        let told: Vec<String> =
            look(&standings, &[], 1).into_iter().map(|(t, s, r, _)| format!("{t} {s} {r}")).collect();
        assert_eq!(
            told,
            [
                "Ready True Running",
                "Progressing False Settled",
                "Degraded False Settled",
                "CertificatesReady True AuthorityEnds",
                "DatabaseReady True Ready",
            ]
        );
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let first = conditions(&good(), &[], Some(1), at(1));
        let mut standings = good();
        standings.server = Standing::waiting("Starting", "it starts");
        let second = look(&standings, &first, 2);
        let times: Vec<i64> = second.iter().map(|(_, _, _, time)| *time).collect();
        assert_eq!(times, [2, 2, 1, 1, 1]);
    }

    fn refused() -> Standings {
        Standings::stopped_at_specification(Standing::bad("SpecificationRefused", "no such name"))
    }

    /// Of the second generation.
    fn told(standings: &Standings, before: &[Condition]) -> Vec<(String, String, String, Option<i64>)> {
        let conditions = conditions(standings, before, Some(2), at(2));
        conditions.into_iter().map(|c| (c.type_, c.status, c.reason, c.observed_generation)).collect()
    }

    fn expected(all: &[(&str, &str, &str, i64)]) -> Vec<(String, String, String, Option<i64>)> {
        all.iter().map(|(t, s, r, g)| ((*t).to_owned(), (*s).to_owned(), (*r).to_owned(), Some(*g))).collect()
    }

    #[test]
    fn a_node_that_served_goes_on_to_do_so_while_a_new_specification_is_refused_or_it_is_paused() {
        let served = conditions(&good(), &[], Some(1), at(1));
        let kept = [("CertificatesReady", "True", "Ready", 1), ("DatabaseReady", "True", "Ready", 1)];
        let with = |all: [(&'static str, &'static str, &'static str, i64); 3]| expected(&[&all[..], &kept].concat());
        let told_refused = with([
            ("Ready", "True", "Running", 1),
            ("Progressing", "False", "Settled", 2),
            ("Degraded", "True", "SpecificationRefused", 2),
        ]);
        assert_eq!(told(&refused(), &served), told_refused);
        let paused = Standings::stopped_at_specification(Standing::waiting("Paused", "spec.paused is true"));
        let told_paused = with([
            ("Ready", "True", "Running", 1),
            ("Progressing", "True", "Paused", 2),
            ("Degraded", "False", "Settled", 1),
        ]);
        assert_eq!(told(&paused, &served), told_paused);
    }

    #[test]
    fn a_node_that_never_served_is_not_ready_for_the_reason_that_stops_it() {
        let unknown = |type_| (type_, "Unknown", "NotLookedAt", 2);
        let new = expected(&[
            ("Ready", "False", "SpecificationRefused", 2),
            ("Progressing", "False", "Settled", 2),
            ("Degraded", "True", "SpecificationRefused", 2),
            unknown("CertificatesReady"),
            unknown("DatabaseReady"),
        ]);
        assert_eq!(told(&refused(), &[]), new);
        let mut standings = good();
        standings.database = Standing::waiting("Starting", "it starts");
        let started = conditions(&standings, &[], Some(1), at(1));
        let told = told(&refused(), &started);
        assert_eq!(told[0], new[0]);
        assert_eq!(told[4], expected(&[("DatabaseReady", "False", "Starting", 1)])[0]);
    }
}
