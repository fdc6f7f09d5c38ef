//! The proof that a request may pass. Only this room can make one.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::Consumer;
use crate::identity::PeerCertificate;

/// A caller whose certificate was accepted.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As presented in the handshake, its key proven; or, with `header-cert-auth`, as the balancer
    /// in front says. Then it is not the certificate of the connection.
    pub certificate: Arc<PeerCertificate>,
    /// The authenticated group, from `authenticated_group_by`; several with a comma between them.
    pub group: Option<String>,
}

/// Says that a request may be forwarded, and for whom. `proxy::forward` takes one.
#[derive(Debug)]
pub struct Permit {
    caller: Option<Caller>,
    consumer: Option<Consumer>,
    headers: Headers,
}

impl Permit {
    pub(super) fn new(caller: Option<Caller>, consumer: Option<Consumer>, headers: Headers) -> Self {
        Self { caller, consumer, headers }
    }

    /// Whose certificate was accepted; `None` where the route asks nobody, and for the anonymous.
    #[must_use]
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// Who the caller is known as: matched, anonymous or the default.
    #[must_use]
    pub fn consumer(&self) -> Option<&Consumer> {
        self.consumer.as_ref()
    }

    /// What the service is told about the caller: to be set on the request, each name once.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers.0
    }
}

/// Headers as plugins set them, one after another: a name is there once, the last value counts.
#[derive(Debug, Default)]
pub(super) struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    pub(super) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove(&name);
        self.0.push((name, value));
    }

    pub(super) fn find(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.0.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    pub(super) fn remove(&mut self, name: &HeaderName) {
        self.0.retain(|(known, _)| known != name);
    }
}
