//! The head of a response on its way to the client, and the answers we give ourselves.

use std::time::SystemTime;

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, DATE, RETRY_AFTER, SERVER, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};

use super::body::Body;
use super::exchange::Exchange;
use crate::config::ResponseHeaders;
use crate::message::compression::passing;
use crate::message::reply::{Format, Reply};
use crate::message::{forwarded, grpc, hop_by_hop};

/// Readies an upstream's answer for the client. Which of ours are sent is Kong's `headers`
/// setting; source: kong/init.lua, `header_filter`.
pub(super) fn rewrite(response: &mut Response<Body>, exchange: &Exchange, ours: ResponseHeaders) {
    let (status, version) = (response.status(), response.version());
    let headers = response.headers_mut();
    let switched = hop_by_hop::strip_response(headers);
    if let (StatusCode::SWITCHING_PROTOCOLS, Some(switched)) = (status, switched) {
        switched.set(headers);
    }
    if ours.via {
        forwarded::append_via(headers, version);
    }
    if ours.server && !headers.contains_key(SERVER) {
        headers.insert(SERVER, OUR_NAME);
    }
    if ours.upstream_latency {
        headers.insert(X_KONG_UPSTREAM_LATENCY, passing(exchange.upstream_latency_ms()));
    }
    if ours.proxy_latency {
        headers.insert(X_KONG_PROXY_LATENCY, passing(exchange.proxy_latency_ms()));
    }
    if ours.upstream_status {
        headers.insert(X_KONG_UPSTREAM_STATUS, HeaderValue::from(status.as_u16()));
    }
    if ours.request_id {
        headers.insert(X_KONG_REQUEST_ID, exchange.id().header_value().clone());
    }
    *response.version_mut() = Version::HTTP_11;
}

/// Gives the client a cookie of ours, in place of one of that name from the upstream
/// (kong/runloop/balancer/init.lua, `set_cookie`).
pub(super) fn set_cookie(headers: &mut HeaderMap, cookie: HeaderValue) {
    let name = |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
    let others: Vec<_> =
        headers.get_all(SET_COOKIE).iter().filter(|other| name(other) != name(&cookie)).cloned().collect();
    headers.insert(SET_COOKIE, cookie);
    for other in others {
        headers.append(SET_COOKIE, other);
    }
}

/// In which form a caller reads our own answers.
#[derive(Debug)]
pub(super) struct Form {
    grpc: bool,
    head_only: bool,
    accept: Option<HeaderValue>,
}

impl Form {
    pub(super) fn asked(request: &Request<Body>) -> Self {
        Self {
            grpc: grpc::is_grpc(request.headers()),
            head_only: request.method() == Method::HEAD,
            accept: request.headers().get(ACCEPT).cloned(),
        }
    }

    pub(super) fn is_grpc(&self) -> bool {
        self.grpc
    }

    /// The answer: Kong's body by `Accept`, or trailers-only for gRPC.
    pub(super) fn reply(&self, reply: &Reply, exchange: &Exchange, ours: ResponseHeaders) -> Response<Body> {
        let mut response = if self.grpc { trailers_only(reply) } else { self.page(reply, exchange) };
        let headers = response.headers_mut();
        if ours.server {
            headers.insert(SERVER, OUR_NAME);
        }
        if ours.response_latency {
            headers.insert(X_KONG_RESPONSE_LATENCY, HeaderValue::from(exchange.proxy_latency_ms()));
        }
        if ours.request_id {
            headers.insert(X_KONG_REQUEST_ID, exchange.id().header_value().clone());
        }
        response
    }

    fn page(&self, reply: &Reply, exchange: &Exchange) -> Response<Body> {
        let format = Format::accepted(&self.accept);
        let text = reply.body(format, exchange.id());
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(DATE, date());
        if let Some(content_type) = reply.content_type(format) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        headers.extend(reply.instead());
        // RFC 9110 8.6.
        if reply.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        }
        if is_passing(reply.status) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        let body = if self.head_only { Body::empty() } else { Body::full(text) };
        with_head(reply.status, headers, body)
    }
}

/// The upstream failed and may be back soon: a restart takes seconds (RFC 9110 10.2.3).
fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

fn trailers_only(reply: &Reply) -> Response<Body> {
    with_head(StatusCode::OK, grpc::trailers_only(reply), Body::empty())
}

fn with_head(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// RFC 9110 6.6.1.
fn date() -> HeaderValue {
    // A date in this format is a legal value.
    HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())).unwrap_or(HeaderValue::from_static(""))
}

const OUR_NAME: HeaderValue = HeaderValue::from_static(concat!("mtls-bridge/", env!("CARGO_PKG_VERSION")));
const X_KONG_REQUEST_ID: HeaderName = HeaderName::from_static("x-kong-request-id");
const X_KONG_PROXY_LATENCY: HeaderName = HeaderName::from_static("x-kong-proxy-latency");
const X_KONG_RESPONSE_LATENCY: HeaderName = HeaderName::from_static("x-kong-response-latency");
const X_KONG_UPSTREAM_LATENCY: HeaderName = HeaderName::from_static("x-kong-upstream-latency");
const X_KONG_UPSTREAM_STATUS: HeaderName = HeaderName::from_static("x-kong-upstream-status");
