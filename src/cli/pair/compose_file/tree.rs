//! The compose files of a folder as one tree: the file, what overrides it, and `.env` filled in.
//!
//! Used by `compose_file`. Source: the Compose Specification, 12-interpolation.md and 13-merge.md; which files
//! are taken is docker compose's `DefaultFileNames` and `DefaultOverrideFileNames`, in their order.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::env_file;
use super::interpolation::interpolate;
use crate::telemetry::cause;

/// The files docker would read in a folder, the later ones on top; none where there is no compose file.
pub(super) fn files(folder: &Path, dotenv: &[(String, String)]) -> Vec<PathBuf> {
    if let Some((_, named)) = dotenv.iter().rev().find(|(name, _)| name == "COMPOSE_FILE") {
        return named.split(':').map(|name| folder.join(name)).collect();
    }
    let first = |names: &[&str]| names.iter().map(|name| folder.join(name)).find(|path| path.exists());
    let Some(file) = first(&FILES) else { return Vec::new() };
    [Some(file), first(&OVERRIDES)].into_iter().flatten().collect()
}

/// The variables of the folder's `.env`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn dotenv(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let path = folder.join(".env");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let variables = env_file::parse(&read(&path)?, &|_| None).map_err(|what| format!(".env: {what}"))?;
    Ok(variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// All of them as one, with their variables filled in.
///
/// # Errors
/// What keeps docker from reading them, each with its file.
pub(super) fn load(
    files: &[PathBuf],
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Value, Vec<String>> {
    let mut whole = Value::Object(Map::new());
    let mut wrong = Vec::new();
    for path in files {
        let name = super::file_name(path);
        let mut tell = |what: String| {
            let line = format!("{name}: {what}");
            if !wrong.contains(&line) {
                wrong.push(line);
            }
        };
        match tree(path) {
            Ok(mut tree) => {
                fill_in(&mut tree, variable, &mut tell);
                merge(&mut whole, tree, "");
            }
            Err(what) => tell(what),
        }
    }
    if wrong.is_empty() { Ok(whole) } else { Err(wrong) }
}

fn tree(path: &Path) -> Result<Value, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("it cannot be read: {}", cause::io(&error)))?;
    // Their meaning is lost with the tag, and without it the file says something else.
    for tag in ["!reset", "!override"] {
        if text.lines().any(|line| line.split('#').next().is_some_and(|line| line.contains(tag))) {
            return Err(format!("`{tag}` is not understood here; {RESOLVED}"));
        }
    }
    let tree: Value = serde_saphyr::from_str(&text).map_err(|error| {
        let line = error.location().map(|at| format!(" at line {}", at.line())).unwrap_or_default();
        format!("it is not YAML that can be read{line}; `docker compose config` tells more")
    })?;
    if tree.get("include").is_some() {
        return Err(format!("`include` is not understood here; {RESOLVED}"));
    }
    let services = tree.get("services").and_then(Value::as_object);
    if services.is_some_and(|services| services.values().any(|service| service.get("extends").is_some())) {
        return Err(format!("`extends` is not understood here; {RESOLVED}"));
    }
    Ok(tree)
}

/// Fills in the variables of every text; what begins with `x-` is nobody's.
fn fill_in(value: &mut Value, variable: &impl Fn(&str) -> Option<String>, tell: &mut impl FnMut(String)) {
    match value {
        Value::String(text) if text.contains('$') => match interpolate(text, variable) {
            Ok(plain) => *text = plain,
            Err(what) => tell(what),
        },
        Value::Array(list) => list.iter_mut().for_each(|value| fill_in(value, variable, tell)),
        Value::Object(map) => map
            .iter_mut()
            .filter(|(key, _)| !key.starts_with("x-"))
            .for_each(|(_, value)| fill_in(value, variable, tell)),
        _ => {}
    }
}

/// Puts `over` on top: maps key by key, lists one after the other, anything else instead.
fn merge(base: &mut Value, over: Value, key: &str) {
    if matches!(key, "environment" | "labels") {
        *base = as_map(std::mem::take(base));
    }
    let over = if matches!(key, "environment" | "labels") { as_map(over) } else { over };
    let over = if matches!(key, "env_file" | "dns") { as_list(over) } else { over };
    if matches!(key, "env_file" | "dns") {
        *base = as_list(std::mem::take(base));
    }
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(known) if !known.is_null() => merge(known, value, &key),
                    _ => drop(base.insert(key, value)),
                }
            }
        }
        // Of a command the later one counts.
        (Value::Array(base), Value::Array(over)) if !matches!(key, "command" | "entrypoint" | "test") => {
            let new = over.into_iter().filter(|value| !base.contains(value)).collect::<Vec<_>>();
            base.extend(new);
        }
        (base, over) => *base = over,
    }
}

/// `["A=1", "B"]` as `{A: "1", B: null}`.
fn as_map(value: Value) -> Value {
    let Value::Array(list) = value else { return value };
    let entry = |line: Value| {
        let line = line.as_str()?;
        Some(match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), Value::from(value)),
            None => (line.to_owned(), Value::Null),
        })
    };
    list.into_iter().filter_map(entry).collect::<Map<_, _>>().into()
}

fn as_list(value: Value) -> Value {
    match value {
        Value::Null | Value::Array(_) => value,
        one => Value::Array(vec![one]),
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {}", super::file_name(path), cause::io(&error)))
}

const RESOLVED: &str = "put the output of `docker compose config` into the folder as its compose.yaml";

/// In the order in which docker looks for them.
const FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(base: Value, over: Value) -> Value {
        let mut base = base;
        merge(&mut base, over, "");
        base
    }

    #[test]
    fn an_override_adds_to_lists_and_replaces_what_is_one_thing() {
        let base = json!({"ports": ["8443:8443"], "command": ["gateway"], "user": "1:1",
                          "environment": ["A=1", "B=2"], "env_file": "a.env"});
        let over = json!({"ports": ["9443:8443", "8443:8443"], "command": ["reverse-proxy"], "user": "2:2",
                          "environment": {"B": "3"}, "env_file": ["b.env"]});
        let expected = json!({"ports": ["8443:8443", "9443:8443"], "command": ["reverse-proxy"], "user": "2:2",
                              "environment": {"A": "1", "B": "3"}, "env_file": ["a.env", "b.env"]});
        assert_eq!(
            merged(json!({"services": {"x": base}}), json!({"services": {"x": over}})),
            json!({"services": {"x": expected}})
        );
    }

    #[test]
    fn anchors_are_followed_and_variables_filled_in_everywhere() {
        let folder = tempfile::tempdir().unwrap();
        let text = "x-a: &a {image: \"${I:-mtls-bridge}\", x: \"${NOBODY:?}\"}\n\
                    services: {b: {<<: *a, x: 1, ports: [\"${PORT}:8443\"]}}\n";
        let path = folder.path().join("compose.yaml");
        fs::write(&path, text).unwrap();
        let variable = |name: &str| (name == "PORT").then(|| "9443".to_owned());
        let services = load(&[path], &variable).unwrap()["services"].take();
        assert_eq!(services, json!({"b": {"image": "mtls-bridge", "x": 1, "ports": ["9443:8443"]}}));
    }
}
