//! Text to blocks: where each `-----BEGIN …-----` begins and ends, and the DER inside (RFC 7468).
//!
//! Used by `pem`. Line breaks may be lost, escaped or replaced, blocks may be indented, quoted or glued
//! together: whatever is not base64 is passed over (RFC 7468 section 2 asks for that). What is never passed
//! over is a boundary: every BEGIN becomes a [`Block`], or a [`Damage`] with its position and nothing of its text.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;
use thiserror::Error;

use super::label::{self, Label};

/// Where a block is: its number in the text and the line of its BEGIN, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    block: usize,
    line: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} (line {})", self.block, self.line)
    }
}

/// What is wrong with a boundary or with what is between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Damage {
    /// The text ends, or the next block begins, before the block's END.
    #[error("has no END line")]
    NoEnd,
    /// An END without a block that it could end.
    #[error("ends without a BEGIN line")]
    NoBegin,
    /// BEGIN and END name different things.
    #[error("begins with one label and ends with another")]
    OtherEnd,
    /// Not five dashes, or not in capitals.
    #[error("has a damaged boundary: it is five dashes, BEGIN or END, the label, and five dashes")]
    Boundary,
    /// A label that nothing known has.
    #[error("has a label that is not known")]
    UnknownLabel,
    /// A label that nothing known has, but that is near one.
    #[error("has a label that is not known; did you mean {0}?")]
    NearLabel(&'static str),
    /// Somebody switched it off with a comment sign.
    #[error("is commented out")]
    CommentedOut,
    /// Base64 of a certificate or key, or of PEM, outside of all blocks.
    #[error("has neither BEGIN nor END, and what is there looks like base64 of a certificate or key")]
    Bare,
    /// What is inside does not decode.
    #[error("is not base64 inside")]
    Base64,
    /// What is inside says that it is longer.
    #[error("is cut off: its DER ends too early")]
    CutOff,
}

/// One block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) position: Position,
    pub(super) label: &'static Label,
    /// An RFC 1421 header says that it is encrypted (`Proc-Type: 4,ENCRYPTED`).
    pub(super) encrypted: bool,
    /// What is between the boundaries: the characters of base64 only, padded.
    pub(super) base64: String,
}

/// Whether a text has a boundary at all, damaged or not.
pub(super) fn has_boundary(text: &str) -> bool {
    boundaries(&plain(text)).next().is_some()
}

/// Every block of a text, in order.
///
/// # Errors
/// The first damage, with its position.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, (Position, Damage)> {
    let text = plain(text);
    let mut blocks = Vec::new();
    let mut lines = Lines { text: &text, at: 0, line: 1 };
    let mut found = boundaries(&text);
    let mut before = 0;
    while let Some(begin) = found.next() {
        let position = Position { block: blocks.len() + 1, line: lines.of(begin.at) };
        let damaged = |damage| Err((position, damage));
        let known = label::of(begin.label);
        if begin.word == Word::End {
            // Prose may have such words; a block that lost its beginning has a label.
            if known.is_none() {
                continue;
            }
            return damaged(Damage::NoBegin);
        }
        if is_commented_out(&text[before..begin.at]) {
            return damaged(Damage::CommentedOut);
        }
        if let Some(at) = bare(&text[before..begin.at]) {
            let line = Lines { text: &text, at: 0, line: 1 }.of(before + at);
            return Err((Position { line, ..position }, Damage::Bare));
        }
        if !begin.sound {
            return damaged(Damage::Boundary);
        }
        let Some(label) = known else {
            return damaged(label::near(begin.label).map_or(Damage::UnknownLabel, Damage::NearLabel));
        };
        let Some(end) = found.next().filter(|end| end.word == Word::End) else {
            return damaged(Damage::NoEnd);
        };
        if !end.sound {
            return damaged(Damage::Boundary);
        }
        if label::of(end.label).is_none_or(|other| other.name != label.name) {
            return damaged(Damage::OtherEnd);
        }
        let (encrypted, data) = without_headers(&text[begin.end..end.at]);
        let Some(base64) = padded(data) else { return damaged(Damage::Base64) };
        blocks.push(Block { position, label, encrypted, base64 });
        before = end.end;
    }
    // A text without any block may be base64 as a whole.
    match bare(&text[before..]).filter(|_| !blocks.is_empty()) {
        Some(at) => Err((Position { block: blocks.len() + 1, line: lines.of(before + at) }, Damage::Bare)),
        None => Ok(blocks),
    }
}

/// Where base64 of a certificate or key, or of PEM, begins in what stands between blocks.
fn bare(between: &str) -> Option<usize> {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    let mut at = 0;
    between.split_inclusive(|c| !is_base64(c)).find_map(|run| {
        let begins = at;
        at += run.len();
        let is_bare = run.len() > SHORTEST_BARE && BARE_BEGINS.iter().any(|first| run.starts_with(first));
        is_bare.then_some(begins)
    })
}

