//! The target that answered faster lately, of two taken at random: a moving average that forgets within
//! some ten seconds (kong/runloop/balancer/latency.lua, after Finagle's peak EWMA).

use std::cell::Cell;
use std::time::Duration;

const FORGETS_IN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Latency {
    averages: Box<[Cell<Average>]>,
}

/// In seconds, as it was at a moment. Nobody knows a target that never answered, so it is tried.
#[derive(Debug, Clone, Copy, Default)]
struct Average {
    seconds: f64,
    at: Duration,
}

impl Average {
    /// With an answer after `took` at the moment `now`.
    fn with(self, took: f64, now: Duration) -> f64 {
        let kept = (-now.saturating_sub(self.at).as_secs_f64() / FORGETS_IN.as_secs_f64()).exp();
        self.seconds * kept + took * (1.0 - kept)
    }
}

impl Latency {
    pub(super) fn new(targets: usize) -> Self {
        Self { averages: (0..targets).map(|_| Cell::default()).collect() }
    }

    pub(super) fn next(&self, weights: &[u16], may: impl Fn(usize) -> bool, now: Duration) -> Option<usize> {
        let candidates = || (0..weights.len()).filter(|index| may(*index));
        let count = candidates().count();
        if count == 0 {
            return None;
        }
        let first = fastrand::usize(..count);
        // Of the others, each as likely.
        let second = (first + 1 + fastrand::usize(..count.max(2) - 1)) % count;
        let [first, second] = [first, second].map(|position| candidates().nth(position));
        let score = |index: usize| self.averages[index].get().with(0.0, now) / f64::from(weights[index]);
        match (first, second) {
            (Some(first), Some(second)) if score(second) < score(first) => Some(second),
            (first, _) => first,
        }
    }

    pub(super) fn answered(&self, target: usize, took: Duration, now: Duration) {
        let average = &self.averages[target];
        average.set(Average { seconds: average.get().with(took.as_secs_f64(), now), at: now });
    }
}
