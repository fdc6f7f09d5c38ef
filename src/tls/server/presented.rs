//! Which of our certificates a client is shown.

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::tls::credentials::Credentials;
use crate::tls::sni::ByName;

/// The certificates of the listeners.
#[derive(Debug, Clone, Default)]
pub struct Presented {
    /// For clients that ask for no name, or for one that has no certificate of its own: one per kind
    /// of key.
    pub default: Vec<Credentials>,
    /// For the names that have their own: one per kind of key.
    pub by_name: ByName<Vec<Credentials>>,
}

impl Presented {
    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        let default = ByKeyType::of(&self.default);
        if self.by_name.is_empty() {
            return Arc::new(default);
        }
        let Ok(by_name) =
            self.by_name.try_map(|credentials| Ok::<_, std::convert::Infallible>(ByKeyType::of(credentials)));
        Arc::new(ByServerName { by_name, default })
    }
}

/// Those of the name that is asked for, else the default (kong/runloop/certificate.lua, `find_certificate`).
#[derive(Debug)]
struct ByServerName {
    by_name: ByName<ByKeyType>,
    default: ByKeyType,
}

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.by_name.find(hello.server_name()).unwrap_or(&self.default).resolve(hello)
    }
}

/// The first of our certificates whose key the client can verify: RSA beside ECDSA. If there is none, one that
/// fits nothing: with it rustls sends the alert handshake_failure (RFC 8446 section 4.4.2.2); with none at all it
/// would send access_denied, and with one that does not fit, in TLS 1.2, no alert.
#[derive(Debug)]
struct ByKeyType {
    certified: Box<[Arc<CertifiedKey>]>,
    unfit: Arc<CertifiedKey>,
}

impl ByKeyType {
    fn of(credentials: &[Credentials]) -> Self {
        Self {
            certified: credentials.iter().map(|credentials| Arc::clone(credentials.certified())).collect(),
            unfit: Arc::new(CertifiedKey::new(Vec::new(), Arc::new(Unfit))),
        }
    }
}

impl ResolvesServerCert for ByKeyType {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let unfit = || (!self.certified.is_empty()).then_some(&self.unfit);
        self.certified.iter().find(fits).or_else(unfit).cloned()
    }
}

/// A key that signs nothing: in TLS 1.2 no cipher suite is for its kind, in TLS 1.3 no type of signature.
#[derive(Debug)]
struct Unfit;

impl SigningKey for Unfit {
    fn choose_scheme(&self, _offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        None
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Anonymous
    }
}
