//! Starting, waiting and stopping: what every other room needs to know about time, and about the process.
//!
//! `readiness` says what is still pending, `deadline` ends waits that last too long,
//! `drain` lets work in flight finish after `signal` asked for the end. `descriptors` keeps some back.

pub mod deadline;
pub mod descriptors;
pub mod drain;
pub mod readiness;
pub mod signal;
