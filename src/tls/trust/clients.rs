//! Whose clients may come in.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};

use super::anchors::{Anchors, Intermediates};
use super::chain::{Case, Way};
use super::reason::{Untrusted, sentence};
use super::{CaError, caller_anchor, unusable};
use crate::identity::{PeerCertificate, Side};
use crate::tls::verdicts::Verdicts;

/// What an accepted chain tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// When the first certificate of the path, leaf to anchor, expires.
    pub until: UnixTime,
    /// The CAs of the path, as [`ChainVerifier::issuers`] finds them again: positions among what
    /// the client sent, then the listed intermediates, then the anchors.
    pub(in crate::tls) path: Arc<[usize]>,
}

/// The CAs whose clients are accepted.
#[derive(Debug)]
pub struct ChainVerifier {
    anchors: Anchors,
    /// Listed CAs that are no anchors help to complete chains.
    intermediates: Intermediates,
    /// Intermediates that a path may have.
    depth: Option<u32>,
    verdicts: Verdicts,
}

impl ChainVerifier {
    /// Trusts the roots among `cas` (DER), and every one of them if `allow_partial_chain`. What a client signed
    /// itself and is no CA stands for itself alone.
    ///
    /// # Errors
    /// When one is neither, has expired at `now` or cannot be read; when no root is left.
    pub fn new(
        cas: Vec<CertificateDer<'static>>,
        allow_partial_chain: bool,
        now: UnixTime,
    ) -> Result<Self, CaError> {
        let (mut anchors, mut intermediates) = (Anchors::default(), Intermediates::default());
        for (index, der) in cas.into_iter().enumerate() {
            let certificate = caller_anchor(&der, index + 1, now)?;
            if allow_partial_chain || certificate.is_self_issued() {
                let copy = certificate.clone();
                anchors.add(certificate).map_err(|error| unusable(&copy, index + 1, &error))?;
            } else {
                intermediates.add(certificate);
            }
        }
        if anchors.is_empty() {
            return Err(CaError::NoRoot);
        }
        Ok(Self { anchors, intermediates, depth: None, verdicts: Verdicts::default() })
    }

    /// Accepts only chains with at most so many intermediate CAs, as OpenSSL counts them (1.1.0 and later,
    /// `SSL_CTX_set_verify_depth`; nginx's `ssl_verify_depth`): neither the leaf nor the anchor.
    #[must_use]
    pub fn within(self, depth: Option<u32>) -> Self {
        Self { depth, ..self }
    }

    /// Judges the chain of a client at the time `now`. Costs one signature check per link, or a
    /// digest when the same chain was judged before.
    ///
    /// # Errors
    /// With the reason when the chain is not accepted.
    pub fn verify(&self, peer: &PeerCertificate, now: UnixTime) -> Result<Accepted, Untrusted> {
        if let Some(decided) = self.verdicts.find(&peer.digest, now) {
            return decided;
        }
        match self.case(peer, now).judge() {
            Ok(way) => {
                let accepted = self.accepted(peer, &way);
                self.verdicts.accepted(peer.digest, accepted.clone(), now);
                Ok(accepted)
            }
            Err(refused) => {
                let untrusted = sentence(&refused.why, &peer.leaf, Side::Client);
                self.verdicts.refused(peer.digest, untrusted.clone(), refused.begins, now);
                Err(untrusted)
            }
        }
    }

    fn case<'a>(&'a self, peer: &'a PeerCertificate, now: UnixTime) -> Case<'a> {
        Case {
            anchors: &self.anchors,
            listed: &self.intermediates,
            leaf: &peer.leaf,
            sent: &peer.chain,
            side: Side::Client,
            depth: self.depth,
            now,
        }
    }

    fn accepted(&self, peer: &PeerCertificate, way: &Way) -> Accepted {
        let first = peer.chain.len() + self.intermediates.len();
        let anchors = way.anchors.iter().map(|at| first + at);
        Accepted { until: way.until, path: way.intermediates.iter().copied().chain(anchors).collect() }
    }

    /// The CAs (DER) of an accepted path: the issuer of the leaf first, the anchor last. A root
    /// that was renewed with its key is there in each form that is listed: they are one CA.
    pub fn issuers<'a>(
        &'a self,
        peer: &'a PeerCertificate,
        accepted: &'a Accepted,
    ) -> impl Iterator<Item = &'a CertificateDer<'static>> {
        accepted.path.iter().filter_map(|&at| {
            let listed = at.checked_sub(peer.chain.len());
            let Some(at) = listed else { return peer.chain.get(at) };
            let anchor =
                || Some(self.anchors.get(at.checked_sub(self.intermediates.len())?)?.certificate.der());
            self.intermediates.get(at).or_else(anchor)
        })
    }

    /// The same, but of the anchor one form alone: each has issued the one before it. Nobody, where the leaf
    /// is itself listed.
    pub fn links<'a>(
        &'a self,
        peer: &'a PeerCertificate,
        accepted: &'a Accepted,
    ) -> impl Iterator<Item = &'a CertificateDer<'static>> {
        let anchors = peer.chain.len() + self.intermediates.len();
        let below = accepted.path.iter().take_while(|at| **at < anchors).count();
        let is_listed = self.issuers(peer, accepted).any(|ca| ca == peer.leaf.der());
        self.issuers(peer, accepted).take(if is_listed { 0 } else { below + 1 })
    }

    /// The subjects (DER) to name in a CertificateRequest, for `send_ca_dn`.
    #[must_use]
    pub fn subjects(&self) -> Vec<Arc<[u8]>> {
        self.anchors.iter().map(|anchor| Arc::from(anchor.trust.subject.as_ref())).collect()
    }
}
