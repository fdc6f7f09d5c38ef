//! Judging certificate chains: whose clients may come in, and which servers are believed.
//!
//! [`ChainVerifier`] judges clients per request for `policy` (a verdict is cached there), and in the handshake
//! where `mtls_auth_handshake=require` wants that; [`ServerVerifier`] judges servers in the handshake. Both ask
//! [`chain`], and promise: an accepted leaf leads to a listed CA over a path that keeps RFC 5280, is valid now
//! and is meant for its side, or it is itself listed; and no stranger's chain costs more than its limits.

mod anchors;
mod chain;
mod clients;
mod constraints;
mod issuers;
mod limits;
mod path;
mod reason;
mod servers;

use rustls::pki_types::{CertificateDer, UnixTime};
use thiserror::Error;

use super::credentials::in_words;
use crate::identity::{Certificate, Malformed};
use crate::telemetry::cause;

pub use self::anchors::Anchors;
pub use self::clients::{Accepted, ChainVerifier};
pub use self::reason::Untrusted;
pub use self::servers::ServerVerifier;

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
    /// Of X.509 version 1, which has no basic constraints; Kong refuses such a CA too.
    #[error(
        "certificate {number} ({subject}) is of X.509 version {version}, which cannot say that it is a CA"
    )]
    OldVersion {
        /// Position in the text, from 1.
        number: usize,
        /// RFC 4514 subject.
        subject: String,
        /// 1 or 2.
        version: u32,
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

/// Whether each of these is a CA, as Kong wants it of its `ca_certificates`.
///
/// # Errors
/// What is wrong with the first that is none.
pub fn check(cas: &[CertificateDer<'static>], now: UnixTime) -> Result<(), CaError> {
    cas.iter().enumerate().try_for_each(|(index, der)| {
        let certificate = caller_anchor(der, index + 1, now)?;
        must_be_ca(&certificate, index + 1)
    })
}

/// Whether each of these can be in a list of whose clients come in: a CA, or what a client signed itself.
///
/// # Errors
/// What is wrong with the first that cannot.
pub fn check_callers(certificates: &[CertificateDer<'static>], now: UnixTime) -> Result<(), CaError> {
    certificates.iter().enumerate().try_for_each(|(index, der)| caller_anchor(der, index + 1, now).map(drop))
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
    webpki::anchor_from_trusted_cert(der).map(drop).map_err(|error| unusable(&certificate, number, &error))
}

fn unusable(certificate: &Certificate, number: usize, error: &webpki::Error) -> CaError {
    CaError::Unusable {
        number,
        subject: certificate.called().into_owned(),
        reason: cause::path(error).to_owned(),
    }
}

fn caller_anchor(
    der: &CertificateDer<'static>,
    number: usize,
    now: UnixTime,
) -> Result<Certificate, CaError> {
    let certificate =
        Certificate::parse(der.clone()).map_err(|source| CaError::Malformed { number, source })?;
    // One of version 1 cannot say that it is none, and would count as a CA (`path::anchor`).
    if !certificate.is_self_issued() || certificate.version() < 3 {
        must_be_ca(&certificate, number)?;
    }
    must_not_be_expired(&certificate, number, now)?;
    Ok(certificate)
}

fn must_be_ca(certificate: &Certificate, number: usize) -> Result<(), CaError> {
    let subject = certificate.called().into_owned();
    match certificate.version() {
        _ if certificate.is_ca() => Ok(()),
        3.. => Err(CaError::NotACa { number, subject }),
        version => Err(CaError::OldVersion { number, subject, version }),
    }
}

fn must_not_be_expired(certificate: &Certificate, number: usize, now: UnixTime) -> Result<(), CaError> {
    let not_after = certificate.validity().not_after;
    if now <= not_after {
        return Ok(());
    }
    let ago = in_words(now.as_secs() - not_after.as_secs());
    Err(CaError::Expired { number, subject: certificate.called().into_owned(), ago })
}

#[cfg(test)]
mod tests;
