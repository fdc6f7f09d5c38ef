//! A header a request must have for a route.

use std::fmt;

use http::HeaderMap;
use http::header::{HOST, HeaderName};
use regex::bytes::{Regex, RegexBuilder};

use super::Invalid;
use super::path_pattern::{LARGEST, not_a_regex, too_large};

/// A field name and the values of which one must be there; case means nothing
/// (kong/router/transform.lua, `lower`).
#[derive(Debug, Clone)]
pub struct HeaderRule {
    name: HeaderName,
    wanted: Vec<Wanted>,
}

#[derive(Debug, Clone)]
enum Wanted {
    Exactly(Box<str>),
    /// Anywhere in the value, unless the expression says otherwise.
    Matching(Regex),
}

impl HeaderRule {
    /// Values are compared whole; one that starts with `~*` is a regular expression.
    ///
    /// # Errors
    /// No field name, `Host` (which is what `hosts` are for), no values, or an expression that does
    /// not compile.
    pub fn parse<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Result<Self, Invalid> {
        let mut rule = Self::named(name)?;
        values.into_iter().try_for_each(|value| rule.want(value))?;
        match rule.wanted.is_empty() {
            true => Err(Invalid::new("a header without values", "write at least one")),
            false => Ok(rule),
        }
    }

    /// One of that name that wants no value yet, so that nothing fits.
    ///
    /// # Errors
    /// No field name, or `Host`.
    pub fn named(name: &str) -> Result<Self, Invalid> {
        let name = HeaderName::try_from(name).ok().filter(|name| name != HOST);
        let advice = "write a header's name; for Host, write `hosts`";
        let invalid = || Invalid::new("it cannot be a header here", advice);
        Ok(Self { name: name.ok_or_else(invalid)?, wanted: Vec::new() })
    }

    /// Takes one more value.
    ///
    /// # Errors
    /// An expression that does not compile.
    pub fn want(&mut self, value: &str) -> Result<(), Invalid> {
        self.wanted.push(Wanted::parse(value)?);
        Ok(())
    }

    /// Which header.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The values as they were written.
    #[must_use]
    pub fn values(&self) -> Vec<String> {
        self.wanted.iter().map(ToString::to_string).collect()
    }

    /// Whether one of the request's values is wanted.
    pub(super) fn matches(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(&self.name).iter();
        values.any(|value| self.wanted.iter().any(|wanted| wanted.is(value.as_bytes())))
    }

    /// Whether a request with one value for each name may fit both; of an expression nobody knows.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let pair = |first: &Wanted, second: &Wanted| match (first, second) {
            (Wanted::Exactly(first), second) => second.is(first.as_bytes()),
            (first, Wanted::Exactly(second)) => first.is(second.as_bytes()),
            (Wanted::Matching(_), Wanted::Matching(_)) => true,
        };
        let any = |first| other.wanted.iter().any(|second| pair(first, second));
        self.name != other.name || self.wanted.iter().any(any)
    }
}

/// As it was written.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(value) => f.write_str(value),
            Self::Matching(regex) => write!(f, "~*{regex}"),
        }
    }
}

impl Wanted {
    fn parse(value: &str) -> Result<Self, Invalid> {
        let Some(pattern) = value.strip_prefix("~*") else { return Ok(Self::Exactly(value.into())) };
        // Kong lowers expression and value, which turns \D into \d; this does what it means.
        let mut builder = RegexBuilder::new(pattern);
        builder.unicode(false).case_insensitive(true).size_limit(LARGEST);
        builder.build().map(Self::Matching).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => too_large(),
            error => not_a_regex(&error),
        })
    }

    fn is(&self, value: &[u8]) -> bool {
        match self {
            Self::Exactly(wanted) => value.eq_ignore_ascii_case(wanted.as_bytes()),
            Self::Matching(regex) => regex.is_match(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn one_value_of_the_request_must_be_one_of_the_rule() {
        check(&["one"], &["one"], true);
        check(&["One"], &["oNE"], true);
        check(&["one", "two"], &["two"], true);
        check(&["two"], &["one", "two"], true);
        check(&["one"], &["one, two"], false);
        check(&["one"], &["ones"], false);
        check(&["one"], &[], false);
        check(&[""], &[""], true);
    }

    #[test]
    fn an_expression_is_searched_for() {
        check(&["~*on"], &["one"], true);
        check(&["~*^ON$"], &["on"], true);
        check(&["~*^on$"], &["one"], false);
        check(&["~*^\\D+$"], &["12"], false);
        check(&["~*^\\D+$"], &["ab"], true);
        check(&["three", "~*^o"], &["one"], true);
    }

    #[test]
    fn what_cannot_be_matched_is_explained() {
        let mend = "mend it; look-around and back-references are not supported";
        for (name, values, expected) in [
            ("a b", &["x"][..], "it cannot be a header here; write a header's name; for Host, write `hosts`"),
            ("HOST", &["x"], "it cannot be a header here; write a header's name; for Host, write `hosts`"),
            ("x-a", &[], "a header without values; write at least one"),
            ("x-a", &["b", "~*("], &format!("not a regex: unclosed group; {mend}")),
            ("x-a", &["~*(?=a)"], &format!("not a regex: {LOOK}; {mend}")),
            (
                "x-a",
                &["~*[a-z]{60000}"],
                "a regex of over 1048576 bytes when compiled; ask for fewer repetitions",
            ),
        ] {
            let error = HeaderRule::parse(name, values.iter().copied()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        let rule = HeaderRule::parse("X-A", ["One", "~*^t"]).unwrap();
        assert_eq!((rule.name().as_str(), rule.values()), ("x-a", vec!["One".to_owned(), "~*^t".to_owned()]));
    }

    const LOOK: &str = "look-around, including look-ahead and look-behind, is not supported";

    #[test]
    fn values_overlap_unless_all_are_known_and_differ() {
        let rule = |values: &[&str]| HeaderRule::parse("x-a", values.iter().copied()).unwrap();
        for (first, second, expected) in [
            (&["a", "b"][..], &["B"][..], true),
            (&["a"], &["b"], false),
            (&["~*^a"], &["b"], false),
            (&["~*^a"], &["AB"], true),
            (&["~*^a"], &["~*^b"], true),
        ] {
            assert_eq!(rule(first).overlaps(&rule(second)), expected, "{first:?} {second:?}");
            assert_eq!(rule(second).overlaps(&rule(first)), expected, "{second:?} {first:?}");
        }
        assert!(
            HeaderRule::parse("x-b", ["a"]).unwrap().overlaps(&rule(&["b"])),
            "of two names a request has both"
        );
    }

    fn check(wanted: &[&'static str], sent: &[&'static str], expected: bool) {
        let rule = HeaderRule::parse("X-Tenant", wanted.iter().copied()).unwrap();
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append("x-tenant", HeaderValue::from_static(value));
        }
        assert_eq!(rule.matches(&headers), expected, "{wanted:?} {sent:?}");
    }
}
