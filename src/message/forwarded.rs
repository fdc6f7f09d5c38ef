//! Forwarding headers: what the service is told about the way a request came.
//!
//! `X-Forwarded-*`, `X-Real-IP` and `Via`, as Kong sets them (kong/runloop/handler.lua), but for
//! one point: what a peer says about the way before it counts only if the peer is believed, so
//! `X-Forwarded-For` from anyone else starts anew. Whom to believe is the caller's decision.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use ipnet::IpNet;

use super::compression::passing;

/// The last hop of the way: one accepted connection, the same for all its requests.
#[derive(Debug, Clone)]
pub struct Hop {
    peer: IpAddr,
    peer_value: HeaderValue,
    scheme: HeaderValue,
    port: HeaderValue,
}

impl Hop {
    /// `peer` at the other end of the connection, `scheme` and `port` at ours.
    pub fn new(peer: IpAddr, scheme: &'static str, port: u16) -> Self {
        let peer = peer.to_canonical();
        Self {
            peer,
            peer_value: address_value(peer),
            scheme: HeaderValue::from_static(scheme),
            port: HeaderValue::from(port),
        }
    }

    /// The other end, an IPv4 address never dressed as IPv6.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }
}

/// How a believed peer tells the client's address (Kong's `real_ip_header`, `real_ip_recursive`
/// and `trusted_ips`, with the meaning nginx's realip module gives them).
#[derive(Debug, Clone)]
pub struct RealIp {
    /// The header with the address or addresses.
    pub header: HeaderName,
    /// Whether trusted addresses are skipped, from the right, to find the client's.
    pub recursive: bool,
    /// The networks whose addresses are skipped.
    pub trusted: Vec<IpNet>,
}

impl RealIp {
    /// Whether the address lies in a trusted network.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The client's address according to a peer that is believed.
    ///
    /// The last address of the header counts; with `recursive`, the last that is not trusted, or
    /// the first of all. At an entry that is no address the search ends with what it has.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let lines = headers.get_all(&self.header).iter().rev();
        let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut client = peer;
        for entry in entries {
            let Some(address) = parse_address(entry) else { break };
            client = address;
            if !self.recursive || !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// What was asked for, as the client wrote it.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The host, with or without a port.
    pub host: Option<&'a str>,
    /// The path without the query.
    pub path: &'a str,
    /// The part of the path that routing takes away; `None` when it takes nothing.
    pub stripped_prefix: Option<&'a str>,
}

/// Sets all forwarding headers but `Via`; returns the client's address, as far as it is believed.
///
/// `believed` is `Some` when the peer's own forwarding headers count. Then those it sent are kept
/// (its list is continued), the missing are added. Else they are all replaced or removed, the
/// standard `Forwarded`, which we do not write ourselves, included.
pub fn set(headers: &mut HeaderMap, hop: &Hop, believed: Option<&RealIp>, target: Target<'_>) -> IpAddr {
    let client = believed.map_or(hop.peer, |real_ip| real_ip.client(headers, hop.peer));
    let client_value = if client == hop.peer { hop.peer_value.clone() } else { address_value(client) };

    match believed.and_then(|_| continued(headers, &hop.peer_value)) {
        Some(list) => headers.insert(X_FORWARDED_FOR, list),
        None => headers.insert(X_FORWARDED_FOR, client_value.clone()),
    };
    headers.insert(X_REAL_IP, client_value);

    let keep = believed.is_some();
    put(headers, keep, X_FORWARDED_PROTO, || Some(hop.scheme.clone()));
    put(headers, keep, X_FORWARDED_PORT, || Some(hop.port.clone()));
    put(headers, keep, X_FORWARDED_HOST, || text_value(without_port(target.host?)));
    put(headers, keep, X_FORWARDED_PATH, || text_value(target.path).map(passing));
    put(headers, keep, X_FORWARDED_PREFIX, || text_value(target.stripped_prefix?));
    if believed.is_none() {
        headers.remove(FORWARDED);
    }
    client
}

/// Adds us to the `Via` of a request or a response (RFC 9110 section 7.6.3).
///
/// `received` is the version the message came with, not the one it is sent on with.
pub fn append_via(headers: &mut HeaderMap, received: Version) {
    let entry = match received {
        Version::HTTP_10 => "1.0 mtls-bridge",
        Version::HTTP_2 => "2 mtls-bridge",
        _ => "1.1 mtls-bridge",
    };
    headers.append(VIA, HeaderValue::from_static(entry));
}

/// How many bridges a request has passed already, by its `Via`.
pub fn bridges_passed(headers: &HeaderMap) -> usize {
    let lines = headers.get_all(VIA).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter(|entry| entry.trim_end().ends_with(" mtls-bridge")).count()
}

/// The peer's list with the peer at its end; `None` when it sent none.
fn continued(headers: &HeaderMap, peer: &HeaderValue) -> Option<HeaderValue> {
    let mut list = Vec::new();
    for line in headers.get_all(X_FORWARDED_FOR).iter().filter(|line| !line.is_empty()) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    if list.is_empty() {
        return None;
    }
    list.extend_from_slice(peer.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(list)).ok()
}

/// Sets or removes a header, unless there is one that is to be kept.
fn put(headers: &mut HeaderMap, keep: bool, name: HeaderName, value: impl FnOnce() -> Option<HeaderValue>) {
    if keep && headers.contains_key(&name) {
        return;
    }
    match value() {
        Some(value) => {
            headers.insert(name, value);
        }
        None if keep => {}
        None => {
            headers.remove(name);
        }
    }
}

fn text_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // A colon inside the brackets of an IPv6 address is no port's.
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

/// An address alone, in brackets, or with a port.
fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse().map(|with_port: SocketAddr| with_port.ip())).ok()?;
    Some(address.to_canonical())
}

