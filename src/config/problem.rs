//! What somebody said ([`Said`]) and what is wrong with it ([`Problem`], [`Caution`]).
//!
//! Every reader and parser of this room returns these; `cli` and `app` print them. A line
//! names the key, the value, where it came from, what is wrong and what to do. It never
//! holds a key, a password or a whole certificate.

mod caution;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use figment::value::{Dict, Map};
use figment::{Metadata, Profile, Provider};
use serde::{Deserialize, Serialize};

use super::reference::Reference;
use super::shown;

pub use self::caution::Caution;

/// Where a value came from, as it is printed: `environment CLIENT_SSL`, `file /etc/bridge.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin(Cow<'static, str>);

impl Origin {
    /// Built into the program, next to the setting's declaration.
    pub const DEFAULT: Self = Self(Cow::Borrowed("default"));
    /// The subcommand, which decides the mode.
    pub const SUBCOMMAND: Self = Self(Cow::Borrowed("subcommand"));

    /// The environment variable of that name.
    pub fn environment(variable: &str) -> Self {
        Self(format!("environment {variable}").into())
    }

    /// A file of settings.
    pub fn file(path: &Path) -> Self {
        Self(format!("file {}", path.display()).into())
    }

    /// A command-line flag; `key` is the setting's name.
    pub fn flag(key: &str) -> Self {
        Self(format!("flag --{}", key.replace('_', "-")).into())
    }

    /// A profile that is built in.
    pub fn profile(name: &str) -> Self {
        Self(format!("{PROFILE}{name}").into())
    }

    /// Nobody asked for it: the value is built in, not chosen.
    pub fn is_default(&self) -> bool {
        *self == Self::DEFAULT
    }

    /// Somebody said it for this deployment: it is neither built in nor of a built-in profile.
    pub fn is_chosen(&self) -> bool {
        !self.is_default() && !self.is_profile()
    }

    /// The value came with a built-in profile, so it was not written for this deployment.
    pub fn is_profile(&self) -> bool {
        self.0.starts_with(PROFILE)
    }
}

impl From<Cow<'static, str>> for Origin {
    fn from(printed: Cow<'static, str>) -> Self {
        Self(printed)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key, the text given for it, and where it was given.
///
/// As a figment provider it is one layer with one value, so that figment can tell for each
/// value of the merged result where it came from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    key: String,
    value: String,
    origin: Origin,
}

impl Said {
    /// Somebody at `origin` gave `key` this value. Space around it means nothing.
    pub fn new(key: impl Into<String>, value: impl AsRef<str>, origin: Origin) -> Self {
        Self { key: key.into(), value: value.as_ref().trim().to_owned(), origin }
    }

    /// One element of a list: the same key and origin with a part of the value.
    pub fn part(&self, value: impl AsRef<str>) -> Self {
        Self::new(self.key.clone(), value, self.origin.clone())
    }

    /// The setting's name, lower case with `_`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The raw text: may be a secret, so never print it.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether [`Said::shown`] shows something else, because it is a secret or could be one.
    pub fn is_covered(&self) -> bool {
        let is_text = matches!(Reference::of(self), Reference::Text(_));
        is_text || self.is_secret(is_text)
    }

    /// Whether it is a path by its looks, whatever there is on the disk.
    pub fn is_like_path(&self) -> bool {
        shown::is_path(&self.value)
    }

    /// Where it was said.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The value for people: `***` for a secret, `PEM text` for inline certificates, one line.
    pub fn shown(&self) -> String {
        if self.key == "declarative_config_string" {
            return "a text".to_owned();
        }
        let is_text = matches!(Reference::of(self), Reference::Text(_));
        if self.is_secret(is_text) {
            return "***".to_owned();
        }
        if is_text {
            return "PEM text".to_owned();
        }
        let line = one_line(&self.value);
        match line.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    /// Private keys (their paths are none), URLs with a password in them, and what may be a key, or a piece
    /// of one, that was given elsewhere.
    fn is_secret(&self, is_text: bool) -> bool {
        match self.key.as_str() {
            key if key.ends_with("_key") => {
                is_text || !self.value.contains(['/', '.']) || !shown::is_path(&self.value)
            }
            key if key.contains("_cert") || PATHS.contains(&key) => !is_text && !shown::is_path(&self.value),
            key => {
                !is_text && shown::looks_secret(&self.value)
                    || key.ends_with("_url") && self.value.contains('@')
            }
        }
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} ({})", self.key, self.shown(), self.origin)
    }
}

