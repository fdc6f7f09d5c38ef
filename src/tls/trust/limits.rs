//! What one judgement may cost, whoever asks for it.
//!
//! webpki's own limits (100 signatures, 200,000 steps) are for browsers: a stranger who sends certificates of
//! one name and many keys costs 150 ms there. Its steps are counted here by the one thing that it asks of us
//! at each of them, the purpose; and its signatures by the algorithms it is given.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use webpki::{ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage};

/// Certificates after the leaf that are looked at; what comes after them is passed over. Real chains have
/// one to three.
pub(super) const MAX_SENT: usize = 16;

/// Certificates that a path is tried with, each time it is tried with one. The longest path that webpki
/// follows has eight: leaf, six CAs and anchor.
const MAX_STEPS: usize = 48;

/// Signatures that are checked; the longest path has seven.
const MAX_SIGNATURES: usize = 24;

/// Keys of sent certificates that are tried because several claim to be the issuer. The one that the key
/// identifiers name is tried first, so that an honest client needs one for each step.
const MAX_GUESSES: usize = 6;

/// What is left of them in one judgement.
#[derive(Debug)]
pub(super) struct Work {
    signatures: AtomicUsize,
    steps: Cell<usize>,
    guesses: Cell<usize>,
}

impl Work {
    pub(super) fn new() -> Self {
        Self {
            signatures: AtomicUsize::new(MAX_SIGNATURES),
            steps: Cell::new(MAX_STEPS),
            guesses: Cell::new(MAX_GUESSES),
        }
    }

    /// Whether one more signature may be checked.
    pub(super) fn signature(&self) -> bool {
        self.signatures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// Whether one more key of a sent certificate may be tried.
    pub(super) fn guess(&self) -> bool {
        take(&self.guesses)
    }

    /// How many signatures were checked.
    #[cfg(test)]
    pub(super) fn spent(&self) -> usize {
        MAX_SIGNATURES - self.signatures.load(Ordering::Relaxed)
    }

    /// These algorithms, each use of which is counted.
    pub(super) fn counted(
        &self,
        algorithms: &[&'static dyn SignatureVerificationAlgorithm],
    ) -> Vec<Counted<'_>> {
        algorithms.iter().map(|algorithm| Counted { algorithm: *algorithm, work: &self.signatures }).collect()
    }

    /// This purpose, each question after which is a step.
    pub(super) fn stepping(&self, usage: KeyUsage) -> Stepping<'_> {
        Stepping { usage, work: self }
    }
}

fn take(left: &Cell<usize>) -> bool {
    let more = left.get().checked_sub(1);
    left.set(more.unwrap_or_default());
    more.is_some()
}

/// An algorithm that stops to work when the judgement has cost enough.
pub(super) struct Counted<'a> {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    work: &'a AtomicUsize,
}

impl fmt::Debug for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.algorithm.fmt(f)
    }
}

impl SignatureVerificationAlgorithm for Counted<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        self.work
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .map_err(|_| InvalidSignature)?;
        self.algorithm.verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }

    fn fips(&self) -> bool {
        self.algorithm.fips()
    }
}

/// What webpki asks for every certificate that it tries; an error of these two kinds ends its search.
pub(super) struct Stepping<'a> {
    usage: KeyUsage,
    work: &'a Work,
}

impl ExtendedKeyUsageValidator for Stepping<'_> {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        if !take(&self.work.steps) {
            return Err(webpki::Error::MaximumPathBuildCallsExceeded);
        }
        if self.work.signatures.load(Ordering::Relaxed) == 0 {
            return Err(webpki::Error::MaximumSignatureChecksExceeded);
        }
        self.usage.validate(purposes)
    }
}
