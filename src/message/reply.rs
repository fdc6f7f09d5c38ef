//! Our own answers: Kong's texts, in the format the caller accepts.
//!
//! Used for every response that no upstream gave. Sources: kong/tools/http.lua (templates, choice
//! of format), kong/error_handlers.lua and the plugins (texts), at 3.9. The caller learns the
//! text and the request id, never the reason; that one goes to the log.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{LOCATION, UPGRADE};
use http::{HeaderName, HeaderValue, StatusCode};

use super::request_id::RequestId;

/// A status and the sentence that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status of the response.
    pub status: StatusCode,
    /// The text of the body, without a full stop; for gRPC, of `grpc-message`.
    pub message: Cow<'static, str>,
    /// Where the caller should go instead.
    instead: Instead,
    /// The body, where it does not follow the caller's `Accept`.
    verbatim: Option<Arc<Verbatim>>,
}

/// Where a caller should go instead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Instead {
    #[default]
    Nowhere,
    /// The same place with TLS (RFC 9110 15.5.22).
    Tls,
    /// This URL.
    Location(Arc<str>),
}

/// A body sent as it is, to whoever asks in whatever format.
#[derive(Debug, PartialEq, Eq)]
struct Verbatim {
    content_type: Option<HeaderValue>,
    body: Bytes,
}

impl Reply {
    /// A certificate is needed, and none was sent.
    pub const NO_CERTIFICATE: Self =
        Self::new(StatusCode::UNAUTHORIZED, "No required TLS certificate was sent");
    /// A certificate that is not trusted, not valid now, revoked, or known to nobody.
    pub const NOT_VERIFIED: Self = Self::new(StatusCode::UNAUTHORIZED, "TLS certificate failed verification");
    /// Nobody was authenticated where someone has to be.
    pub const UNAUTHORIZED: Self = Self::new(StatusCode::UNAUTHORIZED, "Unauthorized");
    /// The acl plugin says no.
    pub const FORBIDDEN: Self = Self::new(StatusCode::FORBIDDEN, "You cannot consume this service");

    /// No route fits the request.
    pub const NO_ROUTE: Self = Self::new(StatusCode::NOT_FOUND, "no Route matched with those values");
    /// The route has no service.
    pub const NO_SERVICE: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no Service found with those values");
    /// Plain HTTP on a route for HTTPS.
    pub const HTTPS_REQUIRED: Self = Self {
        status: StatusCode::UPGRADE_REQUIRED,
        message: Cow::Borrowed("Please use HTTPS protocol"),
        instead: Instead::Tls,
        verbatim: None,
    };

    /// gRPC over HTTP/1 on a route for gRPC.
    pub const HTTP2_REQUIRED: Self = Self::new(StatusCode::UPGRADE_REQUIRED, "Please use HTTP2 protocol");
    /// Another request on a route for gRPC.
    pub const NOT_GRPC: Self =
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Non-gRPC request matched gRPC route");