/// A bare word, as the command line's parser holds it before its flag is known.
impl From<String> for Said {
    fn from(value: String) -> Self {
        Self::new("", value, Origin::DEFAULT)
    }
}

impl Provider for Said {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.0.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value = Dict::from([(self.key.clone(), self.value.clone().into())]);
        Ok(Map::from([(Profile::Default, value)]))
    }
}

/// One thing that stops the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    subject: String,
    what: String,
    advice: String,
    may_heal: bool,
}

impl Problem {
    /// Something said cannot be used: what is wrong, and what to do.
    pub fn new(said: &Said, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::about(&format!("{}={} ({})", said.key, said.shown(), said.origin), what, advice)
    }

    /// Something nobody said is needed.
    pub fn missing(key: &str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::about(key, what, advice)
    }

    /// The key itself is wrong. Its value is not shown, because it may be a secret.
    pub(super) fn of_key(
        key: &str,
        origin: &Origin,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::about(&format!("{key} ({origin})"), what, advice)
    }

    /// Time may mend it, with nothing said differently: a certificate is renewed or becomes valid, a file
    /// system answers again. A start that failed for such reasons alone is worth trying again.
    #[must_use]
    pub fn that_may_heal(self) -> Self {
        Self { may_heal: true, ..self }
    }

    /// What is wrong and what to do, for somebody who knows better where it was said.
    pub(super) fn reason(self) -> (String, String) {
        (self.what, self.advice)
    }

    /// What is wrong often quotes a part of the value, so it is made one line as well, and what looks like a
    /// piece of a key is covered: somebody may have put it where nobody would look for one.
    fn about(subject: &str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        let line = |text: &str| shown::scrubbed(one_line(text));
        let (subject, what, advice) = (line(subject), line(&what.into()), shown::scrubbed(advice.into()));
        Self { subject, what, advice, may_heal: false }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.subject, self.what, self.advice)
    }
}

/// Everything that stops the start, and the warnings that may explain it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Problems {
    /// Adds one more.
    pub fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Adds several.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Problem>) {
        self.problems.extend(more);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether time may mend all of them: see [`Problem::that_may_heal`].
    pub fn may_heal(&self) -> bool {
        !self.is_empty() && self.iter().all(|problem| problem.may_heal)
    }

    /// In the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    /// The value, or nothing after its problems were taken over.
    pub fn collect<T>(&mut self, result: Result<T, Self>) -> Option<T> {
        result.map_err(|more| self.problems.extend(more.problems)).ok()
    }

    /// Adds what is wrong elsewhere too, each problem once.
    pub fn append(&mut self, more: Self) {
        for problem in more.problems {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
        self.warnings.extend(more.warnings);
    }

    /// Prints these below the problems: a misspelt variable explains a missing value.
    #[must_use]
    pub fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// The value, or nothing after its problem was noted, so that the next one is looked at too.
    pub fn note<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.push(problem)).ok()
    }

    /// Like [`Problems::note`] for plain values. The stand-in is never used: a problem was noted.
    pub(super) fn value<T: Default>(&mut self, result: Result<T, Problem>) -> T {
        self.note(result).unwrap_or_default()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self::from_iter([problem])
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<I: IntoIterator<Item = Problem>>(problems: I) -> Self {
        Self { problems: problems.into_iter().collect(), warnings: Vec::new() }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warnings = self.warnings.iter().map(|warning| format!("warning: {warning}"));
        let lines: Vec<_> = self.problems.iter().map(Problem::to_string).chain(warnings).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Without line breaks and terminal escapes.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Names of files, in which nothing but a path is to be expected.
const PATHS: [&str; 4] = ["profile", "config", "declarative_config", "mtls_auth_crl_files"];

const PROFILE: &str = "profile ";

/// Long enough for any path or list a person writes, short enough for a line.
const SHOWN_CHARS: usize = 200;

#[cfg(test)]
mod tests;
