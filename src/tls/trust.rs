//! Judging certificate chains: whose clients may come in.
//!
//! [`ChainVerifier`] is called per request by `policy` (a verdict is cached there), and in
//! the handshake where `mtls_auth_handshake=require` wants that. It promises that an
//! accepted leaf chains to a listed CA, is valid now and is meant for clients.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use thiserror::Error;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::credentials::in_words;
use super::verdicts::Verdicts;
use crate::identity::{Certificate, Malformed, PeerCertificate};
use crate::telemetry::cause;

/// Why a set of CA certificates cannot be trusted.
#[derive(Debug, Error)]
pub enum CaError {
    /// Not readable.
    #[error("certificate {number} cannot be read: {source}")]
    Malformed {
        /// Position in the text, from 1.
        number: usize,
        /// What is wrong with it.
        source: Malformed,
    },
    /// Readable, but nothing a chain can end at.
    #[error("certificate {number} ({subject}) cannot be a trust anchor: {reason}")]
    Unusable {
        /// Position in the text, from 1.
        number: usize,
        /// RFC 4514 subject.
        subject: String,
        /// The verifier's word.
        reason: String,
    },
    /// basicConstraints say it may not issue.
    #[error("certificate {number} ({subject}) is no CA: its basic constraints lack CA:TRUE")]
    NotACa {
        /// Position in the text, from 1.
        number: usize,
        /// RFC 4514 subject.
        subject: String,
    },
    /// `notAfter` is past; Kong refuses such a file too (kong/db/schema/entities/ca_certificates.lua).
    #[error("certificate {number} ({subject}) expired {ago} ago")]
    Expired {
        /// Position in the text, from 1.
        number: usize,
        /// RFC 4514 subject.
        subject: String,
        /// Time since `notAfter`, in words.
        ago: String,
    },
    /// Only intermediates, while partial chains are not allowed.
    #[error("none of them is a root (issued by itself), so no chain can be complete")]
    NoRoot,
}

/// Why a chain is not accepted; a sentence for our log, never for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Untrusted(String);

/// What an accepted chain tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// When the first certificate of the path, leaf to anchor, expires.
    pub until: UnixTime,
    /// The CAs of the path, as [`ChainVerifier::issuers`] finds them again: positions among what
    /// the client sent, then the listed intermediates, then the anchors.
    pub(super) path: Arc<[usize]>,
}

/// The CAs whose clients are accepted.
#[derive(Debug)]
pub struct ChainVerifier {
    anchors: Vec<Anchor>,
    /// The anchors once more, in the shape the path builder wants.
    trust_anchors: Vec<TrustAnchor<'static>>,
    /// Listed CAs that are no anchors help to complete chains.
    intermediates: Vec<CertificateDer<'static>>,
    verdicts: Verdicts,
}

#[derive(Debug)]
struct Anchor {
    certificate: Certificate,
    trust: TrustAnchor<'static>,
}

impl ChainVerifier {
    /// Trusts the roots among `cas` (DER), and every one of them if `allow_partial_chain`.
    ///
    /// # Errors
    /// When one is not a CA, has expired at `now` or cannot be read; when no root is left.
    pub fn new(
        cas: Vec<CertificateDer<'static>>,
        allow_partial_chain: bool,
        now: UnixTime,
    ) -> Result<Self, CaError> {
        let mut anchors = Vec::new();
        let mut intermediates = Vec::new();
        for (index, der) in cas.into_iter().enumerate() {
            let certificate = ca_certificate(&der, index + 1, now)?;
            if allow_partial_chain || certificate.is_self_issued() {
                let trust = anchor(&der, &certificate, index + 1)?;
                anchors.push(Anchor { certificate, trust });
            } else {
                intermediates.push(der);
            }
        }
        if anchors.is_empty() {
            return Err(CaError::NoRoot);
        }
        let trust_anchors = anchors.iter().map(|anchor| anchor.trust.clone()).collect();
        Ok(Self { anchors, trust_anchors, intermediates, verdicts: Verdicts::default() })
    }