    /// The upstream could not be connected to, failed its TLS handshake, or broke the protocol.
    pub const BAD_GATEWAY: Self =
        Self::new(StatusCode::BAD_GATEWAY, "An invalid response was received from the upstream server");
    /// The upstream cannot be asked now.
    pub const UNAVAILABLE: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The upstream server is currently unavailable");
    /// We have run out of something; no fault of the upstream's.
    pub const SHORTAGE: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Service temporarily unavailable");
    /// All targets of the upstream are unhealthy (kong/runloop/balancer/init.lua).
    pub const NO_PEER: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "failure to get a peer from the ring-balancer");
    /// The upstream's host name is not known.
    pub const NAME_NOT_RESOLVED: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, "name resolution failed");
    /// The upstream did not answer in time.
    pub const GATEWAY_TIMEOUT: Self =
        Self::new(StatusCode::GATEWAY_TIMEOUT, "The upstream server is timing out");

    /// The request breaks the protocol.
    pub const BAD_REQUEST: Self = Self::new(StatusCode::BAD_REQUEST, "Bad request");
    /// The header section is too large; nginx's 494, which Kong answers with 400.
    pub const HEADER_TOO_LARGE: Self =
        Self::new(StatusCode::BAD_REQUEST, "Request header or cookie too large");
    /// The method is not allowed here.
    pub const METHOD_NOT_ALLOWED: Self = Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
    /// The request did not come in time.
    pub const REQUEST_TIMEOUT: Self = Self::new(StatusCode::REQUEST_TIMEOUT, "Request timeout");
    /// The body is too large.
    pub const PAYLOAD_TOO_LARGE: Self = Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large");
    /// The request target is too long.
    pub const URI_TOO_LONG: Self = Self::new(StatusCode::URI_TOO_LONG, "URI too long");
    /// An `Expect` we do not know.
    pub const EXPECTATION_FAILED: Self = Self::new(StatusCode::EXPECTATION_FAILED, "Expectation failed");
    /// The request goes in a circle (RFC 5842 7.2).
    pub const LOOP_DETECTED: Self = Self::new(StatusCode::LOOP_DETECTED, "Loop detected");
    /// A fault of ours.
    pub const INTERNAL: Self = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred");

    /// A reply with a fixed text.
    pub const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message: Cow::Borrowed(message), instead: Instead::Nowhere, verbatim: None }
    }

    /// A reply with a text made at run time.
    #[must_use]
    pub const fn saying(status: StatusCode, message: String) -> Self {
        Self { status, message: Cow::Owned(message), instead: Instead::Nowhere, verbatim: None }
    }

    /// A reply with this body, byte for byte; `message` is for callers that read no bodies.
    #[must_use]
    pub fn verbatim(
        status: StatusCode,
        message: Cow<'static, str>,
        content_type: Option<HeaderValue>,
        body: Bytes,
    ) -> Self {
        Self {
            status,
            message,
            instead: Instead::Nowhere,
            verbatim: Some(Arc::new(Verbatim { content_type, body })),
        }
    }

    /// A redirect to the same place over TLS.
    #[must_use]
    pub fn redirect(status: StatusCode, location: &str) -> Self {
        let instead = Instead::Location(location.into());
        Self { instead, ..Self::new(status, "Please use HTTPS protocol") }
    }

    /// The header that tells the caller where to go instead, if he should.
    #[must_use]
    pub fn instead(&self) -> Option<(HeaderName, HeaderValue)> {
        match &self.instead {
            Instead::Nowhere => None,
            Instead::Tls => Some((UPGRADE, HeaderValue::from_static("TLS/1.2, HTTP/1.1"))),
            Instead::Location(url) => Some((LOCATION, HeaderValue::try_from(&**url).ok()?)),
        }
    }

    /// Kong's `kong.response.exit` with a message: one line of JSON without a request id
    /// (kong/pdk/response.lua).
    #[must_use]
    pub fn exit(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        let body = format!("{{\"message\":\"{}\"}}", Format::Json.escape(&message));
        Self::verbatim(status, message, Some(Format::Json.content_type()), body.into())
    }

    /// The value of `Content-Type` for a caller that accepts `format`; `None` without a body.
    #[must_use]
    pub fn content_type(&self, format: Format) -> Option<HeaderValue> {
        match &self.verbatim {
            Some(verbatim) => verbatim.content_type.clone(),
            None => Some(format.content_type()),
        }
    }

    /// The body in `format`, byte for byte as Kong's; `Content-Length` is its length and left to
    /// the caller. Unlike Kong, characters that mean something to the format are escaped.
    pub fn body(&self, format: Format, request_id: &RequestId) -> Bytes {
        if let Some(verbatim) = &self.verbatim {
            return verbatim.body.clone();
        }
        let message = format.escape(&self.message);
        Bytes::from(match format {
            Format::Json => {
                format!("{{\n  \"message\":\"{message}\",\n  \"request_id\":\"{request_id}\"\n}}")
            }
            Format::Plain => format!("{message}\nrequest_id: {request_id}\n"),
            Format::Xml => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  \
                 <message>{message}</message>\n  <requestid>{request_id}</requestid>\n</error>\n"
            ),
            Format::Html => format!(
                "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    \
                 <title>Error</title>\n  </head>\n  <body>\n    <h1>Error</h1>\n    \
                 <p>{message}.</p>\n    <p>request_id: {request_id}</p>\n  </body>\n</html>\n"
            ),
        })
    }
}

/// The format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`, also for whoever asks for nothing or for something unknown.
    Json,
    /// `text/plain`.
    Plain,
    /// `application/xml`.
    Xml,
    /// `text/html`.
    Html,
}

impl Format {
    /// The format for the values of a request's `Accept`: the one with the highest quality, the
    /// first among equals.
    pub fn accepted<'a>(accept: impl IntoIterator<Item = &'a HeaderValue>) -> Self {
        let mut best = (0, Self::Json);
        for value in accept {
            for range in value.as_bytes().split(|byte| *byte == b',') {
                let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
                let media_type = parts.next().unwrap_or_default();
                let quality = parts.find_map(quality).unwrap_or(1000);
                if media_type.contains(&b'/') && quality > best.0 {
                    best = (quality, Self::of(media_type));
                }
            }
        }
        best.1
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Plain => "text/plain; charset=utf-8",
            Self::Xml => "application/xml; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        })
    }

    fn of(media_type: &[u8]) -> Self {
        let is = |other: &str| media_type.eq_ignore_ascii_case(other.as_bytes());
        if is("text/html") {
            Self::Html
        } else if is("text/plain") || is("text/*") {
            Self::Plain
        } else if is("application/xml") {
            Self::Xml
        } else {
            Self::Json
        }
    }

    fn escape(self, text: &str) -> Cow<'_, str> {
        let escape: fn(char) -> Option<Cow<'static, str>> = match self {
            Self::Json => json_escape,
            Self::Xml | Self::Html => markup_escape,
            Self::Plain => return Cow::Borrowed(text),
        };
        if text.chars().all(|c| escape(c).is_none()) {
            return Cow::Borrowed(text);
        }
        let mut escaped = String::with_capacity(text.len() + 8);
        for c in text.chars() {
            match escape(c) {
                Some(replacement) => escaped.push_str(&replacement),
                None => escaped.push(c),
            }
        }
        Cow::Owned(escaped)
    }
}

