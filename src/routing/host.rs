//! Hosts a route is for, and the host a request names.
//!
//! Source: kong/db/schema/typedefs.lua (`wildcard_host`), kong/router/transform.lua. Case means
//! nothing, nor does the dot a full name may end with (Kong tells names apart by it).

use std::borrow::Cow;
use std::fmt;

use super::Invalid;

/// A host name or address, plain or with a wildcard for its first or last labels, and a port if
/// only that one is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    /// In lower case, without wildcard and the dot beside it.
    pub(super) name: Box<str>,
    pub(super) wildcard: Option<Wildcard>,
    pub(super) port: Option<u16>,
}

/// Where the wildcard stands: it takes one label or several, but not none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wildcard {
    /// `*.example.com`
    Left,
    /// `example.*`
    Right,
}

impl HostPattern {
    /// A host as a route of Kong has it: `example.com`, `*.example.com`, `example.*`, each with a
    /// port if it needs one, or an address (IPv6 in brackets or without).
    ///
    /// # Errors
    /// More than one wildcard, one in the middle of a name or a label, a port that is none, or a
    /// character that no host has.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (host, port) = split_port(text);
        let port = port.map(|port| parse_port(port, text)).transpose()?;
        if host.matches('*').count() > 1 {
            return Err(Invalid::new(format!("{text:?} has more than one wildcard")));
        }
        let (name, wildcard) = if let Some(rest) = host.strip_prefix("*.") {
            (rest, Some(Wildcard::Left))
        } else if let Some(rest) = host.strip_suffix(".*") {
            (rest, Some(Wildcard::Right))
        } else {
            (host, None)
        };
        if name.contains('*') {
            let place = "the wildcard must be the whole first or last label: *.example.com or example.*";
            return Err(Invalid::new(format!("{text:?}: {place}")));
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        if is_ipv6(name) {
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            return Ok(Self { name: format!("[{bare}]").to_ascii_lowercase().into(), wildcard, port });
        }
        check_name(name, text)?;
        Ok(Self { name: name.to_ascii_lowercase().into(), wildcard, port })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wildcard {
            None => f.write_str(&self.name),
            Some(Wildcard::Left) => write!(f, "*.{}", self.name),
            Some(Wildcard::Right) => write!(f, "{}.*", self.name),
        }?;
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
        let name = name.strip_suffix('.').unwrap_or(name);
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

/// Refuses what cannot be a host name; `whole` is what was written.
pub(super) fn check_name(name: &str, whole: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return Err(Invalid::new("a host must not be empty"));
    }
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(other) = name.chars().find(|c| !is_legal(*c)) {
        return Err(Invalid::new(if other.is_ascii() {
            format!("{whole:?} has a character no host has: {other:?}")
        } else {
            format!("{whole:?} has the character {other:?}: write international names as xn--")
        }));
    }
    match name.split('.').any(str::is_empty) {
        true => Err(Invalid::new(format!("{whole:?} has an empty label"))),
        false => Ok(()),
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

fn parse_port(port: &str, whole: &str) -> Result<u16, Invalid> {
    let number = port.parse().ok().filter(|port| *port > 0 && !port_has_sign(whole));
    number.ok_or_else(|| Invalid::new(format!("{whole:?}: {port:?} is no port (1 to 65535)")))
}

/// Rust reads `+80` as a number.
fn port_has_sign(whole: &str) -> bool {
    whole.contains(":+")
}

fn is_ipv6(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    inner.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_in_kong() {
        check("example.com", Ok("example.com"));
        check("Example.COM.", Ok("example.com"));
        check("example.com:8443", Ok("example.com:8443"));
        check("*.example.com", Ok("*.example.com"));
        check("*.example.com:80", Ok("*.example.com:80"));
        check("example.*", Ok("example.*"));
        check("example.*:80", Ok("example.*:80"));
        check("my_service", Ok("my_service"));
        check("10.0.0.1", Ok("10.0.0.1"));
        check("::1", Ok("[::1]"));
        check("[::1]:8000", Ok("[::1]:8000"));
    }

    #[test]
    fn what_is_no_host_is_explained() {
        let middle = "the wildcard must be the whole first or last label: *.example.com or example.*";
        check("", Err("a host must not be empty"));
        check("*.*", Err("\"*.*\" has more than one wildcard"));
        check("*.a.*", Err("\"*.a.*\" has more than one wildcard"));
        check("*", Err(&format!("\"*\": {middle}")));
        check("a.*.b", Err(&format!("\"a.*.b\": {middle}")));
        check("*a.b", Err(&format!("\"*a.b\": {middle}")));
        check("a:0", Err("\"a:0\": \"0\" is no port (1 to 65535)"));
        check("a:+80", Err("\"a:+80\": \"+80\" is no port (1 to 65535)"));
        check("a:b", Err("\"a:b\": \"b\" is no port (1 to 65535)"));
        check("a..b", Err("\"a..b\" has an empty label"));
        check("http://a/", Err("\"http://a/\": \"//a/\" is no port (1 to 65535)"));
        check("a/b", Err("\"a/b\" has a character no host has: '/'"));
        check(
            "bücher.example",
            Err("\"bücher.example\" has the character 'ü': write international names as xn--"),
        );
    }

    fn check(text: &str, expected: Result<&str, &str>) {
        let shown = HostPattern::parse(text).map(|it| it.to_string()).map_err(|error| error.to_string());
        assert_eq!(shown.as_deref().map_err(String::as_str), expected, "{text}");
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
