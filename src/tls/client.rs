//! The TLS configuration of a link: whom we trust, and the certificate we present.
//!
//! Every dial gets a configuration of its own, because only so one can tell whether *this*
//! server asked for our certificate: a link that is not mutual is an error under `client_ssl=on`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::credentials::Credentials;

/// How the server's certificate is judged.
#[derive(Debug, Clone)]
pub enum ServerTrust {
    /// Its chain must lead to one of these, and its name must be the one we dial.
    Verify(Arc<RootCertStore>),
    /// Anything is believed (`upstream_tls_verify=off`).
    Anything,
}

impl ServerTrust {
    /// Judges a chain (leaf first) as a dial to `name` at the time `now` would.
    ///
    /// # Errors
    /// With the reason when it is not accepted.
    pub fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let (leaf, intermediates) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let verifier = self.verifier().map_err(Error::General)?;
        verifier.verify_server_cert(leaf, intermediates, name, &[], now).map(drop)
    }

    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, String> {
        let provider = super::provider();
        Ok(match self {
            Self::Verify(roots) => WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider)
                .build()
                .map_err(|error| error.to_string())?,
            Self::Anything => Arc::new(BelieveAnything(provider.signature_verification_algorithms)),
        })
    }
}

/// What every dial to one upstream has in common.
#[derive(Debug, Clone)]
pub struct Dialer {
    base: Arc<ClientConfig>,
    credentials: Option<Credentials>,
    server_name: ServerName<'static>,
}

impl Dialer {
    /// `server_name` is sent as SNI and verified; an IP address is verified and not sent.
    ///
    /// # Errors
    /// When the trust store is empty or rustls refuses it.
    pub fn new(
        trust: &ServerTrust,
        credentials: Option<Credentials>,
        server_name: ServerName<'static>,
    ) -> Result<Self, String> {
        let provider = super::provider();
        let verifier = trust.verifier()?;
        let mut base = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        // A resumed session would not ask for our certificate again.
        base.resumption = Resumption::disabled();
        Ok(Self { base: Arc::new(base), credentials, server_name })
    }

    /// The configuration for one dial; `http2` offers h2 before http/1.1 by ALPN.
    #[must_use]
    pub fn dial(&self, protocols: Vec<Vec<u8>>) -> (Arc<ClientConfig>, Asked) {
        let asked = Asked::default();
        let mut config = ClientConfig::clone(&self.base);
        config.alpn_protocols = protocols;
        config.client_auth_cert_resolver = Arc::new(Presenter {
            key: self.credentials.as_ref().map(|credentials| Arc::clone(credentials.certified())),
            asked: asked.clone(),
        });
        (Arc::new(config), asked)
    }

    /// The name that is sent and verified.
    #[must_use]
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }

    /// Whether a certificate is to be presented, so that the server must ask for it.
    #[must_use]
    pub fn is_mutual(&self) -> bool {
        self.credentials.is_some()
    }
}

/// Whether the server asked for a certificate in this handshake.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<AtomicBool>);

impl Asked {
    /// True once a CertificateRequest was answered.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Presents the one certificate, whatever CAs the server names: it is fixed, and the
/// server's refusal is clearer than our silence.
#[derive(Debug)]
struct Presenter {
    key: Option<Arc<CertifiedKey>>,
    asked: Asked,
}

impl ResolvesClientCert for Presenter {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.0.store(true, Ordering::Release);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        // Always true, so that `resolve` is called and a request for a certificate is noticed.
        true
    }
}

/// `upstream_tls_verify=off`: the handshake's signatures still count, the certificate does not.
#[derive(Debug)]
struct BelieveAnything(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for BelieveAnything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
