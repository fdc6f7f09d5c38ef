//! Who may pass: decisions as values, no I/O, no clock.
//!
//! [`Policy::authorize`] is the only maker of a [`Permit`], and `proxy` forwards nothing
//! without one. `snapshot` compiles a policy per route. Facts: Kong 3.9, `mtls-auth` and
//! `acl` (docs/kong-compatibility.md).

mod acl;
mod denial;
mod mtls_auth;
mod permit;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;

use crate::identity::Peer;

pub use self::acl::{Acl, Rule};
pub use self::denial::Denial;
pub use self::mtls_auth::{GroupBy, MtlsAuth};
pub use self::permit::{Caller, Permit};

/// What stands between a route and its callers.
#[derive(Debug, Default)]
pub struct Policy {
    /// `None` lets everyone in unnamed.
    pub mtls_auth: Option<MtlsAuth>,
    /// Needs `mtls_auth` to have anyone to judge.
    pub acl: Option<Acl>,
}

impl Policy {
    /// Decides whether `peer` may pass at the time `now`, from `decisions` if it was decided before.
    ///
    /// # Errors
    /// The denial: what the caller is told, and the reason for our log.
    pub fn authorize(
        self: &Arc<Self>,
        peer: &Peer,
        decisions: &Decisions,
        now: UnixTime,
    ) -> Result<Arc<Permit>, Denial> {
        if let Some(known) = decisions.find(self, now) {
            return known;
        }
        let (decision, until) = match self.decide(peer, now) {
            Ok((permit, until)) => (Ok(Arc::new(permit)), until),
            Err(denial) => (Err(denial), later(now, DENIAL_LASTS)),
        };
        decisions.remember(self, until, &decision);
        decision
    }

    fn decide(&self, peer: &Peer, now: UnixTime) -> Result<(Permit, UnixTime), Denial> {
        let (caller, until) = match &self.mtls_auth {
            Some(mtls_auth) => {
                let (caller, until) = mtls_auth.authenticate(peer, now)?;
                (Some(caller), until)
            }
            None => (None, later(now, PERMIT_LASTS)),
        };
        let tell_groups = match &self.acl {
            Some(acl) => acl.judge(caller.as_ref())?,
            None => false,
        };
        Ok((Permit::new(caller, tell_groups), until))
    }
}

/// A stranger who asks again and again costs one chain verification in this time, and a
/// corrected clock helps within it.
const DENIAL_LASTS: Duration = Duration::from_secs(10);

/// A decision that depends on nothing may as well be made anew each hour.
const PERMIT_LASTS: Duration = Duration::from_secs(3600);

fn later(now: UnixTime, by: Duration) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + by)
}

/// What was decided about one connection; ends with the validity of the chain, and with
/// the policy: a new snapshot decides anew, on live connections too.
#[derive(Debug, Default)]
pub struct Decisions(RefCell<Option<Decision>>);

#[derive(Debug)]
struct Decision {
    policy: Arc<Policy>,
    until: UnixTime,
    result: Result<Arc<Permit>, Denial>,
}

impl Decisions {
    fn find(&self, policy: &Arc<Policy>, now: UnixTime) -> Option<Result<Arc<Permit>, Denial>> {
        let known = self.0.borrow();
        let known = known.as_ref()?;
        (Arc::ptr_eq(&known.policy, policy) && now <= known.until).then(|| known.result.clone())
    }

    fn remember(&self, policy: &Arc<Policy>, until: UnixTime, result: &Result<Arc<Permit>, Denial>) {
        *self.0.borrow_mut() = Some(Decision { policy: Arc::clone(policy), until, result: result.clone() });
    }
}
