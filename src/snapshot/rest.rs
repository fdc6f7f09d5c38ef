//! When files that are being written have come to rest. A clock comes in as a value, so nothing here waits.
//!
//! Used by `watch`. A part of a bundle of CAs, or of a declarative file, is often a whole one that says less,
//! so what changed is taken over when it has not changed for a while; and what never rests, as it is.

use std::time::{Duration, Instant};

/// So long nothing must have changed. With the time between two looks, and that of loading, a replaced
/// certificate is in force within two seconds.
const REST: Duration = Duration::from_millis(1_250);

/// What changes for longer is taken over as it is: within ten seconds, with a second try.
const RESTLESS: Duration = Duration::from_secs(6);

/// Between two tries of that.
const AGAIN: Duration = Duration::from_secs(1);

/// How the files have changed lately.
#[derive(Debug, Default)]
pub(super) struct Rest {
    last_change: Option<Instant>,
    restless_at: Option<Instant>,
    may_be_partial: bool,
}

impl Rest {
    /// The files differ from the last look; `has_grown`: one of them is the same file, and longer.
    pub(super) fn note_change(&mut self, now: Instant, has_grown: bool) {
        if self.is_at_rest(now) {
            self.restless_at = None;
        }
        self.restless_at.get_or_insert(now + RESTLESS);
        self.last_change = Some(now);
        self.may_be_partial = has_grown;
    }

    /// Nothing changed for long enough.
    pub(super) fn is_at_rest(&self, now: Instant) -> bool {
        self.last_change.is_none_or(|last_change| now >= last_change + REST)
    }

    /// They change again and again, for too long to wait for their rest.
    pub(super) fn is_restless(&self, now: Instant) -> bool {
        !self.is_at_rest(now) && self.restless_at.is_some_and(|at| now >= at)
    }

    /// The last change made a file longer: what it holds may be a part.
    pub(super) fn may_be_partial(&self) -> bool {
        self.may_be_partial
    }

    /// What they hold was refused.
    pub(super) fn tried_in_vain(&mut self, now: Instant) {
        self.restless_at = self.restless_at.map(|_| now + AGAIN);
    }

    /// What they hold was taken over.
    pub(super) fn taken_over(&mut self, now: Instant) {
        self.restless_at = self.restless_at.map(|_| now + RESTLESS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn files_rest_when_they_have_not_changed_for_a_while() {
        let (mut rest, begin) = (Rest::default(), Instant::now());
        assert!(rest.is_at_rest(begin), "nothing ever changed");
        for at in [0.0, 1.0, 2.0] {
            rest.note_change(begin + seconds(at), false);
            assert!(!rest.is_at_rest(begin + seconds(at + 1.2)));
            assert!(!rest.is_restless(begin + seconds(at + 1.2)));
        }
        assert!(rest.is_at_rest(begin + seconds(3.3)));
    }

    #[test]
    fn what_never_rests_is_taken_over_within_ten_seconds_and_tried_again_if_that_failed() {
        let (mut rest, begin) = (Rest::default(), Instant::now());
        let first = (0..100).map(|step| begin + seconds(f64::from(step) * 0.1)).find(|now| {
            rest.note_change(*now, false);
            rest.is_restless(*now)
        });
        let first = first.expect("within ten seconds");
        assert!(first >= begin + seconds(6.0));
        rest.tried_in_vain(first);
        rest.note_change(first + seconds(0.9), false);
        assert!(!rest.is_restless(first + seconds(0.9)));
        rest.note_change(first + seconds(1.8), false);
        assert!(rest.is_restless(first + seconds(1.8)), "still within ten");
        rest.taken_over(first + seconds(1.8));
        rest.note_change(first + seconds(2.7), false);
        assert!(!rest.is_restless(first + seconds(2.7)));
    }

    #[test]
    fn a_rest_begins_the_count_anew() {
        let (mut rest, begin) = (Rest::default(), Instant::now());
        for at in [0.0, 3.0, 6.0, 9.0, 12.0] {
            rest.note_change(begin + seconds(at), false);
            assert!(!rest.is_restless(begin + seconds(at)));
        }
    }

    #[test]
    fn only_the_last_change_tells_whether_it_may_be_a_part() {
        let (mut rest, now) = (Rest::default(), Instant::now());
        rest.note_change(now, true);
        assert!(rest.may_be_partial());
        rest.note_change(now, false);
        assert!(!rest.may_be_partial());
    }
}