/// Text with its escapes undone: `\n` and the like of JSON, properties, env files and shells, and the
/// percent signs of a URL or a form. What PowerShell appended in UTF-16 is text as well.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        return plain(&text.replace('\0', "")).into_owned().into();
    }
    let text = from_url(text);
    if !text.contains('\\') {
        return text;
    }
    // Where lines are lost, an escape is the line's end; where there are lines, it would be a second one.
    let line_end = if text.trim_end().contains('\n') { ' ' } else { '\n' };
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        // Escaped twice is escaped.
        while rest.next_if_eq(&'\\').is_some() {}
        match rest.next() {
            Some('n') => plain.push(line_end),
            Some('r' | 't') => plain.push(' '),
            Some('u') => {
                let code: String =
                    std::iter::from_fn(|| rest.next_if(char::is_ascii_hexdigit)).take(4).collect();
                let meant = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                plain.push(meant.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain.into()
}

/// A text in which the space behind BEGIN is `%20` or `+` was in a URL or a form.
fn from_url(text: &str) -> Cow<'_, str> {
    let form = text.contains("-BEGIN+");
    if !form && !text.contains("-BEGIN%20") {
        return text.into();
    }
    let text = if form { text.replace('+', " ") } else { text.to_owned() };
    percent_decode_str(&text).decode_utf8_lossy().into_owned().into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Begin,
    End,
}

/// A boundary as it stands in the text. Its dashes are not counted in: a block's END may share them with the
/// next BEGIN, and what is between two boundaries is read past them.
#[derive(Debug)]
struct Boundary<'t> {
    word: Word,
    label: &'t str,
    /// Where its word begins.
    at: usize,
    /// Where its label ends.
    end: usize,
    /// Just as it must be.
    sound: bool,
}

fn boundaries(text: &str) -> impl Iterator<Item = Boundary<'_>> {
    words(text).filter_map(|(at, word)| Boundary::at(text, at, word))
}

/// Where `BEGIN` and `END` are, in any case.
fn words(text: &str) -> impl Iterator<Item = (usize, Word)> {
    let bytes = text.as_bytes();
    (0..bytes.len()).filter_map(|at| {
        let is = |word: Word| {
            let word = word.text().as_bytes();
            bytes.get(at..at + word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word))
        };
        match bytes[at] {
            b'B' | b'b' if is(Word::Begin) => Some((at, Word::Begin)),
            b'E' | b'e' if is(Word::End) => Some((at, Word::End)),
            _ => None,
        }
    })
}

impl Word {
    fn text(self) -> &'static str {
        match self {
            Self::Begin => "BEGIN",
            Self::End => "END",
        }
    }
}

impl<'t> Boundary<'t> {
    /// The boundary whose word is at this place, if it is one. With something wrong it still is one if its
    /// label is known, or nearly so: prose between blocks may have dashes and these words too.
    fn at(text: &'t str, at: usize, word: Word) -> Option<Self> {
        let (ahead, behind) = (&text[..at], &text[at + word.text().len()..]);
        let dashes = ahead.trim_end_matches([' ', '\t']);
        let bare = dashes.trim_end_matches(is_dash);
        let is_in_label = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || "#._/".contains(c);
        let label = behind.char_indices().take(LONGEST_LABEL).find(|(_, c)| !is_in_label(*c));
        let end =
            label.or_else(|| behind.char_indices().nth(LONGEST_LABEL)).map_or(behind.len(), |(end, _)| end);
        let label = &behind[..end];
        let opened = ahead.ends_with(DASHES) && text[at..].starts_with(word.text());
        let sound = opened && behind[end..].starts_with(DASHES) && !label.trim().is_empty();
        let is_meant = || {
            let starts_line =
                bare.trim_end_matches([' ', '\t', '"', '\'']).ends_with(['\n', '\r']) || bare.is_empty();
            let apart = dashes.len() >= bare.len() + 2 || starts_line && behind.starts_with([' ', '\t']);
            let begins = opened && word == Word::Begin && behind.starts_with(' ');
            begins || apart && (label::begins(label) || label::near(label).is_some())
        };
        (sound || is_meant()).then(|| Self { word, label, at, end: at + word.text().len() + end, sound })
    }
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// Whether what stands before a boundary, on its line, begins as a comment.
fn is_commented_out(before: &str) -> bool {
    let line = before.rsplit(['\n', '\r']).next().unwrap_or_default().trim_start();
    ["#", ";", "//"].iter().any(|sign| line.starts_with(sign))
}

/// What follows the RFC 1421 headers, and whether they say that it is encrypted.
fn without_headers(inside: &str) -> (bool, &str) {
    if !inside.contains(':') {
        return (false, inside);
    }
    let encrypted = inside.contains("Proc-Type") && inside.contains("ENCRYPTED");
    // They end with an empty line (RFC 1421 section 4.4).
    let mut rest = inside.trim_start();
    while let Some((line, more)) = rest.split_once('\n') {
        rest = more;
        if line.trim().is_empty() {
            return (encrypted, rest);
        }
    }
    (encrypted, inside)
}

/// The base64 in a text, with as much padding as it needs; `None` if no padding would do.
pub(super) fn padded(text: &str) -> Option<String> {
    let mut base64: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')).collect();
    match base64.len() % 4 {
        0 => {}
        1 => return None,
        2 => base64.push_str("=="),
        _ => base64.push('='),
    }
    (!base64.is_empty()).then_some(base64)
}

/// Counts lines on the way; `\r` alone ends one as well as `\n` and `\r\n`.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of a place no earlier than the one before.
    fn of(&mut self, at: usize) -> usize {
        let passed = &self.text.as_bytes()[self.at..at.max(self.at)];
        let ends = passed.iter().enumerate();
        self.line += ends
            .filter(|(index, byte)| match byte {
                b'\n' => true,
                b'\r' => self.text.as_bytes().get(self.at + index + 1) != Some(&b'\n'),
                _ => false,
            })
            .count();
        self.at = at.max(self.at);
        self.line
    }
}

const DASHES: &str = "-----";

/// Base64 of a DER SEQUENCE of 128 bytes or more, and of `-----BEGIN`.
const BARE_BEGINS: [&str; 4] = ["MII", "MIG", "MIH", "LS0tLS1CRUdJTi"];

/// More than a word of prose has, less than a line of base64.
const SHORTEST_BARE: usize = 40;

/// Longer than any that is known, with as many spaces again.
const LONGEST_LABEL: usize = 64;
