//! What the operator sees: one access line per request, the program log, counts, and why something failed.
//!
//! Access lines and counts are kept per worker and shared with nobody on the request's path: lines go
//! out in batches, counts are summed when they are read. Both logs are written by threads of their own.

pub mod access_log;
pub mod cause;
pub mod counters;
mod flood;
pub mod line;
pub mod output;
pub mod panics;
pub mod program_log;
