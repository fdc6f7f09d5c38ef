//! How many client connections this process can hold: `max_connections=auto`, and what is doubted of a number.
//!
//! Used by `limits` and `cautions`. Memory is read by `capacity/memory`, the limit of descriptors by
//! `lifecycle/descriptors`.

mod memory;

use std::fmt;

use super::problem::{Caution, Said};
use crate::lifecycle::descriptors;

/// What this process was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capacity {
    /// File descriptors.
    descriptors: u64,
    /// Bytes; `None` where nobody tells.
    memory: Option<u64>,
}

/// Why there are no more connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Somebody wrote the number.
    Said,
    /// `auto` goes no further.
    Most,
    /// Of so many file descriptors, each client may need a second one, to the upstream.
    Descriptors(u64),
    /// Of so many bytes, half is for connections.
    Memory {
        /// The limit.
        limit: u64,
        /// What one connection may cost.
        each: u64,
    },
}

impl Capacity {
    /// As it is now.
    pub(super) fn of_process() -> Self {
        Self { descriptors: descriptors::limit(), memory: memory::limit() }
    }

    /// The connections it can hold, at most [`MOST`], and why no more.
    pub(super) fn connections(self, max_header_bytes: usize) -> (usize, Bound) {
        let bounds = [(MOST, Bound::Most), self.by_descriptors()];
        let bounds = bounds.into_iter().chain(self.by_memory(max_header_bytes));
        let (count, bound) = bounds.min_by_key(|(count, _)| *count).unwrap_or((MOST, Bound::Most));
        (usize::try_from(count.max(1)).unwrap_or(1), bound)
    }

    /// What cannot hold of a number that somebody wrote.
    pub(super) fn doubts(self, said: &Said, count: usize, max_header_bytes: usize) -> Vec<Caution> {
        let bounds = [self.by_descriptors()].into_iter().chain(self.by_memory(max_header_bytes));
        bounds
            .filter(|(held, _)| *held < count as u64)
            .map(|(held, bound)| {
                let what = format!("{bound}, so {held} is as far as it goes");
                Caution::of_use(said, what, format!("write auto, or {}", bound.remedy()))
            })
            .collect()
    }

    fn by_descriptors(self) -> (u64, Bound) {
        // One reserve is never given to connections; the program's own files, listeners and links take another.
        let left = self.descriptors - 2 * descriptors::reserve(self.descriptors);
        (left / 2, Bound::Descriptors(self.descriptors))
    }

    fn by_memory(self, max_header_bytes: usize) -> Option<(u64, Bound)> {
        let (limit, each) = (self.memory?, CONNECTION + max_header_bytes as u64);
        Some((limit / 2 / each, Bound::Memory { limit, each }))
    }
}

impl Bound {
    fn remedy(self) -> &'static str {
        match self {
            Self::Said | Self::Most => "a smaller number",
            Self::Descriptors(_) => {
                "raise the limit: ulimit -n, docker's --ulimit nofile, systemd's LimitNOFILE"
            }
            Self::Memory { .. } => "give the container more memory",
        }
    }
}

/// The end of a sentence that begins with the number.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Said => f.write_str("as written"),
            Self::Most => f.write_str("auto goes no further"),
            Self::Descriptors(limit) => {
                write!(f, "of {limit} file descriptors, each client may need a second one to the upstream")
            }
            Self::Memory { limit, each } => {
                let (mib, kib) = (limit / (1024 * 1024), each / 1024);
                write!(f, "of {mib} MiB of memory, half is for connections, {kib} KiB each")
            }
        }
    }
}

/// `auto` is never more: 16,384 idle clients are 230 MB.
const MOST: u64 = 16_384;

/// What a connection with a request on it costs beside the head it buffers. Measured (docs/decisions/0005):
/// 14 KB idle with mutual TLS, 27 KB while it waits for an upstream that it has a connection to.
const CONNECTION: u64 = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    const HEADER: usize = 64 * 1024;
    const MIB: u64 = 1024 * 1024;

    fn check(descriptors: u64, memory: Option<u64>, expected: usize, why: &str) {
        let (count, bound) = Capacity { descriptors, memory }.connections(HEADER);
        assert_eq!((count, bound.to_string().as_str()), (expected, why), "{descriptors} {memory:?}");
    }

    #[test]
    fn the_tightest_limit_decides() {
        check(1_048_576, None, 16_384, "auto goes no further");
        check(1_048_576, Some(64 * 1024 * MIB), 16_384, "auto goes no further");
        let memory = "of 256 MiB of memory, half is for connections, 96 KiB each";
        check(1_048_576, Some(256 * MIB), 1365, memory);
        let few = "of 1024 file descriptors, each client may need a second one to the upstream";
        check(1024, Some(256 * MIB), 384, few);
        check(u64::MAX, None, 16_384, "auto goes no further");
        check(0, Some(0), 1, "of 0 file descriptors, each client may need a second one to the upstream");
    }

    #[test]
    fn larger_heads_leave_room_for_fewer() {
        let of = |bytes| Capacity { descriptors: u64::MAX, memory: Some(256 * MIB) }.connections(bytes).0;
        assert!(of(8192) > of(HEADER) && of(HEADER) > of(1024 * 1024), "{} {}", of(8192), of(HEADER));
    }

    #[test]
    fn a_number_that_cannot_hold_is_doubted_for_each_reason() {
        let said = Said::new("max_connections", "5000", Origin::DEFAULT);
        let doubts = |descriptors, memory| {
            let doubts = Capacity { descriptors, memory }.doubts(&said, 5000, HEADER);
            doubts.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(doubts(1_048_576, Some(4096 * MIB)), [""; 0]);
        assert_eq!(
            doubts(4096, Some(256 * MIB)),
            [
                "max_connections=5000 (default): of 4096 file descriptors, each client may need a second one to \
                 the upstream, so 1920 is as far as it goes; write auto, or raise the limit: ulimit -n, docker's \
                 --ulimit nofile, systemd's LimitNOFILE",
                "max_connections=5000 (default): of 256 MiB of memory, half is for connections, 96 KiB each, so \
                 1365 is as far as it goes; write auto, or give the container more memory",
            ]
        );
    }
}
