//! Kong's `mtls-auth`: is the caller's certificate accepted, and who holds it?
//!
//! Used by `policy::Policy`, and by `header-cert-auth`, which differs in where the certificate comes
//! from. Sources: docs/kong-compatibility.md, sections "Outcomes", "Upstream headers" and
//! "Consumer matching"; kong/plugins/key-auth/handler.lua for `anonymous`.

use std::sync::Arc;

use http::StatusCode;
use rustls::pki_types::UnixTime;

use super::authenticated::Authenticated;
use super::credentials::Credentials;
use super::matching::{ConsumerBy, Match};
use super::{Consumer, Consumers, Denial, Question, Refused, revocation, soon};
use crate::identity::{Peer, PeerCertificate, SubjectAltName};
use crate::message::reply::Reply;
use crate::tls::revocation::Fetching;
use crate::tls::trust::ChainVerifier;

/// The plugin, ready to judge.
#[derive(Debug)]
pub struct MtlsAuth {
    /// Whose certificates are accepted.
    pub verifier: Arc<ChainVerifier>,
    /// Who the holder of an accepted certificate is.
    pub lookup: Lookup,
    /// Id or username of the consumer that everyone is who fails; Kong's `anonymous`.
    pub anonymous: Option<Box<str>>,
    /// How it is asked whether certificates were taken back; `None`: it is not.
    pub revocation: Option<Arc<Fetching>>,
}

/// Whether the holder of a certificate has to be somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Kong's `skip_consumer_lookup`: the certificate itself says who it is.
    Skip {
        /// `None`: callers have no group.
        group_by: Option<GroupBy>,
    },
    /// A consumer is looked up, by credentials and then by its own names.
    Consumer {
        /// Which of its names count.
        by: ConsumerBy,
        /// Id or username of the consumer that everyone is who is trusted and unknown.
        default: Option<Box<str>>,
    },
}

/// What of a certificate becomes the caller's group (`authenticated_group_by`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// The subject's common name.
    CommonName,
    /// The whole subject.
    DistinguishedName,
    /// Each alternative name that is a DNS name or a URI. Not Kong's: for callers without a common name.
    SubjectAltName,
}

impl GroupBy {
    /// The groups of whoever holds this certificate.
    #[must_use]
    pub fn groups(self, certificate: &PeerCertificate) -> Vec<String> {
        let leaf = &certificate.leaf;
        match self {
            Self::CommonName => leaf.common_name().map(ToString::to_string).into_iter().collect(),
            Self::DistinguishedName => vec![leaf.subject().to_string()],
            Self::SubjectAltName => leaf.sans().iter().filter_map(named).collect(),
        }
    }

    /// A name as the groups of certificates are written, so that it can be compared with them.
    #[must_use]
    pub fn normal(self, group: &str) -> String {
        match self {
            Self::SubjectAltName if !is_uri(group) => group.to_ascii_lowercase(),
            _ => group.to_owned(),
        }
    }
}

/// The group of an alternative name. A DNS name is in lower case (RFC 4343), and no text in the place of one kind
/// passes for the other kind, for whose names a CA may be constrained differently.
fn named(san: &SubjectAltName) -> Option<String> {
    match san {
        SubjectAltName::Dns(name) => (!is_uri(name)).then(|| name.to_ascii_lowercase()),
        SubjectAltName::Uri(uri) => is_uri(uri).then(|| uri.clone()),
        _ => None,
    }
}

/// A URI has a scheme (RFC 3986 3.1), and so a colon, which no host name has.
fn is_uri(name: &str) -> bool {
    name.contains(':')
}

impl MtlsAuth {
    /// What this plugin finds out about the peer of a connection, after others found `so_far`.
    pub(super) fn authenticate(
        &self,
        so_far: Authenticated,
        consumers: &Consumers,
        question: &Question<'_>,
    ) -> Result<Authenticated, Refused> {
        self.judge(so_far, sent(question.peer), (consumers, consumers.mtls_auth()), question)
    }

