//! What revocation decides, once somebody has asked: the rules, not the asking.
//!
//! Used by `mtls-auth` and `header-cert-auth`. Statuses are known to whoever fetches them
//! ([`Statuses`]); what is not known yet ends the decision with questions instead of an answer.
//! Source: docs/kong-compatibility.md, "Revocation".

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};

use super::{Denial, Question, Refused};
use crate::identity::PeerCertificate;
use crate::message::reply::Reply;
use crate::tls::revocation::{Check, Doubt, Fetching, Query, Status};

/// Who knows statuses. Asking it must not wait.
pub trait Statuses {
    /// `None` when it has to be fetched first.
    fn status(&self, query: &Query, now: UnixTime) -> Option<Status>;
}

/// Nobody was asked: everything has to be fetched.
#[derive(Debug, Clone, Copy)]
pub struct NobodyKnows;

impl Statuses for NobodyKnows {
    fn status(&self, _: &Query, _: UnixTime) -> Option<Status> {
        None
    }
}

/// Until when a certificate may be used, whose accepted path goes over `issuers` to a trusted CA, the last of
/// them. Nobody is asked about that one: whoever trusts it knows. Without `settings` nobody is asked at all.
pub(super) fn judge(
    certificate: &PeerCertificate,
    issuers: &[&CertificateDer<'static>],
    settings: Option<&Arc<Fetching>>,
    question: &Question<'_>,
) -> Result<UnixTime, Refused> {
    let (mut until, mut unknown) = (certificate.leaf.validity().not_after, Vec::new());
    let Some(settings) = settings else { return Ok(until) };
    let certificates = [certificate.leaf.der()].into_iter().chain(issuers.iter().copied());
    for (depth, (certificate, issuer)) in certificates.zip(issuers).enumerate() {
        let query = Query::new(certificate, issuer, Arc::clone(settings))
            .map_err(|refused| denied(format!("where to ask for revocation cannot be told: {refused}")))?;
        match question.statuses.status(&query, question.now) {
            None => unknown.push(query),
            Some(status) => until = until.min(end(&status, settings.check, depth)?),
        }
    }
    if unknown.is_empty() { Ok(until) } else { Err(Refused::Undecided(unknown)) }
}

/// Until when a certificate of this status counts; `depth` is 0 for the caller's own.
fn end(status: &Status, check: Check, depth: usize) -> Result<UnixTime, Refused> {
    let (why, until) = match status {
        Status::Good { until } => return Ok(*until),
        Status::Unknown { why, until } => (why, *until),
        Status::Revoked { .. } => return Err(denied(of(status, depth))),
    };
    match (why, check) {
        (Doubt::NotKnown, Check::IgnoreCaError | Check::Strict) => Err(denied(of(status, depth))),
        (Doubt::NowhereToAsk, Check::Strict) if depth > 0 => Ok(until),
        (Doubt::NowhereToAsk | Doubt::NoAnswer(_), Check::Strict) => {
            Err(denied(format!("{}, and STRICT asks for an answer", of(status, depth))))
        }
        _ => Ok(until),
    }
}

fn of(status: &Status, depth: usize) -> String {
    let whose = if depth == 0 { "the certificate" } else { "an intermediate CA of the certificate" };
    format!("{whose} is {status}")
}

fn denied(reason: String) -> Refused {
    Refused::Denied(Denial::new(Reply::NOT_VERIFIED, reason))
}
