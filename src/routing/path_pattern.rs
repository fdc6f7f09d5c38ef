//! Paths a route is for: a prefix of plain text, or a regular expression.
//!
//! Both see the normalised path. Source: kong/router/transform.lua; an expression is anchored at its
//! start as a whole, where Kong's default router anchors the first of its alternatives only.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

use super::Invalid;
use super::normal::{escape, normalise};

/// `/orders`, which `/orderspast` begins with too, or `~/orders/\d+$`.
#[derive(Debug, Clone)]
pub struct PathPattern {
    /// What every path that matches begins with.
    prefix: Box<str>,
    /// What it must match beyond that.
    regex: Option<Regex>,
    written: Box<str>,
}

impl PathPattern {
    /// A path as a route of Kong has it.
    ///
    /// # Errors
    /// It does not start with `/` or `~/`, is not in normal form, or the expression does not compile.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let written = text.into();
        if let Some(pattern) = text.strip_prefix('~') {
            let (prefix, regex) = expression(text, pattern)?;
            return Ok(Self { prefix, regex: Some(regex), written });
        }
        if !text.starts_with('/') {
            return Err(Invalid::new(format!("{text:?} must start with / (a prefix) or ~/ (an expression)")));
        }
        if let Some(end) = text.find(['?', '#']) {
            return Err(Invalid::new(format!("{text:?} is more than a path: write {:?}", &text[..end])));
        }
        // A prefix that no normal path begins with would never match.
        let normal = normalise(text);
        if normal != escape(text) {
            return Err(Invalid::new(format!("{text:?} is not in normal form: write {normal:?}")));
        }
        Ok(Self { prefix: normal.into(), regex: None, written })
    }

    /// Whether it is a regular expression.
    pub(super) fn is_regex(&self) -> bool {
        self.regex.is_some()
    }

    /// What every path that matches begins with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// How much of `path`, which begins with the prefix, matches.
    pub(super) fn matched(&self, path: &str) -> Option<usize> {
        match &self.regex {
            None => Some(self.prefix.len()),
            Some(regex) => regex.find(path.as_bytes()).map(|found| found.end()),
        }
    }
}

/// As it was written.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn expression(text: &str, pattern: &str) -> Result<(Box<str>, Regex), Invalid> {
    if !pattern.starts_with('/') {
        return Err(Invalid::new(format!("{text:?} must start with ~/: it is anchored there")));
    }
    if let Some(other) = pattern.chars().find(|c| !c.is_ascii_graphic()) {
        let advice = "a path is matched in its percent-encoded form";
        return Err(Invalid::new(format!("{text:?} has {other:?}, which no path has: {advice}")));
    }
    // Paths are ASCII by then; without Unicode classes an expression takes a tenth of the memory.
    let build = |pattern: &str| RegexBuilder::new(pattern).unicode(false).build();
    // First alone, so that the brackets around it cannot be closed by one of its own.
    let whole = build(pattern).and_then(|_| build(&format!("^(?:{pattern})")));
    let regex = whole.map_err(|error| regex_problem(text, &error))?;
    let parsed = ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern);
    let mut prefix = Vec::new();
    if let Ok(hir) = parsed {
        literal_prefix(&hir, &mut prefix);
    }
    Ok((String::from_utf8_lossy(&prefix).into(), regex))
}

/// Appends what every match begins with; `true` if a match may go on after it as the rest says.
fn literal_prefix(hir: &Hir, prefix: &mut Vec<u8>) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => {
            prefix.extend_from_slice(&literal.0);
            true
        }
        HirKind::Capture(capture) => literal_prefix(&capture.sub, prefix),
        HirKind::Concat(parts) => parts.iter().all(|part| literal_prefix(part, prefix)),
        HirKind::Class(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => false,
    }
}

/// What an expression that does not compile is refused with.
pub(super) fn regex_problem(text: &str, error: &regex::Error) -> Invalid {
    let error = error.to_string();
    let last = error.lines().last().unwrap_or_default();
    Invalid::new(format!("{text:?} does not compile: {}", last.trim_start_matches("error: ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_plain_text_in_normal_form() {
        for (text, prefix) in [
            ("/", "/"),
            ("/a/", "/a/"),
            ("/a%2Fb;v=1", "/a%2Fb;v=1"),
            ("/a b", "/a%20b"),
            ("/café", "/caf%C3%A9"),
        ] {
            assert_eq!(PathPattern::parse(text).unwrap().prefix(), prefix);
        }
    }

    #[test]
    fn what_can_never_match_is_explained() {
        refused("a", "\"a\" must start with / (a prefix) or ~/ (an expression)");
        refused("", "\"\" must start with / (a prefix) or ~/ (an expression)");
        refused("/a//b", "\"/a//b\" is not in normal form: write \"/a/b\"");
        refused("/a/../b", "\"/a/../b\" is not in normal form: write \"/b\"");
        refused("/%61%2f", "\"/%61%2f\" is not in normal form: write \"/a%2F\"");
        refused("/a?b", "\"/a?b\" is more than a path: write \"/a\"");
        refused("~a", "\"~a\" must start with ~/: it is anchored there");
        refused(
            "~/a b",
            "\"~/a b\" has ' ', which no path has: a path is matched in its percent-encoded form",
        );
        refused("~/(", "\"~/(\" does not compile: unclosed group");
        refused("~/a)(?:b", "\"~/a)(?:b\" does not compile: unopened group");
        let look = "look-around, including look-ahead and look-behind, is not supported";
        refused("~/(?!a)", &format!("\"~/(?!a)\" does not compile: {look}"));
    }

    fn refused(text: &str, expected: &str) {
        assert_eq!(PathPattern::parse(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn an_expression_is_anchored_at_its_start_and_told_apart_by_its_first_letters() {
        expression("~/a", "/a", "/ab", Some(2));
        expression("~/a", "/a", "/b/a", None);
        expression("~/a$", "/a", "/ab", None);
        expression("~/a/\\d+", "/a/", "/a/12/x", Some(5));
        expression("~/(?<name>a+)b", "/", "/aab", Some(4));
        expression("~/(a)b", "/ab", "/abc", Some(3));
        expression("~/a|/b", "", "/b/c", Some(2));
        expression("~/a|b", "", "/xb", None);
        expression("~/(?i)a", "/", "/A", Some(2));
        expression("~/a?b", "/", "/b", Some(2));
        expression("~/a{2}b", "/", "/aab", Some(4));
        expression("~/[^/]+/x", "/", "/%C3%A9/x", Some(9));
    }

    fn expression(text: &str, prefix: &str, path: &str, expected: Option<usize>) {
        let pattern = PathPattern::parse(text).unwrap();
        assert_eq!(pattern.prefix(), prefix, "{text}");
        assert_eq!(pattern.matched(path), expected, "{text} {path}");
    }
}
