//! Interim answers (1xx) on their way from the upstream to the client.
//!
//! `server` makes one per request that can take them; RFC 9110 15.2 has a proxy forward
//! them. 100 is answered by `server` itself when the body is wanted, 101 is an upgrade.

use std::fmt;
use std::rc::Rc;

use http::{Response, StatusCode};

use crate::message::hop_by_hop;

/// Takes the interim heads of one request.
#[derive(Clone)]
pub struct Interim(Rc<dyn Fn(Response<()>)>);

impl fmt::Debug for Interim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interim")
    }
}

impl Interim {
    /// `send` writes one head to the client, or drops it when it is too late.
    #[must_use]
    pub fn new(send: impl Fn(Response<()>) + 'static) -> Self {
        Self(Rc::new(send))
    }

    /// Passes on what is for the client; 100 and 101 belong to this hop.
    pub(super) fn forward(&self, mut head: Response<()>) {
        if matches!(head.status(), StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS) {
            return;
        }
        hop_by_hop::strip_response(head.headers_mut());
        (self.0)(head);
    }
}
