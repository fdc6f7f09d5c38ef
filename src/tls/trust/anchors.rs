//! The certificates that are listed, ready to be found by name: what chains can end at, and what completes them.

use std::collections::HashMap;

use rustls::pki_types::{CertificateDer, TrustAnchor};
use webpki::EndEntityCert;

use crate::identity::Certificate;

/// One that a chain can end at.
#[derive(Debug)]
pub(super) struct Anchor {
    pub(super) certificate: Certificate,
    /// The same, in the shape the path builder wants; it has no dates and no extensions.
    pub(super) trust: TrustAnchor<'static>,
}

/// All that chains can end at.
#[derive(Debug, Default)]
pub struct Anchors {
    list: Vec<Anchor>,
    by_subject: ByName,
}

/// Positions by name (what is in the SEQUENCE of a Name, DER).
type ByName = HashMap<Box<[u8]>, Vec<usize>>;

impl Anchors {
    /// Those of these certificates (DER) that can be one, for the chains of servers: CAs, and what servers
    /// signed themselves.
    #[must_use]
    pub fn of_servers(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let mut anchors = Self::default();
        for der in certificates {
            if let Ok(certificate) = Certificate::parse(der) {
                let _unusable = anchors.add(certificate);
            }
        }
        anchors
    }

    /// Adds one.
    ///
    /// # Errors
    /// When webpki cannot read it.
    pub(super) fn add(&mut self, certificate: Certificate) -> Result<(), webpki::Error> {
        let trust = webpki::anchor_from_trusted_cert(certificate.der())?.to_owned();
        self.by_subject.entry(trust.subject.as_ref().into()).or_default().push(self.list.len());
        self.list.push(Anchor { certificate, trust });
        Ok(())
    }

    /// Whether there is nothing to trust.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Anchor> {
        self.list.get(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Anchor> {
        self.list.iter()
    }

    /// Positions of those with this name.
    pub(super) fn named(&self, subject: &[u8]) -> &[usize] {
        self.by_subject.get(subject).map_or(&[], Vec::as_slice)
    }

    /// This very certificate, to the byte.
    pub(super) fn position(&self, der: &CertificateDer<'_>) -> Option<usize> {
        self.list.iter().position(|anchor| anchor.certificate.der() == der)
    }

    /// All forms of an anchor that a path ended at: a root that was renewed with its key is listed beside the
    /// old one.
    pub(super) fn forms(&self, used: &TrustAnchor<'_>) -> impl Iterator<Item = (usize, &Anchor)> {
        let named = self.named(used.subject.as_ref()).iter();
        let forms = named.filter_map(|at| Some((*at, self.list.get(*at)?)));
        forms.filter(|(_, anchor)| anchor.trust.subject_public_key_info == used.subject_public_key_info)
    }
}

/// Listed CAs that are no anchors, and complete the chains of those who send too little.
#[derive(Debug, Default)]
pub(super) struct Intermediates {
    list: Vec<CertificateDer<'static>>,
    by_subject: ByName,
    /// Those that webpki cannot read, and why; no path leads over them.
    pub(super) unreadable: Vec<(Certificate, webpki::Error)>,
}

impl Intermediates {
    /// Adds one.
    pub(super) fn add(&mut self, certificate: Certificate) {
        match EndEntityCert::try_from(certificate.der()) {
            Ok(cert) => {
                self.by_subject.entry(cert.subject().into()).or_default().push(self.list.len());
                self.list.push(certificate.der().clone());
            }
            Err(error) => self.unreadable.push((certificate, error)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, at: usize) -> Option<&CertificateDer<'static>> {
        self.list.get(at)
    }

    /// Those with this name, with their positions.
    pub(super) fn named(&self, subject: &[u8]) -> impl Iterator<Item = (usize, &CertificateDer<'static>)> {
        let named = self.by_subject.get(subject).into_iter().flatten();
        named.filter_map(|at| Some((*at, self.list.get(*at)?)))
    }
}
