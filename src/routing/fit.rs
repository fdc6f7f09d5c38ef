//! Whether a route takes what the client speaks: a route for TLS is found by plain requests too, and
//! says so instead of hiding (kong/runloop/handler.lua, `access.before`).

use super::{Asked, Protocol, Protocols};

/// What a route that was found says to the protocol of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Go on.
    Fits,
    /// The route is for https and the request came over http: 426 `Please use HTTPS protocol`, or a
    /// redirect with the route's `https_redirect`.
    NeedsHttps,
    /// gRPC without HTTP/2: 426 `Please use HTTP2 protocol`, with `Upgrade: HTTP/2`.
    NeedsHttp2,
    /// Another request on a route for gRPC: 415 `Non-gRPC request matched gRPC route`.
    NotGrpc,
    /// Plain gRPC on a route for grpcs: 200 with `grpc-status` 1 and `gRPC request matched gRPCs route`.
    NeedsGrpcs,
}

impl Fit {
    /// Kong's order. A route for http alone takes https as well, as in Kong.
    pub(super) fn of(protocols: Protocols, asked: &Asked<'_>) -> Self {
        let has = |protocol| protocols.contains(protocol);
        if has(Protocol::Https) && !has(Protocol::Http) && !asked.https {
            Self::NeedsHttps
        } else if !protocols.is_grpc() {
            Self::Fits
        } else if !asked.is_grpc {
            Self::NotGrpc
        } else if !asked.http2 {
            Self::NeedsHttp2
        } else if !has(Protocol::Grpc) && !asked.https {
            Self::NeedsGrpcs
        } else {
            Self::Fits
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    #[test]
    fn a_protocol_that_does_not_fit_is_named() {
        const PLAIN: (bool, bool, bool) = (false, false, false);
        const HTTPS: (bool, bool, bool) = (true, false, false);
        // (https, http2, grpc)
        check(&["http", "https"], PLAIN, Fit::Fits);
        check(&["http", "https"], HTTPS, Fit::Fits);
        check(&["https"], PLAIN, Fit::NeedsHttps);
        check(&["https"], HTTPS, Fit::Fits);
        check(&["http"], HTTPS, Fit::Fits);
        check(&["grpc", "grpcs"], (true, true, true), Fit::Fits);
        check(&["grpc"], (false, true, true), Fit::Fits);
        check(&["grpc"], (true, true, true), Fit::Fits);
        check(&["grpc"], (false, false, true), Fit::NeedsHttp2);
        check(&["grpc"], (true, true, false), Fit::NotGrpc);
        check(&["grpcs"], PLAIN, Fit::NotGrpc);
        check(&["grpcs"], (false, true, true), Fit::NeedsGrpcs);
        check(&["grpcs"], (true, true, true), Fit::Fits);
        check(&["http", "https"], (true, true, true), Fit::Fits);
    }

    fn check(protocols: &[&str], (https, http2, is_grpc): (bool, bool, bool), expected: Fit) {
        let asked = Asked {
            method: &Method::GET,
            host: None,
            path: "/",
            headers: &HeaderMap::new(),
            server_name: None,
            tls: https,
            https,
            http2,
            is_grpc,
        };
        let fit = Fit::of(Protocols::parse(protocols.iter().copied()).unwrap(), &asked);
        assert_eq!(fit, expected, "{protocols:?} https={https} http2={http2} grpc={is_grpc}");
    }
}
