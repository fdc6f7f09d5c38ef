//! YAML, and JSON as a part of it, as a tree that knows the line of each of its nodes.
//!
//! Read by `gather` and `fields`. Promises to end soon and with bounded memory whatever the text: depth,
//! number of nodes and bytes of texts are limited, and what an alias stands for counts each time it is used.
//! Nodes print nothing of themselves, because some of them are private keys.

use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, StrInput, Tag};

use crate::tls::pem;

/// One value with the line it begins on, counted from 1.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) value: Value,
}

/// What a node holds; scalars as YAML understands them when they are not quoted.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As it is written: `3.0` is not `3`.
    Number(Box<str>),
    Text(Box<str>),
    List(Vec<Node>),
    /// In the order of the file; no key comes twice.
    Map(Vec<Entry>),
}

/// One key of a map.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: Box<str>,
    /// That of the key.
    pub(super) line: u32,
    pub(super) node: Node,
}

/// Why a text cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: u32,
    pub(super) what: String,
    pub(super) advice: &'static str,
}

impl Node {
    /// The value of a key, if this is a map that has it.
    pub(super) fn at(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| &*entry.key == key).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// The text, if this is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Value {
    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Every document of a text, without the empty ones.
///
/// # Errors
/// The first thing that is not YAML, or that would cost too much.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Fault> {
    let events = Parser::new_from_str_with_options(text, options());
    let mut loader = Loader { events, anchors: HashMap::new(), spent: Cost::default() };
    let mut documents = Vec::new();
    while let Some(next) = loader.next()? {
        if let (Event::DocumentStart(..), _) = next {
            loader.anchors.clear();
            let (event, line) = loader.needed()?;
            let node = loader.node(event, line, 0)?;
            if !matches!(node.value, Value::Null) {
                documents.push(node);
            }
        }
    }
    Ok(documents)
}

/// Depth is bounded while scanning already; comments are passed over.
fn options() -> Options {
    let mut options = Options::default();
    options.flow_nesting_limit = DEEPEST;
    options.block_nesting_limit = DEEPEST;
    options.set_emit_comments(false);
    options
}

struct Loader<'t> {
    events: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Anchored>,
    /// Made so far, copies by aliases included.
    spent: Cost,
}

/// What keeping nodes takes.
#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    /// Of texts and keys.
    bytes: usize,
}

/// What `&name` marks, what a copy of it costs, and how many levels are below it.
struct Anchored {
    node: Node,
    cost: Cost,
    height: usize,
}

impl<'t> Loader<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, u32)>, Fault> {
        let next = self.events.next_event().transpose().map_err(|error| unreadable(&error))?;
        Ok(next.map(|(event, span)| (event, line(&span.start))))
    }

    fn needed(&mut self) -> Result<(Event<'t>, u32), Fault> {
        self.next()?.ok_or_else(|| fault(1, "it ends too early", MEND))
    }

    /// The node that begins with `event`.
    fn node(&mut self, event: Event<'t>, line: u32, depth: usize) -> Result<Node, Fault> {
        if depth > DEEPEST {
            return Err(too_deep(line));
        }
        let before = self.spent;
        let bytes = if let Event::Scalar(text, ..) = &event { text.len() } else { 0 };
        if !matches!(event, Event::Alias(_)) {
            self.count(Cost { nodes: 1, bytes }, line)?;
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(&text, style, tag.as_deref(), line)?),
            Event::SequenceStart(_, anchor, tag) => {
                no_tag(tag.as_deref(), line)?;
                (anchor, self.list(depth)?)
            }
            Event::MappingStart(_, anchor, tag) => {
                no_tag(tag.as_deref(), line)?;
                (anchor, self.map(depth)?)
            }
            Event::Alias(anchor) => return self.alias(anchor, line, depth),
            _ => return Err(fault(line, "not a value", MEND)),
        };
        let node = Node { line, value };
        if anchor != 0 {
            let cost =
                Cost { nodes: self.spent.nodes - before.nodes, bytes: self.spent.bytes - before.bytes };
            self.count(cost, line)?;
            let height = height(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), cost, height });
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut nodes = Vec::new();
        loop {
            match self.needed()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(nodes)),
                (event, line) => nodes.push(self.node(event, line, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut entries = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, line) = self.needed()?;
            let (key, plain) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => (text, style == ScalarStyle::Plain),
                _ => return Err(fault(line, "a key that is no text", "write a plain word as the key")),
            };
            self.count(Cost { nodes: 0, bytes: key.len() }, line)?;
            let (event, at) = self.needed()?;
            let mut node = self.node(event, at, depth + 1)?;
            if matches!(node.value, Value::Null) {
                // Nothing is written anywhere.
                node.line = line;
            }
            if plain && key == "<<" {
                merge(node, line, &mut merged)?;
            } else {
                entries.push(Entry { key: key.as_ref().into(), line, node });
            }
        }
        unique(&entries)?;
        // What is written wins over what is merged, and the first merged over the next.
        for entry in merged {
            if !entries.iter().any(|other| other.key == entry.key) {
                entries.push(entry);
            }
        }
        Ok(Value::Map(entries))
    }

    fn alias(&mut self, anchor: usize, line: u32, depth: usize) -> Result<Node, Fault> {
        let Some(&Anchored { cost, height, .. }) = self.anchors.get(&anchor) else {
            return Err(fault(line, "an alias inside of what it stands for", MEND));
        };
        // The parser sees a single event here, however deep what it stands for is.
        if depth + height > DEEPEST {
            return Err(too_deep(line));
        }
        self.count(cost, line)?;
        Ok(self.anchors[&anchor].node.clone())
    }

    fn count(&mut self, more: Cost, line: u32) -> Result<(), Fault> {
        self.spent.nodes += more.nodes;
        self.spent.bytes += more.bytes;
        let much = if self.spent.nodes > MOST_NODES {
            format!("{MOST_NODES} values")
        } else if self.spent.bytes > MOST_BYTES {
            format!("{} MB of texts", MOST_BYTES >> 20)
        } else {
            return Ok(());
        };
        let what = format!("more than {much}, counting what each alias stands for");
        Err(fault(line, what, "split the configuration, and use fewer aliases"))
    }
}

