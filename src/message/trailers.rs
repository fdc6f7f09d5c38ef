//! Trailers: fields that come after the body, when all decisions are made.
//!
//! Called for the trailers of requests and responses alike.

use http::{HeaderMap, HeaderName};

use super::hop_by_hop::is_hop_by_hop;
use super::identity_headers::{Reserved, is_forged};

/// Removes what has no business after a body (RFC 9110 section 6.5.1): framing, routing,
/// credentials, request modifiers, content format, and whatever tells who called or which way.
///
/// A receiver that merges trailers into headers would otherwise believe them unchecked.
/// `grpc-status` and fields of the application pass, unless their name is `reserved`.
pub fn strip(trailers: &mut HeaderMap, reserved: &Reserved) {
    let is_refused = |name: &&HeaderName| is_refused(name) || reserved.holds(name);
    let refused: Vec<HeaderName> = trailers.keys().filter(is_refused).cloned().collect();
    for name in refused {
        trailers.remove(name);
    }
}

fn is_refused(name: &HeaderName) -> bool {
    let text = name.as_str();
    REFUSED.binary_search(&text).is_ok()
        || REFUSED_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        || is_hop_by_hop(name)
        || is_forged(name)
}

/// Sorted, for the search.
const REFUSED: &[&str] = &[
    "age",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "range",
    "retry-after",
    "set-cookie",
    "trailer",
    "vary",
    "via",
    "www-authenticate",
    "x-real-ip",
];

const REFUSED_PREFIXES: &[&str] = &["if-", "x-forwarded-", "x-kong-"];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn trailers_carry_what_the_application_says_and_nothing_else() {
        for name in
            ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-checksum", "server-timing", "etag"]
        {
            check(name, true);
        }
        for name in REFUSED {
            check(name, false);
        }
        for name in [
            "if-match",
            "x-forwarded-for",
            "transfer-encoding",
            "te",
            "x_consumer_id",
            "client-cert",
            "x-org",
            "x_org",
        ] {
            check(name, false);
        }
    }

    fn check(name: &str, passes: bool) {
        let mut trailers = HeaderMap::new();
        trailers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("1"));
        trailers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("2"));
        let names = [HeaderName::from_static("x-org")];
        strip(&mut trailers, &Reserved::new(&names));
        assert_eq!(trailers.len(), if passes { 2 } else { 0 }, "{name}");
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(REFUSED.is_sorted());
    }
}
