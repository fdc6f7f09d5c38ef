//! How a caller's certificate is told to the service: Kong's headers, RFC 9440, Envoy's.
//!
//! Called once per connection; the values are cloned into each request at no cost.
//! Promise: whatever stands in the certificate, it becomes one header line and no further field.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};

use super::certificate::Certificate;
use super::escape::printable;
use super::peer::PeerCertificate;
use super::san::SubjectAltName;

/// How the caller's identity is told to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderFormat {
    /// Kong's `X-Client-Cert-Dn`, `X-Client-Cert-San`.
    Kong,
    /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
    Rfc9440,
    /// Envoy's `X-Forwarded-Client-Cert`.
    Xfcc,
}

impl HeaderFormat {
    /// The headers of this format for a certificate; each name once.
    pub fn headers(self, certificate: &PeerCertificate) -> Vec<(HeaderName, HeaderValue)> {
        let leaf = &certificate.leaf;
        match self {
            Self::Kong => {
                let dn = (HeaderName::from_static("x-client-cert-dn"), leaf.subject().header_value());
                let san =
                    leaf.san_header_value().map(|san| (HeaderName::from_static("x-client-cert-san"), san));
                [dn].into_iter().chain(san).collect()
            }
            Self::Rfc9440 => {
                let cert = (HeaderName::from_static("client-cert"), printable(byte_sequence(leaf.der())));
                let chain = client_cert_chain(certificate)
                    .map(|chain| (HeaderName::from_static("client-cert-chain"), chain));
                [cert].into_iter().chain(chain).collect()
            }
            Self::Xfcc => {
                vec![(HeaderName::from_static("x-forwarded-client-cert"), forwarded_client_cert(leaf))]
            }
        }
    }
}

/// RFC 9440 section 2.3: a list of byte sequences in handshake order, without the leaf.
fn client_cert_chain(certificate: &PeerCertificate) -> Option<HeaderValue> {
    if certificate.chain.is_empty() {
        return None;
    }
    let items: Vec<_> = certificate.chain.iter().map(|der| byte_sequence(der)).collect();
    Some(printable(items.join(", ")))
}

/// A byte sequence of structured fields (RFC 9651): base64 with padding between colons.
fn byte_sequence(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

/// Envoy's element: `Hash=…;Cert="…";Subject="…";URI=…;DNS=…`, the last two repeated as needed.
/// Source: Envoy, HTTP header manipulation, x-forwarded-client-cert. `By`, the name of the
/// receiving proxy's own certificate, is optional and left out.
fn forwarded_client_cert(leaf: &Certificate) -> HeaderValue {
    let mut value = format!("Hash={};Cert=\"", leaf.fingerprint());
    push_percent_encoded(&mut value, pem(leaf.der()).as_bytes(), is_unreserved);
    value.push_str("\";Subject=\"");
    push_quoted_dn(&mut value, leaf.subject().as_str());
    value.push('"');
    for san in leaf.sans() {
        let (key, name) = match san {
            SubjectAltName::Uri(name) => (";URI=", name),
            SubjectAltName::Dns(name) => (";DNS=", name),
            _ => continue,
        };
        value.push_str(key);
        push_percent_encoded(&mut value, name.as_bytes(), is_plain_in_element);
    }
    printable(value)
}

/// Appends a DN for use between quotes: its `\"` and `\\` become RFC 4514's `\22` and `\5C`, so
/// that a reader finds the closing quote whether or not it knows backslashes.
fn push_quoted_dn(out: &mut String, dn: &str) {
    let mut rest = dn;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let (escape, after) = escape.split_at(2);
        out.push_str(match escape {
            r#"\""# => r"\22",
            r"\\" => r"\5C",
            other => other,
        });
        rest = after;
    }
    out.push_str(rest);
}

pub(super) fn push_percent_encoded(out: &mut String, bytes: &[u8], is_plain: fn(u8) -> bool) {
    for &byte in bytes {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            super::escape::push_hex(out, &[byte]);
        }
    }
}

