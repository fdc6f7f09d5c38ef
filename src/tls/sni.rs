//! Values by the server name a client asks for (SNI): certificates, and who is asked for theirs.
//!
//! Compiled by `snapshot`, looked up by `tls/server` once per handshake. Names are found as in Kong
//! (kong/runloop/certificate.lua, `produce_wild_snis`), in a time that does not depend on their number.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;

use rustls::pki_types::DnsName;
use thiserror::Error;

/// Why a text is no server name to be configured (kong/db/schema/typedefs.lua, `wildcard_host`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadName {
    /// Nothing, or a dot alone.
    #[error("it is empty")]
    Empty,
    /// Clients never send those (RFC 6066 3).
    #[error("it is an IP address; clients ask for host names only")]
    Address,
    /// As in a Host header.
    #[error("it has a port; write the host name alone")]
    Port,
    /// More than one `*`.
    #[error("it has more than one wildcard")]
    SeveralWildcards,
    /// A `*` elsewhere than as a whole label at one end.
    #[error("its wildcard is neither the first label nor the last: write *.example.com or example.*")]
    WildcardInside,
    /// What no certificate and no client can name.
    #[error("it is no host name; write letters outside ASCII as xn--…")]
    NotAHostName,
}

/// A configured server name: `a.b.c`, `*.b.c`, `a.b.*`, or `*` for all that are not named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Exact(Box<str>),
    /// Without the first label.
    Left(Box<str>),
    /// Without the last label.
    Right(Box<str>),
    Any,
}

impl FromStr for Pattern {
    type Err = BadName;

    /// In lower case, without a dot at the end.
    fn from_str(text: &str) -> Result<Self, BadName> {
        let name = normal(text);
        if name == "*" {
            return Ok(Self(Kind::Any));
        }
        check(&name)?;
        Ok(Self(match (name.strip_prefix("*."), name.strip_suffix(".*")) {
            (Some(rest), _) => Kind::Left(rest.into()),
            (_, Some(rest)) => Kind::Right(rest.into()),
            (None, None) => Kind::Exact(name.into()),
        }))
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Exact(name) => f.write_str(name),
            Kind::Left(rest) => write!(f, "*.{rest}"),
            Kind::Right(rest) => write!(f, "{rest}.*"),
            Kind::Any => f.write_str("*"),
        }
    }
}

fn check(name: &str) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    let address = name.trim_start_matches('[').trim_end_matches(']');
    if address.parse::<IpAddr>().is_ok() {
        return Err(BadName::Address);
    }
    if name.contains(':') {
        return Err(BadName::Port);
    }
    let host = match name.matches('*').count() {
        0 => name,
        1 => {
            let labels = name.strip_prefix("*.").or_else(|| name.strip_suffix(".*"));
            labels.ok_or(BadName::WildcardInside)?
        }
        _ => return Err(BadName::SeveralWildcards),
    };
    // One dot at the end would be a host name's, but it has been taken away.
    match DnsName::try_from(host) {
        Ok(_) if !host.ends_with('.') => Ok(()),
        _ => Err(BadName::NotAHostName),
    }
}

/// A value per configured name.
#[derive(Debug, Clone)]
pub struct ByName<T> {
    exact: HashMap<Box<str>, T>,
    left: HashMap<Box<str>, T>,
    right: HashMap<Box<str>, T>,
    any: Option<T>,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), left: HashMap::new(), right: HashMap::new(), any: None }
    }
}

impl<T> ByName<T> {
    /// The value for the name a client asks for: of the name itself, else of `*.b.c` for `a.b.c` (three
    /// labels at least), of `a.b.*`, of `*`. None at once for a client that asks for no name.
    #[must_use]
    pub fn find(&self, server_name: Option<&str>) -> Option<&T> {
        let name = normal(server_name?);
        let left = || name.split_once('.').filter(|(_, rest)| rest.contains('.'));
        let right = || name.rsplit_once('.');
        self.exact
            .get(&*name)
            .or_else(|| self.left.get(left()?.1))
            .or_else(|| self.right.get(right()?.0))
            .or(self.any.as_ref())
    }

    /// Sets the value of a name; the one it had comes back.
    pub fn insert(&mut self, name: Pattern, value: T) -> Option<T> {
        match name.0 {
            Kind::Exact(key) => self.exact.insert(key, value),
            Kind::Left(key) => self.left.insert(key, value),
            Kind::Right(key) => self.right.insert(key, value),
            Kind::Any => self.any.replace(value),
        }
    }

    /// The value of a name, to add to; made if there is none yet.
    pub fn get_or_insert_with(&mut self, name: Pattern, make: impl FnOnce() -> T) -> &mut T {
        match name.0 {
            Kind::Exact(key) => self.exact.entry(key).or_insert_with(make),
            Kind::Left(key) => self.left.entry(key).or_insert_with(make),
            Kind::Right(key) => self.right.entry(key).or_insert_with(make),
            Kind::Any => self.any.get_or_insert_with(make),
        }
    }

    /// Whether no name has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values().next().is_none()
    }

    /// All values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.exact.values().chain(self.left.values()).chain(self.right.values()).chain(&self.any)
    }

    /// The same names with other values.
    ///
    /// # Errors
    /// The first that `make` gives.
    pub fn try_map<U, E>(&self, mut make: impl FnMut(&T) -> Result<U, E>) -> Result<ByName<U>, E> {
        let mut each = |values: &HashMap<Box<str>, T>| {
            values.iter().map(|(name, value)| Ok((name.clone(), make(value)?))).collect::<Result<_, E>>()
        };
        let (exact, left, right) = (each(&self.exact)?, each(&self.left)?, each(&self.right)?);
        Ok(ByName { exact, left, right, any: self.any.as_ref().map(make).transpose()? })
    }
}