fn address_value(address: IpAddr) -> HeaderValue {
    // An address in text is a legal value; the fallback is RFC 7239's word for "not known".
    HeaderValue::try_from(address.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PATH: HeaderName = HeaderName::from_static("x-forwarded-path");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridges_are_counted_and_nobody_else() {
        let via =
            |lines: &[&'static str]| headers(&lines.iter().map(|line| ("via", *line)).collect::<Vec<_>>());
        assert_eq!(bridges_passed(&via(&[])), 0);
        assert_eq!(
            bridges_passed(&via(&["1.1 varnish, 2 mtls-bridge", "1.1 mtls-bridge ,1.0 not-mtls-bridge"])),
            2
        );
    }

    #[test]
    fn an_untrusted_peer_tells_nothing_about_the_way() {
        let mut headers = headers(&[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "ftp"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-path", "/evil"),
            ("x-forwarded-prefix", "/evil"),
            ("x-real-ip", "3.3.3.3"),
            ("forwarded", "for=4.4.4.4"),
        ]);
        let client = set(&mut headers, &hop(), None, target(Some("api.example:8443")));
        assert_eq!(client, ip("10.0.0.9"));
        let expected = self::headers(&[
            ("x-forwarded-for", "10.0.0.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "api.example"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-path", "/orders"),
            ("x-real-ip", "10.0.0.9"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_believed_peer_is_continued() {
        let sent = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-prefix", "/v1"),
            ("x-real-ip", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1"),
        ];
        let mut headers = headers(&sent);
        let client = set(&mut headers, &hop(), Some(&real_ip("x-real-ip", false)), target(None));
        assert_eq!(client, ip("1.1.1.1"));
        let expected = self::headers(&[
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 10.0.0.9"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-path", "/orders"),
            ("x-forwarded-prefix", "/v1"),
            ("x-real-ip", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_believed_peer_without_a_list_starts_one_with_the_client() {
        let mut headers = headers(&[("x-forwarded-for", ""), ("x-real-ip", "1.1.1.1")]);
        set(&mut headers, &hop(), Some(&real_ip("x-real-ip", false)), target(None));
        assert_eq!(headers["x-forwarded-for"], "1.1.1.1");
        assert_eq!(headers["x-real-ip"], "1.1.1.1");
    }

    #[test]
    fn a_stripped_prefix_is_told() {
        let mut headers = HeaderMap::new();
        let target = Target { host: None, path: "/v1/orders", stripped_prefix: Some("/v1") };
        set(&mut headers, &hop(), None, target);
        assert_eq!(headers["x-forwarded-prefix"], "/v1");
        assert_eq!(headers["x-forwarded-path"], "/v1/orders");
        assert!(!headers.contains_key("x-forwarded-host"));
    }

    #[test]
    fn the_clients_address_is_found_as_nginx_finds_it() {
        // (header lines, recursive, expected); 10.0.0.0/8 is trusted.
        check(&[], false, "10.0.0.9");
        check(&["1.1.1.1"], false, "1.1.1.1");
        check(&["1.1.1.1, 2.2.2.2"], false, "2.2.2.2");
        check(&["1.1.1.1", "2.2.2.2"], false, "2.2.2.2");
        check(&["1.1.1.1, 10.0.0.2"], false, "10.0.0.2");
        check(&["1.1.1.1, 2.2.2.2, 10.0.0.2"], true, "2.2.2.2");
        check(&["1.1.1.1", "10.0.0.3, 10.0.0.2"], true, "1.1.1.1");
        check(&["10.0.0.4, 10.0.0.3"], true, "10.0.0.4");
        check(&["1.1.1.1, unknown, 10.0.0.2"], true, "10.0.0.2");
        check(&["unknown"], true, "10.0.0.9");
        check(&[""], true, "10.0.0.9");
        check(&["1.1.1.1:5000"], true, "1.1.1.1");
        check(&["2001:db8::1"], true, "2001:db8::1");
        check(&["[2001:db8::1]"], true, "2001:db8::1");
        check(&["[2001:db8::1]:443"], true, "2001:db8::1");
        check(&["1.1.1.1, ::ffff:10.0.0.2"], true, "1.1.1.1");
    }

    fn check(lines: &[&'static str], recursive: bool, expected: &str) {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let client = real_ip("x-forwarded-for", recursive).client(&headers(&lines), ip("10.0.0.9"));
        assert_eq!(client, ip(expected), "{lines:?}");
    }

    #[test]
    fn a_host_loses_its_port() {
        for (host, expected) in [
            ("a.example", "a.example"),
            ("a.example:8443", "a.example"),
            ("[::1]", "[::1]"),
            ("[::1]:8443", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(without_port(host), expected);
        }
    }

    #[test]
    fn via_names_the_version_received_and_comes_last() {
        let mut headers = headers(&[("via", "1.1 other")]);
        append_via(&mut headers, Version::HTTP_2);
        append_via(&mut headers, Version::HTTP_11);
        append_via(&mut headers, Version::HTTP_10);
        let entries: Vec<_> = headers.get_all(VIA).iter().collect();
        assert_eq!(entries, ["1.1 other", "2 mtls-bridge", "1.1 mtls-bridge", "1.0 mtls-bridge"]);
    }

    #[test]
    fn an_ipv4_peer_on_an_ipv6_socket_is_an_ipv4_peer() {
        let hop = Hop::new(ip("::ffff:10.0.0.9"), "http", 80);
        assert_eq!(hop.peer(), ip("10.0.0.9"));
        assert!(real_ip("x-real-ip", false).trusts(ip("::ffff:10.0.0.9")));
    }

    fn hop() -> Hop {
        Hop::new(ip("10.0.0.9"), "https", 8443)
    }

    fn target(host: Option<&str>) -> Target<'_> {
        Target { host, path: "/orders", stripped_prefix: None }
    }

    fn real_ip(header: &'static str, recursive: bool) -> RealIp {
        let trusted = vec!["10.0.0.0/8".parse().unwrap()];
        RealIp { header: HeaderName::from_static(header), recursive, trusted }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }
}
