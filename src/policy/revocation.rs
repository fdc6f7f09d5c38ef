//! What revocation decides, once somebody has asked: the rules, not the asking.
//!
//! Used by `mtls-auth` and `header-cert-auth`. Statuses are known to whoever fetches them
//! ([`Statuses`]); what is not known yet ends the decision with questions instead of an answer.
//! Source: docs/kong-compatibility.md, "Revocation".

use rustls::pki_types::{CertificateDer, UnixTime};

use super::{Denial, Refused};
use crate::message::reply::Reply;

/// Kong's `revocation_check_mode`; its `SKIP` is to have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevocationCheck {
    /// Only a confirmed revocation denies; what cannot be learned is forgiven.
    IgnoreCaError,
    /// Only a certificate that is confirmed good passes.
    Strict,
}

/// A question to whoever fetches statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The caller's certificate.
    pub certificate: CertificateDer<'static>,
    /// The CA that issued it, from a verified path.
    pub issuer: CertificateDer<'static>,
}

/// What is known about one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Confirmed not to be revoked.
    Good {
        /// To be asked again after this.
        until: UnixTime,
    },
    /// Confirmed to be revoked.
    Revoked,
    /// Asked, or nobody to ask, and no answer that counts.
    Unknown,
}

/// Who knows statuses. Asking it must not wait.
pub trait Statuses {
    /// `None` when it has to be fetched first.
    fn status(&self, query: &Query, now: UnixTime) -> Option<Status>;
}

/// Nobody fetches: every status stays unknown, so that `Strict` denies.
#[derive(Debug, Clone, Copy)]
pub struct NobodyKnows;

impl Statuses for NobodyKnows {
    fn status(&self, _: &Query, _: UnixTime) -> Option<Status> {
        Some(Status::Unknown)
    }
}

impl RevocationCheck {
    /// Until when the certificate may be used; `None` when that has to be asked again soon.
    pub(super) fn judge(
        self,
        query: Query,
        statuses: &dyn Statuses,
        now: UnixTime,
    ) -> Result<Option<UnixTime>, Refused> {
        match (statuses.status(&query, now), self) {
            (None, _) => Err(Refused::Undecided(vec![query])),
            (Some(Status::Good { until }), _) => Ok(Some(until)),
            (Some(Status::Revoked), _) => Err(denied("the certificate is revoked by its CA")),
            (Some(Status::Unknown), Self::IgnoreCaError) => Ok(None),
            (Some(Status::Unknown), Self::Strict) => {
                Err(denied("whether the certificate is revoked is not known, and STRICT asks for an answer"))
            }
        }
    }
}

fn denied(reason: &'static str) -> Refused {
    Refused::Denied(Denial::new(Reply::NOT_VERIFIED, reason))
}
