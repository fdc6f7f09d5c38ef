//! A certificate chain with the key that belongs to it: what we present to the other side.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::{CertifiedKey, SigningKey};
use thiserror::Error;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::identity::{Certificate, Malformed};

pub use crate::identity::Side;

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
    /// The same key, in a form of certificate that no signature of ours would fit.
    #[error(
        "the key in the certificate ({subject}) is in a form that cannot be used here: RSASSA-PSS, a compressed point, or parameters of its own"
    )]
    KeyForm {
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

/// A chain and its key, checked to belong together. The key never prints.
#[derive(Clone)]
pub struct Credentials {
    certified: Arc<CertifiedKey>,
    leaf: Arc<Certificate>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("subject", &self.leaf.called()).finish_non_exhaustive()
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
        let key =
            super::provider().key_provider.load_private_key(key).map_err(|_| CredentialError::UnusableKey)?;
        check_key(&leaf, key.as_ref())?;
        Ok(Self { certified: Arc::new(CertifiedKey::new(chain, key)), leaf: Arc::new(leaf) })
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
    let subject = || leaf.called().into_owned();
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
    // For anything: the other side decides, and `likely_refused` says what it will.
    if leaf.is_meant_for(side) || leaf.is_meant_for_anything() {
        return Ok(());
    }
    let (usage, subject) = (side.usage(), leaf.called().into_owned());
    let side = match side {
        Side::Client => "TLS client",
        Side::Server => "TLS server",
    };
    Err(CredentialError::WrongUsage { subject, side, usage })
}

/// Whether the leaf certifies this key. As rustls' `CertifiedKey::keys_match` does it, but for certificates that
/// webpki does not read too: X.509 version 1.
fn check_key(leaf: &Certificate, key: &dyn SigningKey) -> Result<(), CredentialError> {
    let subject = || leaf.called().into_owned();
    // All keys of the provider tell theirs.
    let Some(public) = key.public_key() else { return Ok(()) };
    if Certificate::public_key(leaf.der())? == public {
        return Ok(());
    }
    let bits = |info: &[u8]| {
        let (_, info) = SubjectPublicKeyInfo::from_der(info).ok()?;
        Some(info.subject_public_key.data.to_vec())
    };
    let (certified, own) = (bits(&Certificate::public_key(leaf.der())?), bits(&public));
    let same =
        certified.zip(own).is_some_and(|(certified, own)| certified == own || is_point(&certified, &own));
    Err(if same {
        CredentialError::KeyForm { subject: subject() }
    } else {
        CredentialError::KeyMismatch { subject: subject() }
    })
}

/// Whether a compressed point has the first coordinate of one that is not (SEC 1, section 2.3.3).
fn is_point(compressed: &[u8], point: &[u8]) -> bool {
    let (Some((2 | 3, x)), Some((4, xy))) = (compressed.split_first(), point.split_first()) else {
        return false;
    };
    x.len() * 2 == xy.len() && xy.starts_with(x)
}

/// What the other side will hold against a certificate that is shown to it, however right it is for us.
#[must_use]
pub fn likely_refused(leaf: &Certificate, side: Side) -> Option<String> {
    let (subject, usage) = (leaf.called(), side.usage());
    let peer = match side {
        Side::Client => "servers",
        Side::Server => "clients",
    };
    let because = if leaf.version() < 3 {
        format!(
            "it is of X.509 version {}: OpenSSL takes that, and so Kong and nginx; a gateway of mtls-bridge and all of rustls do not",
            leaf.version()
        )
    } else if !leaf.is_meant_for(side) {
        format!("its extended key usage says anyExtendedKeyUsage and not {usage}")
    } else if !leaf.may_sign() {
        "its key usage lacks digitalSignature, without which it may not sign a handshake".to_owned()
    } else if leaf.is_ca() {
        "it is a CA, which is taken only where this very certificate is listed as trusted".to_owned()
    } else if let Some(oid) = leaf.unknown_critical() {
        format!("it has the critical extension {oid}, which few know")
    } else if side == Side::Server && leaf.sans().is_empty() {
        "it has no subject alternative name, and the common name counts no longer".to_owned()
    } else {
        return None;
    };
    Some(format!("many {peer} will refuse the certificate ({subject}): {because}"))
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
