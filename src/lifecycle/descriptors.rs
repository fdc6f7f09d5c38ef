//! File descriptors: how many this process may have, and which are kept back for what must always go on.
//!
//! A new descriptor gets the lowest free number (POSIX.1-2017, XSH 2.14), so the number of one tells how many
//! are in use at the least, and nothing is counted. Used by `server/listener` and `proxy/dial`, which leave the
//! highest numbers to the status listener, health checks and files that are read anew.

use std::os::fd::AsRawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept back at the most: 64 connections of the status listener, and as many files and sockets of our own.
const RESERVE: u64 = 128;

/// Raises the soft limit to the hard one. The soft limit is for programs that call `select`; a service that
/// stays below it runs out of descriptors that it was given.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    // Refused, by a seccomp profile say, the soft limit counts: everything here asks for that one.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// How many this process may have open now; changed from outside by prlimit(1).
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many of `limit` are kept back: never more than a quarter.
#[must_use]
pub fn reserve(limit: u64) -> u64 {
    RESERVE.min(limit / 4)
}

/// What a socket is for, where there may be any number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Accepted from a client: leaves the whole reserve.
    Client,
    /// Connected to an upstream: may use half of the reserve, so that who came in gets an answer.
    Upstream,
}

impl Purpose {
    /// Whether this socket, just opened, leaves enough for what must always go on.
    #[must_use]
    pub fn may_use(self, socket: &impl AsRawFd) -> bool {
        self.admits(u64::try_from(socket.as_raw_fd()).unwrap_or(0), limit())
    }

    fn admits(self, number: u64, limit: u64) -> bool {
        let kept = match self {
            Self::Client => reserve(limit),
            Self::Upstream => reserve(limit) / 2,
        };
        number < limit - kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_room_for_upstreams_and_both_for_the_rest() {
        let highest = |purpose: Purpose, limit| (0..limit).filter(|n| purpose.admits(*n, limit)).max();
        assert_eq!(highest(Purpose::Client, 1024), Some(1024 - 128 - 1));
        assert_eq!(highest(Purpose::Upstream, 1024), Some(1024 - 64 - 1));
        assert_eq!(highest(Purpose::Client, 64), Some(47));
        assert_eq!(highest(Purpose::Upstream, 64), Some(55));
        assert!(Purpose::Client.admits(1_000_000, u64::MAX));
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        raise();
        assert_eq!(Some(limit()), getrlimit(Resource::Nofile).maximum.or(Some(u64::MAX)));
    }
}