/// A quality in thousandths; `None` when the parameter is another one or no quality at all.
fn quality(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', digits @ ..] = parameter else { return None };
    match digits {
        [b'0'] => Some(0),
        [b'0', b'.', decimals @ ..] if decimals.iter().all(u8::is_ascii_digit) => {
            let decimals = decimals.iter().copied().chain(std::iter::repeat(b'0')).take(3);
            Some(decimals.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        }
        _ => None,
    }
}

fn json_escape(c: char) -> Option<Cow<'static, str>> {
    match c {
        '"' => Some(Cow::Borrowed("\\\"")),
        '\\' => Some(Cow::Borrowed("\\\\")),
        c if c < ' ' => Some(Cow::Owned(format!("\\u{:04x}", u32::from(c)))),
        _ => None,
    }
}

fn markup_escape(c: char) -> Option<Cow<'static, str>> {
    match c {
        '&' => Some(Cow::Borrowed("&amp;")),
        '<' => Some(Cow::Borrowed("&lt;")),
        '>' => Some(Cow::Borrowed("&gt;")),
        '"' => Some(Cow::Borrowed("&quot;")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_accepted_most() {
        check(&[], Format::Json);
        check(&["*/*"], Format::Json);
        check(&["application/*"], Format::Json);
        check(&["text/*"], Format::Plain);
        check(&["text/plain"], Format::Plain);
        check(&["text/html"], Format::Html);
        check(&["TEXT/HTML"], Format::Html);
        check(&["application/xml"], Format::Xml);
        check(&["image/png"], Format::Json);
        check(&["application/json, text/html"], Format::Json);
        check(&["text/html, application/json"], Format::Html);
        check(&["text/html;q=0.8, application/xml;q=0.9"], Format::Xml);
        check(&["text/html;q=0.8", "text/plain;q=0.81"], Format::Plain);
        check(&["text/html;level=1;q=0.1, text/plain ; q=0.2"], Format::Plain);
        check(&["text/html;q=0"], Format::Json);
        check(&["text/html;q=0.0, text/plain;q=0.001"], Format::Plain);
        check(&["text/html;q=nonsense, text/plain;q=0.9"], Format::Html);
        check(&["html"], Format::Json);
        check(&[",,;q=1,"], Format::Json);
        check(&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Format::Html);
    }

    fn check(accept: &[&str], expected: Format) {
        let values: Vec<_> = accept.iter().map(|value| HeaderValue::from_str(value).unwrap()).collect();
        assert_eq!(Format::accepted(&values), expected, "{accept:?}");
    }

    #[test]
    fn bodies_are_kongs_byte_for_byte() {
        let json = "{\n  \"message\":\"no Route matched with those values\",\n  \"request_id\":\"0000000000000000000000000000002a\"\n}";
        assert_eq!(body(Format::Json), json);
        let plain = "no Route matched with those values\nrequest_id: 0000000000000000000000000000002a\n";
        assert_eq!(body(Format::Plain), plain);
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<error>
  <message>no Route matched with those values</message>
  <requestid>0000000000000000000000000000002a</requestid>
</error>
"#;
        assert_eq!(body(Format::Xml), xml);
        let html = r#"<!doctype html>
<html>
  <head>
    <meta charset="utf-8">
    <title>Error</title>
  </head>
  <body>
    <h1>Error</h1>
    <p>no Route matched with those values.</p>
    <p>request_id: 0000000000000000000000000000002a</p>
  </body>
</html>
"#;
        assert_eq!(body(Format::Html), html);
    }

    fn body(format: Format) -> String {
        String::from_utf8(Reply::NO_ROUTE.body(format, &RequestId::new(42)).to_vec()).unwrap()
    }

    #[test]
    fn a_message_cannot_leave_its_place() {
        let reply = Reply::new(StatusCode::OK, "a\"\\\n<b>&");
        for (format, expected) in [
            (Format::Json, "\"message\":\"a\\\"\\\\\\u000a<b>&\","),
            (Format::Xml, "<message>a&quot;\\\n&lt;b&gt;&amp;</message>"),
            (Format::Html, "<p>a&quot;\\\n&lt;b&gt;&amp;.</p>"),
        ] {
            let body = reply.body(format, &RequestId::new(0));
            assert!(String::from_utf8_lossy(&body).contains(expected), "{body:?}");
        }
    }

    #[test]
    fn a_verbatim_body_is_the_same_in_every_format() {
        let reply = Reply::exit(StatusCode::FORBIDDEN, "say \"no\"");
        for format in [Format::Json, Format::Plain, Format::Xml, Format::Html] {
            assert_eq!(reply.body(format, &RequestId::new(0)), r#"{"message":"say \"no\""}"#);
            assert_eq!(reply.content_type(format), Some(Format::Json.content_type()));
        }
        let empty = Reply::verbatim(StatusCode::NO_CONTENT, Cow::Borrowed(""), None, Bytes::new());
        assert_eq!(empty.content_type(Format::Json), None);
    }
}
