//! The TLS configuration of a link: whom we trust, and the certificate we present.
//!
//! Every dial gets a configuration of its own, because only so one can tell whether *this*
//! server asked for our certificate: a link that is not mutual is an error under `client_ssl=on`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::credentials::Credentials;
use super::possession::Possession;
use super::trust::{Anchors, ServerVerifier};
use crate::telemetry::cause;

/// How the server's certificate is judged.
#[derive(Debug, Clone)]
pub enum ServerTrust {
    /// Its chain must lead to one of these, and its name must be the one we dial.
    Verify(Arc<Anchors>),
    /// The same, with at the most so many intermediate certificates in between: the leaf and the
    /// CA do not count (OpenSSL 1.1.0 and later, SSL_CTX_set_verify_depth; Kong's `tls_verify_depth`).
    VerifyWithin(Arc<Anchors>, u32),
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
        let (anchors, depth) = match self {
            Self::Anything => return Ok(Arc::new(BelieveAnything(Possession::default()))),
            Self::Verify(anchors) => (anchors, None),
            Self::VerifyWithin(anchors, depth) => (anchors, Some(*depth)),
        };
        if anchors.is_empty() {
            return Err("there is no CA that its certificate could lead to".to_owned());
        }
        Ok(Arc::new(ServerVerifier::new(Arc::clone(anchors), depth)))
    }
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

/// Whether the server asked for a certificate in this handshake, and could have verified ours.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<Question>);

#[derive(Debug, Default)]
struct Question {
    came: AtomicBool,
    unfit: AtomicBool,
}

impl Asked {
    /// True once a CertificateRequest was answered.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.0.came.load(Ordering::Acquire)
    }

    /// True once one was answered with nothing, because it named no type of signature that our key makes.
    #[must_use]
    pub fn for_another_kind(&self) -> bool {
        self.0.unfit.load(Ordering::Acquire)
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
    fn resolve(&self, _hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.0.came.store(true, Ordering::Release);
        let unfit = self.key.as_ref().is_some_and(|key| key.key.choose_scheme(schemes).is_none());
        self.asked.0.unfit.store(unfit, Ordering::Release);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        // Always true, so that `resolve` is called and a request for a certificate is noticed.
        true
    }
}

/// `upstream_tls_verify=off`: the handshake's signatures still count, the certificate does not.
#[derive(Debug)]
struct BelieveAnything(Possession);

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
        self.0.tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.schemes()
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
        let roots = Arc::new(Anchors::of_servers([root.certificate().clone()]));
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
