//! The one reader of a map: fields are taken by name, and what nobody took is an unknown field.
//!
//! Used by each entity's reader. A value that is not what it should be is told to the [`Report`] with its
//! place, and the reader goes on with a stand-in: no model is made after a problem, so it is never used.

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::time::Duration;

use strsim::damerau_levenshtein;

use super::node::{Entry, Node, Value, shortened};
use super::report::{Place, Report};

/// The way to a map.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// An entity's, or the file's.
    Entity(&'a Place),
    /// A record in another map.
    Within(&'a Self, &'a str),
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entity(place) => f.write_str(&place.path),
            Self::Within(path, key) => write!(f, "{path}.{key}"),
        }
    }
}

/// Which value of a map something is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    key: &'a str,
    index: Option<usize>,
    line: u32,
}

/// A text, with where it is written.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) text: &'a str,
    pub(super) at: At<'a>,
}

/// The fields of one map.
pub(super) struct Fields<'a> {
    report: &'a Report,
    path: Path<'a>,
    line: u32,
    entries: &'a [Entry],
    taken: Vec<bool>,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// `None` with a problem where `node` is no map.
    pub(super) fn of(report: &'a Report, path: Path<'a>, node: &'a Node) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            report.add(path, node.line, mistaken(node, "a map"), "write `field: value` lines");
            return None;
        };
        let taken = vec![false; entries.len()];
        Some(Self { report, path, line: node.line, entries, taken, asked: Vec::with_capacity(ROOM) })
    }

    pub(super) fn report(&self) -> &'a Report {
        self.report
    }

    /// Something wrong with a value.
    pub(super) fn wrong(&self, at: At<'_>, what: impl Into<String>, advice: impl Into<String>) {
        let dot = if self.path.to_string().is_empty() { "" } else { "." };
        let index = at.index.map(|index| format!("[{index}]")).unwrap_or_default();
        self.report.add(format_args!("{}{dot}{}{index}", self.path, at.key), at.line, what, advice);
    }

    /// Something wrong with the map as a whole.
    pub(super) fn wrong_all(&self, what: impl Into<String>, advice: impl Into<String>) {
        self.report.add(self.path, self.line, what, advice);
    }

    /// A field that must be there, and is not; what is there and wrong was told already.
    pub(super) fn missing(&self, key: &str, advice: &str) {
        if self.says(key) {
            return;
        }
        self.wrong(At { key, index: None, line: self.line }, "required field missing", advice);
    }

    /// Takes a field as it is; null is as good as absent.
    pub(super) fn take(&mut self, key: &'static str) -> Option<(&'a Node, At<'a>)> {
        self.asked.push(key);
        let index = self.entries.iter().position(|entry| &*entry.key == key)?;
        self.taken[index] = true;
        let node = &self.entries[index].node;
        let at = At { key, index: None, line: node.line };
        (!matches!(node.value, Value::Null)).then_some((node, at))
    }

    /// The names of all fields that are written.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|entry| &*entry.key)
    }

    /// Whether a field is written, and is null.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| &*entry.key == key && matches!(entry.node.value, Value::Null))
    }

    /// Whether a field is written and has something in it, right or wrong.
    pub(super) fn says(&self, key: &str) -> bool {
        let written = self.entries.iter().find(|entry| &*entry.key == key);
        written.is_some_and(|entry| match &entry.node.value {
            Value::Null => false,
            Value::List(nodes) => !nodes.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
            _ => true,
        })
    }

    /// Takes fields that others read, or that need not be read.
    pub(super) fn pass(&mut self, keys: impl IntoIterator<Item = &'static str>) {
        for key in keys {
            self.take(key);
        }
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Text<'a>> {
        let (node, at) = self.take(key)?;
        self.as_text(node, at)
    }

    /// A text that must be there.
    pub(super) fn needed_text(&mut self, key: &'static str, advice: &str) -> Option<Text<'a>> {
        let Some((node, at)) = self.take(key) else {
            self.missing(key, advice);
            return None;
        };
        self.as_text(node, at)
    }

    fn as_text(&self, node: &'a Node, at: At<'a>) -> Option<Text<'a>> {
        match &node.value {
            Value::Text(text) if !text.is_empty() => return Some(Text { text, at }),
            Value::Text(_) => self.wrong(at, "empty", "write a value, or remove it"),
            Value::Bool(_) | Value::Number(_) => self.wrong(at, mistaken(node, "a text"), "put it in quotes"),
            _ => self.wrong(at, mistaken(node, "a text"), "write one text"),
        }
        None
    }

    /// A list of texts; `None` where nothing is written.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<Text<'a>>> {
        let (node, at) = self.take(key)?;
        Some(self.as_texts(node, at))
    }

    fn as_texts(&self, node: &'a Node, at: At<'a>) -> Vec<Text<'a>> {
        let elements = self.as_list(node, at);
        elements.into_iter().filter_map(|(node, at)| self.as_text(node, at)).collect()
    }

    fn as_list(&self, node: &'a Node, at: At<'a>) -> Vec<(&'a Node, At<'a>)> {
        let Value::List(nodes) = &node.value else {
            self.wrong(at, mistaken(node, "a list"), format!("write {}: [a, b]", at.key));
            return Vec::new();
        };
        let each = nodes.iter().enumerate();
        each.map(|(index, node)| (node, At { index: Some(index), line: node.line, ..at })).collect()
    }

    /// Whole numbers within bounds.
    pub(super) fn integers(&mut self, key: &'static str, bounds: RangeInclusive<i64>) -> Option<Vec<i64>> {
        let (node, at) = self.take(key)?;
        let elements = self.as_list(node, at);
        Some(elements.into_iter().filter_map(|(node, at)| self.as_integer(node, at, &bounds)).collect())
    }

    /// A map of lists of texts, as `headers` of a route.
    pub(super) fn lists(&mut self, key: &'static str) -> Option<Vec<(Text<'a>, Vec<Text<'a>>)>> {
        let (node, at) = self.take(key)?;
        let Value::Map(entries) = &node.value else {
            self.wrong(at, mistaken(node, "a map"), "write `name: [value]` lines");
            return None;
        };
        let list = |entry: &'a Entry| {
            let name = Text { text: &entry.key, at: At { key, index: None, line: entry.line } };
            (name, self.as_texts(&entry.node, At { line: entry.node.line, ..at }))
        };
        Some(entries.iter().map(list).collect())
    }

    /// Whether something is so.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let (node, at) = self.take(key)?;
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.wrong(at, mistaken(node, "a boolean"), "write true or false, without quotes");
        None
    }

    /// A whole number within bounds.
    pub(super) fn integer(&mut self, key: &'static str, bounds: RangeInclusive<i64>) -> Option<i64> {
        let (node, at) = self.take(key)?;
        self.as_integer(node, at, &bounds)
    }

    fn as_integer(&self, node: &Node, at: At<'_>, bounds: &RangeInclusive<i64>) -> Option<i64> {
        let advice = || format!("write a whole number from {} to {}", bounds.start(), bounds.end());
        let Value::Number(written) = &node.value else {
            self.wrong(at, mistaken(node, "a number"), format!("{}, without quotes", advice()));
            return None;
        };
        let octal = written.len() > 1 && written.starts_with('0');
        let number = written.parse().ok().filter(|number| bounds.contains(number) && !octal);
        if number.is_none() {
            self.wrong(at, format!("{written} is not a whole number in range"), advice());
        }
        number
    }

    /// A number, perhaps with a fraction, from 0 to `most`.
    pub(super) fn number(&mut self, key: &'static str, most: f64) -> Option<f64> {
        let (node, at) = self.take(key)?;
        let number = match &node.value {
            Value::Number(written) => written.parse().ok().filter(|number| (0.0..=most).contains(number)),
            _ => None,
        };
        if number.is_none() {
            self.wrong(at, "not a number in range", format!("write a number from 0 to {most}"));
        }
        number
    }

    /// A time to wait in milliseconds, which must be more than nothing.
    pub(super) fn milliseconds(&mut self, key: &'static str) -> Option<Duration> {
        let number = self.integer(key, 1..=LONGEST_MS)?;
        Some(Duration::from_millis(number.unsigned_abs()))
    }

    /// One of a few words, exactly as they are written here.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        self.as_word(text, words)
    }

    /// Several of a few words.
    pub(super) fn words<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<Vec<T>> {
        let texts = self.texts(key)?;
        Some(texts.into_iter().filter_map(|text| self.as_word(text, words)).collect())
    }

    /// One of a few words, for a text that was taken already.
    pub(super) fn as_word<T: Copy>(&self, text: Text<'_>, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text.text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let what = format!("`{}` is not one of the words for it", shortened(text.text));
            self.wrong(text.at, what, format!("write {}", names.join(" or ")));
        }
        found
    }

    /// Reads a record in this map; where there is none, one without fields.
    pub(super) fn record<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Fields<'_>) -> T) -> T {
        let (taken, path) = (self.take(key), self.path);
        let path = Path::Within(&path, key);
        let written = taken.and_then(|(node, _)| Fields::of(self.report, path, node));
        let mut fields = written.unwrap_or_else(|| Fields {
            report: self.report,
            path,
            line: self.line,
            entries: &[],
            taken: Vec::new(),
            asked: Vec::new(),
        });
        let value = read(&mut fields);
        fields.finish();
        value
    }

    /// A field that Kong acts on and we do not, allowed only where it asks for nothing.
    pub(super) fn refuse(&mut self, key: &'static str, harmless: &[&str], advice: &str) {
        let Some((node, at)) = self.take(key) else { return };
        let asks_nothing = match &node.value {
            Value::List(nodes) => nodes.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            Value::Bool(value) => harmless.contains(&if *value { "true" } else { "false" }),
            Value::Number(text) | Value::Text(text) => harmless.contains(&&**text),
            Value::Null => true,
        };
        if !asks_nothing {
            self.wrong(at, "not supported by this version", advice);
        }
    }

    /// What nobody took is unknown.
    pub(super) fn finish(mut self) {
        if self.taken.iter().all(|taken| *taken) {
            return;
        }
        self.pass(EVERYWHERE);
        let mut known = HashSet::new();
        self.asked.retain(|key| known.insert(*key));
        for (entry, _) in self.entries.iter().zip(&self.taken).filter(|(_, taken)| !**taken) {
            let near = self.asked.iter().map(|name| (damerau_levenshtein(&entry.key, name), name));
            let advice = match near.min_by_key(|(distance, _)| *distance) {
                Some((distance, name)) if distance <= SLIPS => format!("did you mean {name}?"),
                _ => format!("remove it; the fields here are {}", self.asked.join(", ")),
            };
            let at = At { key: &shortened(&entry.key), index: None, line: entry.line };
            self.wrong(at, "unknown field", advice);
        }
    }
}

fn mistaken(node: &Node, wanted: &str) -> String {
    format!("{} where {wanted} is wanted", node.value.kind())
}

/// Allowed in every entity, and without meaning to us.
/// Source: kong/db/schema/others/declarative_config.lua, `add_extra_attributes`.
const EVERYWHERE: [&str; 2] = ["_comment", "_ignore"];

/// Kong's upper bound of a timeout, 2^31 - 2 ms.
const LONGEST_MS: i64 = 2_147_483_646;

/// As many fields as most entities have.
const ROOM: usize = 16;

/// Two slips in a word still leave no doubt about what was meant.
const SLIPS: usize = 2;
