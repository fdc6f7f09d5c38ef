//! Sizes and counts that bound what one client, or all of them, can take.
//!
//! Said in [`LimitSettings`], meant as [`Limits`], used by `server` and `proxy`.

use super::capacity::{Bound, Capacity};
use super::problem::{Caution, Problem, Problems, Said};
use super::value;

/// Bounds of what clients may send and hold.
#[derive(Debug, Clone, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitSettings {
    /// Client connections at the same time, over all listeners; `auto`: as many as the limits of file descriptors
    /// and of memory (the container's, or the machine's) hold, at most 16384. For one more, the connection that
    /// has been idle for the longest time is closed; where none is idle, it waits in the backlog.
    #[arg(long, value_name = "N", default_value = "auto")]
    pub(super) max_connections: Said,

    /// Size of a request's head. At least 8k.
    #[arg(long, value_name = "SIZE", default_value = "64k")]
    pub(super) max_header_bytes: Said,

    /// Header lines in a request.
    #[arg(long, value_name = "N", default_value = "100")]
    pub(super) max_header_count: Said,

    /// Size of a request's body; 0 for any size.
    #[arg(long, value_name = "SIZE", default_value = "0")]
    pub(super) client_max_body_size: Said,

    /// Requests at the same time on one HTTP/2 connection of a client.
    #[arg(long, value_name = "N", default_value = "256")]
    pub(super) http2_max_concurrent_streams: Said,
}

/// What clients may send and hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Client connections at the same time.
    pub max_connections: usize,
    /// Why no more.
    pub max_connections_bound: Bound,
    /// Bytes of a request's head; at least 8192.
    pub max_header_bytes: usize,
    /// Header lines of a request.
    pub max_header_count: usize,
    /// Bytes of a request's body; `None` for any size.
    pub client_max_body_size: Option<u64>,
    /// Streams per HTTP/2 connection.
    pub http2_max_concurrent_streams: u32,
}

impl Limits {
    pub(super) fn compile(settings: &LimitSettings, capacity: Capacity, problems: &mut Problems) -> Self {
        let body = problems.value(value::size(&settings.client_max_body_size));
        let max_header_bytes = problems.value(header_bytes(&settings.max_header_bytes));
        let (max_connections, max_connections_bound) = match is_auto(&settings.max_connections) {
            true => capacity.connections(max_header_bytes),
            false => (problems.value(connections(&settings.max_connections)), Bound::Said),
        };
        Self {
            max_connections,
            max_connections_bound,
            max_header_bytes,
            max_header_count: problems.value(value::count(&settings.max_header_count, 1..=HEADERS)),
            client_max_body_size: (body > 0).then_some(body),
            http2_max_concurrent_streams: problems
                .value(value::count(&settings.http2_max_concurrent_streams, 1..=STREAMS)),
        }
    }
}

/// What cannot hold of a number that somebody wrote.
pub(super) fn cautions(settings: &LimitSettings, limits: Limits) -> Vec<Caution> {
    if is_auto(&settings.max_connections) {
        return Vec::new();
    }
    let (count, head) = (limits.max_connections, limits.max_header_bytes);
    Capacity::of_process().doubts(&settings.max_connections, count, head)
}

/// What is shown for a setting that says `auto`.
pub(super) fn shown(said: &Said, limits: Limits) -> Option<Said> {
    let is_ours = said.key() == "max_connections" && is_auto(said);
    let Limits { max_connections, max_connections_bound, .. } = limits;
    let value = || format!("auto: {max_connections} ({max_connections_bound})");
    is_ours.then(|| Said::new(said.key(), value(), said.origin().clone()))
}

fn is_auto(said: &Said) -> bool {
    said.value().eq_ignore_ascii_case("auto")
}

fn connections(said: &Said) -> Result<usize, Problem> {
    value::count(said, 1..=MANY).map_err(|_| {
        Problem::new(said, "not a number of connections", format!("write auto, or a number from 1 to {MANY}"))
    })
}

fn header_bytes(said: &Said) -> Result<usize, Problem> {
    let bytes = value::size(said)?;
    match usize::try_from(bytes) {
        Ok(size) if HEADER_BYTES.contains(&size) => Ok(size),
        _ => Err(Problem::new(said, "out of range", "write a size from 8k to 16m")),
    }
}

/// hyper refuses buffers below 8 KiB; above 16 MiB a handful of clients fills the memory.
const HEADER_BYTES: std::ops::RangeInclusive<usize> = 8_192..=16_777_216;

/// More sockets than a process may open.
const MANY: usize = 10_000_000;

/// `http::HeaderMap` holds no more than 32768 entries.
const HEADERS: usize = 32_768;

/// RFC 9113, 5.1.1: a connection has 2^31 - 1 stream ids, half of them the client's.
const STREAMS: u32 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn settings(headers: &str, body: &str) -> LimitSettings {
        let said = |key, value| Said::new(key, value, Origin::DEFAULT);
        LimitSettings {
            max_connections: said("max_connections", "0"),
            max_header_bytes: said("max_header_bytes", headers),
            max_header_count: said("max_header_count", "100"),
            client_max_body_size: said("client_max_body_size", body),
            http2_max_concurrent_streams: said("http2_max_concurrent_streams", "many"),
        }
    }

    #[test]
    fn no_body_size_is_any_body_size() {
        let size = |body| {
            Limits::compile(&settings("8k", body), Capacity::of_process(), &mut Problems::default())
                .client_max_body_size
        };
        assert_eq!(size("0"), None);
        assert_eq!(size("1m"), Some(1_048_576));
    }

    #[test]
    fn every_problem_is_told() {
        let mut problems = Problems::default();
        Limits::compile(&settings("4k", "big"), Capacity::of_process(), &mut problems);
        let expected = "\
client_max_body_size=big (default): not a size; write bytes, or a whole number with k, m or g, such as 64k
max_header_bytes=4k (default): out of range; write a size from 8k to 16m
max_connections=0 (default): not a number of connections; write auto, or a number from 1 to 10000000
http2_max_concurrent_streams=many (default): not a number in range; write a whole number from 1 to 1073741824";
        assert_eq!(problems.to_string(), expected);
    }
}
