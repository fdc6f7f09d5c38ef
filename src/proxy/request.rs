//! The head of a request on its way to the service, in the order that keeps identities safe:
//! hop-by-hop fields go, forged identities go, then ours are set.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};

use super::body::Body;
use super::client::Client;
use super::exchange::Exchange;
use super::{Incoming, Refusal};
use crate::config::Limits;
use crate::message::forwarded::{self, Target};
use crate::message::hop_by_hop::{self, Upgrade};
use crate::message::identity_headers;
use crate::message::reply::Reply;
use crate::message::request_id::RequestId;
use crate::policy::{Caller, Permit, Policy};
use crate::routing::{Asked, Fit, Found, path};
use crate::snapshot::{Service, Snapshot};

/// Refuses what no route may get: ambiguous, too large, or not for a reverse proxy.
pub(super) fn check(request: &Request<Body>, limits: &Limits) -> Result<(), Refusal> {
    if request.method() == Method::CONNECT {
        return Err(Refusal::new(
            Reply::METHOD_NOT_ALLOWED,
            "CONNECT asks for a forward proxy, which this is not",
        ));
    }
    check_host(request)?;
    check_size(request.headers(), limits)?;
    check_way(request.headers())?;
    if let (Some(length), Some(max)) = (length(request.headers())?, limits.client_max_body_size)
        && length > max
    {
        let reason = format!("content-length {length} is larger than client_max_body_size ({max})");
        return Err(Refusal::new(Reply::PAYLOAD_TOO_LARGE, reason));
    }
    Ok(())
}

/// The one length that all `Content-Length` fields give (RFC 9110 8.6). HTTP/2 compares their
/// numbers only, and another server may read `010`, or two fields, in its own way.
fn length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(|value| {
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<u64>().ok())
    });
    let Some(first) = lengths.next() else { return Ok(None) };
    if first.is_none() || lengths.any(|other| other != first) {
        return Err(Refusal::new(Reply::BAD_REQUEST, "content-length is no number, or more than one"));
    }
    Ok(first)
}

/// RFC 9112 3.2: exactly one `Host` in HTTP/1.1, and one that can be a host.
fn check_host(request: &Request<Body>) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, another, authority) = (hosts.next(), hosts.next(), request.uri().authority());
    let reason = if another.is_some() {
        "the request has more than one Host"
    } else if host.is_none() && authority.is_none() && request.version() == Version::HTTP_11 {
        "the request has no Host"
    } else if !host.is_none_or(is_host) || authority.is_some_and(is_odd) {
        // With preserve_host it would have to become part of a URI.
        "the request's Host is no host"
    } else {
        return Ok(());
    };
    Err(Refusal::new(Reply::BAD_REQUEST, reason))
}

fn is_odd(authority: &Authority) -> bool {
    authority.as_str().contains('@') || has_empty_label(authority.as_str().as_bytes())
}

/// A name or an address, with or without a port; empty where the client knows none.
fn is_host(value: &HeaderValue) -> bool {
    // Most are plain names, which need no parser.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'.') | (byte == b'-');
    let bytes = value.as_bytes();
    let is_name = bytes.len() <= MAX_NAME && bytes.iter().all(|byte| is_plain(*byte));
    !has_empty_label(bytes)
        && (is_name || Authority::try_from(bytes).is_ok_and(|it| !it.as_str().contains('@')))
}

/// By which a route for the host would be missed, and a more general one found.
fn has_empty_label(host: &[u8]) -> bool {
    host.first() == Some(&b'.') || host.windows(2).any(|pair| pair == b"..")
}

/// Of a name in DNS (RFC 1035 2.3.4).
const MAX_NAME: usize = 255;

/// RFC 9110 7.6.3: a bridge that is its own upstream, or two that are each other's, would send a
/// request round until nothing is left.
fn check_way(headers: &HeaderMap) -> Result<(), Refusal> {
    if forwarded::bridges_passed(headers) < MAX_BRIDGES {
        return Ok(());
    }
    let reason = format!(
        "the request has passed {MAX_BRIDGES} bridges by its Via: does an upstream_url lead back to us?"
    );
    Err(Refusal::new(Reply::LOOP_DETECTED, reason))
}

