//! The other end of one connection: where it is, how it spoke, what it proved.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls_pki_types::CertificateDer;

use super::certificate::{Certificate, Malformed};

/// The other end of an accepted connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// Our own end of it.
    pub local: SocketAddr,
    /// What the handshake told; `None` on a plain connection.
    pub tls: Option<PeerTls>,
}

impl Peer {
    /// The certificate the peer proved to own; whether it is trusted is `policy`'s decision.
    pub fn certificate(&self) -> Option<&Arc<PeerCertificate>> {
        self.tls.as_ref()?.certificate.as_ref()
    }
}

/// What a TLS handshake told about the peer.
#[derive(Debug, Clone)]
pub struct PeerTls {
    /// The protocol version as it is logged, for example `TLSv1.3`.
    pub version: &'static str,
    /// The host name the peer asked for (SNI).
    pub server_name: Option<String>,
    /// The certificate whose key the peer holds.
    pub certificate: Option<Arc<PeerCertificate>>,
}

/// SHA-256 over certificates as they were sent, each after its length: what was sent, to the byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainDigest([u8; 32]);

impl ChainDigest {
    /// Of these certificates (DER), in this order.
    #[must_use]
    pub fn of(sent: &[CertificateDer<'_>]) -> Self {
        let mut digest = Context::new(&SHA256);
        for certificate in sent {
            digest.update(&(certificate.len() as u64).to_be_bytes());
            digest.update(certificate);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.finish().as_ref());
        Self(bytes)
    }
}

/// A peer's certificate with the chain it sent along.
#[derive(Debug, Clone)]
pub struct PeerCertificate {
    /// The certificate whose key signed the handshake: the only one that names the peer.
    pub leaf: Certificate,
    /// What was sent after it, in that order, without the leaf; not parsed, not judged.
    pub chain: Vec<CertificateDer<'static>>,
    /// Leaf and chain as they were sent.
    pub digest: ChainDigest,
}

impl PeerCertificate {
    /// From the certificates of a handshake, leaf first; `None` when there were none.
    ///
    /// Only the leaf is parsed: what follows is material for the verifier, and a second leaf among
    /// it ("stuffing") must never name the peer.
    ///
    /// # Errors
    /// The leaf is not a certificate we can read.
    pub fn parse(sent: &[CertificateDer<'_>]) -> Result<Option<Self>, Malformed> {
        let Some((leaf, chain)) = sent.split_first() else {
            return Ok(None);
        };
        let digest = ChainDigest::of(sent);
        let leaf = Certificate::parse(leaf.clone().into_owned())?;
        let chain = chain.iter().map(|der| der.clone().into_owned()).collect();
        Ok(Some(Self { leaf, chain, digest }))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn the_first_certificate_names_the_peer_and_the_rest_is_kept_as_sent() {
        let (first, second) = (issue("first"), issue("second"));
        let garbage = CertificateDer::from(vec![1, 2, 3]);
        let sent = [first.clone(), second.clone(), garbage.clone()];
        let certificate = PeerCertificate::parse(&sent).unwrap().unwrap();
        assert_eq!(certificate.leaf.der(), &first);
        assert_eq!(certificate.leaf.sans()[0].as_str(), Some("first"));
        assert_eq!(certificate.chain, [second, garbage.clone()]);

        assert!(PeerCertificate::parse(&[garbage, first]).is_err());
        assert!(PeerCertificate::parse(&[]).unwrap().is_none());
    }

    fn issue(name: &str) -> CertificateDer<'static> {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }
}
