//! What was decided about one connection, so that not every request is judged anew.
//!
//! Kept by `proxy` per connection, used by [`Policy::authorize`]. A decision ends with the validity
//! of the chain, and with its policy: a new snapshot decides anew, on live connections too. It keeps
//! no old snapshot alive.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use http::HeaderValue;
use rustls::pki_types::UnixTime;

use super::{Denial, Permit, Policy};

/// Decisions of one connection: one per policy, or per policy and certificate in a header.
#[derive(Debug, Default)]
pub struct Decisions(RefCell<Vec<Decision>>);

/// More routes than this on one connection are decided again and again, the oldest first.
const MAX: usize = 8;

/// A longer header is not remembered: nobody's certificate is so long, and strangers pay.
const MAX_KEY: usize = 8 * 1024;

#[derive(Debug)]
struct Decision {
    policy: Weak<Policy>,
    header: Option<HeaderValue>,
    until: UnixTime,
    decided: Decided,
}

/// What does not depend on the single request.
#[derive(Debug, Clone)]
pub(super) enum Decided {
    /// Denied by who the caller is: before its address is looked at.
    Stranger(Denial),
    /// Denied by what the caller may: after that.
    Unwelcome(Denial),
    /// Nothing speaks against it.
    Permitted(Arc<Permit>),
}

impl Decisions {
    pub(super) fn find(
        &self,
        policy: &Arc<Policy>,
        header: Option<&HeaderValue>,
        now: UnixTime,
    ) -> Option<Decided> {
        let known = self.0.borrow();
        let found = known.iter().find(|decision| decision.is_of(policy, header))?;
        (now <= found.until).then(|| found.decided.clone())
    }

    pub(super) fn remember(
        &self,
        policy: &Arc<Policy>,
        header: Option<&HeaderValue>,
        until: UnixTime,
        decided: &Decided,
    ) {
        if header.is_some_and(|header| header.len() > MAX_KEY) {
            return;
        }
        // A copy: the value is part of the whole head that it came with.
        let copy = header.map(|header| HeaderValue::from_bytes(header.as_bytes()));
        let Ok(copy) = copy.transpose() else { return };
        let mut known = self.0.borrow_mut();
        known.retain(|it| it.policy.strong_count() > 0 && !it.is_of(policy, header));
        if known.len() >= MAX {
            known.remove(0);
        }
        let policy = Arc::downgrade(policy);
        known.push(Decision { policy, header: copy, until, decided: decided.clone() });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

impl Decision {
    fn is_of(&self, policy: &Arc<Policy>, header: Option<&HeaderValue>) -> bool {
        // A weak reference keeps the address from being used again.
        Weak::as_ptr(&self.policy) == Arc::as_ptr(policy) && self.header.as_ref() == header
    }
}