    /// Judges the chain of a client at the time `now`. Costs one signature check per link, or a
    /// digest when the same chain was accepted before.
    ///
    /// # Errors
    /// With the reason when the chain is not accepted.
    pub fn verify(&self, peer: &PeerCertificate, now: UnixTime) -> Result<Accepted, Untrusted> {
        if let Some(accepted) = self.verdicts.find(&peer.digest, now) {
            return Ok(accepted);
        }
        let accepted = self.judge(peer, now)?;
        self.verdicts.remember(peer.digest, accepted.clone(), now);
        Ok(accepted)
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
            let anchor = || self.anchors.get(at - self.intermediates.len()).map(|it| it.certificate.der());
            self.intermediates.get(at).or_else(anchor)
        })
    }

    /// The same, but of the anchor one form alone: each has issued the one before it.
    pub fn links<'a>(
        &'a self,
        peer: &'a PeerCertificate,
        accepted: &'a Accepted,
    ) -> impl Iterator<Item = &'a CertificateDer<'static>> {
        let anchors = peer.chain.len() + self.intermediates.len();
        let below = accepted.path.iter().take_while(|at| **at < anchors).count();
        self.issuers(peer, accepted).take(below + 1)
    }

    fn judge(&self, peer: &PeerCertificate, now: UnixTime) -> Result<Accepted, Untrusted> {
        let leaf = EndEntityCert::try_from(peer.leaf.der()).map_err(|error| self.reason(&error, peer))?;
        let intermediates: Vec<_> = peer.chain.iter().chain(&self.intermediates).cloned().collect();
        let path = leaf
            .verify_for_usage(
                super::provider().signature_verification_algorithms.all,
                &self.trust_anchors,
                &intermediates,
                now,
                KeyUsage::client_auth(),
                None,
                Some(&|path: &VerifiedPath<'_>| self.anchor_is_valid(path, now)),
            )
            .map_err(|error| self.reason(&error, peer))?;
        let used: Vec<_> = path.intermediate_certificates().map(|cert| cert.der().into_owned()).collect();
        let position = |der| intermediates.iter().position(|given| given == der);
        let anchors = self.same_anchors(&path).map(|(at, _)| intermediates.len() + at);
        let positions = used.iter().filter_map(position).chain(anchors).collect();
        // Of one that webpki reads and we do not, the end is unknown: nothing is known beyond now.
        let end = |der| Certificate::parse(der).map_or(now, |c| c.validity().not_after);
        let ends = used.into_iter().map(end).chain(self.anchor_end(&path));
        Ok(Accepted { until: ends.fold(peer.leaf.validity().not_after, Ord::min), path: positions })
    }

    /// The subjects (DER) to name in a CertificateRequest, for `send_ca_dn`.
    #[must_use]
    pub fn subjects(&self) -> Vec<Arc<[u8]>> {
        self.anchors.iter().map(|anchor| Arc::from(anchor.trust.subject.as_ref())).collect()
    }

    /// Trust anchors carry no dates, so the path builder cannot see that a root has expired
    /// since it was loaded; OpenSSL, and so Kong, does look.
    fn anchor_is_valid(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Result<(), webpki::Error> {
        match self.anchor_end(path) {
            Some(not_after) if now <= not_after => Ok(()),
            Some(not_after) => Err(webpki::Error::CertExpired { time: now, not_after }),
            None => Err(webpki::Error::UnknownIssuer),
        }
    }

    /// The end of the anchor that was used: the latest of those with its name and key, since a
    /// root that was renewed is listed beside the old one.
    fn anchor_end(&self, path: &VerifiedPath<'_>) -> Option<UnixTime> {
        self.same_anchors(path).map(|(_, anchor)| anchor.certificate.validity().not_after).max()
    }

    fn same_anchors(&self, path: &VerifiedPath<'_>) -> impl Iterator<Item = (usize, &Anchor)> {
        let used = path.anchor();
        let (name, key) = (used.subject.to_owned(), used.subject_public_key_info.to_owned());
        let anchors = self.anchors.iter().enumerate();
        anchors.filter(move |(_, it)| it.trust.subject == name && it.trust.subject_public_key_info == key)
    }

    fn reason(&self, error: &webpki::Error, peer: &PeerCertificate) -> Untrusted {
        let subject = peer.leaf.subject();
        Untrusted(match error {
            webpki::Error::UnknownIssuer => format!(
                "the certificate of {subject} was issued by {}, which does not lead to any CA in mtls-auth's list",
                peer.leaf.issuer()
            ),
            // Two hosts that each made a CA of their own have two of the same name.
            webpki::Error::InvalidSignatureForPublicKey => format!(
                "the certificate of {subject} was issued by {}, which does not lead to any CA in mtls-auth's list: one has that name, but another key",
                peer.leaf.issuer()
            ),
            webpki::Error::CertExpired { time, not_after } => format!(
                "the certificate of {subject}, or one in its chain, expired {} ago",
                in_words(time.as_secs().saturating_sub(not_after.as_secs()))
            ),
            webpki::Error::CertNotValidYet { time, not_before } => format!(
                "the certificate of {subject}, or one in its chain, is not valid before {} from now",
                in_words(not_before.as_secs().saturating_sub(time.as_secs()))
            ),
            webpki::Error::RequiredEkuNotFoundContext(_) => format!(
                "the certificate of {subject} is not meant for TLS clients: its extended key usage lacks clientAuth"
            ),
            webpki::Error::CaUsedAsEndEntity => {
                format!("the certificate of {subject} is a CA, which cannot be a client")
            }
            webpki::Error::UnsupportedCertVersion => format!(
                "the certificate of {subject}, or one in its chain, is of X.509 version 1, which cannot say what it is for; issue it again with extensions (openssl x509 -req -extfile …)"
            ),
            other => format!("the chain of {subject} does not verify: {}", cause::path(other)),
        })
    }
}

/// Whether each of these can be in a list of the callers' CAs.
///
/// # Errors
/// What is wrong with the first that cannot.
pub fn check(cas: &[CertificateDer<'static>], now: UnixTime) -> Result<(), CaError> {
    cas.iter().enumerate().try_for_each(|(index, der)| ca_certificate(der, index + 1, now).map(drop))
}

/// Those that a server's chain can end at: CAs, and certificates that servers signed themselves.
///
/// # Errors
/// What is wrong with the first, when there is none.
pub fn usable(
    certificates: Vec<CertificateDer<'static>>,
    now: UnixTime,
) -> Result<Vec<CertificateDer<'static>>, CaError> {
    let mut usable = Vec::new();
    let mut first_error = None;
    for (index, der) in certificates.into_iter().enumerate() {
        match server_anchor(&der, index + 1, now) {
            Ok(()) => usable.push(der),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.filter(|_| usable.is_empty()).map_or(Ok(usable), Err)
}

fn server_anchor(der: &CertificateDer<'static>, number: usize, now: UnixTime) -> Result<(), CaError> {
    let certificate =
        Certificate::parse(der.clone()).map_err(|source| CaError::Malformed { number, source })?;
    if !certificate.is_self_issued() {
        must_be_ca(&certificate, number)?;
    }
    must_not_be_expired(&certificate, number, now)?;
    anchor(der, &certificate, number).map(drop)
}

fn anchor(
    der: &CertificateDer<'static>,
    certificate: &Certificate,
    number: usize,
) -> Result<TrustAnchor<'static>, CaError> {
    let anchor = webpki::anchor_from_trusted_cert(der).map_err(|error| CaError::Unusable {
        number,
        subject: certificate.subject().to_string(),
        reason: cause::path(&error).to_owned(),
    })?;
    Ok(anchor.to_owned())
}

fn ca_certificate(
    der: &CertificateDer<'static>,
    number: usize,
    now: UnixTime,
) -> Result<Certificate, CaError> {
    let certificate =
        Certificate::parse(der.clone()).map_err(|source| CaError::Malformed { number, source })?;
    must_be_ca(&certificate, number)?;
    must_not_be_expired(&certificate, number, now)?;
    Ok(certificate)
}

fn must_be_ca(certificate: &Certificate, number: usize) -> Result<(), CaError> {
    let subject = || certificate.subject().to_string();
    if certificate.is_ca() { Ok(()) } else { Err(CaError::NotACa { number, subject: subject() }) }
}

fn must_not_be_expired(certificate: &Certificate, number: usize, now: UnixTime) -> Result<(), CaError> {
    let not_after = certificate.validity().not_after;
    if now <= not_after {
        return Ok(());
    }
    let ago = in_words(now.as_secs() - not_after.as_secs());
    Err(CaError::Expired { number, subject: certificate.subject().to_string(), ago })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::ChainDigest;

    /// A root that ends after `days`, with this key, in DER.
    fn root(key: &rcgen::KeyPair, days: i64) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "root");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_before = time::OffsetDateTime::now_utc() - time::Duration::days(1);
        params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(days);
        params.self_signed(key).unwrap().der().clone()
    }

    #[test]
    fn a_renewed_root_counts_beside_its_old_one_whichever_comes_first() {
        let key = rcgen::KeyPair::generate().unwrap();
        let (old, new) = (root(&key, 1), root(&key, 300));
        let issuer = rcgen::Issuer::from_ca_cert_der(&new, &key).unwrap();
        let leaf_key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec![]).unwrap().signed_by(&leaf_key, &issuer).unwrap();
        let leaf = Certificate::parse(leaf.der().clone()).unwrap();
        let digest = ChainDigest::of(std::slice::from_ref(leaf.der()));
        let peer = PeerCertificate { leaf, chain: Vec::new(), digest };
        let now = UnixTime::now();
        let in_ten_days = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs() + 864_000));
        for cas in [vec![old.clone(), new.clone()], vec![new, old.clone()]] {
            let verifier = ChainVerifier::new(cas, false, now).unwrap();
            assert!(verifier.verify(&peer, now).is_ok());
            assert!(verifier.verify(&peer, in_ten_days).is_ok());
        }
        let alone = ChainVerifier::new(vec![old], false, now).unwrap();
        let untrusted = alone.verify(&peer, in_ten_days).unwrap_err();
        assert!(untrusted.to_string().contains("expired 9 days ago"), "{untrusted}");
    }

    #[test]
    fn the_cas_of_a_path_are_told_whether_sent_or_listed() {
        let root = crate::pki::Authority::new("root").unwrap();
        let middle = root.intermediate("middle").unwrap();
        let issued = middle.issue(&crate::pki::Leaf::client("a")).unwrap();
        let now = UnixTime::now();
        let cas = [root.certificate().clone(), middle.certificate().clone()];
        // Sent along, with something that does not belong; listed; sent and listed.
        let unrelated = crate::pki::Authority::new("other").unwrap().certificate().clone();
        let chains = [
            vec![issued.leaf().clone(), unrelated, cas[1].clone()],
            vec![issued.leaf().clone()],
            issued.chain(),
        ];
        for (sent, listed) in chains.iter().zip([&cas[..1], &cas[..], &cas[..]]) {
            let peer = PeerCertificate::parse(sent).unwrap().unwrap();
            let verifier = ChainVerifier::new(listed.to_vec(), false, now).unwrap();
            for _ in ["judged", "remembered"] {
                let accepted = verifier.verify(&peer, now).unwrap();
                let issuers: Vec<_> = verifier.issuers(&peer, &accepted).collect();
                assert_eq!(issuers, [&cas[1], &cas[0]]);
            }
        }
        let peer = PeerCertificate::parse(&[issued.leaf().clone()]).unwrap().unwrap();
        let partial = ChainVerifier::new(vec![cas[1].clone()], true, now).unwrap();
        let accepted = partial.verify(&peer, now).unwrap();
        assert_eq!(partial.issuers(&peer, &accepted).collect::<Vec<_>>(), [&cas[1]]);
    }
}
