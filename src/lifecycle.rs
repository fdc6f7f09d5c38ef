//! Starting, waiting and stopping: what every other room needs to know about time, and about the process.
//!
//! `readiness` says what is still pending, `contact` when an upstream was last there, `deadline` ends waits
//! that last too long, `drain` lets work in flight finish after `signal` asked for the end; `vital` notices
//! what ends unasked, and `descriptors` keeps some back.

pub mod contact;
pub mod deadline;
pub mod descriptors;
pub mod drain;
pub mod readiness;
pub mod signal;
pub mod vital;
