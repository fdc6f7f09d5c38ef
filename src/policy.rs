//! Who may pass: decisions as values, no I/O, no clock.
//!
//! [`Policy::authorize`] is the only maker of a [`Permit`], and `proxy` forwards nothing
//! without one. `snapshot` compiles a policy per route: the effective plugins, one a file here, each
//! with the fields and the meaning it has in Kong 3.9 (docs/kong-compatibility.md).

mod acl;
mod authenticated;
mod callista_mtls_acl;
mod callista_mtls_auth;
mod consumer;
mod consumers;
mod credentials;
mod decisions;
mod denial;
mod header_cert_auth;
mod ip_restriction;
mod matching;
mod mtls_auth;
mod permit;
mod request_termination;
mod revocation;
mod tls_metadata_headers;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::UnixTime;

use self::authenticated::Authenticated;
use self::decisions::Decided;
use crate::identity::{HeaderFormat, Peer, PeerCertificate};
use crate::tls::revocation::Query;

pub use self::acl::{Acl, Rule};
pub use self::callista_mtls_acl::CallistaMtlsAcl;
pub use self::callista_mtls_auth::CallistaMtlsAuth;
pub use self::consumer::{Consumer, ConsumerId, CredentialId, NewConsumer};
pub use self::consumers::Consumers;
pub use self::credentials::NewCredential;
pub use self::decisions::Decisions;
pub use self::denial::Denial;
pub use self::header_cert_auth::{CertificateFormat, HeaderCertAuth};
pub use self::ip_restriction::IpRestriction;
pub use self::matching::ConsumerBy;
pub use self::mtls_auth::{GroupBy, Lookup, MtlsAuth};
pub use self::permit::{Caller, Permit};
pub use self::request_termination::{Content, RequestTermination};
pub use self::revocation::{NobodyKnows, Statuses};
pub use self::tls_metadata_headers::TlsMetadataHeaders;

/// What stands between a route and its callers: its plugins in Kong's order, highest priority first.
/// The default lets everyone in unnamed.
#[derive(Debug, Default)]
pub struct Policy {
    /// Who callers can be.
    pub consumers: Arc<Consumers>,
    /// How the service is told of an accepted caller.
    pub identity_headers: Vec<HeaderFormat>,
    /// Priority 1600.
    pub mtls_auth: Option<MtlsAuth>,
    /// Priority 1009.
    pub header_cert_auth: Option<HeaderCertAuth>,
    /// Priority 996.
    pub tls_metadata_headers: Option<TlsMetadataHeaders>,
    /// Priority 990.
    pub ip_restriction: Option<IpRestriction>,
    /// Priority 975.
    pub callista_mtls_auth: Option<CallistaMtlsAuth>,
    /// Priority 950; needs one of the plugins before to have anyone to judge.
    pub acl: Option<Acl>,
    /// Priority 950.
    pub callista_mtls_acl: Option<CallistaMtlsAcl>,
    /// Priority 2.
    pub request_termination: Option<RequestTermination>,
}

/// Everything a decision depends on.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The other end of the connection.
    pub peer: &'a Peer,
    /// The client's address, as far as `trusted_ips` make it believed.
    pub client_ip: IpAddr,
    /// Whether the other end of the connection is in `trusted_ips`.
    pub from_trusted_ip: bool,
    /// As they were sent; only what a plugin is told to read is read.
    pub headers: &'a HeaderMap,
    /// Who knows which certificates are revoked.
    pub statuses: &'a dyn Statuses,
    /// The time of the request.
    pub now: UnixTime,
}