/// How many levels are below a node, which is no deeper than what was read.
fn height(node: &Node) -> usize {
    match &node.value {
        Value::List(nodes) => nodes.iter().map(|node| 1 + height(node)).max().unwrap_or(0),
        Value::Map(entries) => entries.iter().map(|entry| 1 + height(&entry.node)).max().unwrap_or(0),
        _ => 0,
    }
}

/// The entries of one map or of several, behind `<<`.
fn merge(node: Node, line: u32, merged: &mut Vec<Entry>) -> Result<(), Fault> {
    let maps = match node.value {
        Value::List(nodes) => nodes,
        value => vec![Node { line, value }],
    };
    for map in maps {
        let Value::Map(entries) = map.value else {
            return Err(fault(line, "`<<` with something that is no map", "merge maps only"));
        };
        merged.extend(entries);
        if merged.len() > MOST_MERGED {
            return Err(fault(line, "too much behind `<<`", "merge less"));
        }
    }
    Ok(())
}

fn unique(entries: &[Entry]) -> Result<(), Fault> {
    let again = |entry: &Entry| {
        let what = format!("the key `{}` comes twice in one map", shortened(&entry.key));
        Err(fault(entry.line, what, "keep one of the two"))
    };
    if entries.len() <= FEW {
        let twice = |(index, entry): &(usize, &Entry)| entries[..*index].iter().any(|e| e.key == entry.key);
        return entries.iter().enumerate().find(twice).map_or(Ok(()), |(_, entry)| again(entry));
    }
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().find(|entry| !seen.insert(&entry.key)).map_or(Ok(()), again)
}

/// Quoted scalars are texts; the rest is what YAML 1.1, as Kong reads it, makes of it.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, line: u32) -> Result<Value, Fault> {
    match tag.map(|tag| tag.core_suffix().ok_or(tag)) {
        Some(Ok("str")) => return Ok(Value::Text(text.into())),
        Some(Err(tag)) => return Err(strange_tag(tag, line)),
        _ if style != ScalarStyle::Plain => return Ok(Value::Text(text.into())),
        _ => {}
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ if is_number(text) => Value::Number(text.into()),
        _ => Value::Text(text.into()),
    })
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let hexadecimal =
        digits.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    let begins = digits.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
    text.len() <= LONGEST_NUMBER && begins && (hexadecimal || text.parse::<f64>().is_ok())
}

fn no_tag(tag: Option<&Tag>, line: u32) -> Result<(), Fault> {
    tag.filter(|tag| tag.core_suffix().is_none()).map_or(Ok(()), |tag| Err(strange_tag(tag, line)))
}

fn strange_tag(tag: &Tag, line: u32) -> Fault {
    fault(line, format!("the tag {}", shortened(&tag.original())), "remove it: tags mean nothing here")
}

fn unreadable(error: &ScanError) -> Fault {
    let line = line(error.marker());
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(line),
        // Those that hold a part of the text; all others are fixed words.
        ErrorKind::InputIo { .. } | ErrorKind::InputDecoding { .. } | ErrorKind::Custom(_) => {
            fault(line, "not YAML", MEND)
        }
        kind => fault(line, format!("not YAML: {kind}"), MEND),
    }
}

fn too_deep(line: u32) -> Fault {
    fault(line, format!("nested deeper than {DEEPEST} levels"), "no entity of Kong's is that deep")
}

fn fault(line: u32, what: impl Into<String>, advice: &'static str) -> Fault {
    Fault { line, what: what.into(), advice }
}

fn line(marker: &Marker) -> u32 {
    u32::try_from(marker.line()).unwrap_or(u32::MAX)
}

/// For a message: the beginning is enough, and nothing of what may be a private key in the wrong place.
pub(super) fn shortened(text: &str) -> String {
    if pem::is_pem(text) {
        return "PEM text".to_owned();
    }
    let mut chars = text.char_indices().enumerate();
    match chars.find(|(number, (_, c))| *number == SHOWN_CHARS || matches!(c, '\n' | '\r')) {
        Some((_, (end, _))) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

const MEND: &str = "mend the line";

/// The deepest entity of Kong's has about ten levels.
const DEEPEST: usize = 64;

/// Ten times as many as 100,000 consumers with a group each; some 300 MB.
const MOST_NODES: usize = 4_000_000;

/// Four times what a file may have: enough for any anchors that are used a few times.
const MOST_BYTES: usize = 256 << 20;

/// Merged entries are looked up one by one.
const MOST_MERGED: usize = 200;

/// Up to here comparing each with each is cheaper than a table.
const FEW: usize = 24;

/// No number that anybody means is longer.
const LONGEST_NUMBER: usize = 40;

const SHOWN_CHARS: usize = 40;

#[cfg(test)]
mod tests;
