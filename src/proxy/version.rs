//! The same request in the shape of the HTTP version it leaves in.

use http::header::{CONNECTION, COOKIE, HOST, TE};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Uri, Version};

use super::body::Body;
use crate::snapshot::Target;

/// For HTTP/1.1: origin-form, `Host`, one `Cookie` line (RFC 9113 8.2.3).
pub(super) fn http1(request: &mut Request<Body>) {
    *request.version_mut() = Version::HTTP_11;
    if request.headers().contains_key(TE) {
        // It speaks of the next connection alone, and has to say so there (RFC 9110 10.1.4).
        request.headers_mut().append(CONNECTION, HeaderValue::from_static("TE"));
    }
    join_cookies(request);
}

/// For HTTP/2: scheme and `:authority` instead of `Host` (RFC 9113 8.3.1).
pub(super) fn http2(request: &mut Request<Body>, target: &Target) {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(if target.dialer.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = host.and_then(|host| {
        if host == target.host_header {
            return Some(target.authority.clone());
        }
        Authority::try_from(host.as_bytes()).ok()
    });
    // Scheme, authority and path are all there, or the request was refused before.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// Neither of the two, of what became [`http1`] and was not sent: another attempt may be made over HTTP/2,
/// which has no such field (RFC 9113 8.2.2).
pub(super) fn neither(request: &mut Request<Body>) {
    request.headers_mut().remove(CONNECTION);
}

fn join_cookies(request: &mut Request<Body>) {
    let mut cookies = request.headers().get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (cookies.next(), cookies.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for cookie in request.headers().get_all(COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        request.headers_mut().insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_over_http1_says_nothing_of_that_connection() {
        let mut request = Request::get("/orders").header(HOST, "orders.internal").header(TE, "trailers");
        request = request.header(COOKIE, "a=1").header(COOKIE, "b=2");
        let mut request = request.body(Body::empty()).unwrap();
        for _ in 0..2 {
            http1(&mut request);
            assert_eq!(request.headers().get_all(CONNECTION).iter().collect::<Vec<_>>(), ["TE"]);
            neither(&mut request);
            assert!(!request.headers().contains_key(CONNECTION));
        }
        assert_eq!(request.uri(), "/orders");
        assert_eq!(request.headers()[HOST], "orders.internal");
        assert_eq!(request.headers().get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