/// In lower case and without one dot at the end: two spellings of a name are one name.
#[must_use]
pub fn normal(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names as their own values.
    fn names(names: &[&str]) -> ByName<String> {
        let mut by_name = ByName::default();
        for name in names {
            assert_eq!(by_name.insert(name.parse().unwrap(), (*name).to_owned()), None, "{name}");
        }
        by_name
    }

    #[test]
    fn a_name_is_found_exactly_then_by_wildcards_then_by_the_star() {
        let all = ["a.b.c", "*.b.c", "a.b.*", "*"];
        let check = |without: &[&str], asked: Option<&str>, found: Option<&str>| {
            let kept: Vec<_> = all.into_iter().filter(|name| !without.contains(name)).collect();
            assert_eq!(names(&kept).find(asked).map(String::as_str), found, "{kept:?} {asked:?}");
        };
        check(&[], Some("a.b.c"), Some("a.b.c"));
        check(&["a.b.c"], Some("a.b.c"), Some("*.b.c"));
        check(&["a.b.c", "*.b.c"], Some("a.b.c"), Some("a.b.*"));
        check(&["a.b.c", "*.b.c", "a.b.*"], Some("a.b.c"), Some("*"));
        check(&["*"], Some("x.y.z"), None);
        // A wildcard stands for one label.
        check(&["*"], Some("b.c"), None);
        check(&["*"], Some("x.a.b.c"), None);
        check(&["*"], Some("a.b.c.d"), None);
        check(&["*"], Some("a.b"), None);
        check(&[], Some("localhost"), Some("*"));
        // Who asks for no name is not even given the star's.
        check(&[], None, None);
    }

    #[test]
    fn the_first_label_of_two_is_not_replaced_and_the_last_is() {
        let by_name = names(&["*.b", "a.*"]);
        assert_eq!(by_name.find(Some("x.b")), None, "three labels at least, as in Kong");
        assert_eq!(by_name.find(Some("a.z")), Some(&"a.*".to_owned()));
    }

    #[test]
    fn case_and_one_dot_at_the_end_do_not_matter() {
        let by_name = names(&["A.Example.COM.", "*.Wild.example."]);
        for asked in ["a.example.com", "A.EXAMPLE.com", "a.example.com.", "x.WILD.example."] {
            assert!(by_name.find(Some(asked)).is_some(), "{asked}");
        }
        for asked in ["a.example.com..", ".a.example.com", ".", ""] {
            assert_eq!(by_name.find(Some(asked)), None, "{asked:?}");
        }
        assert!(matches!(normal("a.example.com."), Cow::Borrowed("a.example.com")), "nothing is copied");
    }

    #[test]
    fn what_cannot_be_a_name_says_why() {
        let check = |text: &str, expected: Result<&str, BadName>| {
            let parsed = text.parse::<Pattern>().map(|pattern| pattern.to_string());
            assert_eq!(parsed.as_deref().map_err(|error| *error), expected, "{text}");
        };
        check("Example.com.", Ok("example.com"));
        check("*.Example.com", Ok("*.example.com"));
        check("example.*", Ok("example.*"));
        check("*", Ok("*"));
        check("localhost", Ok("localhost"));
        check("under_score.example", Ok("under_score.example"));
        check("*.com", Ok("*.com"));
        check("", Err(BadName::Empty));
        check(".", Err(BadName::Empty));
        check("127.0.0.1", Err(BadName::Address));
        check("::1", Err(BadName::Address));
        check("[::1]", Err(BadName::Address));
        check("example.com:443", Err(BadName::Port));
        check("*.example.*", Err(BadName::SeveralWildcards));
        check("**", Err(BadName::SeveralWildcards));
        check("a.*.com", Err(BadName::WildcardInside));
        check("*a.com", Err(BadName::WildcardInside));
        check("a.c*", Err(BadName::WildcardInside));
        check("*.", Ok("*"));
        check("*..com", Err(BadName::NotAHostName));
        check("a..", Err(BadName::NotAHostName));
        check("a..*", Err(BadName::NotAHostName));
        check("bücher.example", Err(BadName::NotAHostName));
        check("a b.example", Err(BadName::NotAHostName));
        check("-a.example", Err(BadName::NotAHostName));
    }

    #[test]
    fn a_name_keeps_its_last_value_and_gives_the_one_before() {
        let mut by_name = names(&["*", "a.b"]);
        assert_eq!(by_name.insert("*".parse().unwrap(), "new".into()), Some("*".into()));
        assert_eq!(by_name.insert("A.B.".parse().unwrap(), "new".into()), Some("a.b".into()));
        by_name.get_or_insert_with("*".parse().unwrap(), String::new).push_str("er");
        assert_eq!(by_name.find(Some("x")), Some(&"newer".to_owned()));
        let lengths = by_name.try_map(|value| Ok::<_, ()>(value.len())).unwrap();
        assert_eq!((lengths.find(Some("a.b")), lengths.find(Some("x"))), (Some(&3), Some(&5)));
        assert!(!by_name.is_empty() && ByName::<()>::default().is_empty());
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_lookup_or_the_parser(text in "[a-cA-C.*]{0,12}|\\PC{0,20}") {
            let by_name = names(&["a.b.c", "*.b.c", "a.*"]);
            let _ = by_name.find(Some(&text));
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
            }
        }
    }
}
