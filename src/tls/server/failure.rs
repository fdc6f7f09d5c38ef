//! Why a handshake failed, as a sentence for our log.

use rustls::{CertificateError, Error, PeerIncompatible};

use crate::telemetry::cause;

/// What the caller's side is told is an alert; this is the sentence for our log.
#[must_use]
pub fn handshake_failure(error: &std::io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the client closed the connection in the handshake".into(),
            _ => format!("the connection failed in the handshake: {}", cause::io(error)),
        };
    };
    match tls {
        Error::InvalidMessage(_) => {
            "the client did not speak TLS; is it plain HTTP sent to a TLS port?".into()
        }
        Error::NoCertificatesPresented => "the client sent no certificate, and one is required".into(),
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the client did not sign with the key of its certificate".into()
        }
        Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "the client's certificate cannot be read".into()
        }
        Error::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon) => {
            "the client cannot verify the kind of key in our certificate: no type of signature in common; a second certificate with the other kind, RSA beside ECDSA, would do".into()
        }
        // In TLS 1.2 suites are for one kind of key, and none is left where no type of signature fits it.
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "the client offers no cipher suite that we have, or in TLS 1.2 none for the key of our certificate: for its kind, RSA or ECDSA, with a type of signature that fits it".into()
        }
        Error::AlertReceived(alert) => format!(
            "the client refused our certificate or our TLS: it sent the alert {alert:?}; does it trust the CA of our server certificate?"
        ),
        Error::InvalidCertificate(error) => cause::certificate(error),
        other => cause::tls(other),
    }
}
