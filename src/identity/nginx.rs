//! A certificate as nginx's variables tell it, for the plugins that hand those on.
//!
//! Used by `policy` for Callista's `mtls-auth` and Kong's `tls-metadata-headers`. Source: nginx,
//! ngx_event_openssl.c. Promise: every value is printable ASCII, whatever the certificate says.

use aws_lc_rs::digest;
use http::HeaderValue;

use super::certificate::Certificate;
use super::escape::printable;
use super::header_format::{is_unreserved, pem, push_percent_encoded};

/// `$ssl_client_escaped_cert`: the PEM with its last line end, percent-encoded.
#[must_use]
pub fn escaped_cert(leaf: &Certificate) -> HeaderValue {
    let mut value = String::new();
    push_percent_encoded(&mut value, pem(leaf.der()).as_bytes(), is_unreserved);
    printable(value)
}

/// `$ssl_client_fingerprint`: SHA-1 of the DER in lower-case hexadecimal without colons. A name for
/// logs and lookups; nothing here relies on it.
#[must_use]
pub fn fingerprint(leaf: &Certificate) -> HeaderValue {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, leaf.der());
    printable(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `$ssl_client_serial`: upper-case hexadecimal, whole bytes.
#[must_use]
pub fn serial(leaf: &Certificate) -> HeaderValue {
    printable(leaf.serial().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Authority, Leaf};

    #[test]
    fn values_are_nginxs() {
        let issued = Authority::new("ca").unwrap().issue(&Leaf::client("a")).unwrap();
        let leaf = Certificate::parse(issued.leaf().clone()).unwrap();
        let escaped = escaped_cert(&leaf);
        let escaped = escaped.to_str().unwrap();
        assert!(escaped.starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"), "{escaped}");
        assert!(escaped.ends_with("%0A-----END%20CERTIFICATE-----%0A"), "{escaped}");
        assert_eq!(fingerprint(&leaf).len(), 40);
        assert!(fingerprint(&leaf).as_bytes().iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')));
        assert_eq!(serial(&leaf), leaf.serial().as_str());
    }
}
