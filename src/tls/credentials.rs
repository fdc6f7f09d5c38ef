//! A certificate chain with the key that belongs to it: what we present to the other side.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use crate::identity::{Certificate, Malformed};

/// Why a chain and a key cannot be presented.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// The leaf is not a certificate we can read.
    #[error("the first certificate cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// Two halves of different pairs.
    #[error("the private key does not belong to the first certificate ({subject})")]
    KeyMismatch {
        /// RFC 4514 subject of the leaf.
        subject: String,
    },
    /// A kind of key TLS or this build does not know.
    #[error("the private key cannot be used: TLS cannot sign with it")]
    UnusableKey,
    /// `notAfter` is past.
    #[error("the certificate ({subject}) expired {ago}")]
    Expired {
        /// RFC 4514 subject of the leaf.
        subject: String,
        /// Time since `notAfter`, in words.
        ago: String,
    },
    /// `notBefore` is to come.
    #[error("the certificate ({subject}) is not valid before {ahead} from now")]
    NotYetValid {
        /// RFC 4514 subject of the leaf.
        subject: String,
        /// Time until `notBefore`, in words.
        ahead: String,
    },
    /// The extended key usage says otherwise.
    #[error("the certificate ({subject}) is not meant for a {side}: its extended key usage lacks {usage}")]
    WrongUsage {
        /// RFC 4514 subject of the leaf.
        subject: String,
        /// `TLS client` or `TLS server`.
        side: &'static str,
        /// `clientAuth` or `serverAuth`.
        usage: &'static str,
    },
}

/// Which side of a handshake presents the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It is asked for by a server.
    Client,
    /// It is shown to every client.
    Server,
}

/// A chain and its key, checked to belong together. The key never prints.
#[derive(Clone)]
pub struct Credentials {
    certified: Arc<CertifiedKey>,
    leaf: Arc<Certificate>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("subject", &self.leaf.subject().to_string())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Joins a chain (leaf first, DER, not empty) and a key for use on `side` at the time `now`.
    ///
    /// # Errors
    /// When they do not belong together, or the leaf cannot be used now or on that side.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        side: Side,
        now: UnixTime,
    ) -> Result<Self, CredentialError> {
        let first = chain.first().cloned().unwrap_or_else(|| CertificateDer::from(Vec::new()));
        let leaf = Certificate::parse(first)?;
        check_validity(&leaf, now)?;
        check_usage(&leaf, side)?;
        let certified =
            CertifiedKey::from_der(chain, key, &super::provider()).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    CredentialError::KeyMismatch { subject: leaf.subject().to_string() }
                }
                _ => CredentialError::UnusableKey,
            })?;
        Ok(Self { certified: Arc::new(certified), leaf: Arc::new(leaf) })
    }

    /// The chain and signing key as rustls wants them.
    #[must_use]
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// The first certificate of the chain.
    #[must_use]
    pub fn leaf(&self) -> &Arc<Certificate> {
        &self.leaf
    }
}

fn check_validity(leaf: &Certificate, now: UnixTime) -> Result<(), CredentialError> {
    let subject = || leaf.subject().to_string();
    let validity = leaf.validity();
    if now > validity.not_after {
        let ago = format!("{} ago", in_words(now.as_secs() - validity.not_after.as_secs()));
        return Err(CredentialError::Expired { subject: subject(), ago });
    }
    if now < validity.not_before {
        let ahead = in_words(validity.not_before.as_secs() - now.as_secs());
        return Err(CredentialError::NotYetValid { subject: subject(), ahead });
    }
    Ok(())
}

fn check_usage(leaf: &Certificate, side: Side) -> Result<(), CredentialError> {
    let (allowed, side, usage) = match side {
        Side::Client => (leaf.allows_client_auth(), "TLS client", "clientAuth"),
        Side::Server => (leaf.allows_server_auth(), "TLS server", "serverAuth"),
    };
    if allowed {
        return Ok(());
    }
    Err(CredentialError::WrongUsage { subject: leaf.subject().to_string(), side, usage })
}

/// A length of time in its largest sensible unit: `3 days`, `1 hour`.
#[must_use]
pub fn in_words(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
