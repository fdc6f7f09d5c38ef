//! Hop-by-hop fields: what belongs to one connection and must not travel further.
//!
//! Called first for every request and response (RFC 9110 section 7.6.1), before any header is set:
//! what `Connection` names is gone by then, so it cannot delete ours. `Trailer` stays: it announces
//! fields that do travel on, and a receiver may rely on the announcement.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The protocols offered or chosen in an `Upgrade` field that may pass through us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade(HeaderValue);

impl Upgrade {
    /// The protocols as they were sent, for example `websocket`.
    pub fn protocols(&self) -> &HeaderValue {
        &self.0
    }

    /// Whether `chosen`, the answer of a server, is among these offers; case is ignored.
    pub fn offers(&self, chosen: &Self) -> bool {
        let mut answers = elements(&chosen.0);
        answers.all(|answer| elements(&self.0).any(|offer| offer.eq_ignore_ascii_case(answer)))
    }

    /// Sets `Connection` and `Upgrade` for the next hop.
    pub fn set(self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, self.0);
    }

    /// What `Upgrade` asks for, if `Connection` says that it is meant (RFC 9110 section 7.8).
    fn asked(headers: &HeaderMap) -> Option<Self> {
        let mut offers =
            headers.get_all(UPGRADE).iter().flat_map(elements).filter(|it| may_pass(it)).peekable();
        offers.peek()?;
        let meant = headers.get_all(CONNECTION).iter().flat_map(elements);
        if !meant.into_iter().any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
            return None;
        }
        HeaderValue::from_bytes(&offers.collect::<Vec<_>>().join(&b", "[..])).ok().map(Self)
    }
}

/// Removes from a request what was meant for us alone; returns the upgrade it asked for.
///
/// `TE` is reduced to `trailers` where it says so; the sender of HTTP/1.1 has to name it in
/// `Connection` again. `Proxy` goes because CGI-like services take it for their own setting.
pub fn strip_request(headers: &mut HeaderMap) -> Option<Upgrade> {
    strip(headers)
}

/// Removes from a response what was meant for us alone; returns the protocol it switches to.
///
/// The upgrade counts for a 101 only, and only if the request [offered](Upgrade::offers) it.
pub fn strip_response(headers: &mut HeaderMap) -> Option<Upgrade> {
    strip(headers)
}

/// Whether this is a field of the connection, not of the message.
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    // Asked for every field of every message. This is one look at the length, and then two
    // comparisons at the most; a test holds it against `FIELDS`.
    matches!(
        name.as_str().as_bytes(),
        b"connection"
            | b"te"
            | b"transfer-encoding"
            | b"upgrade"
            | b"keep-alive"
            | b"proxy-connection"
            | b"proxy"
            | b"http2-settings"
    )
}

fn strip(headers: &mut HeaderMap) -> Option<Upgrade> {
    // Most messages have none of these: one look at the names, then nothing to do.
    if !headers.keys().any(is_hop_by_hop) {
        return None;
    }
    let upgrade = Upgrade::asked(headers);
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(elements)
        .filter(|option| !is_known_option(option))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .collect();
    for name in named {
        // These two make the message what it is; nobody may name them (RFC 9110 section 7.6.1).
        if name != HOST && name != CONTENT_LENGTH {
            headers.remove(name);
        }
    }
    let trailers_welcome = headers.get_all(TE).iter().flat_map(elements).any(is_trailers);
    if headers.contains_key(TRANSFER_ENCODING) {
        // The length is a leftover that a second reader might believe (RFC 9112 section 6.3).
        headers.remove(CONTENT_LENGTH);
    }
    for name in &FIELDS {
        headers.remove(name);
    }
    if trailers_welcome {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    upgrade
}

/// The non-empty elements of a comma-separated field value.
fn elements(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|it| !it.is_empty())
}

/// Options of `Connection` that name no further field; `TE` is dealt with by itself.
fn is_known_option(option: &[u8]) -> bool {
    [&b"close"[..], b"keep-alive", b"upgrade", b"te"].iter().any(|it| option.eq_ignore_ascii_case(it))
}

fn is_trailers(coding: &[u8]) -> bool {
    let name = coding.split(|byte| *byte == b';').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"trailers")
}

/// Other versions of HTTP, and TLS, are agreed between neighbours: an `h2c` let through would be a
/// tunnel past every check (V18 in the threat list).
fn may_pass(protocol: &[u8]) -> bool {
    let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
    ![&b"h2c"[..], b"h2", b"h3", b"http", b"tls"].iter().any(|it| name.eq_ignore_ascii_case(it))
}

