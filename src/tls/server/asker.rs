//! The question for a client's certificate, and what of the answer is looked at in the handshake.
//!
//! Possession of the key is always proven here; the chain is judged per request by `policy`
//! (docs/decisions/0002-chains-are-judged-per-request.md), unless the handshake is told to.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::hints::Hints;
use crate::identity::{Certificate, PeerCertificate};
use crate::tls::possession::Possession;
use crate::tls::trust::ChainVerifier;

/// Asks for a certificate, proves possession of its key, and judges the chain if told to.
#[derive(Debug)]
pub(super) struct Asker {
    hints: Vec<DistinguishedName>,
    judge: Option<Arc<ChainVerifier>>,
    possession: Possession,
}

impl Asker {
    /// Names `hints`; `judge` makes a good certificate a condition of the handshake.
    pub(super) fn new(hints: &Hints, judge: Option<Arc<ChainVerifier>>) -> Self {
        Self { hints: hints.names(), judge, possession: Possession::default() }
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
        self.possession.tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.possession.tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.possession.schemes()
    }
}
