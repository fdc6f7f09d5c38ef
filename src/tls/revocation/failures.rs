//! Places that gave no answer: left alone for a moment, and complained of once a minute.
//!
//! Nothing about a certificate is remembered here. The pause keeps a responder that is down from
//! being called once per request: those of the same second share its failure.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Check;
use crate::telemetry::cause::{LONGEST_NAME, short};

/// How long a place that failed is not asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// How often one place is complained of.
const COMPLAINTS: Duration = Duration::from_secs(60);

/// Places known; beyond it all are forgotten, which costs a call and a line each.
const MAX: usize = 1_000;

/// What failed, and how often.
#[derive(Debug, Default)]
pub(super) struct Failures {
    places: Mutex<HashMap<Box<str>, Failure>>,
    complaints: Mutex<HashMap<Box<str>, Instant>>,
    failed: AtomicU64,
    soft: AtomicU64,
}

#[derive(Debug)]
struct Failure {
    at: Instant,
    why: Arc<str>,
}

/// Counts since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Questions to which nobody gave an answer that counts.
    pub unanswered: u64,
    /// Those of them whose caller passes all the same (`IGNORE_CA_ERROR`).
    pub soft_fails: u64,
}

impl Failures {
    /// The failure of this place, if it is too fresh to ask again.
    pub(super) fn fresh(&self, place: &str) -> Option<Arc<str>> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places
            .get(place)
            .filter(|failure| failure.at.elapsed() < PAUSE)
            .map(|failure| Arc::clone(&failure.why))
    }

    /// Notes that a place failed just now.
    pub(super) fn note(&self, place: &str, why: &Arc<str>) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MAX {
            places.clear();
        }
        places.insert(place.into(), Failure { at: Instant::now(), why: Arc::clone(why) });
    }

    /// Counts a certificate whose status nobody told, and says so in the log, once a minute for each
    /// place that was asked last.
    pub(super) fn complain(&self, place: &str, subject: &str, why: &str, check: Check) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let consequence = match check {
            Check::Strict => "who has it is refused (STRICT)",
            Check::Skip | Check::IgnoreCaError => {
                self.soft.fetch_add(1, Ordering::Relaxed);
                "it counts as not revoked (IGNORE_CA_ERROR)"
            }
        };
        if self.is_due(place) {
            tracing::warn!(
                "the status of the certificate of {} could not be had, so {consequence}: {why}",
                short(subject, LONGEST_NAME)
            );
        }
    }

    fn is_due(&self, place: &str) -> bool {
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if complaints.get(place).is_some_and(|at| at.elapsed() < COMPLAINTS) {
            return false;
        }
        if complaints.len() >= MAX {
            complaints.clear();
        }
        complaints.insert(place.into(), Instant::now());
        true
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            unanswered: self.failed.load(Ordering::Relaxed),
            soft_fails: self.soft.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_place_is_left_alone_for_a_second_and_complained_of_once_a_minute() {
        let failures = Failures::default();
        failures.note("http://a/", &"down".into());
        assert_eq!(failures.fresh("http://a/").as_deref(), Some("down"));
        assert_eq!(failures.fresh("http://b/"), None);
        assert!(failures.is_due("http://a/") && !failures.is_due("http://a/"));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(failures.fresh("http://a/"), None);
        failures.note("http://a/", &"down".into());
        assert!(!failures.is_due("http://a/"));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(failures.is_due("http://a/"));
    }

    #[test]
    fn what_is_forgiven_is_counted_apart() {
        let failures = Failures::default();
        failures.complain("http://a/", "CN=x", "down", Check::IgnoreCaError);
        failures.complain("http://a/", "CN=x", "down", Check::Strict);
        assert_eq!(failures.counts(), Counts { unanswered: 2, soft_fails: 1 });
    }
}
