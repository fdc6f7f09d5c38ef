//! What the operator sees: one access line per request, and counts.
//!
//! Both are kept per worker and shared with nobody on the request's path: lines go out in
//! batches, counts are summed when they are read.

pub mod access_log;
pub mod counters;
pub mod line;