/// A chain has two; nobody has this many.
const MAX_BRIDGES: usize = 8;

/// HTTP/2 fields arrive here with the library's own, larger limit; HTTP/1 heads are bounded
/// in the parser.
fn check_size(headers: &HeaderMap, limits: &Limits) -> Result<(), Refusal> {
    let count = headers.len();
    if count > limits.max_header_count {
        let reason =
            format!("{count} header fields are more than max_header_count ({})", limits.max_header_count);
        return Err(Refusal::new(Reply::HEADER_TOO_LARGE, reason));
    }
    let bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD).sum();
    if bytes > limits.max_header_bytes {
        let reason =
            format!("{bytes} header bytes are more than max_header_bytes ({})", limits.max_header_bytes);
        return Err(Refusal::new(Reply::HEADER_TOO_LARGE, reason));
    }
    Ok(())
}

/// The colon, space and line end of HTTP/1.1.
const FIELD_OVERHEAD: usize = 4;

/// The route of a request and who may take it; a route that is for another protocol refuses it.
pub(super) fn route<'s>(
    request: &Request<Body>,
    incoming: &Incoming<'_>,
    snapshot: &'s Snapshot,
) -> Result<(Found<'s>, &'s Arc<Policy>), Refusal> {
    let Incoming { client, exchange, is_grpc, .. } = *incoming;
    let asked = Asked {
        method: request.method(),
        host: Some(exchange.host()),
        path: request.uri().path(),
        headers: request.headers(),
        server_name: client.peer.tls.as_ref().and_then(|tls| tls.server_name.as_deref()),
        tls: client.peer.tls.is_some(),
        https: is_https(request.headers(), client, snapshot),
        http2: request.version() == Version::HTTP_2,
        is_grpc,
    };
    let no_route = || Refusal::new(Reply::NO_ROUTE, "no route matches the request");
    let found = snapshot.router.find(&asked).ok_or_else(no_route)?;
    let (reply, reason) = match found.fit {
        Fit::NeedsHttps if found.route.https_redirect != UPGRADE_REQUIRED => {
            (to_https(found.route.https_redirect, exchange, request.uri()), "the route is for TLS only")
        }
        Fit::Fits => {
            let policy = &snapshot.policies[found.route.policy];
            return Ok((found, policy));
        }
        Fit::NeedsHttps | Fit::NeedsGrpcs => (Reply::HTTPS_REQUIRED, "the route is for TLS only"),
        Fit::NeedsHttp2 => (Reply::HTTP2_REQUIRED, "the route is for gRPC, which needs HTTP/2"),
        Fit::NotGrpc => (Reply::NOT_GRPC, "the route is for gRPC only"),
    };
    Err(Refusal::new(reply, reason))
}

const UPGRADE_REQUIRED: u16 = 426;

/// To the same place over TLS, without the port that was asked (kong/runloop/handler.lua).
fn to_https(status: u16, exchange: &Exchange, asked: &Uri) -> Reply {
    let host = exchange.host().parse::<Authority>().map(|authority| authority.host().to_owned());
    let path = asked.path_and_query().map_or("/", PathAndQuery::as_str);
    match (StatusCode::from_u16(status), host) {
        (Ok(status), Ok(host)) => Reply::redirect(status, &format!("https://{host}{path}")),
        _ => Reply::HTTPS_REQUIRED,
    }
}

/// Whether the client used https, by the word of a trusted address if it has one to say.
fn is_https(headers: &HeaderMap, client: &Client, snapshot: &Snapshot) -> bool {
    let said = headers.get(X_FORWARDED_PROTO).filter(|_| snapshot.real_ip.trusts(client.hop.peer()));
    said.map_or_else(|| client.peer.tls.is_some(), |proto| proto.as_bytes() == b"https")
}

