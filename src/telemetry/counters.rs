//! Plain counts of one worker, written by it alone and read by `/status`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Aligned to two cache lines, so that no two workers write to the same one.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    connections: AtomicU64,
    connections_total: AtomicU64,
    connections_failed_total: AtomicU64,
    requests_total: AtomicU64,
}

/// The sum over all workers, at about one moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Client connections now open.
    pub connections: u64,
    /// Client connections since the start.
    pub connections_total: u64,
    /// Those of them that went wrong, in the handshake or later: the log has lines for the first ones of a second.
    pub connections_failed_total: u64,
    /// Requests finished since the start.
    pub requests_total: u64,
}

impl Counters {
    /// Counts a connection handed to this worker; called by the acceptor as well.
    pub fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.connections_total.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts its end.
    pub fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a connection that went wrong.
    pub fn connection_failed(&self) {
        self.connections_failed_total.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a finished request. One writer only, so load and store need no lock.
    pub fn request_finished(&self) {
        self.requests_total.store(self.requests_total.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Connections now open, by which the acceptor chooses a worker.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Adds up all workers.
    #[must_use]
    pub fn total<'a>(workers: impl IntoIterator<Item = &'a Self>) -> Totals {
        workers.into_iter().fold(Totals::default(), |sum, worker| Totals {
            connections: sum.connections + worker.connections(),
            connections_total: sum.connections_total + worker.connections_total.load(Ordering::Relaxed),
            connections_failed_total: sum.connections_failed_total
                + worker.connections_failed_total.load(Ordering::Relaxed),
            requests_total: sum.requests_total + worker.requests_total.load(Ordering::Relaxed),
        })
    }
}
