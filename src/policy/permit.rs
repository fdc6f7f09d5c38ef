//! The proof that a request may pass. Only this room can make one.

use std::sync::Arc;

use crate::identity::PeerCertificate;

/// A caller whose certificate was accepted.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As presented in the handshake, its key proven.
    pub certificate: Arc<PeerCertificate>,
    /// The authenticated group, from `authenticated_group_by`.
    pub group: Option<String>,
}

/// Says that a request may be forwarded, and for whom. `proxy::forward` takes one.
#[derive(Debug)]
pub struct Permit {
    caller: Option<Caller>,
    tell_groups: bool,
}

impl Permit {
    pub(super) fn new(caller: Option<Caller>, tell_groups: bool) -> Self {
        Self { caller, tell_groups }
    }

    /// Who called; `None` where the route asks nobody.
    #[must_use]
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// The group to send as `X-Authenticated-Groups`, if the acl says so.
    #[must_use]
    pub fn told_group(&self) -> Option<&str> {
        self.caller.as_ref().and_then(|caller| caller.group.as_deref()).filter(|_| self.tell_groups)
    }
}
