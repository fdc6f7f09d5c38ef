//! Certificates of peers that are connected now, read once however many connections present them.
//!
//! One per worker, used by `server` in the handshake. It keeps nothing alive: a certificate is known as
//! long as a connection holds it. To be known is no trust; that is decided per request by `policy`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use rustls_pki_types::CertificateDer;

use super::certificate::Malformed;
use super::peer::{ChainDigest, PeerCertificate};

/// Entries from which on those of ended connections are looked for.
const FEW: usize = 64;

/// What the connections of one worker present.
#[derive(Debug, Default)]
pub struct KnownCertificates {
    known: RefCell<HashMap<ChainDigest, Weak<PeerCertificate>>>,
}

impl KnownCertificates {
    /// From the certificates of a handshake, as [`PeerCertificate::parse`] reads them; `None` when
    /// there were none.
    ///
    /// # Errors
    /// The leaf is not a certificate we can read.
    pub fn read(&self, sent: &[CertificateDer<'_>]) -> Result<Option<Arc<PeerCertificate>>, Malformed> {
        let digest = ChainDigest::of(sent);
        if let Some(known) = self.known.borrow().get(&digest).and_then(Weak::upgrade) {
            return Ok(Some(known));
        }
        let Some(certificate) = PeerCertificate::parse(sent)?.map(Arc::new) else { return Ok(None) };
        let mut known = self.known.borrow_mut();
        // Looked through when the table would grow: each entry is looked at once per doubling.
        if known.len() >= FEW && known.len() == known.capacity() {
            known.retain(|_, certificate| certificate.strong_count() > 0);
        }
        known.insert(digest, Arc::downgrade(&certificate));
        Ok(Some(certificate))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn issue(name: &str) -> CertificateDer<'static> {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn the_same_chain_is_read_once_and_another_is_another() {
        let (known, first, second) = (KnownCertificates::default(), issue("first"), issue("second"));
        let read = |sent: &[CertificateDer<'static>]| known.read(sent).unwrap().unwrap();
        let alone = read(std::slice::from_ref(&first));
        assert!(Arc::ptr_eq(&alone, &read(std::slice::from_ref(&first))));
        let with_more = read(&[first, second.clone()]);
        assert!(!Arc::ptr_eq(&alone, &with_more));
        assert_eq!(with_more.chain, [second]);
        assert!(known.read(&[]).unwrap().is_none());
        assert!(known.read(&[CertificateDer::from(vec![1, 2, 3])]).is_err());
    }

    #[test]
    fn certificates_of_ended_connections_are_forgotten() {
        let (known, kept) = (KnownCertificates::default(), issue("kept"));
        let held = known.read(std::slice::from_ref(&kept)).unwrap();
        for number in 0_u32..2000 {
            let filler = CertificateDer::from(number.to_be_bytes().to_vec());
            known.read(&[kept.clone(), filler]).unwrap();
        }
        assert!(known.known.borrow().len() < 1000, "{}", known.known.borrow().len());
        assert!(Arc::ptr_eq(&held.unwrap(), &known.read(&[kept]).unwrap().unwrap()));
    }
}
