//! Kong's `tls-metadata-headers`: the service is told about the certificate of the connection.
//!
//! Used by `policy::Policy`. On a route that authenticates by the handshake, only an accepted
//! certificate is told of; Kong tells of any. On others it is what the client presented: its key is
//! proven, its chain is for the service to judge. Source: docs/kong-compatibility.md, "Relatives".

use http::HeaderName;

use super::permit::Headers;
use crate::identity::{Certificate, nginx};

/// The plugin; [`Default`] has Kong's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsMetadataHeaders {
    /// Whether anything is told at all.
    pub inject_client_cert_details: bool,
    /// For the percent-encoded PEM.
    pub client_cert_header_name: HeaderName,
    /// For the serial number in hexadecimal.
    pub client_serial_header_name: HeaderName,
    /// For the issuer.
    pub client_cert_issuer_dn_header_name: HeaderName,
    /// For the subject.
    pub client_cert_subject_dn_header_name: HeaderName,
    /// For the SHA-1 in hexadecimal.
    pub client_cert_fingerprint_header_name: HeaderName,
}

impl Default for TlsMetadataHeaders {
    fn default() -> Self {
        Self {
            inject_client_cert_details: false,
            client_cert_header_name: HeaderName::from_static("x-client-cert"),
            client_serial_header_name: HeaderName::from_static("x-client-cert-serial"),
            client_cert_issuer_dn_header_name: HeaderName::from_static("x-client-cert-issuer-dn"),
            client_cert_subject_dn_header_name: HeaderName::from_static("x-client-cert-subject-dn"),
            client_cert_fingerprint_header_name: HeaderName::from_static("x-client-cert-fingerprint"),
        }
    }
}

impl TlsMetadataHeaders {
    /// All headers it could set.
    pub(super) fn names(&self) -> [&HeaderName; 5] {
        [
            &self.client_cert_header_name,
            &self.client_serial_header_name,
            &self.client_cert_issuer_dn_header_name,
            &self.client_cert_subject_dn_header_name,
            &self.client_cert_fingerprint_header_name,
        ]
    }

    /// Tells of a certificate.
    pub(super) fn tell(&self, leaf: &Certificate, headers: &mut Headers) {
        if !self.inject_client_cert_details {
            return;
        }
        let values = [
            nginx::escaped_cert(leaf),
            nginx::serial(leaf),
            leaf.issuer().header_value(),
            leaf.subject().header_value(),
            nginx::fingerprint(leaf),
        ];
        for (name, value) in self.names().into_iter().zip(values) {
            headers.set(name.clone(), value);
        }
    }
}
