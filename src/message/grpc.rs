//! gRPC: how a refusal is told to a caller that reads no error pages.
//!
//! Source: gRPC over HTTP/2, "Responses", and its table of HTTP codes; where Kong gives a
//! different code for an answer of its own (kong/pdk/response.lua), the comment says so.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::reply::Reply;

/// Whether the message is gRPC by its `content-type`; gRPC-Web is not, it reads HTTP.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    let Some((start, rest)) = value.as_bytes().split_at_checked(GRPC.len()) else {
        return false;
    };
    start.eq_ignore_ascii_case(GRPC.as_bytes())
        && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

/// The head of a trailers-only response for `reply`: to be sent with status 200 and no body.
pub fn trailers_only(reply: &Reply) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert(GRPC_STATUS, HeaderValue::from(status(reply.status)));
    headers.insert(GRPC_MESSAGE, message(&reply.message));
    headers
}

/// The gRPC status for an HTTP status of ours.
pub fn status(status: StatusCode) -> u16 {
    match status.as_u16() {
        200 => 0,
        // INVALID_ARGUMENT, as Kong.
        400 => 3,
        401 => 16,
        403 => 7,
        // UNIMPLEMENTED: no such method here. Kong says NOT_FOUND, which callers take for a
        // missing record of the application.
        404 => 12,
        408 | 504 => 4,
        // RESOURCE_EXHAUSTED, as Kong for 429 and gRPC itself for messages too large.
        413 | 429 => 8,
        499 => 1,
        500 => 13,
        501 => 12,
        502 | 503 => 14,
        _ => 2,
    }
}

/// Percent-encoded as `grpc-message` has to be: everything but printable ASCII, and `%` itself.
fn message(text: &str) -> HeaderValue {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => value.push_str("%25"),
            b' '..=b'~' => value.push(char::from(byte)),
            _ => value.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""))
}

const GRPC: &str = "application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_known_by_its_content_type() {
        check("application/grpc", true);
        check("application/grpc+proto", true);
        check("application/grpc; charset=utf-8", true);
        check("Application/GRPC+json", true);
        check("application/grpc-web", false);
        check("application/grpc-web+proto", false);
        check("application/json", false);
        check("", false);
        assert!(!is_grpc(&HeaderMap::new()));
    }

    fn check(content_type: &str, expected: bool) {
        let headers = [(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap())].into_iter().collect();
        assert_eq!(is_grpc(&headers), expected, "{content_type}");
    }

    #[test]
    fn a_refusal_is_a_head_without_a_body() {
        let headers = trailers_only(&Reply::NO_CERTIFICATE);
        assert_eq!(headers["content-type"], "application/grpc");
        assert_eq!(headers["grpc-status"], "16");
        assert_eq!(headers["grpc-message"], "No required TLS certificate was sent");
    }

    #[test]
    fn every_status_has_a_grpc_status() {
        for (http, grpc) in
            [(401, 16), (403, 7), (404, 12), (413, 8), (500, 13), (502, 14), (503, 14), (504, 4), (418, 2)]
        {
            assert_eq!(status(StatusCode::from_u16(http).unwrap()), grpc, "{http}");
        }
    }

    #[test]
    fn a_message_is_percent_encoded() {
        assert_eq!(message("100 %\r\nå"), "100 %25%0D%0A%C3%A5");
    }
}
