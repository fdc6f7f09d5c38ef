//! A header a request must have for a route.

use std::fmt;

use http::HeaderMap;
use http::header::{HOST, HeaderName};
use regex::bytes::{Regex, RegexBuilder};

use super::Invalid;
use super::path_pattern::regex_problem;

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
        let Ok(name) = HeaderName::try_from(name) else {
            return Err(Invalid::new(format!("{name:?} is no header name")));
        };
        if name == HOST {
            return Err(Invalid::new("a route cannot match the header Host: use hosts"));
        }
        let wanted = values.into_iter().map(Wanted::parse).collect::<Result<Vec<_>, _>>()?;
        match wanted.is_empty() {
            true => Err(Invalid::new(format!("the header {name} has no values"))),
            false => Ok(Self { name, wanted }),
        }
    }

    /// Whether one of the request's values is wanted.
    pub(super) fn matches(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(&self.name).iter();
        values.any(|value| self.wanted.iter().any(|wanted| wanted.is(value.as_bytes())))
    }
}

/// `name: value | value`
impl fmt::Display for HeaderRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        for (index, wanted) in self.wanted.iter().enumerate() {
            let separator = if index == 0 { "" } else { " | " };
            match wanted {
                Wanted::Exactly(value) => write!(f, "{separator}{value}"),
                Wanted::Matching(regex) => write!(f, "{separator}~*{regex}"),
            }?;
        }
        Ok(())
    }
}

impl Wanted {
    fn parse(value: &str) -> Result<Self, Invalid> {
        let Some(pattern) = value.strip_prefix("~*") else { return Ok(Self::Exactly(value.into())) };
        // Kong lowers expression and value, which turns \D into \d; this does what it means.
        let regex = RegexBuilder::new(pattern).unicode(false).case_insensitive(true).build();
        regex.map(Self::Matching).map_err(|error| regex_problem(value, &error))
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
        for (name, values, expected) in [
            ("a b", &["x"][..], "\"a b\" is no header name"),
            ("HOST", &["x"], "a route cannot match the header Host: use hosts"),
            ("x-a", &[], "the header x-a has no values"),
            ("x-a", &["~*("], "\"~*(\" does not compile: unclosed group"),
        ] {
            let error = HeaderRule::parse(name, values.iter().copied()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        let rule = HeaderRule::parse("X-A", ["One", "~*^t"]).unwrap();
        assert_eq!(rule.to_string(), "x-a: One | ~*^t");
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
