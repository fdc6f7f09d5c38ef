//! Which servers are believed: whom a dial reaches.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use webpki::{EndEntityCert, InvalidNameContext};

use super::anchors::{Anchors, Intermediates};
use super::chain::Case;
use super::reason::{Why, sentence};
use crate::identity::{Certificate, Side};
use crate::tls::possession::Possession;

/// Judges the chain and the name of a server.
#[derive(Debug)]
pub struct ServerVerifier {
    anchors: Arc<Anchors>,
    /// Every CA that is listed is an anchor.
    listed: Intermediates,
    depth: Option<u32>,
    possession: Possession,
}

impl ServerVerifier {
    /// By these anchors, with at most `depth` intermediates before one of them.
    #[must_use]
    pub fn new(anchors: Arc<Anchors>, depth: Option<u32>) -> Self {
        Self { anchors, listed: Intermediates::default(), depth, possession: Possession::default() }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = Certificate::parse(end_entity.clone().into_owned())
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let case = Case {
            anchors: &self.anchors,
            listed: &self.listed,
            leaf: &leaf,
            sent: intermediates,
            side: Side::Server,
            depth: self.depth,
            now,
        };
        case.judge().map_err(|refused| in_words_of_rustls(refused.why, &leaf))?;
        EndEntityCert::try_from(end_entity)
            .and_then(|cert| cert.verify_is_valid_for_subject_name(server_name))
            .map_err(|error| in_words_of_rustls(error.into(), &leaf))?;
        Ok(ServerCertVerified::assertion())
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

/// Where rustls has a word, the server is sent the alert for it, and `proxy` has a sentence; else the sentence
/// is ours, and the alert certificate_unknown.
fn in_words_of_rustls(why: Why, leaf: &Certificate) -> Error {
    let said = |why: &Why| CertificateError::Other(OtherError(Arc::new(sentence(why, leaf, Side::Server))));
    Error::InvalidCertificate(match why {
        Why::Webpki(webpki::Error::UnknownIssuer) => CertificateError::UnknownIssuer,
        Why::Webpki(webpki::Error::InvalidSignatureForPublicKey) => CertificateError::BadSignature,
        Why::Webpki(webpki::Error::CertExpired { time, not_after }) => {
            CertificateError::ExpiredContext { time, not_after }
        }
        Why::Webpki(webpki::Error::CertNotValidYet { time, not_before }) => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Why::Webpki(webpki::Error::CertNotValidForName(InvalidNameContext { expected, presented })) => {
            CertificateError::NotValidForNameContext { expected, presented }
        }
        why => said(&why),
    })
}
