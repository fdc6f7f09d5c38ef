//! Who may have issued whom, among what was sent and what is listed: the search before the path is built.
//!
//! webpki tries every certificate that has the right name, in every order. It gets only those that are on the
//! way from the leaf, and where several keys have one name, only the one that made the signature. That is a
//! choice and no judgement: webpki checks all of them again.

use std::collections::VecDeque;

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::chain::Case;
use super::limits::{MAX_SENT, Work};
use crate::identity::Certificate;
use crate::tls::revocation::der::{Reader, SEQUENCE, Signed, element};

/// What a path can be made of.
pub(super) struct Found<'a> {
    /// Positions of anchors.
    pub(super) anchors: Vec<usize>,
    /// In the order they were found: the issuer of the leaf first.
    pub(super) intermediates: Vec<Known<'a>>,
    /// Somebody has the name of an issuer, and another key.
    pub(super) other_key: bool,
    /// Sent, and not to be read by webpki.
    pub(super) unreadable: Vec<(Certificate, webpki::Error)>,
}

/// A certificate that is no anchor.
pub(super) struct Known<'a> {
    /// Its position among what was sent, then the listed intermediates.
    pub(super) at: usize,
    pub(super) der: &'a CertificateDer<'a>,
    subject: Box<[u8]>,
    issuer: Box<[u8]>,
    key: SubjectPublicKeyInfoDer<'static>,
}

impl<'a> Known<'a> {
    fn read(at: usize, der: &'a CertificateDer<'a>) -> Result<Self, webpki::Error> {
        let cert = EndEntityCert::try_from(der)?;
        let (subject, issuer) = (cert.subject().into(), cert.issuer().into());
        Ok(Self { at, der, subject, issuer, key: cert.subject_public_key_info() })
    }
}

/// The search for one leaf.
struct Search<'a, 'c> {
    case: &'c Case<'a>,
    work: &'c Work,
    /// The leaf, what was sent, and what of the listed has a name that was looked for.
    pool: Vec<Known<'a>>,
    /// Those of the pool that are on the way, in the order they were found.
    taken: Vec<usize>,
    anchors: Vec<usize>,
    other_key: bool,
}

/// A key that has the name of an issuer, and the certificates that say so.
struct Claim {
    key: SubjectPublicKeyInfoDer<'static>,
    anchors: Vec<usize>,
    /// Positions in the pool.
    intermediates: Vec<usize>,
    /// Nobody but the stranger says so.
    is_sent: bool,
}

/// Everything on the way from the leaf.
///
/// # Errors
/// When webpki cannot read the leaf.
pub(super) fn issuers<'a>(case: &Case<'a>, work: &Work) -> Result<Found<'a>, webpki::Error> {
    let mut unreadable = Vec::new();
    let mut pool = vec![Known::read(usize::MAX, case.leaf.der())?];
    for (at, der) in case.sent.iter().enumerate().take(MAX_SENT) {
        if pool.iter().any(|known| known.der == der) {
            continue;
        }
        match Known::read(at, der) {
            Ok(known) => pool.push(known),
            Err(error) => {
                let certificate = Certificate::parse(der.clone().into_owned());
                unreadable.extend(certificate.ok().map(|certificate| (certificate, error)));
            }
        }
    }
    let (taken, anchors) = (Vec::new(), Vec::new());
    let mut search = Search { case, work, pool, taken, anchors, other_key: false };
    search.run();
    let Search { pool, taken, anchors, other_key, .. } = search;
    let mut pool: Vec<_> = pool.into_iter().map(Some).collect();
    let intermediates = taken.into_iter().filter_map(|at| pool[at].take()).collect();
    Ok(Found { anchors, intermediates, other_key, unreadable })
}

impl Search<'_, '_> {
    fn run(&mut self) {
        let mut children = VecDeque::from([0]);
        while let Some(child) = children.pop_front() {
            let mut claims = self.claims(child);
            if claims.len() > 1 {
                claims = self.by_key(child, claims).into_iter().collect();
                self.other_key |= claims.is_empty();
            }
            for claim in claims {
                self.anchors.extend(claim.anchors);
                self.taken.extend(&claim.intermediates);
                children.extend(claim.intermediates);
            }
        }
        self.anchors.sort_unstable();
        self.anchors.dedup();
    }

    /// Everybody who has the name of the child's issuer and was not found yet, by key.
    fn claims(&mut self, child: usize) -> Vec<Claim> {
        let case = self.case;
        let name = self.pool[child].issuer.clone();
        let mut claims = Vec::new();
        for &at in case.anchors.named(&name) {
            let Some(anchor) = case.anchors.get(at) else { continue };
            let key = element(SEQUENCE, &[&anchor.trust.subject_public_key_info]);
            claim(&mut claims, &SubjectPublicKeyInfoDer::from(key), false).anchors.push(at);
        }
        for (at, der) in case.listed.named(&name) {
            let at = case.sent.len() + at;
            if self.pool.iter().all(|known| known.at != at && known.der != der) {
                self.pool.extend(Known::read(at, der));
            }
        }
        for (at, known) in self.pool.iter().enumerate() {
            let child = &self.pool[child];
            // A CA that issued itself leads nowhere (RFC 4158 section 5.2), and no leaf is a CA.
            let itself = known.subject == child.subject && known.key == child.key;
            if known.subject == name && at > 0 && !itself && !self.taken.contains(&at) {
                let is_sent = known.at < case.sent.len();
                claim(&mut claims, &known.key, is_sent).intermediates.push(at);
            }
        }
        claims
    }

    /// The one whose key signed the child: of several that the key identifiers do not tell apart, the listed are
    /// tried first.
    fn by_key(&self, child: usize, mut claims: Vec<Claim>) -> Option<Claim> {
        let child = self.pool[child].der;
        if let Some(wanted) = authority_key_identifier(child) {
            // An order only: identifiers are hints (RFC 5280 section 4.2.1.1).
            claims.sort_by_cached_key(|claim| {
                let sent = claim.intermediates.first().map(|at| self.pool[*at].der);
                let anchor = || Some(self.case.anchors.get(*claim.anchors.first()?)?.certificate.der());
                let own = sent.or_else(anchor).and_then(subject_key_identifier);
                (own.as_deref() != Some(wanted.as_slice()), claim.is_sent)
            });
        }
        let signed = Signed::read(&mut Reader::of_sequence(child).ok()?).ok()?;
        claims.into_iter().find(|claim| {
            (!claim.is_sent || self.work.guess())
                && self.work.signature()
                && signed.verify(&claim.key).is_ok()
        })
    }
}

fn claim<'c>(
    claims: &'c mut Vec<Claim>,
    key: &SubjectPublicKeyInfoDer<'static>,
    is_sent: bool,
) -> &'c mut Claim {
    let at = claims.iter().position(|claim| claim.key == *key).unwrap_or_else(|| {
        let (anchors, intermediates) = (Vec::new(), Vec::new());
        claims.push(Claim { key: key.clone(), anchors, intermediates, is_sent });
        claims.len() - 1
    });
    &mut claims[at]
}

fn authority_key_identifier(der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, x509) = X509Certificate::from_der(der).ok()?;
    x509.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(of) => of.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    })
}

fn subject_key_identifier(der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, x509) = X509Certificate::from_der(der).ok()?;
    x509.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}