/// RFC 3986 section 2.3, what nginx leaves in `$ssl_client_escaped_cert`.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What may stand bare in a URI or host name and means nothing to a reader of the element.
fn is_plain_in_element(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"\\,;=".contains(&byte)
}

/// PEM as OpenSSL writes it: lines of 64 characters, each ended, the last too.
pub(super) fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};
    use rustls_pki_types::CertificateDer;

    use super::*;

    #[test]
    fn kong_tells_subject_and_alternative_names() {
        let certificate = certificate("client1", &[]);
        let expected = [("x-client-cert-dn", "CN=client1"), ("x-client-cert-san", "client1")];
        assert_eq!(headers(HeaderFormat::Kong, &certificate), expected.map(owned));
        let nameless = self::certificate("", &[]);
        assert_eq!(headers(HeaderFormat::Kong, &nameless), [("x-client-cert-dn", "")].map(owned));
    }

    #[test]
    fn rfc_9440_tells_the_leaf_and_then_the_chain() {
        let mut certificate = certificate("client1", &[]);
        let leaf = format!(":{}:", STANDARD.encode(certificate.leaf.der()));
        assert_eq!(headers(HeaderFormat::Rfc9440, &certificate), [("client-cert", leaf.as_str())].map(owned));
        certificate.chain = vec![CertificateDer::from(vec![1, 2]), CertificateDer::from(vec![3])];
        let expected = [("client-cert", leaf.as_str()), ("client-cert-chain", ":AQI=:, :Aw==:")];
        assert_eq!(headers(HeaderFormat::Rfc9440, &certificate), expected.map(owned));
    }

    #[test]
    fn envoy_tells_hash_certificate_subject_and_names() {
        let certificate = certificate("client1", &["spiffe://td/a", "b.example"]);
        let (name, value) = headers(HeaderFormat::Xfcc, &certificate).remove(0);
        assert_eq!(name, "x-forwarded-client-cert");
        let (hash, rest) = value.split_once(";Cert=\"").unwrap();
        assert_eq!(hash, format!("Hash={}", certificate.leaf.fingerprint()));
        let (cert, rest) = rest.split_once('"').unwrap();
        assert!(cert.starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"), "{cert}");
        assert!(cert.ends_with("%0A-----END%20CERTIFICATE-----%0A"), "{cert}");
        assert_eq!(rest, ";Subject=\"CN=client1\";URI=spiffe://td/a;DNS=b.example");
    }

    #[test]
    fn no_name_adds_a_field_to_envoys_element() {
        let certificate = certificate("a\";URI=\\, x=\n", &["spiffe://td/a;DNS=b,c=\"d\"?e=f%20"]);
        let (_, value) = headers(HeaderFormat::Xfcc, &certificate).remove(0);
        let (_, subject) = value.split_once(";Subject=").unwrap();
        let expected = r#""CN=a\22\;URI=\5C\, x=\0A";URI=spiffe://td/a%3BDNS%3Db%2Cc%3D%22d%22?e%3Df%20"#;
        assert_eq!(subject, expected);
    }

    #[test]
    fn pem_has_lines_of_64() {
        let expected = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n{}\n-----END CERTIFICATE-----\n",
            "A".repeat(64),
            "AAA="
        );
        assert_eq!(pem(&[0; 50]), expected);
    }

    fn headers(format: HeaderFormat, certificate: &PeerCertificate) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        format.headers(certificate).iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    fn owned((name, value): (&str, &str)) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    /// A certificate with this common name, unless empty; names with a colon are URIs.
    fn certificate(common_name: &str, sans: &[&str]) -> PeerCertificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !common_name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, common_name);
        }
        let san = |name: &&str| match name.contains(':') {
            true => SanType::URI((*name).try_into().unwrap()),
            false => SanType::DnsName((*name).try_into().unwrap()),
        };
        params.subject_alt_names = sans.iter().map(san).collect();
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
        PeerCertificate::parse(&[der]).unwrap().unwrap()
    }
}
