//! How long a chain may be: nginx's `ssl_verify_depth`.

use super::{ChainVerifier, Untrusted};
use crate::identity::PeerCertificate;

impl ChainVerifier {
    /// Accepts only chains with at most so many intermediate CAs, as OpenSSL counts them (1.1.0 and later,
    /// `SSL_CTX_set_verify_depth`): neither the leaf nor the anchor. `None` for any number.
    #[must_use]
    pub fn within(self, depth: Option<u32>) -> Self {
        Self { depth, ..self }
    }

    /// Whether a path with `count` intermediate CAs is short enough.
    pub(super) fn is_within_depth(&self, count: usize, peer: &PeerCertificate) -> Result<(), Untrusted> {
        match self.depth {
            Some(depth) if count as u64 > u64::from(depth) => {
                let subject = peer.leaf.subject();
                Err(Untrusted(format!(
                    "the chain of {subject} has {count} intermediate CAs, more than mtls_auth_verify_depth={depth} allows"
                )))
            }
            _ => Ok(()),
        }
    }
}
