//! An attempt to send a request that failed, with what decides whether another is allowed.

use http::Request;

use super::body::Body;
use super::error::UpstreamError;

/// What became of a request that got no answer.
#[derive(Debug)]
pub(super) struct Failed {
    /// Why.
    pub(super) error: UpstreamError,
    /// The request itself, when no byte of it was sent.
    pub(super) unsent: Option<Request<Body>>,
    /// No connection was to be had: another target may do better, and this one no better.
    pub(super) unreached: bool,
    /// The other side said that it did not look at the request.
    pub(super) unprocessed: bool,
    /// It was sent on a connection that had been idle: the other side may have been closing it.
    pub(super) reused: bool,
}

impl Failed {
    pub(super) fn unsent(error: UpstreamError, request: Request<Body>) -> Self {
        Self { unsent: Some(request), ..Self::from(error) }
    }

    pub(super) fn unreached(error: UpstreamError, request: Request<Body>) -> Self {
        Self { unreached: true, ..Self::unsent(error, request) }
    }

    /// An idle connection that broke when it was used again was closed in order, while the request
    /// was on its way.
    pub(super) fn broke_idle(&self) -> bool {
        self.reused && matches!(self.error, UpstreamError::Broken { .. })
    }
}

impl From<UpstreamError> for Failed {
    fn from(error: UpstreamError) -> Self {
        Self { error, unsent: None, unreached: false, unprocessed: false, reused: false }
    }
}
