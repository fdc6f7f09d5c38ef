//! A server name a route is for: what the client named in its TLS handshake.

use std::fmt;
use std::net::IpAddr;

use super::Invalid;
use super::name_pattern::{NamePattern, without_dot};

/// A host name, plain or with a wildcard at one end (kong/db/schema/typedefs.lua, `wildcard_host`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sni(NamePattern);

impl Sni {
    /// A name in any case; a trailing dot means nothing.
    ///
    /// # Errors
    /// An address, which clients do not name (RFC 6066 3), a port, or what is no name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let is_address = without_dot(text).parse::<IpAddr>().is_ok() || text.contains(':');
        let pattern = NamePattern::parse(text).filter(|_| !is_address);
        pattern
            .map(Self)
            .ok_or_else(|| Invalid::new("it is not a name to ask for", "write a host name without port"))
    }

    /// Whether it is one name and not several.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0.wildcard.is_none()
    }

    /// Whether the client asked for this name, or one of these.
    pub(super) fn matches(&self, asked: &str) -> bool {
        let asked = without_dot(asked);
        match asked.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => self.0.matches(&asked.to_ascii_lowercase()),
            false => self.0.matches(asked),
        }
    }

    /// Whether a client may ask for a name that fits both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.0.overlaps(&other.0)
    }
}

impl fmt::Display for Sni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_the_last_dot_mean_nothing() {
        for (sni, asked, expected) in [
            ("api.example", "api.example", true),
            ("API.example.", "api.Example", true),
            ("api.example", "api.example.", true),
            ("api.example", "example", false),
            ("api.example", "x.api.example", false),
            ("api.example", "", false),
        ] {
            assert_eq!(Sni::parse(sni).unwrap().matches(asked), expected, "{sni} {asked}");
        }
    }

    #[test]
    fn a_wildcard_takes_every_name_that_begins_or_ends_so() {
        for (sni, asked, expected) in [
            ("*.example", "API.example.", true),
            ("*.example", "x.api.example", true),
            ("*.example", "example", false),
            ("api.*", "api.example.com", true),
            ("api.*", "apis.example", false),
            ("*", "api.example", true),
            ("*", "", false),
        ] {
            assert_eq!(Sni::parse(sni).unwrap().matches(asked), expected, "{sni} {asked}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "a b", "api.example:443", "10.0.0.1", "::1", "[::1]", "*.a.*", "a.*.b"] {
            let error = Sni::parse(text).unwrap_err();
            assert_eq!(
                error.to_string(),
                "it is not a name to ask for; write a host name without port",
                "{text}"
            );
        }
    }
}
