//! A certificate with its chain and its key.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::KeyPair;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// What an authority hands out. The key is part of it, so `Debug` shows nothing.
pub struct Issued {
    /// PEM: the leaf first, then the intermediates towards the root, without the root.
    pub certificate_pem: String,
    /// PEM: the private key, unencrypted PKCS#8.
    pub key_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Issued {
    pub(super) fn new(
        leaf: CertificateDer<'static>,
        intermediates: &[CertificateDer<'static>],
        key: &KeyPair,
    ) -> Self {
        let mut chain = vec![leaf];
        chain.extend_from_slice(intermediates);
        Self {
            certificate_pem: certificates_pem(&chain),
            key_pem: key.serialize_pem(),
            chain,
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        }
    }

    /// The chain as rustls takes it, in the order of the PEM.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    /// The leaf alone, DER.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.chain[0] // `new` puts one there
    }

    /// The private key as rustls takes it.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key().into()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// PEM text (RFC 7468) of certificates, one after the other.
pub(super) fn certificates_pem(chain: &[CertificateDer<'_>]) -> String {
    chain.iter().map(|der| pem("CERTIFICATE", der)).collect()
}

/// PEM text of a private key, as what it is.
pub(super) fn key_pem(key: &PrivateKeyDer<'_>) -> String {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    pem(label, key.secret_der())
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for (column, character) in base64.chars().enumerate() {
        if column > 0 && column % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem + &format!("\n-----END {label}-----\n")
}