/// Why there is no permit.
#[derive(Debug, Clone)]
pub enum Refused {
    /// The request may not pass, or is answered otherwise.
    Denied(Denial),
    /// To be asked again when these have been answered.
    Undecided(Vec<Query>),
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl Policy {
    /// Decides whether a request may pass; what depends on the connection alone is taken from
    /// `decisions` if it was decided before.
    ///
    /// # Errors
    /// The denial: what the caller is told, and the reason for our log. Or what has to be known first.
    pub fn authorize(
        self: &Arc<Self>,
        question: &Question<'_>,
        decisions: &Decisions,
    ) -> Result<Arc<Permit>, Refused> {
        let permitted = match self.known_or_decided(question, decisions)? {
            Decided::Stranger(denial) => return Err(denial.into()),
            Decided::Unwelcome(denial) => Err(denial),
            Decided::Permitted(permit) => Ok(permit),
        };
        if let Some(ip_restriction) = &self.ip_restriction {
            ip_restriction.judge(question.client_ip)?;
        }
        let permit = permitted?;
        match &self.request_termination {
            Some(termination) => Err(termination.answer().into()),
            None => Ok(permit),
        }
    }

    /// Every header that a plugin here was told to set or to read identities from.
    pub fn reserved(&self) -> impl Iterator<Item = &HeaderName> {
        let header_cert_auth = self.header_cert_auth.iter().map(|plugin| &plugin.certificate_header_name);
        let metadata = self.tls_metadata_headers.iter().flat_map(TlsMetadataHeaders::names);
        let callista = self.callista_mtls_auth.iter().flat_map(CallistaMtlsAuth::names);
        let acl = self.callista_mtls_acl.iter().map(|plugin| &plugin.certificate_header_name);
        header_cert_auth.chain(metadata).chain(callista).chain(acl)
    }

    fn known_or_decided(
        self: &Arc<Self>,
        question: &Question<'_>,
        decisions: &Decisions,
    ) -> Result<Decided, Refused> {
        // The one thing of a request that can say who the caller is.
        let sent = self.header_cert_auth.as_ref().map(|plugin| plugin.sent(question));
        let header = match &sent {
            None => None,
            Some(Ok(header)) => Some(*header),
            // Nothing to remember it by, and nothing to verify.
            Some(Err(_)) => return Ok(self.decide(question, sent)?.0),
        };
        if let Some(known) = decisions.find(self, header, question.now) {
            return Ok(known);
        }
        let (decided, until) = self.decide(question, sent)?;
        decisions.remember(self, header, until, &decided);
        Ok(decided)
    }

    fn decide(
        &self,
        question: &Question<'_>,
        sent: Option<Result<&HeaderValue, Denial>>,
    ) -> Result<(Decided, UnixTime), Refused> {
        let who = match self.identify(question, sent) {
            Ok(who) => who,
            Err(Refused::Denied(denial)) => return Ok((Decided::Stranger(denial), soon(question.now))),
            Err(undecided) => return Err(undecided),
        };
        match self.judge(who, question) {
            Ok((permit, until)) => Ok((Decided::Permitted(Arc::new(permit)), until)),
            Err(Refused::Denied(denial)) => Ok((Decided::Unwelcome(denial), soon(question.now))),
            Err(undecided) => Err(undecided),
        }
    }

    /// The plugins that say who the caller is.
    fn identify(
        &self,
        question: &Question<'_>,
        sent: Option<Result<&HeaderValue, Denial>>,
    ) -> Result<Authenticated, Refused> {
        let mut who = Authenticated::nobody(later(question.now, PERMIT_LASTS));
        if let Some(mtls_auth) = &self.mtls_auth {
            who = mtls_auth.authenticate(who, &self.consumers, question)?;
        }
        if let (Some(plugin), Some(sent)) = (&self.header_cert_auth, sent) {
            who = plugin.authenticate(who, sent, &self.consumers, question)?;
        }
        Ok(who)
    }

    /// The plugins that say whether such a caller may pass, and what the service is told.
    fn judge(&self, mut who: Authenticated, question: &Question<'_>) -> Result<(Permit, UnixTime), Refused> {
        let told = self.told_by_metadata(&who, question.peer);
        if let Some(plugin) = &self.callista_mtls_auth {
            who = plugin.authenticate(who, question)?;
        }
        let mut headers = who.headers(&self.identity_headers);
        if let (Some(plugin), Some(certificate)) = (&self.tls_metadata_headers, told) {
            plugin.tell(&certificate.leaf, &mut headers);
        }
        if let (Some(plugin), Some(certificate)) = (&self.callista_mtls_auth, question.peer.certificate()) {
            plugin.tell(&certificate.leaf, &mut headers)?;
        }
        if let Some(acl) = &self.acl {
            acl.judge(&who, &mut headers)?;
        }
        if let Some(acl) = &self.callista_mtls_acl {
            acl.judge(&mut headers)?;
        }
        let until = who.until;
        let (caller, consumer) = who.into_caller();
        Ok((Permit::new(caller, consumer, headers), until))
    }

    /// The certificate of the connection, unless `mtls-auth` let its holder in without accepting it.
    fn told_by_metadata<'a>(&self, who: &Authenticated, peer: &'a Peer) -> Option<&'a Arc<PeerCertificate>> {
        let is_accepted = |sent: &Arc<_>| who.certificate.as_ref().is_some_and(|it| Arc::ptr_eq(it, sent));
        peer.certificate().filter(|sent| self.mtls_auth.is_none() || is_accepted(sent))
    }
}

/// A stranger who asks again and again costs one chain verification in this time, and a
/// corrected clock helps within it.
const DENIAL_LASTS: Duration = Duration::from_secs(10);

/// What depends on nothing lasts longer than any connection: ten years.
const PERMIT_LASTS: Duration = Duration::from_secs(315_360_000);

/// When what may change at any time is looked at again.
fn soon(now: UnixTime) -> UnixTime {
    later(now, DENIAL_LASTS)
}

fn later(now: UnixTime, by: Duration) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + by)
}

#[cfg(test)]
mod tests;
