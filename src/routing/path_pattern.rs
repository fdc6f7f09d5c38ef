//! Paths a route is for: a prefix of plain text, or a regular expression.
//!
//! Both see the normalised path. Source: kong/router/transform.lua; an expression is anchored at its
//! start as a whole, where Kong's default router anchors the first of its alternatives only.

use std::fmt;
use std::sync::OnceLock;

use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::{self, Compiler, WhichCaptures};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind, Look};

use super::Invalid;
use super::normal::{escape, normalise};

/// What an expression may come to, in bytes. It is compiled during a request, and Kong's own limit
/// (that of PCRE2) is lower.
const LARGEST: usize = 1 << 20;

/// `/orders`, which `/orderspast` begins with too, or `~/orders/\d+$`.
#[derive(Debug, Clone)]
pub struct PathPattern {
    /// What every path that matches begins with.
    prefix: Box<str>,
    /// What it must match beyond that.
    expression: Option<Expression>,
    written: Box<str>,
}

#[derive(Debug, Clone)]
struct Expression {
    /// Texts that every path that matches has somewhere after the prefix; none is empty.
    literals: Box<[Box<[u8]>]>,
    /// Made by the first request that needs it: most of many never are.
    regex: OnceLock<Regex>,
}

impl PathPattern {
    /// A path as a route of Kong has it.
    ///
    /// # Errors
    /// It does not start with `/` or `~/`, is not in normal form, or the expression does not compile or is too large.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let written = text.into();
        if let Some(pattern) = text.strip_prefix('~') {
            let (prefix, expression) = Expression::parse(text, pattern)?;
            return Ok(Self { prefix, expression: Some(expression), written });
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
        Ok(Self { prefix: normal.into(), expression: None, written })
    }

    /// Whether it is a regular expression.
    pub(super) fn is_regex(&self) -> bool {
        self.expression.is_some()
    }

    /// What every path that matches begins with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Texts that every path that matches has somewhere beyond the prefix, each of which is not empty.
    pub(super) fn literals(&self) -> &[Box<[u8]>] {
        self.expression.as_ref().map_or(&[], |expression| &expression.literals)
    }

    /// How much of `path`, which begins with the prefix, matches.
    pub(super) fn matched(&self, path: &str) -> Option<usize> {
        match &self.expression {
            None => Some(self.prefix.len()),
            Some(expression) => {
                let regex = expression.regex.get_or_init(|| compiled(&self.written[1..]));
                regex.find(path).map(|found| found.end())
            }
        }
    }
}

/// As it was written.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Expression {
    /// The prefix, and the expression, which has been judged but not compiled.
    fn parse(text: &str, pattern: &str) -> Result<(Box<str>, Self), Invalid> {
        if !pattern.starts_with('/') {
            return Err(Invalid::new(format!("{text:?} must start with ~/: it is anchored there")));
        }
        if let Some(other) = pattern.chars().find(|c| !c.is_ascii_graphic()) {
            let advice = "a path is matched in its percent-encoded form";
            return Err(Invalid::new(format!("{text:?} has {other:?}, which no path has: {advice}")));
        }
        let hir = parsed(pattern).map_err(|error| regex_problem(text, &error))?;
        let size = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::Implicit)
            .nfa_size_limit(Some(LARGEST));
        if let Err(error) = Compiler::new().configure(size).build_from_hir(&hir) {
            return Err(match error.size_limit() {
                Some(limit) => Invalid::new(format!("{text:?} is too large: it comes to over {limit} bytes")),
                None => regex_problem(text, &error),
            });
        }
        let mut literals = vec![Vec::new()];
        collect_literals(&hir, &mut literals);
        let prefix = String::from_utf8_lossy(&literals[0]).into();
        let rest = literals.into_iter().skip(1).filter(|literal| !literal.is_empty());
        Ok((prefix, Self { literals: rest.map(Vec::into).collect(), regex: OnceLock::new() }))
    }
}

fn parsed(pattern: &str) -> Result<Hir, Box<regex_syntax::Error>> {
    // Paths are ASCII by then; without Unicode classes an expression takes a tenth of the memory.
    ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).map_err(Box::new)
}

/// Compiles what [`Expression::parse`] accepted.
fn compiled(pattern: &str) -> Regex {
    // Anchored here and not in the text, where a comment or a bracket of its own could take that in.
    let hir = parsed(pattern).expect("it was parsed when it was loaded");
    let anchored = Hir::concat(vec![Hir::look(Look::Start), hir]);
    // It was measured without what the anchor and searching backwards add.
    let config =
        meta::Config::new().utf8_empty(false).which_captures(WhichCaptures::Implicit).nfa_size_limit(None);
    let regex = meta::Builder::new().configure(config).build_from_hir(&anchored);
    regex.expect("nothing but its size could be refused")
}

/// Texts that every match has in this order, the first at its start; each may be empty.
fn collect_literals(hir: &Hir, literals: &mut Vec<Vec<u8>>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => {
            if let Some(last) = literals.last_mut() {
                last.extend_from_slice(&literal.0);
            }
        }
        HirKind::Capture(capture) => collect_literals(&capture.sub, literals),
        HirKind::Concat(parts) => parts.iter().for_each(|part| collect_literals(part, literals)),
        HirKind::Class(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => literals.push(Vec::new()),
    }
}

/// What an expression that does not compile is refused with.
pub(super) fn regex_problem(text: &str, error: &impl fmt::Display) -> Invalid {
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
        refused("~/a\\p{L}", "\"~/a\\\\p{L}\" does not compile: Unicode not allowed here");
        refused("~/[a-z]{60000}", "\"~/[a-z]{60000}\" is too large: it comes to over 1048576 bytes");
        let nested = "((((((x{50}){50}){50}){50}){50}){50})";
        let large = format!("\"~/{nested}\" is too large: it comes to over 1048576 bytes");
        refused(&format!("~/{nested}"), &large);
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
        expression("~/((a)|(b)){900}$", "/", &format!("/{}", "ab".repeat(450)), Some(901));
        expression("~/[^/]+/x", "/", "/%C3%A9/x", Some(9));
    }

    #[test]
    fn comments_and_flags_of_an_expression_end_with_it() {
        expression("~/a(?x)#b", "/a", "/ab", Some(2));
        expression("~/a(?i)b", "/a", "/aBc", Some(3));
        expression("~/a|(?i)/b", "", "/x/b", None);
    }

    #[test]
    fn an_expression_tells_the_texts_after_its_prefix() {
        for (text, expected) in [
            ("/abc", &[][..]),
            ("~/abc", &[]),
            ("~/[^/]+/orders$", &["/orders"]),
            ("~/a/[^/]+/(?<what>orders)/x[0-9]+/y", &["/orders/x", "/y"]),
            ("~/(a|b)/c?/d+", &["/", "/"]),
            ("~/(a|b)", &[]),
            ("~/a?(?i)b1", &["1"]),
        ] {
            let pattern = PathPattern::parse(text).unwrap();
            let literals: Vec<_> = pattern.literals().iter().map(|it| String::from_utf8_lossy(it)).collect();
            assert_eq!(literals, expected, "{text}");
        }
    }

    fn expression(text: &str, prefix: &str, path: &str, expected: Option<usize>) {
        let pattern = PathPattern::parse(text).unwrap();
        assert_eq!(pattern.prefix(), prefix, "{text}");
        assert_eq!(pattern.matched(path), expected, "{text} {path}");
    }
}
