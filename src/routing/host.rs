//! Hosts a route is for, and the host a request names.
//!
//! Source: kong/db/schema/typedefs.lua (`hosts`), kong/router/transform.lua. Case means nothing, nor does
//! the dot a full name may end with (Kong tells names apart by it).

use std::borrow::Cow;
use std::fmt;

use super::Invalid;
use super::name_pattern::{NamePattern, without_dot};

/// A host name or address, plain or with a wildcard at one end, and a port if only that one is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    pub(super) name: NamePattern,
    pub(super) port: Option<u16>,
}

impl HostPattern {
    /// A host as a route of Kong has it: `example.com`, `*.example.com`, `example.*`, each with a
    /// port if it needs one, or an address (IPv6 in brackets or without).
    ///
    /// # Errors
    /// More than one wildcard, one in the middle, a port that is none, or what is no host.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (host, port) = split_port(text);
        // Of IPv6, requests have the form with brackets.
        let host = if host.contains(':') && !host.starts_with('[') {
            Cow::Owned(format!("[{host}]"))
        } else {
            Cow::Borrowed(host)
        };
        match (NamePattern::parse(&host), port.map(parse_port)) {
            (Some(name), None) => Ok(Self { name, port: None }),
            (Some(name), Some(Some(port))) => Ok(Self { name, port: Some(port) }),
            _ if !text.is_ascii() => {
                Err(Invalid::new("it is not a host", "write international names as xn--"))
            }
            _ => Err(Invalid::new("it is not a host", ADVICE)),
        }
    }

    /// Whether a request may name a host that fits both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let ports = self.port.is_none() || other.port.is_none() || self.port == other.port;
        ports && self.name.overlaps(&other.name)
    }
}

const ADVICE: &str =
    "write a host name, perhaps with a port, with at most one `*` as its first or last label";

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The host of a request, ready to be compared.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AskedHost<'a> {
    /// In lower case, without the last dot.
    pub(super) name: Cow<'a, str>,
    /// The port it names, or else that of the scheme; 0 for what is no port.
    pub(super) port: u16,
}

impl<'a> AskedHost<'a> {
    pub(super) fn new(host: &'a str, tls: bool) -> Self {
        let (name, port) = split_port(host);
        let name = without_dot(name);
        let is_upper = name.bytes().any(|byte| byte.is_ascii_uppercase());
        Self {
            name: if is_upper { name.to_ascii_lowercase().into() } else { name.into() },
            port: match port {
                None | Some("") => {
                    if tls {
                        443
                    } else {
                        80
                    }
                }
                Some(port) => port.parse().unwrap_or_default(),
            },
        }
    }
}

/// The name (with brackets) and what stands after its colon. More than one colon without
/// brackets is an IPv6 address.
fn split_port(host: &str) -> (&str, Option<&str>) {
    let colon = match host.find(']') {
        Some(end) if host.starts_with('[') => host[end..].find(':').map(|at| end + at),
        _ => host.find(':').filter(|at| !host[at + 1..].contains(':')),
    };
    colon.map_or((host, None), |at| (&host[..at], Some(&host[at + 1..])))
}

/// Rust reads `+80` as a number.
fn parse_port(port: &str) -> Option<u16> {
    port.parse().ok().filter(|number| *number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_in_kong() {
        for (text, shown) in [
            ("example.com", "example.com"),
            ("Example.COM.", "example.com"),
            ("example.com:8443", "example.com:8443"),
            ("*.example.com", "*.example.com"),
            ("*.example.com:80", "*.example.com:80"),
            ("example.*", "example.*"),
            ("example.*:80", "example.*:80"),
            ("my_service", "my_service"),
            ("api.v1.1", "api.v1.1"),
            ("backend.1:80", "backend.1:80"),
            ("10.*", "10.*"),
            ("*a.test", "*a.test"),
            ("*", "*"),
            ("*:8443", "*:8443"),
            ("10.0.0.1", "10.0.0.1"),
            ("::1", "[::1]"),
            ("[FD00::1]:8000", "[fd00::1]:8000"),
        ] {
            assert_eq!(HostPattern::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "*.*",
            "*.a.*",
            "a.*.b",
            "a:0",
            "a:+80",
            "a:b",
            "a:65536",
            "a:",
            "a..b",
            "http://a/",
            "a/b",
            "10.1",
            "[::1",
            "[::1]x",
        ] {
            assert_eq!(HostPattern::parse(text), Err(Invalid::new("it is not a host", ADVICE)), "{text}");
        }
        let error = HostPattern::parse("b\u{fc}cher.example").unwrap_err();
        assert_eq!(error.to_string(), "it is not a host; write international names as xn--");
    }

    #[test]
    fn the_host_of_a_request_has_a_port_if_only_by_its_scheme() {
        for (host, tls, name, port) in [
            ("a.example", false, "a.example", 80),
            ("a.example", true, "a.example", 443),
            ("A.Example.:8443", true, "a.example", 8443),
            ("a.example:", true, "a.example", 443),
            ("a.example:99999", true, "a.example", 0),
            ("[::1]", false, "[::1]", 80),
            ("[::1]:8000", false, "[::1]", 8000),
            ("", false, "", 80),
        ] {
            assert_eq!(AskedHost::new(host, tls), AskedHost { name: name.into(), port }, "{host}");
        }
    }
}
