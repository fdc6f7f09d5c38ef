//! A certificate is public; what counts is the key. A caller who has the one without the other.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme, SupportedProtocolVersion};

use mtls_bridge::pki::{KeyKind, Leaf};

use crate::support::bridge::{Bridge, gateway};
use crate::support::client::connect;
use crate::support::pki::Pki;
use crate::support::services::Echo;

/// Presents one certificate and signs with another's key.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl ResolvesClientCert for Impostor {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What comes back to a caller with `CERTIFICATE.crt` and `KEY.key`.
fn answer(
    pki: &Pki,
    gateway: &Bridge,
    version: &'static SupportedProtocolVersion,
    certificate: &str,
    key: &str,
) -> String {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificates = |name: &str| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(pki.path(name)).unwrap().map(Result::unwrap).collect()
    };
    let mut roots = RootCertStore::empty();
    roots.add(certificates("ca.crt").remove(0)).unwrap();
    let key = PrivateKeyDer::from_pem_file(pki.path(&format!("{key}.key"))).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let presented = CertifiedKey::new(certificates(&format!("{certificate}.crt")), key);
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Impostor(Arc::new(presented))));
    let mut tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut tcp = connect(gateway.address);
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    let mut answer = Vec::new();
    // A refusal breaks the connection at either step.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_certificate_without_its_key_does_not_come_in() {
    let (pki, echo) = (Pki::new(), Echo::start());
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048] {
        let name = format!("{kind:?}");
        pki.issue(&name, &Leaf { key_kind: kind, ..Leaf::client("app") });
        pki.issue(&format!("{name}-other"), &Leaf { key_kind: kind, ..Leaf::client("mallory") });
        for version in [&TLS12, &TLS13] {
            let gateway = gateway(&pki, echo.address).start();
            let honest = answer(&pki, &gateway, version, &name, &name);
            assert!(honest.contains(r#"["x-client-cert-dn","CN=app"]"#), "{name} {version:?}: {honest}");
            let forged = answer(&pki, &gateway, version, &name, &format!("{name}-other"));
            assert_eq!(forged, "", "{name} {version:?}");
            gateway.log.containing("the client did not sign with the key of its certificate");
        }
    }
}

#[test]
fn a_key_of_another_kind_than_the_certificates_does_not_come_in() {
    let (pki, echo) = (Pki::new(), Echo::start());
    pki.issue("ed25519", &Leaf { key_kind: KeyKind::Ed25519, ..Leaf::client("mallory") });
    for version in [&TLS12, &TLS13] {
        let gateway = gateway(&pki, echo.address).start();
        assert_eq!(answer(&pki, &gateway, version, "client", "ed25519"), "", "{version:?}");
        gateway.log.containing("a connection was closed");
    }
}
