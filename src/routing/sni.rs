//! A server name a route is for: what the client named in its TLS handshake.

use std::fmt;

use super::Invalid;
use super::host::check_name;

/// A plain host name, in lower case, without the dot a full name may end with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sni(Box<str>);

impl Sni {
    /// A name in any case; a trailing dot means nothing.
    ///
    /// # Errors
    /// A wildcard, which Kong's router does not take either, or what is no name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.contains('*') {
            return Err(Invalid::new(format!("{text:?} has a wildcard: a route's snis are plain names")));
        }
        let name = without_dot(text);
        check_name(name, text)?;
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// Whether the client asked for this name.
    pub(super) fn matches(&self, asked: &str) -> bool {
        without_dot(asked).eq_ignore_ascii_case(&self.0)
    }
}

impl fmt::Display for Sni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
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
    fn what_is_no_plain_name_is_refused() {
        for (sni, expected) in [
            ("*.example", "\"*.example\" has a wildcard: a route's snis are plain names"),
            ("", "a host must not be empty"),
            ("a b", "\"a b\" has a character no host has: ' '"),
            ("api.example:443", "\"api.example:443\" has a character no host has: ':'"),
        ] {
            assert_eq!(Sni::parse(sni).unwrap_err().to_string(), expected);
        }
    }
}
