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
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::credentials::Credentials;
use crate::telemetry::cause::{self, Told};

/// How the server's certificate is judged.
#[derive(Debug, Clone)]
pub enum ServerTrust {
    /// Its chain must lead to one of these, and its name must be the one we dial.
    Verify(Arc<RootCertStore>),
    /// The same, with at the most so many intermediate certificates in between: the leaf and the
    /// CA do not count (OpenSSL 1.1.0 and later, SSL_CTX_set_verify_depth; Kong's `tls_verify_depth`).
    VerifyWithin(Arc<RootCertStore>, u32),
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
        let algorithms = super::provider().signature_verification_algorithms;
        Ok(match self {
            Self::Verify(roots) => webpki_verifier(roots)?,
            Self::VerifyWithin(roots, depth) => {
                let (roots, depth) = (Arc::clone(roots), *depth);
                Arc::new(Within { complete: webpki_verifier(&roots)?, roots, depth, algorithms })
            }
            Self::Anything => Arc::new(BelieveAnything(algorithms)),
        })
    }
}

fn webpki_verifier(roots: &Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, String> {
    WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), super::provider())
        .build()
        .map_err(|_| "the CAs cannot be used: there is none, or a revocation list is broken".to_owned())
}

/// What every dial to one upstream has in common.
#[derive(Debug, Clone)]
pub struct Dialer {
    base: Arc<ClientConfig>,
    credentials: Option<Credentials>,
    server_name: ServerName<'static>,
    must_be_asked: bool,
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
            .map_err(|error| cause::tls(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        // A resumed session would not ask for our certificate again.
        base.resumption = Resumption::disabled();
        Ok(Self { base: Arc::new(base), must_be_asked: credentials.is_some(), credentials, server_name })
    }

    /// The same, for a server that may leave our certificate unasked for: as Kong offers it, to
    /// whoever wants it.
    #[must_use]
    pub fn if_asked(self) -> Self {
        Self { must_be_asked: false, ..self }
    }

    /// The same under another name: for one target of several.
    #[must_use]
    pub fn named(&self, server_name: ServerName<'static>) -> Self {
        Self { server_name, ..self.clone() }
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

    /// Whether a certificate is to be presented, and a server that does not ask for it is an error.
    #[must_use]
    pub fn is_mutual(&self) -> bool {
        self.must_be_asked
    }

    /// What is presented, if anything.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
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

/// Judges as rustls does, and then how long the way to the CA was, which rustls does not tell.
#[derive(Debug)]
struct Within {
    complete: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
    depth: u32,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Within {
    fn is_short(&self, path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
        let intermediates = path.intermediate_certificates().count();
        if intermediates as u64 <= u64::from(self.depth) {
            return Ok(());
        }
        Err(webpki::Error::MaximumPathDepthExceeded)
    }
}

impl ServerCertVerifier for Within {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged =
            self.complete.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        // A second time, because a chain may lead to a CA in more than one way.
        let short = EndEntityCert::try_from(end_entity).and_then(|leaf| {
            let judge = |path: &VerifiedPath<'_>| self.is_short(path);
            let (usage, algorithms) = (KeyUsage::server_auth(), self.algorithms.all);
            leaf.verify_for_usage(
                algorithms,
                &self.roots.roots,
                intermediates,
                now,
                usage,
                None,
                Some(&judge),
            )
            .map(drop)
        });
        short.map(|()| judged).map_err(|_| {
            let text = format!("its chain has more than {} intermediates (tls_verify_depth)", self.depth);
            CertificateError::Other(OtherError(Arc::new(Told(text)))).into()
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.complete.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.complete.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.complete.supported_verify_schemes()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Authority, Leaf};

    #[test]
    fn intermediates_are_counted_as_openssl_counts_them() {
        let root = Authority::new("root").unwrap();
        let one = root.intermediate("one").unwrap();
        let two = one.intermediate("two").unwrap();
        let leaf = Leaf::server(&["gateway.example"]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(root.certificate().clone()).unwrap();
        let roots = Arc::new(roots);
        let name = ServerName::try_from("gateway.example").unwrap();
        let check = |issuer: &Authority, depth: u32, expected: bool| {
            let chain = issuer.issue(&leaf).unwrap().chain();
            let trust = ServerTrust::VerifyWithin(Arc::clone(&roots), depth);
            let judged = trust.judge(&chain, &name, UnixTime::now());
            assert_eq!(judged.is_ok(), expected, "{depth}: {judged:?}");
            if let Err(error) = judged {
                assert!(error.to_string().contains("(tls_verify_depth)"), "{error}");
            }
        };
        check(&root, 0, true);
        check(&one, 0, false);
        check(&one, 1, true);
        check(&two, 1, false);
        check(&two, 2, true);
    }
}
