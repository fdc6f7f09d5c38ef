//! Files: what `CONFIG` names, which is TOML or a `kong.conf`, and profiles, which are TOML built in.

use std::path::Path;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};

use crate::config::names::{self, Name};
use crate::config::problem::{Origin, Problem, Said};
use crate::config::value::joined;
use crate::telemetry::cause;

use super::{Gathered, kong_conf};

/// One name or path in `PROFILE`.
pub(super) fn profile(said: &Said, gathered: &mut Gathered) {
    let name = said.value();
    if PROFILES.iter().any(|(built_in, _)| *built_in == name) {
        built_in(name).into_iter().for_each(|said| gathered.take(said));
    } else if name.contains('/') || name.ends_with(".toml") || name.ends_with(".conf") {
        read(said, Path::new(name), gathered);
    } else {
        let names: Vec<_> = PROFILES.iter().map(|(name, _)| *name).collect();
        let advice = format!("write one of {}, or the path of a TOML file", names.join(", "));
        gathered.problems.push(Problem::new(said, format!("`{}` is not a profile", said.shown()), advice));
    }
}

/// What a built-in profile says.
pub(in crate::config) fn built_in(name: &str) -> Vec<Said> {
    let mut gathered = Gathered::default();
    if let Some((_, text)) = PROFILES.iter().find(|(profile, _)| *profile == name) {
        settings(text, &Origin::profile(name), None, &mut gathered);
    }
    gathered.said
}

/// A file that `said` names.
pub(super) fn read(said: &Said, path: &Path, gathered: &mut Gathered) {
    match std::fs::read_to_string(path) {
        Ok(text) => settings(&text, &Origin::file(path), Some(path), gathered),
        Err(error) => {
            let what = format!("{} cannot be read: {}", said.shown(), cause::io(&error));
            let is_kongs = path.extension().is_some_and(|extension| extension == "conf");
            let kind = if is_kongs { "kong.conf" } else { "TOML file" };
            let advice = format!("name a {kind} that this user may read");
            gathered.problems.push(Problem::new(said, what, advice));
        }
    }
}

/// Every key of a text: of a TOML text, or, if it is none and has a `path`, perhaps of a `kong.conf`.
fn settings(text: &str, origin: &Origin, path: Option<&Path>, gathered: &mut Gathered) {
    match Toml::from_str::<Dict>(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        Ok(dict) => toml(&dict, origin, gathered),
        Err(_) if path.is_some_and(|path| kong_conf::is_kong_conf(path, text)) => {
            kong_conf::settings(text, origin, gathered);
        }
        Err(error) => {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let what = format!("not TOML: {}", toml_cause(error.message()));
            let advice = "mend the line; texts are in quotes, as in client_ssl = \"on\"";
            gathered.problems.push(Problem::of_key(&format!("line {line}"), origin, what, advice));
        }
    }
}

fn toml(dict: &Dict, origin: &Origin, gathered: &mut Gathered) {
    let mut keys: Vec<_> = dict.iter().collect();
    keys.sort_by_key(|(key, _)| Name::of(key).map_or(names::OWN, |name| name.rank(key)));
    for (key, value) in keys {
        if let Err(problem) = setting(key, value, origin, gathered) {
            gathered.problems.push(problem);
        }
    }
}

/// What the parser found, without what it quotes: the line may hold a key.
fn toml_cause(message: &str) -> &'static str {
    let causes = [
        ("duplicate key", "a name that comes twice"),
        ("invalid multiline", "a text in three quotes that does not end, or has a wrong escape"),
        ("invalid basic string", "a text that does not end, or has a wrong escape"),
        ("invalid literal string", "a text that does not end"),
        ("invalid string", "a value that is not in quotes, or a text that does not end"),
        ("invalid array", "a list that does not end, or whose elements are not separated by commas"),
        ("invalid inline table", "braces that do not end, or a name without a value in them"),
        ("invalid table header", "square brackets around something that is no name"),
        ("expected newline", "something behind the value"),
        ("expected `.`, `=`", "a name without `=` behind it"),
        ("invalid key", "something that is no name"),
    ];
    let found = causes.iter().find(|(start, _)| message.contains(start));
    found.map_or("it breaks off, or is something else", |(_, cause)| cause)
}

fn setting(key: &str, value: &Value, origin: &Origin, gathered: &mut Gathered) -> Result<(), Problem> {
    let Some(name) = Name::of(key) else {
        return Err(names::unknown(key, origin));
    };
    let Some(text) = written(value) else {
        let advice = "write a text, a number, a switch or a list of these";
        return Err(Problem::of_key(key, origin, "not a value", advice));
    };
    gathered.say(name, key, &text, origin);
    Ok(())
}

/// A TOML value as an environment variable would write it.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::Array(_, elements) => {
            let elements: Option<Vec<_>> = elements.iter().map(scalar).collect();
            Some(joined(&elements?))
        }
        other => scalar(other),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, on) => Some(if *on { "on" } else { "off" }.to_owned()),
        Value::Num(_, number) => number.to_i128().map(|n| n.to_string()).or_else(|| {
            let float = number.to_f64()?;
            Some(float.to_string())
        }),
        _ => None,
    }
}

/// The files of `profiles/`.
pub(in crate::config) const PROFILES: &[(&str, &str)] = &[
    ("reverse-proxy", include_str!("../../../profiles/reverse-proxy.toml")),
    ("gateway", include_str!("../../../profiles/gateway.toml")),
    ("development", include_str!("../../../profiles/development.toml")),
    ("hardened", include_str!("../../../profiles/hardened.toml")),
];
