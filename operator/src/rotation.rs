//! When a member's `mongod` is told to read its files again: certificate, key, authorities and revocation lists, which it
//! reads only at its start and when it is told.
//!
//! Of the certificate it shows which one it has read. Of the others nothing is to be seen, so it is told once a day. Pure but
//! for the memory: a new operator tells each member once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// After which time it is told again while it does not show the certificate of its Secret: kubelet brings a Secret's files
/// into a pod within a minute or two.
pub const AGAIN: Duration = Duration::from_secs(30);

/// After which time it is told without need. Revocation lists are signed anew months before they end.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When each pod's `mongod` was told last, by the pod's uid.
#[derive(Debug, Default)]
pub struct Rotations(Mutex<HashMap<String, Told>>);

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    /// It showed another certificate than that of its Secret.
    for_renewal: bool,
}

/// What is to be done about a `mongod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Nothing,
    /// Tell it to read its files, and say so with [`Rotations::told`] if it obeys.
    Rotation,
    /// It shows the certificate now for which it was told to.
    News,
}

impl Rotations {
    /// `is_current`: it shows the certificate of its Secret.
    pub fn due(&self, uid: &str, is_current: bool, now: Instant) -> Due {
        let mut all = self.0.lock();
        let Some(told) = all.get_mut(uid) else { return Due::Rotation };
        if is_current && told.for_renewal {
            told.for_renewal = false;
            return Due::News;
        }
        let pause = if is_current { DAY } else { AGAIN };
        if now.saturating_duration_since(told.at) >= pause { Due::Rotation } else { Due::Nothing }
    }

    /// It was told, and obeyed.
    pub fn told(&self, uid: &str, is_current: bool, now: Instant) {
        let mut all = self.0.lock();
        // A pod that is there is told each day.
        all.retain(|_, told| now.saturating_duration_since(told.at) < 2 * DAY);
        all.insert(uid.to_owned(), Told { at: now, for_renewal: !is_current });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mongod_is_told_at_first_and_once_a_day() {
        let (rotations, start) = (Rotations::default(), Instant::now());
        assert_eq!(rotations.due("1", true, start), Due::Rotation);
        // It did not obey.
        assert_eq!(rotations.due("1", true, start), Due::Rotation);
        rotations.told("1", true, start);
        assert_eq!(rotations.due("1", true, start + DAY - AGAIN), Due::Nothing);
        assert_eq!(rotations.due("1", true, start + DAY), Due::Rotation);
        assert_eq!(rotations.due("2", true, start), Due::Rotation, "a new pod");
    }

    #[test]
    fn a_renewal_is_repeated_until_it_is_seen_which_is_news_once() {
        let (rotations, start) = (Rotations::default(), Instant::now());
        rotations.told("1", true, start);
        let renewed = start + Duration::from_secs(1000);
        assert_eq!(rotations.due("1", false, renewed), Due::Rotation);
        rotations.told("1", false, renewed);
        assert_eq!(rotations.due("1", false, renewed + Duration::from_secs(2)), Due::Nothing);
        assert_eq!(rotations.due("1", false, renewed + AGAIN), Due::Rotation);
        rotations.told("1", false, renewed + AGAIN);
        assert_eq!(rotations.due("1", true, renewed + 2 * AGAIN), Due::News);
        assert_eq!(rotations.due("1", true, renewed + 3 * AGAIN), Due::Nothing);
    }

    #[test]
    fn pods_that_are_gone_are_forgotten() {
        let (rotations, start) = (Rotations::default(), Instant::now());
        rotations.told("1", true, start);
        rotations.told("2", true, start + 2 * DAY);
        assert_eq!(rotations.0.lock().len(), 1);
    }
}
