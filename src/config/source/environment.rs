//! Environment variables: ours, Kong's, `…_FILE`, and those that only look like ours.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::names::{self, ALIASES, Name, Variable};
use crate::config::problem::{Origin, Problem, Said};
use crate::telemetry::cause;

use super::{Gathered, POINTERS};

/// Adds what the variables say, `KONG_*` before bare names, aliases before the key's own name.
pub(super) fn read(environment: &[(String, OsString)], gathered: &mut Gathered) {
    let mut ours = Vec::new();
    for (variable, value) in environment {
        match Variable::of(variable) {
            Some(meaning) => ours.push((meaning, variable.as_str(), value.as_os_str())),
            None if POINTERS.contains(&variable.to_lowercase().as_str()) => {}
            None => gathered.warnings.extend(names::suspicion(variable)),
        }
    }
    gathered.warnings.sort();
    ours.sort_by_key(|(meaning, variable, _)| (!meaning.kong, rank(variable), meaning.file));
    for (meaning, variable, value) in &ours {
        let said_plainly =
            |name: &str| ours.iter().any(|(_, other, text)| *other == name && !text.is_empty());
        let outcome = match variable.strip_suffix("_FILE").filter(|_| meaning.file) {
            Some(plain) if said_plainly(plain) => {
                let (key, origin) = (key(meaning.name), Origin::environment(variable));
                let what = format!("{plain} is set too");
                Err(Problem::of_key(key, &origin, what, "keep one of the two"))
            }
            _ => one(*meaning, variable, value, gathered),
        };
        gathered.problems.note(outcome);
    }
}

fn one(meaning: Variable, variable: &str, value: &OsStr, gathered: &mut Gathered) -> Result<(), Problem> {
    let origin = Origin::environment(variable);
    let key = key(meaning.name);
    let Some(text) = value.to_str() else {
        return Err(Problem::of_key(key, &origin, "not UTF-8", "write it in UTF-8"));
    };
    let text = if meaning.file && !text.is_empty() { content(key, text, &origin)? } else { text.to_owned() };
    let said = Said::new(key, text, origin);
    match meaning.name {
        Name::Setting(_) | Name::Alias(_) => gathered.take(said),
        Name::Unsupported(unsupported) => unsupported.refuse(&said)?,
    }
    Ok(())
}

/// What the file holds; [`Said::new`] trims the newline at its end. What is no text, such as DER or UTF-16, is taken
/// in base64, as it could have been given in the variable: who reads it knows what it is.
fn content(key: &str, path: &str, origin: &Origin) -> Result<String, Problem> {
    let bytes = std::fs::read(Path::new(path)).map_err(|error| {
        // Somebody may have put the secret itself where its file belongs.
        let path = Said::new(key, path, origin.clone()).shown();
        let what = format!("{path} cannot be read: {}", cause::io(&error));
        Problem::of_key(key, origin, what, "name a file that holds the value")
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) if key.contains("_cert") => Ok(STANDARD.encode(error.as_bytes())),
        Err(_) => Err(Problem::of_key(key, origin, "the file is not UTF-8", "write it in UTF-8")),
    }
}

fn key(name: Name) -> &'static str {
    match name {
        Name::Setting(key) | Name::Alias(key) => key,
        Name::Unsupported(unsupported) => unsupported.key,
    }
}

/// The place of an alias among the aliases; the key's own name comes last and so wins.
fn rank(variable: &str) -> usize {
    let variable = variable.to_lowercase();
    ALIASES.iter().position(|(alias, _)| variable.contains(alias)).unwrap_or(ALIASES.len())
}