/// Rewrites a permitted request for its service; gives the upgrade it asks for, if any.
pub(super) fn rewrite(
    request: &mut Request<Body>,
    incoming: &Incoming<'_>,
    permit: &Permit,
    snapshot: &Snapshot,
    (found, service): (&Found<'_>, &Service),
) -> Result<Option<Upgrade>, Refusal> {
    let Incoming { client, exchange, .. } = *incoming;
    let (version, uri) = (request.version(), std::mem::take(request.uri_mut()));
    let headers = request.headers_mut();
    let asked = hop_by_hop::strip_request(headers);
    identity_headers::scrub(headers, &snapshot.reserved);
    if let Some(length) = length(headers)? {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let forwarding = &snapshot.forwarding;
    let believed = believes(snapshot, client, permit).then_some(&snapshot.real_ip);
    if believed.is_some() {
        adopt_id(headers, exchange);
    }
    let target = Target {
        host: Some(exchange.host()).filter(|it| !it.is_empty()),
        path: uri.path(),
        stripped_prefix: found.stripped_prefix(uri.path()),
    };
    let address: IpAddr = forwarded::set(headers, &client.hop, believed, target);
    if address != client.hop.peer() {
        exchange.client_address(address);
    }
    for (name, value) in permit.headers() {
        headers.insert(name.clone(), value.clone());
    }
    if forwarding.request_id_upstream {
        headers.insert(X_KONG_REQUEST_ID, exchange.id().header_value().clone());
    } else {
        // The client's own would pass for ours.
        headers.remove(X_KONG_REQUEST_ID);
    }
    forwarded::append_via(headers, version);
    headers.insert(HOST, host(exchange, snapshot.keeps_host(found.route), service));
    expect(headers);
    *request.uri_mut() = target_uri(&uri, found, service)?;
    // An upgrade takes the whole connection, which HTTP/1.1 alone can give.
    Ok(asked.filter(|_| version == Version::HTTP_11))
}

/// Whether the peer's own forwarding headers count: by its address, or better, by the name
/// its accepted certificate proves.
fn believes(snapshot: &Snapshot, client: &Client, permit: &Permit) -> bool {
    let by_name = |caller: &Caller| {
        let mut names = caller.certificate.leaf.names();
        // Not a certificate out of a header: nobody proved on this connection that it is his.
        let is_proven = client.peer.certificate().is_some_and(|own| Arc::ptr_eq(own, &caller.certificate));
        is_proven && names.any(|name| snapshot.forwarding.trusted_peers.iter().any(|trusted| trusted == name))
    };
    snapshot.real_ip.trusts(client.hop.peer())
        || (!snapshot.forwarding.trusted_peers.is_empty() && permit.caller().is_some_and(by_name))
}

fn adopt_id(headers: &HeaderMap, exchange: &Exchange) {
    if let Some(id) = headers.get(X_KONG_REQUEST_ID).and_then(RequestId::parse) {
        exchange.adopt(id);
    }
}

fn host(exchange: &Exchange, preserve: bool, service: &Service) -> HeaderValue {
    let kept = preserve.then(|| HeaderValue::try_from(exchange.host()).ok()).flatten();
    kept.filter(|host| !host.is_empty()).unwrap_or_else(|| service.host.clone())
}

/// 100 is given by this hop, when the service is ready for the body (RFC 9110 10.1.1).
fn expect(headers: &mut HeaderMap) {
    if headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        headers.remove(EXPECT);
    }
}

fn target_uri(asked: &Uri, found: &Found<'_>, service: &Service) -> Result<Uri, Refusal> {
    let root = PathAndQuery::from_static("/");
    let asked = asked.path_and_query().unwrap_or(&root);
    let path = path::upstream(&service.path, found, asked).map_err(|_| {
        Refusal::new(Reply::URI_TOO_LONG, "the path is too long behind the service's own".to_owned())
    })?;
    Ok(Uri::from(path))
}

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_KONG_REQUEST_ID: HeaderName = HeaderName::from_static("x-kong-request-id");
