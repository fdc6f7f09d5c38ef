//! The same request in the shape of the HTTP version it leaves in.

use http::header::{CONNECTION, COOKIE, HOST, TE};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Uri, Version};

use super::body::Body;
use crate::snapshot::Service;

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
pub(super) fn http2(request: &mut Request<Body>, service: &Service) {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(if service.dialer.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = host.and_then(|host| {
        if host == service.host {
            return Some(service.authority.clone());
        }
        Authority::try_from(host.as_bytes()).ok()
    });
    // Scheme, authority and path are all there, or the request was refused before.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
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
