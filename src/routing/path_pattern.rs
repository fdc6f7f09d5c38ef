//! Paths a route is for: a prefix of plain text, or a regular expression.
//!
//! Both see the normalised path. Source: kong/router/transform.lua; an expression is anchored at its
//! start as a whole, where Kong's default router anchors the first of its alternatives only.

use std::fmt;
use std::sync::OnceLock;

use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::{self, BuildError, Compiler, NFA, WhichCaptures};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind, Look};

use super::Invalid;

mod overlap;

/// What an expression may come to, in bytes. It is compiled during a request, and Kong's own limit
/// (that of PCRE2) is lower.
pub(super) const LARGEST: usize = 1 << 20;

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
    /// It does not start with `/` or `~/`, no path in normal form would match, or the expression does not
    /// compile or is too large.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let written = text.into();
        if let Some(pattern) = text.strip_prefix('~') {
            let (prefix, expression) = Expression::parse(pattern)?;
            return Ok(Self { prefix, expression: Some(expression), written });
        }
        check_prefix(text)?;
        Ok(Self { prefix: text.into(), expression: None, written })
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
    fn parse(pattern: &str) -> Result<(Box<str>, Self), Invalid> {
        if !pattern.starts_with('/') {
            return Err(Invalid::new("a regex that does not begin with a slash", "begin it with `~/`"));
        }
        if let Some(other) = pattern.chars().find(|c| !c.is_ascii_graphic()) {
            let advice = "a path is matched in its percent-encoded form: write %20 for a blank";
            return Err(Invalid::new(format!("a regex with {other:?}, which no path has"), advice));
        }
        check_escapes(pattern, true)?;
        let hir = parsed(pattern).map_err(|error| not_a_regex(&error))?;
        if let Err(error) = nfa(&hir) {
            return Err(if error.size_limit().is_some() { too_large() } else { not_a_regex(&error) });
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

/// How an expression is measured, in bytes of memory.
fn nfa(hir: &Hir) -> Result<NFA, BuildError> {
    let config = thompson::Config::new()
        .utf8(false)
        .which_captures(WhichCaptures::Implicit)
        .nfa_size_limit(Some(LARGEST));
    Compiler::new().configure(config).build_from_hir(hir)
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
pub(super) fn not_a_regex(error: &impl fmt::Display) -> Invalid {
    // The parser draws a picture; its last line says it.
    let error = error.to_string();
    let last = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
    Invalid::new(format!("not a regex: {last}"), "mend it; look-around and back-references are not supported")
}

/// What an expression of more than [`LARGEST`] is refused with.
pub(super) fn too_large() -> Invalid {
    Invalid::new(format!("a regex of over {LARGEST} bytes when compiled"), "ask for fewer repetitions")
}

/// Refuses a prefix that no path in normal form begins with.
fn check_prefix(text: &str) -> Result<(), Invalid> {
    if !text.starts_with('/') {
        let advice = "begin it with `/` for a prefix, or with `~/` for a regex";
        return Err(Invalid::new("it is not a path", advice));
    }
    if text.contains("//") {
        return Err(Invalid::new("an empty segment", "write one slash where there are two"));
    }
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%:@!$&'()*+,;=".contains(&byte);
    if !text.bytes().all(is_legal) {
        let advice = "percent-encode them, or begin it with `~` if it is a regex";
        return Err(Invalid::new("it has characters that no path has", advice));
    }
    check_escapes(text, false)?;
    if text.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Invalid::new("a `.` or `..` segment, which no request has", "write the path without it"));
    }
    Ok(())
}

/// Refuses escapes that no path in normal form has. In an expression, `%` before anything but two digits
/// may be the beginning of a pattern.
fn check_escapes(text: &str, is_regex: bool) -> Result<(), Invalid> {
    for (at, _) in text.match_indices('%') {
        let digits = text.get(at + 1..at + 3).unwrap_or_default();
        let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal);
        let Some(byte) = byte else {
            if is_regex {
                continue;
            }
            let what = "a `%` without two hexadecimal digits";
            return Err(Invalid::new(what, "write %25 for a percent sign"));
        };
        let is_upper = !digits.bytes().any(|byte| byte.is_ascii_lowercase());
        if !is_upper || byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            let advice = "write letters, digits, `-._~` as themselves, and upper-case hexadecimal digits";
            return Err(Invalid::new(format!("`%{digits}` is not how this character is written"), advice));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_plain_text_in_normal_form() {
        for text in ["/", "/a/", "/a%2Fb;v=1", "/a%20b", "/caf%C3%A9", "/a:b@c"] {
            let pattern = PathPattern::parse(text).unwrap();
            assert_eq!((pattern.prefix(), pattern.matched(text)), (text, Some(text.len())));
        }
    }

    #[test]
    fn what_can_never_match_is_explained() {
        refused("a", "it is not a path");
        refused("", "it is not a path");
        refused("/a//b", "an empty segment");
        refused("/a/../b", "a `.` or `..` segment, which no request has");
        refused("/a?b", "it has characters that no path has");
        refused("/a b", "it has characters that no path has");
        refused("/caf\u{e9}", "it has characters that no path has");
        refused("/%4", "a `%` without two hexadecimal digits");
        refused("/%+5", "a `%` without two hexadecimal digits");
        refused("/%41", "`%41` is not how this character is written");
        refused("/%2f", "`%2f` is not how this character is written");
        refused("~a", "a regex that does not begin with a slash");
        refused("~/a b", "a regex with ' ', which no path has");
        refused("~/a%2fb", "`%2f` is not how this character is written");
        refused("~/%[0-9]%7E", "`%7E` is not how this character is written");
        refused("~/(", "not a regex: unclosed group");
        refused("~/a)(?:b", "not a regex: unopened group");
        refused("~/a\\p{L}", "not a regex: Unicode not allowed here");
        refused("~/[a-z]{60000}", "a regex of over 1048576 bytes when compiled");
        refused("~/((((((x{50}){50}){50}){50}){50}){50})", "a regex of over 1048576 bytes when compiled");
        let look = "look-around, including look-ahead and look-behind, is not supported";
        refused("~/(?!a)", &format!("not a regex: {look}"));
    }

    fn refused(text: &str, expected: &str) {
        assert_eq!(PathPattern::parse(text).unwrap_err().what, expected, "{text}");
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
        expression("~/a%2Fb%[0-9A-F]", "/a%2Fb%", "/a%2Fb%3", Some(8));
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