static FIELDS: [HeaderName; 8] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy"),
    HeaderName::from_static("http2-settings"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fields_that_go_are_those_that_are_recognized() {
        assert!(FIELDS.iter().all(is_hop_by_hop));
        assert!(![HOST, CONTENT_LENGTH].iter().any(is_hop_by_hop));
    }

    #[test]
    fn what_belongs_to_the_connection_goes() {
        check(&[("host", "a"), ("accept", "*/*")], &[("host", "a"), ("accept", "*/*")]);
        check(&[("connection", "keep-alive"), ("keep-alive", "timeout=5")], &[]);
        check(&[("proxy-connection", "keep-alive"), ("proxy", "http://evil")], &[]);
        check(
            &[("http2-settings", "AAMAAABk"), ("upgrade", "h2c"), ("connection", "Upgrade, HTTP2-Settings")],
            &[],
        );
        check(&[("trailer", "x-checksum")], &[("trailer", "x-checksum")]);
    }

    #[test]
    fn what_connection_names_goes() {
        let named = &[("x-a", "1"), ("x-b", "2"), ("x-b", "3"), ("x-c", "4")];
        check(&[named, &[("connection", "close, X-A,, x-B ")][..]].concat(), &[("x-c", "4")]);
        check(
            &[named, &[("connection", ""), ("connection", ",X-a"), ("connection", "x-B")][..]].concat(),
            &[("x-c", "4")],
        );
        check(&[named, &[("connection", "x a, \"x-b\", @")][..]].concat(), named);
    }

    #[test]
    fn connection_cannot_take_the_message_apart() {
        check(
            &[("host", "a"), ("content-length", "5"), ("connection", "host, content-length")],
            &[("host", "a"), ("content-length", "5")],
        );
    }

    #[test]
    fn te_is_reduced_to_trailers() {
        check(&[("te", "trailers")], &[("te", "trailers")]);
        check(&[("te", "gzip, Trailers;q=0.5"), ("connection", "te")], &[("te", "trailers")]);
        check(&[("te", "gzip"), ("te", "trailers")], &[("te", "trailers")]);
        check(&[("te", "gzip, chunked")], &[]);
        check(&[("te", "xtrailers")], &[]);
    }

    #[test]
    fn a_length_beside_a_transfer_coding_is_not_believed() {
        check(&[("content-length", "5"), ("transfer-encoding", "chunked")], &[]);
        check(&[("content-length", "5")], &[("content-length", "5")]);
    }

    fn check(sent: &[(&'static str, &'static str)], expected: &[(&'static str, &'static str)]) {
        let (mut request, mut response) = (headers(sent), headers(sent));
        strip_request(&mut request);
        strip_response(&mut response);
        assert_eq!(request, headers(expected), "{sent:?}");
        assert_eq!(response, headers(expected), "{sent:?}");
    }

    #[test]
    fn an_upgrade_is_reported_if_it_is_meant_and_may_pass() {
        check_upgrade("Upgrade", "websocket", Some("websocket"));
        check_upgrade("keep-alive, uPgRaDe", "WebSocket", Some("WebSocket"));
        check_upgrade("upgrade", "h2c, websocket", Some("websocket"));
        check_upgrade("upgrade", "a/1, b", Some("a/1, b"));
        check_upgrade("upgrade", "h2c", None);
        check_upgrade("upgrade", "H2C/1", None);
        check_upgrade("upgrade", "HTTP/2.0, TLS/1.2", None);
        check_upgrade("upgrade", "", None);
        check_upgrade("keep-alive", "websocket", None);
    }

    fn check_upgrade(connection: &'static str, upgrade: &'static str, expected: Option<&str>) {
        let mut headers = headers(&[("connection", connection), ("upgrade", upgrade)]);
        let asked = strip_request(&mut headers);
        assert!(headers.is_empty());
        assert_eq!(asked.as_ref().map(|it| it.protocols().to_str().unwrap()), expected);
        if let (Some(asked), Some(expected)) = (asked, expected) {
            asked.set(&mut headers);
            assert_eq!(headers["connection"], "Upgrade");
            assert_eq!(headers["upgrade"], expected);
        }
    }

    #[test]
    fn an_answer_has_to_be_among_the_offers() {
        let upgrade = |text| Upgrade(HeaderValue::from_static(text));
        assert!(upgrade("a, WebSocket").offers(&upgrade("websocket")));
        assert!(!upgrade("websocket").offers(&upgrade("other")));
        assert!(!upgrade("websocket").offers(&upgrade("websocket, other")));
    }

    proptest! {
        #[test]
        fn nothing_goes_that_nobody_named(
            fields in proptest::collection::vec("x-[a-d]", 0..8),
            named in proptest::collection::vec("[Xx]-[a-dA-D]", 0..4),
            garbage in "[ -~]{0,12}",
        ) {
            let mut headers = HeaderMap::new();
            for field in &fields {
                headers.append(HeaderName::from_bytes(field.as_bytes()).unwrap(), HeaderValue::from_static("v"));
            }
            headers.append(CONNECTION, HeaderValue::from_str(&named.join(" ,")).unwrap());
            headers.append(CONNECTION, HeaderValue::from_str(&format!("@{garbage}@").replace(',', "")).unwrap());
            strip_request(&mut headers);
            let is_named = |field: &&String| named.iter().any(|name| name.eq_ignore_ascii_case(field));
            prop_assert_eq!(headers.len(), fields.iter().filter(|field| !is_named(field)).count());
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }
}
