//! What `echo` tells about a request, as JSON.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use tokio_rustls::rustls::{ProtocolVersion, ServerConnection};

use crate::identity::Certificate;

/// The request as it arrived, in the order of the fields.
#[derive(Serialize)]
pub(super) struct Facts<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    /// Of the target: HTTP/2's `:authority`, or HTTP/1.1's absolute form. Most HTTP/1.1 requests have `host`
    /// instead.
    authority: Option<&'a str>,
    /// `HTTP/1.1`, `HTTP/2.0`.
    version: String,
    headers: Vec<[String; 2]>,
    #[serde(flatten)]
    body: Body<'a>,
    trailers: Vec<[String; 2]>,
    tls: Option<&'a TlsFacts>,
}

/// `"body"` where it is UTF-8, else `"body_base64"`.
#[derive(Serialize)]
enum Body<'a> {
    #[serde(rename = "body")]
    Text(&'a str),
    #[serde(rename = "body_base64")]
    Base64(String),
}

/// What the connection's handshake came to.
#[derive(Debug, Serialize)]
pub(super) struct TlsFacts {
    /// `TLSv1.3` or `TLSv1.2`.
    version: &'static str,
    /// The name the client asked for (SNI).
    server_name: Option<String>,
    /// `h2` or `http/1.1`, where the client offered any (ALPN).
    protocol: Option<String>,
    /// RFC 4514, most specific first. `null` without a certificate.
    client_certificate_subject: Option<String>,
}

impl<'a> Facts<'a> {
    /// `trailers` are those that came after the body, where any did.
    pub(super) fn of(
        head: &'a Parts,
        body: &'a Bytes,
        trailers: Option<&HeaderMap>,
        tls: Option<&'a TlsFacts>,
    ) -> Self {
        Self {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query(),
            authority: head.uri.authority().map(|authority| authority.as_str()),
            version: format!("{:?}", head.version),
            headers: pairs(&head.headers),
            body: match std::str::from_utf8(body) {
                Ok(text) => Body::Text(text),
                Err(_) => Body::Base64(BASE64_STANDARD.encode(body)),
            },
            trailers: trailers.map(pairs).unwrap_or_default(),
            tls,
        }
    }
}

impl TlsFacts {
    /// Of a connection whose handshake is done.
    pub(super) fn of(connection: &ServerConnection) -> Self {
        let leaf = connection.peer_certificates().and_then(|chain| chain.first());
        Self {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "TLSv1.2", // rustls has no others
            },
            server_name: connection.server_name().map(str::to_owned),
            protocol: connection.alpn_protocol().map(|name| name.escape_ascii().to_string()),
            client_certificate_subject: leaf
                .and_then(|leaf| Certificate::parse(leaf.clone()).ok())
                .map(|certificate| certificate.subject().to_string()),
        }
    }
}

/// In the order received; a name that came more than once stands at its first place.
fn pairs(headers: &HeaderMap) -> Vec<[String; 2]> {
    headers.iter().map(|(name, value)| [name.to_string(), text(value)]).collect()
}

/// As it is where it is UTF-8; else every byte that is not printable ASCII as `\xNN`.
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_request_is_told() {
        let head = http::Request::post("http://a.example/p?q=1")
            .header("b", "1")
            .header("a", HeaderValue::from_bytes(b"\xff\"").unwrap())
            .header("b", "é")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let body = Bytes::from_static(b"\xff");
        let facts = serde_json::to_string(&Facts::of(&head, &body, Some(&trailers), None)).unwrap();
        assert_eq!(
            facts,
            r#"{"method":"POST","path":"/p","query":"q=1","authority":"a.example","version":"HTTP/1.1","#
                .to_owned()
                + r#""headers":[["b","1"],["b","é"],["a","\\xff\\\""]],"body_base64":"/w==","#
                + r#""trailers":[["grpc-status","0"]],"tls":null}"#
        );
    }
}
