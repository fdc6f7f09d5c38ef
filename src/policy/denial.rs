//! Why a request may not pass: little for the caller, everything for our log.

use std::sync::Arc;

use crate::message::reply::Reply;

/// A refusal made by `policy`.
#[derive(Debug, Clone)]
pub struct Denial {
    /// What the caller is told; never the reason.
    pub reply: Reply,
    /// One sentence for the access log.
    pub reason: Arc<str>,
}

impl Denial {
    pub(super) fn new(reply: Reply, reason: impl Into<Arc<str>>) -> Self {
        Self { reply, reason: reason.into() }
    }
}
