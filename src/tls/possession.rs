//! Whether the other side holds the key of the certificate it sent: the signature of a handshake.
//!
//! The certificate itself is not looked at, as rustls' own functions would do: one that cannot be accepted
//! (X.509 version 1, an unknown critical extension) is to be judged like every other, and where nothing is
//! verified (`upstream_tls_verify=off`) it is as good as any.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::identity::Certificate;

/// The algorithms that a key can be proven by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Possession(WebPkiSupportedAlgorithms);

impl Default for Possession {
    fn default() -> Self {
        Self(super::provider().signature_verification_algorithms)
    }
}

impl Possession {
    /// Whether the key in `cert` made this signature (TLS 1.2). TLS 1.2 does not bind a signature scheme to a
    /// curve, so several algorithms may fit.
    pub(super) fn tls12(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(cert)?;
        let bad = || Error::InvalidCertificate(CertificateError::BadSignature);
        let key = webpki::RawPublicKeyEntity::try_from(&key).map_err(|_| bad())?;
        let fitting = self.0.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
        let mut algorithms = fitting.flat_map(|(_, algorithms)| algorithms.iter());
        match algorithms.any(|algorithm| key.verify_signature(*algorithm, message, dss.signature()).is_ok()) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(bad()),
        }
    }

    /// The same in TLS 1.3, where a scheme names one algorithm.
    pub(super) fn tls13(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &public_key(cert)?, dss, &self.0)
    }

    /// What the other side may sign with, the best first.
    pub(super) fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn public_key<'a>(cert: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    Certificate::public_key(cert).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))
}
