//! The TLS configuration of a listener: our certificates, and how clients are asked for theirs.
//!
//! A client certificate is *requested* and possession of its key proven; its chain is judged
//! per request by `policy` (docs/decisions/0002-chains-are-judged-per-request.md), or here, under [`ClientAuth::Require`].

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
    SupportedProtocolVersion,
};

use super::credentials::Credentials;
use super::trust::ChainVerifier;
use crate::identity::{Certificate, PeerCertificate};

/// How a listener deals with client certificates.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// They are not asked for.
    None,
    /// Asked for; who sends none, or an untrusted one, is answered per request.
    Request(Hints),
    /// The handshake fails without one that this verifier accepts.
    Require(Hints, Arc<ChainVerifier>),
}

/// The CA subjects (DER) named in a CertificateRequest; empty names none, so that clients
/// offer what they have.
pub type Hints = Vec<Arc<[u8]>>;

/// Builds the configuration. `versions` is not empty; ALPN offers h2 if `http2`.
///
/// # Errors
/// When rustls refuses the versions.
pub fn config(
    credentials: &[Credentials],
    versions: &[&'static SupportedProtocolVersion],
    auth: &ClientAuth,
    http2: bool,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(super::provider()).with_protocol_versions(versions)?;
    let builder = match auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Request(hints) => builder.with_client_cert_verifier(Asker::new(hints, None)),
        ClientAuth::Require(hints, verifier) => {
            builder.with_client_cert_verifier(Asker::new(hints, Some(Arc::clone(verifier))))
        }
    };
    let keys = credentials.iter().map(|credentials| Arc::clone(credentials.certified())).collect();
    let mut config = builder.with_cert_resolver(Arc::new(ByKeyType(keys)));
    config.alpn_protocols = alpn(http2);
    if !matches!(auth, ClientAuth::None) {
        // A resumed handshake calls no verifier and would outlive a revocation.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

/// ALPN names in order of preference (RFC 7301).
#[must_use]
pub fn alpn(http2: bool) -> Vec<Vec<u8>> {
    let http1 = b"http/1.1".to_vec();
    if http2 { vec![b"h2".to_vec(), http1] } else { vec![http1] }
}

/// The first of our certificates whose key the client can verify: RSA beside ECDSA.
#[derive(Debug)]
struct ByKeyType(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByKeyType {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        self.0.iter().find(fits).cloned()
    }
}

/// Asks for a certificate, proves possession of its key, and judges the chain if told to.
#[derive(Debug)]
struct Asker {
    hints: Vec<DistinguishedName>,
    judge: Option<Arc<ChainVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Asker {
    fn new(hints: &Hints, judge: Option<Arc<ChainVerifier>>) -> Arc<Self> {
        let hints = hints.iter().map(|subject| DistinguishedName::in_sequence(subject)).collect();
        Arc::new(Self { hints, judge, algorithms: super::provider().signature_verification_algorithms })
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

/// What the caller's side is told is an alert; this is the sentence for our log.
#[must_use]
pub fn handshake_failure(error: &std::io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the client closed the connection in the handshake".into(),
            _ => format!("the connection failed in the handshake: {error}"),
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
        Error::AlertReceived(alert) => format!(
            "the client refused our certificate or our TLS: it sent the alert {alert:?}; does it trust the CA of our server certificate?"
        ),
        Error::InvalidCertificate(CertificateError::Other(OtherError(untrusted))) => untrusted.to_string(),
        other => other.to_string(),
    }
}