    /// The same for a certificate from wherever. With `anonymous`, authentications are alternatives:
    /// one that succeeded before is enough. Without, each must succeed.
    pub(super) fn judge(
        &self,
        so_far: Authenticated,
        sent: Result<Arc<PeerCertificate>, Denial>,
        known: (&Consumers, &Credentials),
        question: &Question<'_>,
    ) -> Result<Authenticated, Refused> {
        if self.anonymous.is_some() && so_far.is_proven {
            return Ok(so_far);
        }
        let found =
            sent.map_err(Refused::from).and_then(|certificate| self.accept(&certificate, known, question));
        match (found, &self.anonymous) {
            (Err(Refused::Denied(denial)), Some(name)) => {
                Ok(so_far.then(anonymous(name, known.0, &denial, question.now)?))
            }
            (found, _) => Ok(so_far.then(found?)),
        }
    }

    fn accept(
        &self,
        certificate: &Arc<PeerCertificate>,
        known: (&Consumers, &Credentials),
        question: &Question<'_>,
    ) -> Result<Authenticated, Refused> {
        let accepted = self
            .verifier
            .verify(certificate, question.now)
            .map_err(|untrusted| Denial::new(Reply::NOT_VERIFIED, untrusted.to_string()))?;
        let issuers: Vec<_> = self.verifier.issuers(certificate, &accepted).collect();
        let links: Vec<_> = self.verifier.links(certificate, &accepted).collect();
        let valid = revocation::judge(certificate, &links, self.revocation.as_ref(), question)?;
        let until = valid.min(accepted.until);
        let found = Authenticated {
            certificate: Some(Arc::clone(certificate)),
            is_proven: true,
            ..Authenticated::nobody(until)
        };
        let (by, default) = match &self.lookup {
            Lookup::Skip { group_by } => {
                let groups = group_by.map(|by| by.groups(certificate)).unwrap_or_default();
                return Ok(Authenticated { groups, told: Some(Arc::clone(certificate)), ..found });
            }
            Lookup::Consumer { by, default } => (*by, default),
        };
        if let Some(Match { consumer, credential }) = by.find(&certificate.leaf, &issuers, known) {
            return Ok(Authenticated { consumer: Some(consumer.clone()), credential, ..found });
        }
        let consumer = Some(unmatched(certificate, default.as_deref(), known.0)?.clone());
        Ok(Authenticated { consumer, told: Some(Arc::clone(certificate)), ..found })
    }
}

/// The certificate of a connection, or why there is none.
fn sent(peer: &Peer) -> Result<Arc<PeerCertificate>, Denial> {
    let missing = |reason: &'static str| Denial::new(Reply::NO_CERTIFICATE, reason);
    let tls =
        peer.tls.as_ref().ok_or_else(|| missing("the request came without TLS, so without a certificate"))?;
    tls.certificate.clone().ok_or_else(|| missing("the client sent no certificate"))
}

/// Trusted, but nobody: the default consumer, if there is to be one.
fn unmatched<'a>(
    certificate: &PeerCertificate,
    default: Option<&str>,
    consumers: &'a Consumers,
) -> Result<&'a Consumer, Denial> {
    let Some(name) = default else {
        let reason =
            format!("the certificate of {} is trusted, but no consumer's", certificate.leaf.called());
        return Err(Denial::new(Reply::NOT_VERIFIED, reason));
    };
    consumers.named(name).ok_or_else(|| {
        Denial::new(Reply::UNAUTHORIZED, format!("default_consumer {name:?} is configured but doesn't exist"))
    })
}

/// Everyone who fails, whatever the reason.
fn anonymous(
    name: &str,
    consumers: &Consumers,
    failure: &Denial,
    now: UnixTime,
) -> Result<Authenticated, Denial> {
    let Some(consumer) = consumers.named(name) else {
        let text = format!("anonymous consumer {name} is configured but doesn't exist");
        let reason = format!("{text}; the caller failed because {}", failure.reason);
        return Err(Denial::new(Reply::saying(StatusCode::INTERNAL_SERVER_ERROR, text), reason));
    };
    Ok(Authenticated { consumer: Some(consumer.clone()), ..Authenticated::nobody(soon(now)) })
}
