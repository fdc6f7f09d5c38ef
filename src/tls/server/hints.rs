//! The names of the CAs that clients are told along with the question for their certificate.

use std::sync::Arc;

use rustls::DistinguishedName;
use thiserror::Error;

/// What fits: extensions of TLS 1.3 together have 65,535 bytes (RFC 8446 4.2), and some is for others.
const MAX_BYTES: usize = 60_000;

/// More names than a handshake can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the names of {count} CAs have {bytes} bytes, and a handshake can carry {MAX_BYTES}")]
pub struct TooManyNames {
    /// Different names.
    count: usize,
    /// As they would be sent.
    bytes: usize,
}

/// The CA subjects named in a CertificateRequest; empty names none, so that clients offer what they have.
/// Shared: a copy costs nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Hints(Arc<[Arc<[u8]>]>);

impl Hints {
    /// Names these subjects (what is in the SEQUENCE of a Name, DER), each once; their order says nothing.
    ///
    /// # Errors
    /// When they do not fit in a handshake.
    pub fn new(subjects: impl IntoIterator<Item = Arc<[u8]>>) -> Result<Self, TooManyNames> {
        let mut subjects: Vec<_> = subjects.into_iter().collect();
        subjects.sort_unstable();
        subjects.dedup();
        // Two bytes of length each, and up to four of the SEQUENCE.
        let bytes = subjects.iter().map(|subject| subject.len() + 6).sum();
        if bytes > MAX_BYTES {
            return Err(TooManyNames { count: subjects.len(), bytes });
        }
        Ok(Self(subjects.into()))
    }

    pub(super) fn names(&self) -> Vec<DistinguishedName> {
        self.0.iter().map(|subject| DistinguishedName::in_sequence(subject)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_names_in_another_order_are_the_same_hints() {
        let (a, b): (Arc<[u8]>, Arc<[u8]>) = (Arc::from([1, 2]), Arc::from([3]));
        let once = Hints::new([a.clone(), b.clone()]).unwrap();
        assert_eq!(Hints::new([b.clone(), a, b]), Ok(once.clone()));
        assert_eq!(once.names().len(), 2);
        assert!(Hints::default().names().is_empty());
    }

    #[test]
    fn names_that_do_not_fit_in_a_handshake_are_refused() {
        let name = |index: u16| -> Arc<[u8]> { [&index.to_be_bytes()[..], &[7; 92]].concat().into() };
        assert!(Hints::new((0..600).map(name)).is_ok());
        let error = Hints::new((0..601).map(name)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the names of 601 CAs have 60100 bytes, and a handshake can carry 60000"
        );
    }
}
