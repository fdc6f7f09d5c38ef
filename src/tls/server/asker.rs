//! The question for a client's certificate, and what of the answer is looked at in the handshake.
//!
//! Possession of the key is always proven here; the chain is judged per request by `policy`
//! (docs/decisions/0002-chains-are-judged-per-request.md), unless the handshake is told to.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::hints::Hints;
use crate::identity::{Certificate, PeerCertificate};
use crate::tls::trust::ChainVerifier;

/// Asks for a certificate, proves possession of its key, and judges the chain if told to.
#[derive(Debug)]
pub(super) struct Asker {
    hints: Vec<DistinguishedName>,
    judge: Option<Arc<ChainVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Asker {
    /// Names `hints`; `judge` makes a good certificate a condition of the handshake.
    pub(super) fn new(
        hints: &Hints,
        judge: Option<Arc<ChainVerifier>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { hints: hints.names(), judge, algorithms }
    }
}

impl ClientCertVerifier for Asker {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        self.judge.is_some()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // What we cannot read must not come in: its identity would be unknown.
        let unreadable = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
        let Some(judge) = &self.judge else {
            Certificate::parse(end_entity.clone().into_owned()).map_err(unreadable)?;
            return Ok(ClientCertVerified::assertion());
        };
        let sent: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        let peer =
            PeerCertificate::parse(&sent).map_err(unreadable)?.ok_or(Error::NoCertificatesPresented)?;
        judge
            .verify(&peer, now)
            // The alert is `certificate_unknown`: the other side's log can tell whose fault it is.
            .map_err(|untrusted| Error::from(CertificateError::Other(OtherError(Arc::new(untrusted)))))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        proves_possession(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &public_key(cert)?, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether the key in `cert` made this signature (TLS 1.2).
///
/// The certificate itself is not looked at, as rustls' own function would do: one that cannot
/// be accepted (X.509 version 1, an unknown critical extension) is to be answered like every
/// other, not with an alert. TLS 1.2 does not bind a signature scheme to a curve, so several
/// algorithms may fit.
fn proves_possession(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    supported: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = public_key(cert)?;
    let bad = || Error::InvalidCertificate(CertificateError::BadSignature);
    let key = webpki::RawPublicKeyEntity::try_from(&key).map_err(|_| bad())?;
    let fitting = supported.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
    let mut algorithms = fitting.flat_map(|(_, algorithms)| algorithms.iter());
    match algorithms.any(|algorithm| key.verify_signature(*algorithm, message, dss.signature()).is_ok()) {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(bad()),
    }
}

fn public_key<'a>(cert: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    Certificate::public_key(cert).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))
}
