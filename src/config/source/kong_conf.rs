//! A `kong.conf`: `key = value` in each line, with comments after `#`.
//!
//! Its keys are those of `KONG_*`, in lower case, and mean the same.
//! Sources: kong.conf.default; kong/conf_loader/init.lua, which reads it by Penlight's `pl.config`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::names::{self, Name, nginx};
use crate::config::problem::{Origin, Problem};

use super::Gathered;

/// Whether a text that is not TOML is one: by the name of its file, or by its lines.
pub(super) fn is_kong_conf(path: &Path, text: &str) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("conf") => true,
        Some("toml") => false,
        _ => {
            let plain = |value: &str| !value.starts_with(['"', '\'', '[', '{', '=']);
            let mut lines = lines(text).peekable();
            lines.peek().is_some()
                && lines.all(|(_, line)| pair(&line).is_some_and(|(_, value)| plain(&value)))
        }
    }
}

/// Everything such a file says.
pub(super) fn settings(text: &str, origin: &Origin, gathered: &mut Gathered) {
    // Of two lines of one key the later counts, as in Kong; a rule about who may pass is not lost to it.
    let mut said = BTreeMap::new();
    for (number, line) in lines(text) {
        match pair(&line) {
            Some((key, value)) => {
                let earlier = said.insert(key.to_owned(), value);
                if names::is_access(key) && earlier.is_some_and(|earlier| earlier != said[key]) {
                    let what = format!("line {number} says it again, and only one of the two would count");
                    gathered.problems.push(Problem::of_key(key, origin, what, "keep one line"));
                }
            }
            None => {
                let advice = "write `key = value`, or `#` before a comment";
                let place = format!("line {number}");
                gathered.problems.push(Problem::of_key(&place, origin, "not a setting", advice));
            }
        }
    }
    let mut named = Vec::new();
    for (key, value) in &said {
        match name(key) {
            Some(name) => named.push((name, key, value)),
            None => gathered.problems.push(names::unknown(key, origin)),
        }
    }
    named.sort_by_key(|(name, key, _)| name.rank(key));
    for (name, key, value) in named {
        match name {
            // The file was written for Kong, whose Admin API is simply not here.
            Name::Unsupported(unsupported) if unsupported.is_kongs_own => gathered.pass_over(key, origin),
            _ => gathered.say(name, key, value, origin),
        }
    }
}

/// In this file every directive of nginx is one, known or not.
fn name(key: &str) -> Option<Name> {
    Name::of(key).or_else(|| key.starts_with(nginx::NGINX).then_some(Name::Kong))
}

/// The lines that say something, with their numbers: without comments, and with what a backslash at the end
/// goes on with.
fn lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut numbered = text.lines().enumerate();
    std::iter::from_fn(move || {
        let (number, first) = numbered.next()?;
        let mut line = first.trim().to_owned();
        while line.ends_with('\\') && !line.starts_with('#') {
            line.pop();
            line.push_str(numbered.next().map_or("", |(_, next)| next.trim()));
        }
        Some((number + 1, line))
    })
    .filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', ';']))
}

/// Key and value of a line; `None` where it is no such line.
fn pair(line: &str) -> Option<(&str, String)> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let of = |is_letter: fn(&char) -> bool| {
        key.chars().all(|c| is_letter(&c) || c.is_ascii_digit() || c == '_' || c == '-')
    };
    // A line of base64 is no key, and is never shown as one.
    let is_word = !key.is_empty() && (of(char::is_ascii_lowercase) || of(char::is_ascii_uppercase));
    is_word.then(|| (key, unquoted(&without_comment(value))))
}

/// A `#` ends the value, unless a backslash is before it.
fn without_comment(value: &str) -> String {
    let mut kept = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '#' if kept.ends_with('\\') => {
                kept.pop();
                kept.push('#');
            }
            '#' => break,
            other => kept.push(other),
        }
    }
    kept.trim().to_owned()
}

/// Kong keeps quotes as a part of the value; nobody means them.
fn unquoted(value: &str) -> String {
    let within =
        |quote: char| value.strip_prefix(quote)?.strip_suffix(quote).filter(|it| !it.contains(quote));
    within('"').or_else(|| within('\'')).unwrap_or(value).to_owned()
}

#[cfg(test)]
mod tests;
