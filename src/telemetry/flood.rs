//! What strangers cause is logged at most ten lines a second, and the rest is counted.
//!
//! A line that has one of the fields of [`KINDS`] can be caused from outside as often as somebody likes:
//! by handshakes that break, by junk, by a balancer that connects and closes. The writer of the program log
//! asks [`Flood::admits`] before it takes such a line. All others are never left out.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};

/// The fields by which such lines are known, and how many lines of each kind are written within any
/// second; with the line that counts the rest of them, ten.
pub(super) const KINDS: [(&str, usize); 3] = [
    // Who is at the other end of a connection that went wrong.
    ("peer", 7),
    // Where connections cannot be accepted.
    ("listener", 1),
    // Where in our source something panicked: a part of the program or, more likely, one connection.
    ("panicked_at", 1),
];

const SECOND: Duration = Duration::from_secs(1);

/// Who was written lately, and how many were not.
#[derive(Debug, Default)]
pub(super) struct Flood(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the latest lines of each kind were written, at most as many as there may be within a second.
    written: [VecDeque<Instant>; KINDS.len()],
    rest: Option<Rest>,
    told: Option<Instant>,
}

/// Lines that were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    /// How many.
    pub(super) lines: u64,
    /// The worst of their levels.
    pub(super) level: Level,
    /// Since when, rounded.
    pub(super) seconds: u64,
    since: Instant,
}

impl Flood {
    /// Whether a line like this one may be written `now`; counts it otherwise.
    pub(super) fn admits(&self, line: &Metadata<'_>, now: Instant) -> bool {
        let has = |(name, _): &(&str, usize)| line.fields().field(name).is_some();
        KINDS.iter().position(has).is_none_or(|kind| self.admits_kind(kind, *line.level(), now))
    }

    fn admits_kind(&self, kind: usize, level: Level, now: Instant) -> bool {
        self.change(|state| {
            let written = &mut state.written[kind];
            if written.len() == KINDS[kind].1 {
                if written.front().is_some_and(|first| now.saturating_duration_since(*first) < SECOND) {
                    let rest = state.rest.get_or_insert(Rest { lines: 0, level, seconds: 1, since: now });
                    rest.lines += 1;
                    // tracing orders levels by how much they tell: ERROR is the smallest.
                    rest.level = rest.level.min(level);
                    return false;
                }
                written.pop_front();
            }
            written.push_back(now);
            true
        })
    }

    /// What was left out and is not told yet; at most once a second.
    pub(super) fn rest(&self, now: Instant) -> Option<Rest> {
        self.change(|state| {
            let is_over = |at: Instant| now.saturating_duration_since(at) >= SECOND;
            if !state.told.is_none_or(is_over) || !state.rest.is_some_and(|rest| is_over(rest.since)) {
                return None;
            }
            state.told = Some(now);
            state.rest.take().map(|rest| rest.until(now))
        })
    }

    /// The same at the end of the program, which waits for no second.
    pub(super) fn last_rest(&self, now: Instant) -> Option<Rest> {
        self.change(|state| state.rest.take()).map(|rest| rest.until(now))
    }

    /// Held for a few comparisons.
    fn change<T>(&self, operation: impl FnOnce(&mut State) -> T) -> T {
        operation(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Rest {
    fn until(self, now: Instant) -> Self {
        let since = now.saturating_duration_since(self.since);
        Self { seconds: (since + SECOND / 2).as_secs().max(1), ..self }
    }

    /// Writes the line that counts them, at the worst of their levels: who wants to see those sees it.
    pub(super) fn tell(self) {
        let Self { lines, seconds, .. } = self;
        let within = if seconds == 1 { "second".to_owned() } else { format!("{seconds} seconds") };
        let text = format!("… and {lines} more like this in the last {within}");
        match self.level {
            Level::ERROR => tracing::error!(left_out = lines, "{text}"),
            Level::WARN => tracing::warn!(left_out = lines, "{text}"),
            _ => tracing::info!(left_out = lines, "{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEER: usize = 0;

    #[test]
    fn with_the_line_that_counts_the_rest_there_are_ten_in_a_second() {
        assert_eq!(KINDS.iter().map(|(_, lines)| lines).sum::<usize>() + 1, 10);
    }

    #[test]
    fn a_flood_is_counted_and_told_once_a_second_at_the_worst_level() {
        let (flood, start) = (Flood::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let admitted = (0..100).filter(|ms| flood.admits_kind(PEER, Level::INFO, at(*ms))).count();
        assert_eq!(admitted, 7);
        assert!(!flood.admits_kind(PEER, Level::WARN, at(900)));
        assert!(flood.admits_kind(1, Level::ERROR, at(900)), "another kind has a number of its own");
        assert_eq!(flood.rest(at(1_000)), None, "its second is not over");
        let rest = flood.rest(at(1_100)).unwrap();
        assert_eq!((rest.lines, rest.level, rest.seconds), (94, Level::WARN, 1));
        assert_eq!(flood.rest(at(5_000)), None, "it was told");
        assert!(flood.admits_kind(PEER, Level::INFO, at(5_000)));
        assert_eq!(flood.last_rest(at(5_000)), None);
    }

    #[test]
    fn a_rest_that_could_not_be_told_at_once_says_how_old_it_is() {
        let (flood, start) = (Flood::default(), Instant::now());
        for _ in 0..10 {
            flood.admits_kind(PEER, Level::INFO, start);
        }
        let rest = flood.rest(start + Duration::from_secs(41)).unwrap();
        assert_eq!((rest.lines, rest.seconds), (3, 41));
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_its_lines_and_none_is_forgotten(
            gaps in proptest::collection::vec(0u64..400, 1..300)
        ) {
            let (flood, mut now) = (Flood::default(), Instant::now());
            let (mut written, mut told): (Vec<Instant>, u64) = (Vec::new(), 0);
            for gap in &gaps {
                now += Duration::from_millis(*gap);
                if flood.admits_kind(PEER, Level::INFO, now) {
                    written.push(now);
                }
                told += flood.rest(now).map_or(0, |rest| rest.lines);
            }
            told += flood.last_rest(now).map_or(0, |rest| rest.lines);
            for some in written.windows(KINDS[PEER].1 + 1) {
                prop_assert!(some[KINDS[PEER].1] - some[0] >= SECOND);
            }
            prop_assert_eq!(written.len() as u64 + told, gaps.len() as u64);
        }
    }
}
