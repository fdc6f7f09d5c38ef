//! Names of hosts, plain or with a wildcard at one end, and what is a host at all.
//!
//! Used for the `hosts` and the `snis` of routes, which Kong's default router compares alike
//! (kong/router/transform.lua): `*` stands for any text, dots included, even for none.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A name, or how names begin or end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamePattern {
    /// In lower case, without the wildcard, and without the dot that a full name may end with.
    pub(super) text: Box<str>,
    pub(super) wildcard: Option<Wildcard>,
}

/// Where the wildcard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wildcard {
    /// `*.example.com`; alone, it is every name.
    First,
    /// `example.*`
    Last,
}

impl NamePattern {
    /// A host's name or address, with one `*` as its first or last character or without; `None` for
    /// anything else. Kong's schema wants the `*` of a route's `hosts` to be a whole label, its router
    /// does not care.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (text, wildcard) = match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(end), _) => (end, Some(Wildcard::First)),
            (None, Some(start)) => (start, Some(Wildcard::Last)),
            (None, None) => (text, None),
        };
        let full = if wildcard == Some(Wildcard::Last) { text } else { without_dot(text) };
        if full.is_empty() && !text.is_empty() {
            return None;
        }
        // As Kong judges it: with a word where the wildcard is (kong/db/schema/typedefs.lua).
        let is_legal = match wildcard {
            None => is_host(full),
            Some(Wildcard::First) => is_host(&format!("abc{full}")),
            Some(Wildcard::Last) => is_host(&format!("{full}abc")),
        };
        is_legal.then(|| Self { text: full.to_ascii_lowercase().into(), wildcard })
    }

    /// Whether a name fits that is in lower case and without a dot at its end. None is no name.
    pub(super) fn matches(&self, name: &str) -> bool {
        !name.is_empty()
            && match self.wildcard {
                None => *name == *self.text,
                Some(Wildcard::First) => name.ends_with(&*self.text),
                Some(Wildcard::Last) => name.starts_with(&*self.text),
            }
    }

    /// Whether any name fits both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        match (self.wildcard, other.wildcard) {
            (None, _) => other.matches(&self.text),
            (_, None) => self.matches(&other.text),
            (Some(Wildcard::First), Some(Wildcard::First)) => {
                self.text.ends_with(&*other.text) || other.text.ends_with(&*self.text)
            }
            (Some(Wildcard::Last), Some(Wildcard::Last)) => {
                self.text.starts_with(&*other.text) || other.text.starts_with(&*self.text)
            }
            _ => true,
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wildcard {
            None => f.write_str(&self.text),
            Some(Wildcard::First) => write!(f, "*{}", self.text),
            Some(Wildcard::Last) => write!(f, "{}*", self.text),
        }
    }
}

/// A name without the dot that a full one may end with.
pub(super) fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether this is a host name or an address (IPv6 in brackets or without), as Kong tells it
/// (kong/tools/ip.lua, `normalize_ip`): digits and dots alone are an IPv4 address or nothing, but a
/// label may be a number, the last one too. The lengths are those of RFC 1035 2.3.4.
#[must_use]
pub fn is_host(text: &str) -> bool {
    if text.contains(':') {
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return text.parse::<Ipv4Addr>().is_ok();
    }
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(is_legal) && !label.ends_with('-')
    };
    let name = without_dot(text);
    name.len() <= LONGEST_NAME && name.split('.').all(is_label)
}

const LONGEST_LABEL: usize = 63;

const LONGEST_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_is_what_kong_takes_for_one() {
        for host in [
            "a",
            "a.test",
            "a.test.",
            "my_service",
            "api.v1.1",
            "backend.1",
            "1.backend",
            "1a.2b",
            "-a.test",
            "xn--bcher-kva.example",
            "10.0.0.1",
            "::1",
            "[::1]",
            "0",
            &"a".repeat(63),
        ] {
            assert_eq!(is_host(host), host != "0", "{host}");
        }
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a..",
            "a-.test",
            "a-",
            "a b",
            "a/b",
            "a:80",
            "[a]",
            "[10.0.0.1]",
            "10.1",
            "1.2.3.4.5",
            "256.1.1.1",
            "010.0.0.1",
            "b\u{fc}cher.example",
            "a%2eb",
            "a\n",
            "*",
            &"a".repeat(64),
            &"a.".repeat(127).repeat(2),
        ] {
            assert!(!is_host(text), "{text:?}");
        }
    }

    #[test]
    fn a_wildcard_is_the_first_or_the_last_character() {
        for (text, shown) in [
            ("Example.COM.", "example.com"),
            ("*.Example.com", "*.example.com"),
            ("*.example.com.", "*.example.com"),
            ("example.*", "example.*"),
            ("10.*", "10.*"),
            ("*.1", "*.1"),
            ("*a.test", "*a.test"),
            ("a.t*", "a.t*"),
            ("*", "*"),
        ] {
            assert_eq!(NamePattern::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", ".", "*.", "**", "*.a.*", "a.*.b", "a*b", "*..a", "a..*", "*.a b", "*:1"] {
            assert_eq!(NamePattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_any_text_and_never_for_a_name_that_is_not_there() {
        for (pattern, name, expected) in [
            ("*.a.test", "x.a.test", true),
            ("*.a.test", "x.y.a.test", true),
            ("*.a.test", "a.test", false),
            ("*a.test", "a.test", true),
            ("*a.test", "xa.test", true),
            ("10.*", "10.0.0.1", true),
            ("10.*", "110.0.0.1", false),
            ("*", "a", true),
            ("*", "", false),
            ("a.test", "A.test", false),
        ] {
            assert_eq!(NamePattern::parse(pattern).unwrap().matches(name), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn what_fits_both_shows_that_they_overlap(
            first in "\\*?[ab.]{0,4}|[ab.]{0,4}\\*?", second in "\\*?[ab.]{0,4}|[ab.]{0,4}\\*?", name in "[ab.]{1,6}",
        ) {
            if let (Some(first), Some(second)) = (NamePattern::parse(&first), NamePattern::parse(&second)) {
                let both = first.matches(&name) && second.matches(&name);
                prop_assert!(!both || first.overlaps(&second), "{} {} {}", first, second, name);
                prop_assert_eq!(first.overlaps(&second), second.overlaps(&first));
            }
        }
    }
}
