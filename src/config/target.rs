//! Where requests go: `UPSTREAM_URL`, taken apart.
//!
//! Used by `upstream`. A URL with anything we would have to ignore is refused.

use std::fmt;
use std::net::IpAddr;

use super::problem::{Problem, Said};
use crate::routing::is_host;

/// What is spoken to the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP without TLS.
    Http,
    /// HTTP over TLS.
    Https,
    /// gRPC: HTTP/2 without TLS, with prior knowledge.
    Grpc,
    /// gRPC over TLS.
    Grpcs,
}

impl Scheme {
    /// Whether TLS is spoken.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Grpcs)
    }

    /// Whether only HTTP/2 will do.
    pub fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::Grpcs)
    }

    /// The port when the URL names none: 443 with TLS, 80 without.
    pub fn default_port(self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }
}

/// The upstream's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What is spoken.
    pub scheme: Scheme,
    /// A name or an IP address; IPv6 without brackets.
    pub host: String,
    /// The URL's, or the scheme's default.
    pub port: u16,
    /// What comes before each request's path: empty, or `/base` without a slash at the end.
    pub path: String,
}

impl Target {
    /// For the `Host` header: the host (IPv6 in brackets), and the port unless it is the default.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }

    /// Whether nothing leaves this host: a loopback address, or the name `localhost`.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        address || self.host.eq_ignore_ascii_case("localhost")
    }

    /// Reads `scheme://host[:port][/path]`.
    ///
    /// # Errors
    /// When it is not that, or has a part that would have to be ignored.
    pub fn parse(said: &Said) -> Result<Self, Problem> {
        let Some((scheme, rest)) = said.value().split_once("://") else {
            return Err(Problem::new(said, "not a URL", "write for example https://gateway.example:8443"));
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "grpc" => Scheme::Grpc,
            "grpcs" => Scheme::Grpcs,
            _ => {
                let what = format!("`{scheme}` is not a scheme this program speaks");
                return Err(Problem::new(said, what, "write http, https, grpc or grpcs"));
            }
        };
        // Before anything is quoted: a password may hold what ends a host.
        if rest.contains('@') {
            let advice = "remove what is before the @; callers are told apart by certificates";
            return Err(Problem::new(said, "a user or password in the URL", advice));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port) = host_and_port(said, authority)?;
        Ok(Self {
            scheme,
            host,
            port: port.unwrap_or_else(|| scheme.default_port()),
            path: base(said, path)?,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Grpc => "grpc",
            Scheme::Grpcs => "grpcs",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

fn host_and_port(said: &Said, authority: &str) -> Result<(String, Option<u16>), Problem> {
    // The colons of an IPv6 address are inside its brackets.
    let port_at = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
    let (host, port) = authority.split_at(port_at.unwrap_or(authority.len()));
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name = bracketed.unwrap_or(host);
    if name.is_empty() {
        return Err(Problem::new(said, "no host", "write for example https://gateway.example:8443"));
    }
    if !is_host(name) || (name.contains(':') != bracketed.is_some()) {
        let what = format!("`{host}` is neither a host name nor an address");
        return Err(Problem::new(said, what, "write a name, an IPv4 address, or IPv6 in brackets"));
    }
    let port = match port.strip_prefix(':') {
        None => None,
        Some(digits) => match digits.parse() {
            Ok(number) if number > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Some(number),
            _ => {
                let what = format!("`{digits}` is not a port");
                return Err(Problem::new(said, what, "write a port from 1 to 65535"));
            }
        },
    };
    Ok((name.to_owned(), port))
}

fn base(said: &Said, path: &str) -> Result<String, Problem> {
    if path.contains(['?', '#']) {
        return Err(Problem::new(said, "a query or fragment", "end the URL with its path"));
    }
    if !path.is_empty() && path.parse::<http::uri::PathAndQuery>().is_err() || !path.is_ascii() {
        return Err(Problem::new(said, "a path HTTP cannot carry", "percent-encode its special characters"));
    }
    Ok(path.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn parse(url: &str) -> Result<Target, Problem> {
        Target::parse(&Said::new("upstream_url", url, Origin::DEFAULT))
    }

    #[test]
    fn urls_are_taken_apart() {
        let check = |url, scheme, host: &str, port, path: &str| {
            let expected = Target { scheme, host: host.to_owned(), port, path: path.to_owned() };
            assert_eq!(parse(url), Ok(expected), "{url}");
        };
        check("https://gateway.example", Scheme::Https, "gateway.example", 443, "");
        check("HTTP://my_service:8080/", Scheme::Http, "my_service", 8080, "");
        check("http://127.0.0.1/base/v1/", Scheme::Http, "127.0.0.1", 80, "/base/v1");
        check("grpcs://[::1]:50051", Scheme::Grpcs, "::1", 50051, "");
        check("http://api.v1.1:8080/x", Scheme::Http, "api.v1.1", 8080, "/x");
        check("grpc://[fd00::7]", Scheme::Grpc, "fd00::7", 80, "");
        check("http://h/a%20b", Scheme::Http, "h", 80, "/a%20b");
    }

    #[test]
    fn what_is_not_an_upstream() {
        let check = |url: &str, line: &str| {
            let expected = format!("upstream_url={url} (default): {line}");
            assert_eq!(parse(url).unwrap_err().to_string(), expected);
        };
        check("gateway:8443", "not a URL; write for example https://gateway.example:8443");
        check("ftp://h", "`ftp` is not a scheme this program speaks; write http, https, grpc or grpcs");
        check("https://", "no host; write for example https://gateway.example:8443");
        check("https://:8443", "no host; write for example https://gateway.example:8443");
        for port in ["0", "65536", "", "+1", "http"] {
            let line = format!("`{port}` is not a port; write a port from 1 to 65535");
            check(&format!("https://h:{port}"), &line);
        }
        check("https://h/a?b=c", "a query or fragment; end the URL with its path");
        check("https://h#top", "a query or fragment; end the URL with its path");
        check("https://h/ä", "a path HTTP cannot carry; percent-encode its special characters");
        let line = "neither a host name nor an address; write a name, an IPv4 address, or IPv6 in brackets";
        for host in ["a b", "::1", "[gateway]", "h-", "10.1"] {
            check(&format!("https://{host}"), &format!("`{}` is {line}", host.trim_end_matches(":1")));
        }
    }

    #[test]
    fn a_password_is_refused_and_not_shown() {
        let expected = "upstream_url=*** (default): a user or password in the URL; \
                        remove what is before the @; callers are told apart by certificates";
        assert_eq!(parse("https://user:secret@h").unwrap_err().to_string(), expected);
    }

    #[test]
    fn authority_and_loopback() {
        let check = |url, authority: &str, loopback| {
            let target = parse(url).unwrap();
            assert_eq!((target.authority().as_str(), target.is_loopback()), (authority, loopback));
            assert_eq!(parse(&target.to_string()), Ok(target));
        };
        check("https://gateway.example:443/x", "gateway.example", false);
        check("https://[::1]:8443", "[::1]:8443", true);
        check("http://127.9.9.9:81", "127.9.9.9:81", true);
        check("http://LocalHost", "LocalHost", true);
        check("http://localhost.example", "localhost.example", false);
        check("http://[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]", true);
    }
}
