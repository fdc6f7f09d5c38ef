//! Kong's `mtls-auth` with `skip_consumer_lookup`: is the caller's certificate accepted?
//!
//! Source: docs/kong-compatibility.md, sections "Outcomes" and "Upstream headers".

use std::sync::Arc;

use rustls::pki_types::UnixTime;

use super::{Caller, Denial};
use crate::identity::{Peer, PeerCertificate};
use crate::message::reply::Reply;
use crate::tls::revocation::Fetching;
use crate::tls::trust::ChainVerifier;

/// What of a certificate becomes the caller's group (`authenticated_group_by`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// The subject's common name.
    CommonName,
    /// The whole subject.
    DistinguishedName,
}

/// The plugin, ready to judge.
#[derive(Debug)]
pub struct MtlsAuth {
    /// Whose certificates are accepted.
    pub verifier: Arc<ChainVerifier>,
    /// `None`: callers have no group.
    pub group_by: Option<GroupBy>,
    /// How it is asked whether certificates were taken back; `None`: it is not.
    pub revocation: Option<Arc<Fetching>>,
}

impl MtlsAuth {
    /// The caller, and until when the answer holds.
    pub(super) fn authenticate(&self, peer: &Peer, now: UnixTime) -> Result<(Caller, UnixTime), Denial> {
        let Some(tls) = &peer.tls else {
            return Err(Denial::new(
                Reply::NO_CERTIFICATE,
                "the request came without TLS, so without a certificate",
            ));
        };
        let Some(certificate) = &tls.certificate else {
            return Err(Denial::new(Reply::NO_CERTIFICATE, "the client sent no certificate"));
        };
        let accepted = self
            .verifier
            .verify(certificate, now)
            .map_err(|untrusted| Denial::new(Reply::NOT_VERIFIED, untrusted.to_string()))?;
        let group = self.group_by.and_then(|by| by.group(certificate));
        Ok((Caller { certificate: Arc::clone(certificate), group }, accepted.until))
    }
}

impl GroupBy {
    /// The group of whoever holds this certificate.
    #[must_use]
    pub fn group(self, certificate: &PeerCertificate) -> Option<String> {
        match self {
            Self::CommonName => certificate.leaf.common_name().map(ToString::to_string),
            Self::DistinguishedName => Some(certificate.leaf.subject().to_string()),
        }
    }
}
