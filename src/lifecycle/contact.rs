//! When an upstream was last known to be there, for the health check, which fails when that is too long ago.
//!
//! Workers tell of the links they hold; `admin` asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A handle on the last time; clones share it.
#[derive(Debug, Clone)]
pub struct Contact {
    started: Instant,
    /// Milliseconds from `started`, and one more; 0 before the first time.
    last: Arc<AtomicU64>,
}

impl Default for Contact {
    fn default() -> Self {
        Self { started: Instant::now(), last: Arc::default() }
    }
}

impl Contact {
    /// An upstream is there now.
    pub fn made(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.fetch_max(elapsed + 1, Ordering::Relaxed);
    }

    /// How long ago that was; `None` before the first time.
    #[must_use]
    pub fn away(&self) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_away_who_never_was_there_and_every_handle_tells_the_same() {
        let contact = Contact::default();
        assert_eq!(contact.away(), None);
        contact.clone().made();
        assert!(contact.away().is_some_and(|away| away < Duration::from_secs(60)));
    }
}
